package ir

// A cell is normal when
//   - Rows.Lo and Rows.Hi − 1 are rows that the guard admits (or Hi is Inf),
//   - Lo is a bounded line, and {0, 0} where it is ≤ 0 in every row,
//   - Hi(i) ≥ max(0, Lo(i)) in every row,
//   - 0 ≤ Phase.A, Phase.C < Step,
//   - in a single row everything is a constant and Rows.Mod is 1,
//   - a band one key block wide has its congruence in the row guard, Step 1.
//
// Slopes of Lo and Hi are never negative. The algebra takes and gives normal
// cells only. A normal cell may still be empty: its interval may miss the
// residue in every row; see [Cell.least].

// normal gives the normal form of c; ok is false where no row is left.
func (c Cell) normal() (Cell, bool) {
	if c.Lo.C == Inf || c.Hi.C == -Inf {
		return c, false
	}
	if c.Lo.C == -Inf {
		c.Lo = Line{}
	}
	if c.Hi.bounded() {
		c.Rows = c.Rows.where(c.Hi).where(c.Hi.minus(c.Lo))
	} else {
		c.Hi = Line{0, Inf}
	}
	var ok bool
	if c.Rows, ok = c.Rows.tight(); !ok {
		return c, false
	}
	if c.Rows.Lo == c.Rows.Hi-1 {
		c = c.constant()
	}
	// Slopes are not negative, so the last row decides.
	if c.Rows.Hi == Inf && c.Lo.A == 0 || c.Rows.Hi != Inf {
		if c.Lo.At(min(c.Rows.last(), 1<<60)) <= 0 {
			c.Lo = Line{}
		}
	}
	c.Phase = Line{mod(c.Phase.A, c.Step), mod(c.Phase.C, c.Step)}
	if c.Step > 1 && c.Lo == c.Hi {
		return c.narrow()
	}
	if c.Step > 1 && c.Lo.A == 0 && c.Hi.A == 0 && c.Phase.A == 0 && c.Hi.C != Inf {
		return c.solitary()
	}
	return c, true
}

// constant is c, a cell of one row, with constant bounds and phase.
func (c Cell) constant() Cell {
	i := c.Rows.Lo
	c.Phase = Line{0, c.phase(i)}
	c.Lo = Line{0, c.Lo.At(i)}
	c.Hi = Line{0, c.Hi.At(i)}
	c.Rows.Mod, c.Rows.Res = 1, 0
	return c
}

// narrow moves the congruence of a band that is one key block wide into the
// row guard: Lo(i) ≡ Phase(t) picks rows, not columns. It keeps the cell as
// it is where the row period would pass MaxPeriod.
func (c Cell) narrow() (Cell, bool) {
	// Lo(Res + Mod·t) − Phase.C − Phase.A·t ≡ 0 (mod Step)
	a := mod(c.Lo.At(c.Rows.Res)-c.Phase.C, c.Step)
	b := mod(c.Lo.A*c.Rows.Mod-c.Phase.A, c.Step)
	t0, period, ok := solve(a, b, c.Step)
	if !ok {
		return c, false
	}
	if period > MaxPeriod/c.Rows.Mod {
		return c, true
	}
	c.Rows.Res += c.Rows.Mod * t0
	c.Rows.Mod *= period
	c.Step, c.Phase = 1, Line{}
	return c.normal()
}

// solitary drops the step of a cell with constant bounds that hold only one
// member of its progression, and drops a cell whose bounds hold none.
func (c Cell) solitary() (Cell, bool) {
	lo := max(0, c.Lo.C)
	first := lo + mod(c.Phase.C-lo, c.Step)
	if first > c.Hi.C {
		return c, false
	}
	if first+c.Step > c.Hi.C {
		c.Lo, c.Hi = Line{0, first}, Line{0, first}
		c.Step, c.Phase = 1, Line{}
		return c.normal()
	}
	return c, true
}

// phase is the residue of the key blocks in row i, which Rows admits.
func (c Cell) phase(i int64) int64 {
	if c.Phase.A == 0 {
		return mod(c.Phase.C, c.Step)
	}
	t := mod(c.Rows.index(i), c.Step)
	return mod(mulMod(mod(c.Phase.A, c.Step), t, c.Step)+mod(c.Phase.C, c.Step), c.Step)
}

// span is row i's progression, clipped to j < keyBlocks: first, first + Step,
// … up to last; empty where first > last.
func (c Cell) span(i, keyBlocks int64) (first, last int64) {
	if !c.Rows.has(i) {
		return 0, -1
	}
	lo, hi := max(0, c.Lo.At(i)), min(c.Hi.At(i), keyBlocks-1)
	if lo > hi {
		return 0, -1
	}
	if c.Step == 1 {
		return lo, hi
	}
	p := c.phase(i)
	first = lo + mod(p-lo%c.Step, c.Step)
	last = hi - mod(hi%c.Step-p, c.Step)
	return first, last
}

// count is the number of key blocks below keyBlocks in row i.
func (c Cell) count(i, keyBlocks int64) int64 {
	first, last := c.span(i, keyBlocks)
	if first > last {
		return 0
	}
	return (last-first)/c.Step + 1
}

// onto writes the guard as rows ≡ res (mod m), a sub-lattice of its own.
func (c Cell) onto(m, res int64) Cell {
	if m == c.Rows.Mod && res == c.Rows.Res {
		return c
	}
	k := (res - c.Rows.Res) / c.Rows.Mod
	f := m / c.Rows.Mod
	if c.Step > 1 {
		a := mod(c.Phase.A, c.Step)
		c.Phase.C = mod(c.Phase.C+mulMod(a, mod(k, c.Step), c.Step), c.Step)
		c.Phase.A = mulMod(a, mod(f, c.Step), c.Step)
	}
	c.Rows.Mod, c.Rows.Res = m, res
	return c
}

// inRows restricts c to the rows of r, a guard whose lattice lies within c's
// (or that has one row only).
func (c Cell) inRows(r Rows) (Cell, bool) {
	if r.Mod%c.Rows.Mod == 0 {
		c = c.onto(r.Mod, r.Res)
		c.Rows = r
		return c.normal()
	}
	// A single row, written with Mod 1.
	c.Rows = c.Rows.clip(r.Lo, r.Hi)
	return c.normal()
}

// ceiling appends c restricted to j ≤ l(i): at most two cells, where the lines cross.
func (c Cell) ceiling(dst []Cell, l Line) []Cell {
	if !l.bounded() {
		return append(dst, c)
	}
	if !c.Hi.bounded() {
		c.Hi = l
		return appendNormal(dst, c)
	}
	d := c.Hi.minus(l) // > 0: l is lower
	under, over := c, c
	over.Rows = c.Rows.where(d.plus(-1))
	over.Hi = l
	under.Rows = c.Rows.where(d.plus(-1).negative())
	return appendNormal(appendNormal(dst, under), over)
}

// floor appends c restricted to j ≥ l(i): at most two cells.
func (c Cell) floor(dst []Cell, l Line) []Cell {
	if l.C == -Inf || l == (Line{}) {
		return append(dst, c)
	}
	if c.Lo == (Line{}) { // j ≥ 0 holds anyway
		c.Lo = l
		return appendNormal(dst, c)
	}
	d := l.minus(c.Lo) // > 0: l is higher
	under, over := c, c
	over.Rows = c.Rows.where(d.plus(-1))
	over.Lo = l
	under.Rows = c.Rows.where(d.plus(-1).negative())
	return appendNormal(appendNormal(dst, under), over)
}

func appendNormal(dst []Cell, c Cell) []Cell {
	if c, ok := c.normal(); ok {
		return append(dst, c)
	}
	return dst
}
