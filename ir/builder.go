package ir

import "slices"

// A Builder makes cells from the primitive sets of a model's patterns and
// combines them. Every list it returns is a set of disjoint cells in normal
// form; causal models are confined to j ≤ i from the start. The budget of cell
// operations is shared by all that one Builder makes. After a limit is passed
// every result is nil and Err says which.
type Builder struct {
	a      algebra
	causal bool
}

// NewBuilder returns a Builder for causal or bidirectional patterns.
func NewBuilder(causal bool) *Builder {
	return &Builder{a: algebra{work: maxBuild}, causal: causal}
}

// Err is the first limit passed, nil if none was.
func (b *Builder) Err() error { return b.a.err }

// Recover returns Err and forgets it, so that another pattern can be built. A
// spent budget stays spent.
func (b *Builder) Recover() error {
	err := b.a.err
	b.a.err = nil
	return err
}

// bound checks a constant in blocks against MaxBound; ±Inf pass.
func (b *Builder) bound(x int64) int64 {
	switch {
	case x == Inf:
		return Inf
	case x <= -Inf:
		return -Inf
	case x > MaxBound, x < -MaxBound:
		b.a.fail("magnitude of a bound, in blocks", MaxBound)
		return 0
	}
	return x
}

// cell is one cell as a set.
func (b *Builder) cell(c Cell) []Cell {
	if b.a.err != nil || c.Rows.Lo >= c.Rows.Hi {
		return nil
	}
	c.Members = 1
	c, ok := c.normal()
	if !ok {
		return nil
	}
	cells := []Cell{c}
	if b.causal {
		cells = c.ceiling(nil, Line{1, 0})
	}
	return cells
}

var everyRow = Rows{0, Inf, 1, 0}

// Dense is every pair.
func (b *Builder) Dense() []Cell { return b.Band(-Inf, Inf) }

// Band is lo ≤ i − j ≤ hi.
func (b *Builder) Band(lo, hi int64) []Cell {
	lo, hi = b.bound(lo), b.bound(hi)
	if lo > hi || lo == Inf || hi == -Inf {
		return nil
	}
	c := Cell{Rows: everyRow, Hi: Line{0, Inf}, Step: 1}
	if lo != -Inf {
		c.Hi = Line{1, -lo}
	}
	if hi != Inf {
		c.Lo = Line{1, -hi}
	}
	return b.cell(c)
}

func (b *Builder) step(s int64) bool {
	if s < 1 || s > MaxPeriod {
		b.a.fail("step of a stride, in blocks", MaxPeriod)
		return false
	}
	return true
}

// Stride is j ≡ phase (mod step), step ≥ 1: vertical stripes.
func (b *Builder) Stride(step, phase int64) []Cell {
	if !b.step(step) {
		return nil
	}
	return b.cell(Cell{Rows: everyRow, Hi: Line{0, Inf}, Step: step, Phase: Line{0, mod(phase, step)}})
}

// Dilated is i − j ≡ phase (mod step), step ≥ 1: relative stripes.
func (b *Builder) Dilated(step, phase int64) []Cell {
	if !b.step(step) {
		return nil
	}
	return b.cell(Cell{Rows: everyRow, Hi: Line{0, Inf}, Step: step, Phase: Line{1, mod(-mod(phase, step), step)}})
}

// Rect is iLo ≤ i ≤ iHi and jLo ≤ j ≤ jHi; Columns and Rows are the special
// cases that leave one pair of bounds open.
func (b *Builder) Rect(iLo, iHi, jLo, jHi int64) []Cell {
	iLo, iHi, jLo, jHi = b.bound(iLo), b.bound(iHi), b.bound(jLo), b.bound(jHi)
	if iLo > iHi || jLo > jHi || iLo == Inf || jLo == Inf {
		return nil
	}
	rows := Rows{max(0, iLo), Inf, 1, 0}
	if iHi != Inf {
		rows.Hi = iHi + 1
	}
	return b.cell(Cell{Rows: rows, Lo: Line{0, jLo}, Hi: Line{0, jHi}, Step: 1})
}

// Union is the union of sets.
func (b *Builder) Union(sets ...[]Cell) []Cell {
	return b.a.simplify(b.a.or(slices.Concat(sets...)))
}

// Intersection is x ∩ y.
func (b *Builder) Intersection(x, y []Cell) []Cell {
	return b.a.simplify(b.a.and(x, y))
}

// Difference is x ∖ y.
func (b *Builder) Difference(x, y []Cell) []Cell {
	return b.a.simplify(b.a.minus(x, y))
}

// From is x in rows ≥ row.
func (b *Builder) From(x []Cell, row int64) []Cell {
	if row <= 0 {
		return x
	}
	return b.a.simplify(from(x, row))
}

// from is cells in rows ≥ row.
func from(cells []Cell, row int64) []Cell {
	if row <= 0 {
		return cells
	}
	var out []Cell
	for _, c := range cells {
		out = appendRange(out, c, row, Inf)
	}
	return out
}
