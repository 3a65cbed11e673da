package ir

import (
	"cmp"
	"slices"
)

// algebra does set operations on lists of normal cells, within a budget. After
// the first passed limit every operation returns nil and err says why.
type algebra struct {
	work int // left
	err  error
}

func newAlgebra() *algebra { return &algebra{work: maxWork} }

// spent is the work of a question so far.
func (a *algebra) spent() int { return min(maxWork-a.work, maxWork) }

func (a *algebra) fail(what string, limit int64) {
	if a.err == nil {
		a.err = &LimitError{what, limit}
	}
}

// spend accounts for work and reports whether it may go on.
func (a *algebra) spend(n int) bool {
	a.work -= n
	if a.work < 0 {
		a.fail("work on cells", maxWork)
	}
	return a.err == nil
}

func (a *algebra) room(cells []Cell) bool {
	if len(cells) > MaxCells {
		a.fail("cells of one pattern", MaxCells)
	}
	return a.err == nil
}

// meetRows restricts two cells to the rows that both admit, on one lattice.
func (a *algebra) meetRows(x, y Cell) (Cell, Cell, bool) {
	r, ok, over := x.Rows.meet(y.Rows)
	if over {
		a.fail("period of query blocks", MaxPeriod)
	}
	if !ok || over {
		return x, y, false
	}
	x, okx := x.inRows(r)
	y, oky := y.inRows(r)
	return x, y, okx && oky
}

// intersect appends x ∩ y; a cell keeps the members of x.
func (a *algebra) intersect(dst []Cell, x, y Cell) []Cell {
	if !a.spend(1) || apart(x, y) || !a.spend(cutWork-1) {
		return dst
	}
	x, y, ok := a.meetRows(x, y)
	if !ok {
		return dst
	}
	var buf [2]Cell
	for _, c := range x.ceiling(buf[:0], y.Hi) {
		var buf [2]Cell
		for _, c := range c.floor(buf[:0], y.Lo) {
			dst = a.meetSteps(dst, nil, c, y)
		}
	}
	return dst
}

// meetSteps splits x, whose intervals lie within y's, by y's progression: in
// appends the part inside, out (if not nil) the part outside.
func (a *algebra) meetSteps(in []Cell, out *[]Cell, x, y Cell) []Cell {
	r, ok, over := x.Rows.meet(y.Rows)
	if over || !ok {
		return in // callers have met the rows before
	}
	y.Lo, y.Hi = Line{}, Line{0, Inf}
	var okx, oky bool
	if x, okx = x.inRows(r); !okx {
		return in
	}
	if y, oky = y.inRows(r); !oky {
		if out != nil {
			*out = append(*out, x)
		}
		return in
	}
	if y.Step == 1 {
		return append(in, x)
	}
	if x.Rows.Mod != y.Rows.Mod { // a single row: both are constants in it
		x, y = x.constant(), y.constant()
	}
	// Key blocks of x: Cx + Ax·t + Sx·u. They meet y where
	// (Cx − Cy) + (Ax − Ay)·t + Sx·u ≡ 0 (mod Sy): a condition on t modulo
	// g = gcd(Sx, Sy), then u modulo Sy/g.
	g := gcd(x.Step, y.Step)
	t0, period, ok := solve(x.Phase.C-y.Phase.C, x.Phase.A-y.Phase.A, g)
	if !ok {
		if out != nil {
			*out = append(*out, x)
		}
		return in
	}
	if period > 1 {
		m := x.Rows.Mod * period
		if m > MaxPeriod {
			a.fail("period of query blocks", MaxPeriod)
			return in
		}
		rest := period - 1
		if out == nil {
			rest = 0
		}
		if rest > MaxCells {
			a.fail("cells of one pattern", MaxCells)
			return in
		}
		for k := range rest {
			*out = appendClass(*out, x, m, x.Rows.Res+x.Rows.Mod*((t0+1+k)%period))
		}
		// Within a class x may have become simpler: a single row, one column.
		res := x.Rows.Res + x.Rows.Mod*t0
		x, okx := class(x, m, res)
		if y, oky := class(y, m, res); okx && oky {
			in = a.meetSteps(in, out, x, y)
		}
		return in
	}
	step, fits := lcm(x.Step, y.Step)
	if !fits {
		a.fail("period of key blocks", MaxPeriod)
		return in
	}
	u := y.Step / g // one of u progressions of x is y's
	inv := inverse(x.Step/g, u)
	both := x
	both.Step = step
	// Cx + Ax·t − Cy − Ay·t is a multiple of g for every t now.
	both.Phase.C = x.Phase.C + x.Step*mulMod(mod((y.Phase.C-x.Phase.C)/g, u), inv, u)
	both.Phase.A = x.Phase.A + x.Step*mulMod(mod((y.Phase.A-x.Phase.A)/g, u), inv, u)
	in = appendNormal(in, both)
	if out == nil {
		return in
	}
	if u-1 > MaxCells {
		a.fail("cells of one pattern", MaxCells)
		return in
	}
	a.spend(int(u-1) * cutWork / 4)
	for k := int64(1); k < u; k++ {
		c := both
		c.Phase.C += x.Step * k
		*out = appendNormal(*out, c)
	}
	return in
}

// class is x in its rows ≡ res (mod m).
func class(x Cell, m, res int64) (Cell, bool) {
	x = x.onto(m, res)
	return x.normal()
}

func appendClass(dst []Cell, x Cell, m, res int64) []Cell {
	if c, ok := class(x, m, res); ok {
		return append(dst, c)
	}
	return dst
}

// apart is a quick sign that two cells share nothing.
func apart(x, y Cell) bool {
	if x.Rows.Hi <= y.Rows.Lo || y.Rows.Hi <= x.Rows.Lo {
		return true
	}
	return before(x, y) || before(y, x) || incongruent(x, y)
}

// incongruent says that x and y have no row or, in no row, a key block in common, by
// their residues alone.
func incongruent(x, y Cell) bool {
	if x.Rows.Mod > 1 && y.Rows.Mod > 1 && (x.Rows.Res-y.Rows.Res)%gcd(x.Rows.Mod, y.Rows.Mod) != 0 {
		return true
	}
	if x.Step == 1 || y.Step == 1 {
		return false
	}
	g := gcd(x.Step, y.Step)
	if (x.Phase.C-y.Phase.C)%g == 0 {
		return false
	}
	if x.Phase.A == 0 && y.Phase.A == 0 {
		return true
	}
	return x.Rows.Mod == y.Rows.Mod && x.Rows.Res == y.Rows.Res && (x.Phase.A-y.Phase.A)%g == 0
}

// before says that x lies left of y in every row, by constants or parallel lines.
func before(x, y Cell) bool {
	return x.Hi.A == y.Lo.A && x.Hi.C < y.Lo.C
}

// subtract appends x ∖ y as disjoint cells.
func (a *algebra) subtract(dst []Cell, x, y Cell) []Cell {
	if !a.spend(1) {
		return dst
	}
	if apart(x, y) {
		return append(dst, x)
	}
	if !a.spend(cutWork - 1) {
		return dst
	}
	_, ok, over := x.Rows.meet(y.Rows)
	if over {
		a.fail("period of query blocks", MaxPeriod)
		return dst
	}
	if !ok {
		return append(dst, x)
	}
	// Rows beyond y's range, then columns beyond y's bounds, stay in one piece;
	// only what is left is cut by y's row class and its progression. y's bounds
	// are in order in all rows of its range, also those its class leaves out.
	dst = appendRange(dst, x, x.Rows.Lo, y.Rows.Lo)
	if y.Rows.Hi != Inf {
		dst = appendRange(dst, x, y.Rows.Hi, x.Rows.Hi)
	}
	x.Rows = x.Rows.clip(y.Rows.Lo, y.Rows.Hi)
	if x, ok = x.normal(); !ok {
		return dst
	}
	if y.Hi.bounded() {
		dst = x.floor(dst, y.Hi.plus(1))
	}
	if y.Lo != (Line{}) {
		dst = x.ceiling(dst, y.Lo.plus(-1))
	}
	var buf [2]Cell
	for _, c := range x.ceiling(buf[:0], y.Hi) {
		var buf [2]Cell
		for _, c := range c.floor(buf[:0], y.Lo) {
			dst = a.subtractClass(dst, c, y)
		}
	}
	return dst
}

// subtractClass appends x ∖ y where x lies within y's range of rows and within
// its bounds.
func (a *algebra) subtractClass(dst []Cell, x, y Cell) []Cell {
	r, ok, over := x.Rows.meet(y.Rows)
	if over {
		a.fail("period of query blocks", MaxPeriod)
		return dst
	}
	if !ok {
		return append(dst, x)
	}
	dst = a.otherRows(dst, x, r)
	if x, ok = x.inRows(r); ok && y.Step > 1 {
		a.meetSteps(nil, &dst, x, y)
	}
	return dst
}

// otherRows appends x in its rows outside r, which lies within x's rows.
func (a *algebra) otherRows(dst []Cell, x Cell, r Rows) []Cell {
	if r.Mod == 1 || r.Mod == x.Rows.Mod {
		dst = appendRange(dst, x, x.Rows.Lo, r.Lo)
		if r.Hi != Inf {
			dst = appendRange(dst, x, r.Hi, x.Rows.Hi)
		}
		return dst
	}
	// The finer lattice leaves r.Mod/x.Rows.Mod − 1 classes over.
	n := r.Mod / x.Rows.Mod
	if n-1 > MaxCells {
		a.fail("cells of one pattern", MaxCells)
		return dst
	}
	a.spend(int(n-1) * cutWork / 4)
	for k := int64(1); k < n; k++ {
		dst = appendClass(dst, x, r.Mod, (r.Res+k*x.Rows.Mod)%r.Mod)
	}
	if same, ok := class(x, r.Mod, r.Res); ok {
		dst = appendRange(dst, same, same.Rows.Lo, r.Lo)
		if r.Hi != Inf {
			dst = appendRange(dst, same, r.Hi, same.Rows.Hi)
		}
	}
	return dst
}

// appendRange appends x in rows [lo, hi).
func appendRange(dst []Cell, x Cell, lo, hi int64) []Cell {
	x.Rows = x.Rows.clip(lo, hi)
	if x.Rows.Lo >= x.Rows.Hi {
		return dst
	}
	return appendNormal(dst, x)
}

// minus is xs ∖ ys. The cells of xs are disjoint; so are those of the result.
func (a *algebra) minus(xs, ys []Cell) []Cell {
	var spare []Cell
	rest := slices.Clone(xs)
	for _, y := range ys {
		next := spare[:0]
		for _, x := range rest {
			if next = a.subtract(next, x, y); !a.room(next) {
				return nil
			}
		}
		if rest, spare = next, rest; len(rest) == 0 {
			break
		}
	}
	if a.err != nil {
		return nil
	}
	return rest
}

// uncovered is x ∖ ys, taking away first what cuts x into no pieces: cells
// whose step divides x's.
func (a *algebra) uncovered(x Cell, ys []Cell) []Cell {
	var kin, strange []Cell
	for _, y := range ys {
		if x.Step%y.Step == 0 {
			kin = append(kin, y)
		} else {
			strange = append(strange, y)
		}
	}
	return a.minus(a.minus([]Cell{x}, kin), strange)
}

// and is xs ∩ ys, disjoint where both are.
func (a *algebra) and(xs, ys []Cell) []Cell {
	var out []Cell
	for _, x := range xs {
		for _, y := range ys {
			if out = a.intersect(out, x, y); !a.room(out) {
				return nil
			}
		}
	}
	return out
}

// or is the union of cells that may overlap, as disjoint cells: later ones
// give way to earlier ones in an order that keeps the result short.
func (a *algebra) or(xs []Cell) []Cell {
	if len(xs) < 2 {
		return xs
	}
	xs = slices.Clone(xs)
	slices.SortStableFunc(xs, wholeFirst)
	var out []Cell
	for _, x := range xs {
		out = append(out, a.minus([]Cell{x}, out)...)
		if !a.room(out) {
			return nil
		}
	}
	return out
}

// wholeFirst orders cells so that those that are costly to cut (small steps:
// cutting a window by a stripe leaves Step − 1 stripes) come first, and of
// these the moving windows.
func wholeFirst(x, y Cell) int {
	return cmp.Or(
		cmp.Compare(x.Step, y.Step),
		cmp.Compare(x.Rows.Mod, y.Rows.Mod),
		cmp.Compare(y.Lo.A, x.Lo.A),
		cmp.Compare(x.Lo.C, y.Lo.C),
		cmp.Compare(x.Rows.Lo, y.Rows.Lo),
		cmp.Compare(y.Rows.Hi, x.Rows.Hi),
		cmp.Compare(y.Hi.A, x.Hi.A),
		cmp.Compare(y.Hi.C, x.Hi.C),
	)
}
