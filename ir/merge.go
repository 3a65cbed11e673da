package ir

import (
	"cmp"
	"fmt"
	"slices"
)

// Merge unites r adjacent query blocks: row i' of the result is the union of
// rows r·i' … r·i' + r − 1 of p, and bit s of Members says that row r·i' + s
// attends the key block. The cells of the result are disjoint again; their
// slopes are 0 or r. Rows of a table are merged with what the cells hold in
// the rows that share its last merged row.
//
// r is 1 to MaxMerge, and p is no merged pattern itself. The error is a
// *LimitError where the result passes a limit of the closed form.
func Merge(p Pattern, r int) (Pattern, error) {
	if r < 1 || r > MaxMerge {
		return Pattern{}, fmt.Errorf("merge of %d query blocks: need 1 to %d", r, MaxMerge)
	}
	for _, c := range p.Cells {
		if c.Members != 1 {
			return Pattern{}, fmt.Errorf("merge of a merged pattern (members %#b)", c.Members)
		}
	}
	if r == 1 {
		return p, nil
	}
	var out Pattern
	rows := int64(0)
	if p.Table != nil {
		t, err := mergeTable(p, int64(r))
		if err != nil {
			return Pattern{}, err
		}
		out.Table, rows = t, t.Rows
	}
	a := newAlgebra()
	var parts []Cell
	for s := range int64(r) {
		for _, c := range normalCells(p.Cells) {
			if c, ok := c.everyNth(int64(r), s); ok {
				parts = append(parts, c)
			}
		}
	}
	slices.SortStableFunc(parts, wholeFirst)
	for _, c := range parts {
		out.Cells = a.overlay(out.Cells, from([]Cell{c}, rows))
	}
	out.Cells = a.simplify(out.Cells)
	if a.err != nil {
		return Pattern{}, fmt.Errorf("merge of %d query blocks: %w", r, a.err)
	}
	return out, nil
}

// everyNth is c in the rows i = r·i' + s, as a cell in i'.
func (c Cell) everyNth(r, s int64) (Cell, bool) {
	// r·i' + s ≡ Res (mod Mod)
	res, period, ok := solve(s-c.Rows.Res, r, c.Rows.Mod)
	if !ok {
		return c, false
	}
	if c.Step > 1 {
		// i' = res + period·t', so t = (r·res + s − Res)/Mod + (r·period/Mod)·t'
		base := mod((r*res+s-c.Rows.Res)/c.Rows.Mod, c.Step)
		rise := mod(r*period/c.Rows.Mod, c.Step)
		a := mod(c.Phase.A, c.Step)
		c.Phase = Line{mulMod(a, rise, c.Step), mod(c.Phase.C+mulMod(a, base, c.Step), c.Step)}
	}
	c.Rows = Rows{max(0, ceilDiv(c.Rows.Lo-s, r)), c.Rows.Hi, period, res}
	if c.Rows.Hi != Inf {
		c.Rows.Hi = ceilDiv(c.Rows.Hi-s, r)
	}
	for _, l := range [2]*Line{&c.Lo, &c.Hi} {
		if l.bounded() {
			*l = Line{l.A * r, l.C + l.A*s}
		}
	}
	c.Members = 1 << s
	return c.normal()
}

// overlay adds cells to disjoint ones; where they meet, members are united.
func (a *algebra) overlay(base, top []Cell) []Cell {
	if len(top) == 0 {
		return base
	}
	members := top[0].Members
	var out []Cell
	for _, e := range base {
		var meet []Cell
		for _, c := range top {
			meet = a.intersect(meet, e, c)
		}
		if len(meet) == 0 {
			out = append(out, e)
			continue
		}
		out = append(out, a.minus([]Cell{e}, top)...)
		for _, m := range meet {
			m.Members |= members
			out = append(out, m)
		}
		top = a.minus(top, []Cell{e})
	}
	out = append(out, top...)
	if !a.room(out) {
		return nil
	}
	return out
}

// mergeTable merges the rows of p's table, ⌈Rows/r⌉ of them.
func mergeTable(p Pattern, r int64) (*Table, error) {
	t := &Table{Rows: ceilDiv(p.Table.Rows, r), Limited: p.Table.Limited}
	t.Crow = make([]int64, 1, t.Rows+1)
	var cols, row []Column
	for i := range t.Rows {
		cols = cols[:0]
		for s := range r {
			q := r*i + s
			if q >= p.Limit() {
				break
			}
			if p.unboundedAt(q) {
				return nil, fmt.Errorf("merge of %d query blocks: table rows end at %d, and row %d has no last key block", r, p.Table.Rows, q)
			}
			row = p.AppendColumns(row[:0], q, Inf)
			for _, c := range row {
				cols = append(cols, Column{c.J, 1 << s})
			}
		}
		slices.SortFunc(cols, func(x, y Column) int { return cmp.Compare(x.J, y.J) })
		for n, c := range cols {
			if n > 0 && cols[n-1].J == c.J {
				t.Members[len(t.Members)-1] |= c.Members
				continue
			}
			t.Col = append(t.Col, int32(c.J))
			t.Members = append(t.Members, c.Members)
		}
		t.Crow = append(t.Crow, int64(len(t.Col)))
		if len(t.Col) > MaxTableEntries {
			return nil, &LimitError{"entries of a table", MaxTableEntries}
		}
	}
	return t, nil
}

// normalCells is the cells in normal form: theirs unless they were made by hand.
func normalCells(cells []Cell) []Cell {
	var out []Cell
	for n, c := range cells {
		d, ok := c.normal()
		if out == nil && ok && d == c {
			continue
		}
		if out == nil {
			out = slices.Clone(cells[:n])
		}
		if ok {
			out = append(out, d)
		}
	}
	if out == nil {
		return cells
	}
	return out
}
