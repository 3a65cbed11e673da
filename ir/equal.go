package ir

import "slices"

// Equal says that two patterns are provably the same set, members included:
// nothing is left of either after the other is taken away, for every length at
// once. It is false where the proof would pass the limits of the closed form.
func Equal(p, q Pattern) bool {
	if (p.Limit() != Inf || q.Limit() != Inf) && p.Limit() != q.Limit() {
		return false
	}
	if slices.Equal(p.Cells, q.Cells) && sameTable(p.Table, q.Table) {
		return true
	}
	rows := max(p.tableRows(), q.tableRows())
	var left, right []Column
	for i := range rows {
		if open := p.unboundedAt(i); open != q.unboundedAt(i) {
			return false
		} else if open {
			if !sameCells(p.rowCells(i), q.rowCells(i)) {
				return false
			}
			continue
		}
		left, right = p.AppendColumns(left[:0], i, Inf), q.AppendColumns(right[:0], i, Inf)
		if !slices.Equal(left, right) {
			return false
		}
	}
	return sameCells(from(normalCells(p.Cells), rows), from(normalCells(q.Cells), rows))
}

func sameTable(s, t *Table) bool {
	if s == t || s == nil || t == nil {
		return s == t
	}
	return s.Rows == t.Rows && s.Limited == t.Limited &&
		slices.Equal(s.Crow, t.Crow) && slices.Equal(s.Col, t.Col) && slices.Equal(s.Members, t.Members)
}

// sameCells compares the sets, one value of Members after the other.
func sameCells(xs, ys []Cell) bool {
	if slices.Equal(xs, ys) {
		return true
	}
	var values []uint32
	for _, c := range slices.Concat(xs, ys) {
		if !slices.Contains(values, c.Members) {
			values = append(values, c.Members)
		}
	}
	a := newAlgebra()
	for _, m := range values {
		x, y := withMembers(xs, m), withMembers(ys, m)
		if !a.within(x, y) || !a.within(y, x) {
			return false
		}
	}
	return true
}

func withMembers(cells []Cell, m uint32) []Cell {
	return slices.DeleteFunc(slices.Clone(cells), func(c Cell) bool { return c.Members != m })
}

// within says that xs ∖ ys is provably empty.
func (a *algebra) within(xs, ys []Cell) bool {
	for _, x := range xs {
		if _, _, found := least(a.uncovered(x, ys)); found || a.err != nil {
			return false
		}
	}
	return true
}

// least is the first pair of a list of cells in the order of rows, then columns.
func least(cells []Cell) (i, j int64, ok bool) {
	for _, c := range cells {
		ci, cj, found := c.least()
		if found && (!ok || ci < i || ci == i && cj < j) {
			i, j, ok = ci, cj, true
		}
	}
	return i, j, ok
}

// unboundedAt says that row i reaches every key block from some column on
// periodically: it has no last key block of its own.
func (p Pattern) unboundedAt(i int64) bool {
	if i < p.tableRows() {
		return false
	}
	return slices.ContainsFunc(p.Cells, func(c Cell) bool { return !c.Hi.bounded() && c.Rows.has(i) })
}

// rowCells is row i, which comes from cells, as cells of that row alone.
func (p Pattern) rowCells(i int64) []Cell {
	var out []Cell
	for _, c := range normalCells(p.Cells) {
		if c.Rows.has(i) {
			out = appendRange(out, c, i, i+1)
		}
	}
	return out
}
