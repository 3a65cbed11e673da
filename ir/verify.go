package ir

import "fmt"

// Verify checks what the rest of the compiler relies on: rows and residues
// within their periods, slopes and magnitudes within the limits, phases
// reduced, cells disjoint from each other and from the table's rows, and the
// table well formed.
func Verify(p Pattern) error {
	for n, c := range p.Cells {
		if err := verifyCell(c, p.tableRows()); err != nil {
			return fmt.Errorf("cell %d (%v): %w", n, c, err)
		}
	}
	if len(p.Cells) > MaxCells {
		return &LimitError{"cells of one pattern", MaxCells}
	}
	if err := verifyTable(p.Table); err != nil {
		return err
	}
	if p.Limit() != Inf && len(p.Cells) > 0 {
		return fmt.Errorf("cells beyond the rows that a limited table defines")
	}
	a := newAlgebra()
	a.work = MaxCells * MaxCells
	cells := normalCells(p.Cells)
	for n, x := range cells {
		for m, y := range cells[:n] {
			if i, j, found := least(a.intersect(nil, x, y)); found {
				return fmt.Errorf("cells %d and %d both hold query block %d, key block %d", m, n, i, j)
			}
		}
	}
	return a.err
}

func verifyCell(c Cell, tableRows int64) error {
	r := c.Rows
	small := func(x int64) bool { return -2*maxSum <= x && x <= 2*maxSum }
	switch {
	case r.Mod < 1 || r.Mod > MaxPeriod || r.Res < 0 || r.Res >= r.Mod:
		return fmt.Errorf("row class %d mod %d", r.Res, r.Mod)
	case r.Lo < tableRows || r.Lo >= r.Hi:
		return fmt.Errorf("rows [%d, %d) with %d rows in the table", r.Lo, r.Hi, tableRows)
	case !small(r.Lo) || r.Hi != Inf && !small(r.Hi):
		return fmt.Errorf("rows [%d, %d) out of bounds", r.Lo, r.Hi)
	case c.Step < 1 || c.Step > MaxPeriod:
		return fmt.Errorf("step %d", c.Step)
	case c.Phase.A < 0 || c.Phase.A >= c.Step || c.Phase.C < 0 || c.Phase.C >= c.Step:
		return fmt.Errorf("phase %d + %d·t with step %d", c.Phase.C, c.Phase.A, c.Step)
	case c.Members == 0:
		return fmt.Errorf("no members")
	case c.Lo.C == Inf || c.Hi.C == -Inf:
		return fmt.Errorf("no columns")
	}
	for _, l := range [2]Line{c.Lo, c.Hi} {
		if l.A < 0 || l.A > maxSlope || !l.bounded() && l.A != 0 || l.bounded() && !small(l.C) {
			return fmt.Errorf("bound %d·i + %d", l.A, l.C)
		}
	}
	if d, ok := c.normal(); !ok || d.Rows != c.Rows {
		return fmt.Errorf("rows without key blocks")
	}
	return nil
}

// maxSum bounds the constants of derived bounds: sums of a few constants up to
// MaxBound, moved by at most MaxMerge rows.
const maxSum = 4 * MaxBound

func verifyTable(t *Table) error {
	switch {
	case t == nil:
		return nil
	case t.Rows < 1 || t.Rows > MaxTableRows:
		return fmt.Errorf("table of %d rows", t.Rows)
	case int64(len(t.Crow)) != t.Rows+1 || t.Crow[0] != 0 || t.Crow[t.Rows] != int64(len(t.Col)) || len(t.Members) != len(t.Col):
		return fmt.Errorf("table offsets do not fit its entries")
	case len(t.Col) > MaxTableEntries:
		return &LimitError{"entries of a table", MaxTableEntries}
	}
	for i := range t.Rows {
		if t.Crow[i] > t.Crow[i+1] {
			return fmt.Errorf("table row %d: offsets descend", i)
		}
	}
	for i := range t.Rows {
		cols, members := t.row(i)
		for n, c := range cols {
			if c < 0 || n > 0 && c <= cols[n-1] {
				return fmt.Errorf("table row %d: key block %d out of order", i, c)
			}
			if members[n] == 0 {
				return fmt.Errorf("table row %d: key block %d has no members", i, c)
			}
		}
	}
	return nil
}

// VerifyModule checks every pattern of a module and that its layers fit its shape.
func VerifyModule(m *Module) error {
	for _, l := range m.Layers {
		if len(l.Heads) != m.Shape.Heads {
			return fmt.Errorf("layer %v: %d heads, the shape has %d", l.Numbers, len(l.Heads), m.Shape.Heads)
		}
		for h, p := range l.Heads {
			if err := Verify(p); err != nil {
				return fmt.Errorf("layer %v, head %d: %w", l.Numbers, h, err)
			}
		}
	}
	return nil
}
