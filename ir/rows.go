package ir

// Empty names a row without a key block.
type Empty struct {
	Head int   // query head
	Row  int64 // query block
}

// EmptyRow is the first query head with a query block that attends nothing,
// and the first such block, at any length that its pattern is defined for.
// In a bidirectional model a row counts as empty when it holds no key block up
// to its own: at the length that ends with it there is no other. The error is
// a *LimitError where the question passes the limits of the closed form.
func EmptyRow(l Layer) (Empty, bool, error) { return emptyRow(l, Inf) }

// EmptyRowAt is EmptyRow at a length of n tokens alone. In a bidirectional
// model key blocks up to that length count.
func EmptyRowAt(l Layer, s Shape, n int64) (Empty, bool, error) {
	return emptyRow(l, keyBlocks(n, s.Block))
}

func emptyRow(l Layer, blocks int64) (Empty, bool, error) {
	var ids patternIDs
	for head, p := range l.Heads {
		if _, known := ids.of(p); known {
			continue
		}
		row, found, err := p.emptyRow(blocks)
		if err != nil {
			return Empty{Head: head}, false, err
		}
		if found {
			return Empty{head, row}, true, nil
		}
	}
	return Empty{}, false, nil
}

// emptyRow is the first row below blocks without a key block. With blocks =
// Inf the row's own number bounds its key blocks.
func (p Pattern) emptyRow(blocks int64) (int64, bool, error) {
	limit, tables := extent([]Pattern{p}, blocks)
	right, bound := Line{1, 0}, func(i int64) int64 { return i + 1 }
	if blocks != Inf {
		right, bound = Line{0, blocks - 1}, func(int64) int64 { return blocks }
	}
	for i := range tables {
		if p.Table.count(i, bound(i)) == 0 {
			return i, true, nil
		}
	}
	if tables >= limit {
		return 0, false, nil
	}
	a := newAlgebra()
	// Rows stand for themselves as cells in column 0.
	rest := []Cell{{Rows: Rows{tables, limit, 1, 0}, Step: 1, Members: 1}}
	rest[0], _ = rest[0].normal()
	for _, c := range normalCells(p.Cells) {
		for _, c := range c.ceiling(nil, right) {
			rest = a.minus(rest, a.filledRows(c))
		}
	}
	if a.err != nil {
		return 0, false, a.err
	}
	return p.firstEmpty(rest, bound)
}

// filledRows is rows in which c holds a key block: all of those where its
// interval is a step wide or where its width does not change; elsewhere, in a
// finite number of rows, none.
func (a *algebra) filledRows(c Cell) []Cell {
	var out []Cell
	fill := func(x Cell) {
		x.Lo, x.Hi, x.Step, x.Phase = Line{}, Line{}, 1, Line{}
		out = appendNormal(out, x)
	}
	ps, n := c.pieces(0, Inf, Inf)
	for _, x := range ps[:n] {
		width := x.Hi.minus(x.Lo).plus(1)
		wide := x
		wide.Rows = x.Rows.where(width.plus(-x.Step))
		if wide.Rows.Lo < wide.Rows.Hi {
			fill(wide)
		}
		if width.A != 0 || width.C >= x.Step {
			continue
		}
		if width.C > MaxCells {
			a.fail("width of a window cut by a larger stride", MaxCells)
			return nil
		}
		for k := range width.C {
			one := x
			one.Lo, one.Hi = x.Lo.plus(k), x.Lo.plus(k)
			if one, ok := one.normal(); ok {
				if one.Step > 1 {
					a.fail("period of query blocks", MaxPeriod)
					return nil
				}
				fill(one)
			}
		}
	}
	return out
}

// firstEmpty is the first row of rest without a key block, looked at one by
// one: all but a finite number of them are empty.
func (p Pattern) firstEmpty(rest []Cell, bound func(int64) int64) (int64, bool, error) {
	best, found := int64(0), false
	looks := 0
	for _, c := range rest {
		for i := c.Rows.Lo; i < c.Rows.Hi && (!found || i < best); i += c.Rows.Mod {
			if looks += 1 + len(p.Cells); looks > maxWork {
				return 0, false, &LimitError{"work on rows that may be empty", maxWork}
			}
			if p.Count(i, bound(i)) == 0 {
				best, found = i, true
			}
		}
	}
	return best, found, nil
}
