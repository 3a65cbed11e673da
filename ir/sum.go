package ir

// pieces cuts c into at most four cells whose bounds, clipped to 0 ≤ j <
// keyBlocks and to rows [rowLo, rowHi), are one line each.
func (c Cell) pieces(rowLo, rowHi, keyBlocks int64) (out [4]Cell, n int) {
	c.Rows = c.Rows.clip(rowLo, rowHi)
	if c.Rows.Lo >= c.Rows.Hi {
		return out, 0
	}
	c, ok := c.normal()
	if !ok {
		return out, 0
	}
	right := Line{0, Inf}
	if keyBlocks != Inf {
		right.C = keyBlocks - 1
	}
	var buf [2]Cell
	for _, x := range c.ceiling(buf[:0], right) {
		out[n] = x
		below := x
		below.Rows = x.Rows.where(x.Lo.negative())
		if x.Lo.A > 0 && below.Rows.Lo < below.Rows.Hi {
			below.Lo = Line{}
			if below, ok = below.normal(); ok {
				out[n] = below
				n++
			}
			x.Rows = x.Rows.where(x.Lo)
			if x, ok = x.normal(); !ok {
				continue
			}
			out[n] = x
		}
		n++
	}
	return out, n
}

// sum is the number of (row, key block) pairs of the first n rows of a piece
// with bounded Hi: in each row ⌊(Hi − p)/Step⌋ − ⌊(Lo − 1 − p)/Step⌋ with the
// phase p, all affine in the row's index, so two floor sums.
func (c Cell) sum(n int64) int64 {
	first := c.Rows.Lo
	p := c.phase(first)
	rise := func(l Line) int64 { return l.A*c.Rows.Mod - mod(c.Phase.A, c.Step) }
	return floorSum(n, c.Step, rise(c.Hi), c.Hi.At(first)-p) -
		floorSum(n, c.Step, rise(c.Lo), c.Lo.At(first)-1-p)
}

// rows is the number of rows of a cell with bounded Rows.Hi.
func (r Rows) rows() int64 { return (r.last()-r.Lo)/r.Mod + 1 }

// total is the number of (row, key block) pairs of c in rows [rowLo, rowHi)
// and columns below keyBlocks; rowHi and keyBlocks are bounded.
func (c Cell) total(rowLo, rowHi, keyBlocks int64) int64 {
	if keyBlocks <= 0 {
		return 0
	}
	var sum int64
	ps, n := c.pieces(rowLo, rowHi, keyBlocks)
	for _, p := range ps[:n] {
		sum += p.sum(p.Rows.rows())
	}
	return sum
}

// least is the first pair of a normal cell in the order of rows, then columns.
func (c Cell) least() (i, j int64, ok bool) {
	if c.Step == 1 {
		return c.Rows.Lo, max(0, c.Lo.At(c.Rows.Lo)), true
	}
	if first, last := c.span(c.Rows.Lo, Inf); first <= last {
		return c.Rows.Lo, first, true
	}
	var best Cell
	found := int64(-1)
	ps, n := c.pieces(0, Inf, Inf)
	for _, p := range ps[:n] {
		if k, ok := p.firstRow(); ok && (found < 0 || k < found) {
			best, found = p, k
		}
	}
	if found < 0 {
		return 0, 0, false
	}
	first, _ := best.span(found, Inf)
	return found, first, true
}

// firstRow is the first row in which a piece holds a key block: a binary
// search on the number of pairs of its first n rows, which never falls.
func (c Cell) firstRow() (int64, bool) {
	if !c.Hi.bounded() {
		return c.Rows.Lo, true
	}
	// The interval either widens by a key block a row, or its place in the
	// period repeats after Step rows.
	n := c.Step
	if c.Rows.Hi != Inf {
		n = min(n, c.Rows.rows())
	}
	if c.sum(n) == 0 {
		return 0, false
	}
	lo, hi := int64(0), n // sum(lo) = 0 < sum(hi)
	for hi-lo > 1 {
		mid := (lo + hi) / 2
		if c.sum(mid) > 0 {
			hi = mid
		} else {
			lo = mid
		}
	}
	return c.Rows.Lo + lo*c.Rows.Mod, true
}
