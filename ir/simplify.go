package ir

import (
	"cmp"
	"slices"
)

// simplify gives the same set in fewer cells: complete residue systems of key
// blocks or of rows become a smaller step or period, adjacent intervals and
// adjacent ranges of rows become one, cells that hold nothing go. The cells of
// the result are sorted by their bounds.
func (a *algebra) simplify(cells []Cell) []Cell {
	cells = slices.DeleteFunc(slices.Clone(cells), func(c Cell) bool {
		_, _, ok := c.least()
		return !ok
	})
	for a.err == nil {
		n := len(cells)
		if n < 2 || !a.spend(n) {
			break
		}
		cells = joinSteps(cells)
		cells = joinClasses(cells)
		cells = joinRows(cells)
		cells = joinIntervals(cells)
		if len(cells) == n {
			break
		}
	}
	slices.SortFunc(cells, byBounds)
	return cells
}

// byBounds is the order of cells in a pattern: fixed columns before moving
// ones, left before right.
func byBounds(x, y Cell) int {
	return cmp.Or(
		cmp.Compare(x.Lo.A, y.Lo.A), cmp.Compare(x.Lo.C, y.Lo.C),
		cmp.Compare(x.Hi.A, y.Hi.A), cmp.Compare(x.Hi.C, y.Hi.C),
		cmp.Compare(x.Rows.Lo, y.Rows.Lo), cmp.Compare(x.Rows.Hi, y.Rows.Hi),
		cmp.Compare(x.Rows.Mod, y.Rows.Mod), cmp.Compare(x.Rows.Res, y.Rows.Res),
		cmp.Compare(x.Step, y.Step),
		cmp.Compare(x.Phase.A, y.Phase.A), cmp.Compare(x.Phase.C, y.Phase.C),
		cmp.Compare(x.Members, y.Members),
	)
}

// primes of n ≥ 1, each once, ascending.
func primes(n int64) []int64 {
	var ps []int64
	for p := int64(2); p*p <= n; p++ {
		if n%p == 0 {
			ps = append(ps, p)
			for n%p == 0 {
				n /= p
			}
		}
	}
	if n > 1 {
		ps = append(ps, n)
	}
	return ps
}

// groups collects cells with equal keys, in the order of their first.
func groups(cells []Cell, key func(Cell) Cell) [][]Cell {
	index := make(map[Cell]int, len(cells))
	var out [][]Cell
	for _, c := range cells {
		k := key(c)
		g, seen := index[k]
		if !seen {
			g = len(out)
			index[k] = g
			out = append(out, nil)
		}
		out[g] = append(out[g], c)
	}
	return out
}

// joinSteps replaces p cells that differ in their phase only, by Step/p apart,
// with one cell of that step.
func joinSteps(cells []Cell) []Cell {
	var out []Cell
	for _, g := range groups(cells, func(c Cell) Cell { c.Phase.C = 0; return c }) {
		if len(g) > 1 && g[0].Step > 1 {
			g = joinPhases(g)
		}
		out = append(out, g...)
	}
	return out
}

// joinPhases is joinSteps for one prime and cells that differ in phase only.
func joinPhases(g []Cell) []Cell {
	step := g[0].Step
	for _, p := range primes(step) {
		if int64(len(g)) < p {
			return g
		}
		var out []Cell
		joined := false
		for _, b := range groups(g, func(c Cell) Cell { c.Phase.C %= step / p; return c }) {
			if int64(len(b)) == p {
				c := b[0]
				c.Step = step / p
				if c, ok := c.normal(); ok {
					out, joined = append(out, c), true
					continue
				}
			}
			out = append(out, b...)
		}
		if joined {
			return out
		}
	}
	return g
}

// joinClasses replaces p cells that differ in their row class only, by Mod/p
// apart, with one cell of that period.
func joinClasses(cells []Cell) []Cell {
	key := func(c Cell) Cell {
		c.Rows = Rows{Mod: c.Rows.Mod}
		c.Phase = Line{c.Phase.A, 0}
		return c
	}
	var out []Cell
	for _, g := range groups(cells, key) {
		if len(g) > 1 && g[0].Rows.Mod > 1 {
			g = joinResidues(g)
		}
		out = append(out, g...)
	}
	return out
}

// joinResidues is joinClasses for one prime and cells with equal keys.
func joinResidues(g []Cell) []Cell {
	m := g[0].Rows.Mod
	for _, p := range primes(m) {
		if int64(len(g)) < p {
			return g
		}
		coarse := m / p
		var out []Cell
		joined := false
		for _, b := range groups(g, func(c Cell) Cell { return Cell{Rows: Rows{Res: c.Rows.Res % coarse}} }) {
			slices.SortFunc(b, func(x, y Cell) int { return cmp.Compare(x.Rows.Lo, y.Rows.Lo) })
			for len(b) >= int(p) {
				if c, ok := unclass(b[:p], coarse); ok {
					out, b, joined = append(out, c), b[p:], true
				} else {
					out, b = append(out, b[0]), b[1:]
				}
			}
			out = append(out, b...)
		}
		if joined {
			return out
		}
	}
	return g
}

// unclass is the cell of row period coarse that consists of the given p cells
// of period p·coarse, sorted by their first row, if there is one.
func unclass(b []Cell, coarse int64) (Cell, bool) {
	p := int64(len(b))
	m, res := p*coarse, b[0].Rows.Res%coarse
	byClass := make([]*Cell, p)
	last := int64(0)
	for i := range b {
		k := (b[i].Rows.Res - res) / coarse
		if byClass[k] != nil || b[i].Rows.Lo >= b[0].Rows.Lo+m || (b[i].Rows.Hi == Inf) != (b[0].Rows.Hi == Inf) {
			return Cell{}, false
		}
		byClass[k] = &b[i]
		last = max(last, b[i].Rows.last())
	}
	c := b[0]
	c.Rows = Rows{b[0].Rows.Lo, Inf, coarse, res}
	if last != Inf {
		c.Rows.Hi = last + 1
	}
	if c.Step > 1 {
		c.Phase = Line{mod(byClass[1].Phase.C-byClass[0].Phase.C, c.Step), byClass[0].Phase.C}
	}
	for k, x := range byClass {
		if last != Inf && x.Rows.last() <= last-m {
			return Cell{}, false
		}
		if c.Step > 1 && (mod(c.Phase.A*p-x.Phase.A, c.Step) != 0 ||
			mod(c.Phase.C+c.Phase.A*int64(k)-x.Phase.C, c.Step) != 0) {
			return Cell{}, false
		}
	}
	return c.normal()
}

// joinRows joins cells whose row ranges follow one another and whose bounds
// continue as one line.
func joinRows(cells []Cell) []Cell {
	type key struct {
		step    int64
		members uint32
		row     int64 // the row before the cell's first
	}
	keyOf := func(c Cell, row int64) key { return key{c.Step, c.Members, row} }
	slices.SortFunc(cells, func(x, y Cell) int { return cmp.Compare(y.Rows.Lo, x.Rows.Lo) })
	ahead := make(map[key][]Cell) // cells by the row before their first, last rows first
	for _, c := range cells {
		ends := c.Rows.last()
		joined := false
		if ends != Inf {
			// A row that stands alone may start a lattice or end one.
			for _, row := range [2]int64{ends, ends + c.Rows.Mod - 1} {
				k := keyOf(c, row)
				for n, next := range ahead[k] {
					if j, ok := follow(c, next); ok {
						ahead[k] = slices.Delete(ahead[k], n, n+1)
						c, joined = j, true
						break
					}
				}
				if joined {
					break
				}
			}
		}
		k := keyOf(c, c.Rows.Lo-c.Rows.Mod)
		ahead[k] = append(ahead[k], c)
	}
	out := cells[:0]
	for _, cs := range ahead {
		out = append(out, cs...)
	}
	slices.SortFunc(out, byBounds) // maps have no order
	return out
}

// follow is the cell made of x and y, y's rows following x's, if there is one.
func follow(x, y Cell) (Cell, bool) {
	if x.Step != y.Step || x.Members != y.Members || x.Rows.Hi == Inf {
		return x, false
	}
	xs, ys := x.Rows.Lo == x.Rows.Hi-1, y.Rows.Lo == y.Rows.Hi-1
	c := y
	if ys {
		c = x
	}
	m := c.Rows.Mod
	switch {
	case xs && ys: // m is 1
	case xs:
		if mod(x.Rows.Lo-y.Rows.Res, m) != 0 {
			return x, false
		}
	case ys:
		if mod(y.Rows.Lo-x.Rows.Res, m) != 0 {
			return x, false
		}
	case x.Rows.Mod != y.Rows.Mod || x.Rows.Res != y.Rows.Res || x.Phase != y.Phase:
		return x, false
	}
	if x.Rows.last()+m != y.Rows.Lo {
		return x, false
	}
	c.Rows.Lo, c.Rows.Hi = x.Rows.Lo, y.Rows.Hi
	if c.Step > 1 && (xs || ys) {
		if xs && ys {
			c.Phase = Line{mod(y.Phase.C-x.Phase.C, c.Step), 0}
			c.Phase.C = mod(x.Phase.C-mulMod(c.Phase.A, mod(x.Rows.Lo, c.Step), c.Step), c.Step)
		}
		if c.phase(x.Rows.Lo) != x.phase(x.Rows.Lo) || c.phase(y.Rows.Lo) != y.phase(y.Rows.Lo) {
			return x, false
		}
	}
	through := func(a, b Line) Line { // the line through two single rows
		if xs && ys && a.bounded() && b.bounded() {
			return Line{b.C - a.C, a.C - (b.C-a.C)*x.Rows.Lo}
		}
		return a
	}
	for _, lo := range [3]Line{y.Lo, x.Lo, through(x.Lo, y.Lo)} {
		if lo.A < 0 || lo.A > 1 && xs && ys || !sameFloor(lo, x.Lo, x.Rows) || !sameFloor(lo, y.Lo, y.Rows) {
			continue
		}
		for _, hi := range [3]Line{y.Hi, x.Hi, through(x.Hi, y.Hi)} {
			if hi.A < 0 || hi.A > 1 && xs && ys || !sameLine(hi, x.Hi, x.Rows) || !sameLine(hi, y.Hi, y.Rows) {
				continue
			}
			c.Lo, c.Hi = lo, hi
			return c.normal()
		}
	}
	return x, false
}

// sameLine says that two lines agree in every row of r.
func sameLine(l, m Line, r Rows) bool {
	return l == m || r.Lo == r.Hi-1 && l.At(r.Lo) == m.At(r.Lo)
}

// sameFloor says that max(0, l) and max(0, m) agree in every row of r; slopes
// are not negative.
func sameFloor(l, m Line, r Rows) bool {
	if l == m {
		return true
	}
	if r.Hi == Inf {
		return l.A == 0 && m.A == 0 && l.C <= 0 && m.C <= 0
	}
	// Two rows with equal positive values make equal lines; where the last but
	// one row is not positive, neither are those before it.
	last := r.last()
	same := func(i int64) bool { return max(0, l.At(i)) == max(0, m.At(i)) }
	return same(last) && (last-r.Mod < r.Lo || same(last-r.Mod))
}

// joinIntervals joins a cell with one that begins where it ends, also where
// their row ranges differ, as long as that leaves fewer cells.
func joinIntervals(cells []Cell) []Cell {
	type key struct {
		mod, res, step int64
		phase, lo      Line
		members        uint32
	}
	ahead := make(map[key][]int)
	for n, c := range cells {
		k := key{c.Rows.Mod, c.Rows.Res, c.Step, c.Phase, c.Lo, c.Members}
		ahead[k] = append(ahead[k], n)
	}
	gone := make([]bool, len(cells))
	var out []Cell
	for n, c := range cells {
		if gone[n] || !c.Hi.bounded() {
			continue
		}
		k := key{c.Rows.Mod, c.Rows.Res, c.Step, c.Phase, c.Hi.plus(1), c.Members}
		for _, m := range ahead[k] {
			if m == n || gone[m] {
				continue
			}
			if j, ok := beside(c, cells[m]); ok {
				gone[n], gone[m] = true, true
				out = append(out, j)
				break
			}
		}
	}
	for n, c := range cells {
		if !gone[n] {
			out = append(out, c)
		}
	}
	return out
}

// beside is the one cell that x and y, x.Hi + 1 = y.Lo, make together, if
// there is one.
func beside(x, y Cell) (Cell, bool) {
	both := x
	both.Hi = y.Hi
	both.Rows = x.Rows.clip(y.Rows.Lo, y.Rows.Hi)
	both, ok := both.normal()
	if !ok {
		return x, false
	}
	for _, c := range [2]Cell{x, y} {
		var buf [2]Cell
		for _, rest := range appendRange(buf[:0], c, c.Rows.Lo, both.Rows.Lo) {
			if both, ok = follow(rest, both); !ok {
				return x, false
			}
		}
		if both.Rows.Hi == Inf {
			continue
		}
		for _, rest := range appendRange(buf[:0], c, both.Rows.Hi, c.Rows.Hi) {
			if both, ok = follow(both, rest); !ok {
				return x, false
			}
		}
	}
	return both, true
}
