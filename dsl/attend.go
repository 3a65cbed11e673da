package dsl

// Direct evaluation: what a pattern means, pair by pair, straight from the
// syntax tree. It shares no set algebra with [Program.Head], so that one can
// be tested against the other.

// predicate says whether query block i attends key block j.
type predicate func(i, j int64) bool

func never(_, _ int64) bool { return false }

// Attends reports whether query block i of a head reads key block j. In a
// causal model that implies j ≤ i. Use [Program.Evaluator] for many pairs.
func (p *Program) Attends(layer, head int, i, j int64) bool {
	return p.Evaluator(layer, head)(i, j)
}

// Evaluator is Attends for one head, with everything else resolved. It may be
// called from several goroutines at once.
func (p *Program) Evaluator(layer, head int) func(i, j int64) bool {
	d := direct{c: p.private(), m: &p.Model}
	holds := d.pred(p.class(layer).rules[head].body, p.headEnv(head))
	causal := p.Model.Causal
	return func(i, j int64) bool {
		if i < 0 || j < 0 || causal && j > i {
			return false
		}
		return holds(i, j)
	}
}

// direct builds predicates. Load has evaluated every constant already, so a
// failure here means that the pair is not attended.
type direct struct {
	c *checker
	m *Model
}

func (d *direct) pred(e expr, v *env) predicate {
	switch e := e.(type) {
	case *nameExpr:
		if e.pattern != nil {
			return d.enter(e.pattern, nil, v)
		}
		if e.id == "dense" {
			return func(_, _ int64) bool { return true }
		}
	case *callExpr:
		if e.pattern != nil {
			return d.enter(e.pattern, e.bound, v)
		}
		return d.builtin(e, v)
	case *binaryExpr:
		a, b := d.pred(e.x, v), d.pred(e.y, v)
		switch e.op {
		case "|":
			return func(i, j int64) bool { return a(i, j) || b(i, j) }
		case "&":
			return func(i, j int64) bool { return a(i, j) && b(i, j) }
		case "-":
			return func(i, j int64) bool { return a(i, j) && !b(i, j) }
		}
	case *condExpr:
		if x, ok := d.c.eval(e.c, v); ok && x.b {
			return d.pred(e.a, v)
		}
		return d.pred(e.b, v)
	case *rowsExpr:
		return d.rows(e, v)
	case *blocksExpr:
		return d.blocks(e, v)
	}
	return never
}

func (d *direct) enter(p *patternDef, bound []*rangeExpr, v *env) predicate {
	inner, ok := d.c.enter(p, bound, v)
	if !ok {
		return never
	}
	return d.pred(p.body, inner)
}

// number is an argument's value, or absent where it is left out.
func (d *direct) number(e *callExpr, n int, v *env, absent int64) int64 {
	if e.bound[n] == nil {
		return absent
	}
	x, _ := d.c.evalInt(e.bound[n].lo, v)
	return x
}

func (d *direct) builtin(e *callExpr, v *env) predicate {
	switch e.fn {
	case "window":
		left := d.number(e, 0, v, 0)
		switch right := d.number(e, 1, v, 0); {
		case e.bound[1] != nil:
			return func(i, j int64) bool { return i-j < left && j-i < right }
		case d.m.Causal:
			return func(i, j int64) bool { return i >= j && i-j < left }
		}
		return func(i, j int64) bool { return distanceOf(i, j) < left }
	case "stride":
		step, phase := d.number(e, 0, v, 1), d.number(e, 1, v, 0)
		return func(_, j int64) bool { return congruent(j, phase, step) }
	case "dilated":
		return d.dilated(e, v)
	case "sink":
		n := d.number(e, 0, v, 0)
		return func(_, j int64) bool { return j < n }
	case "columns":
		list := d.members(e, v)
		return func(_, j int64) bool { return list(j) }
	case "rows":
		list := d.members(e, v)
		return func(i, _ int64) bool { return list(i) }
	case "global":
		list := d.members(e, v)
		return func(i, j int64) bool { return list(i) || list(j) }
	case "where":
		limit, ok := d.c.whereLimit(e, v, d.m)
		if !ok {
			return never
		}
		holds := d.c.condition(v, usageOf(e.bound[0].lo), 0).bool(e.bound[0].lo)
		return func(i, j int64) bool {
			if i >= limit || j >= limit {
				return false
			}
			b, fine := holds(i, j)
			return b && fine
		}
	}
	return never
}

func (d *direct) dilated(e *callExpr, v *env) predicate {
	step, phase := d.number(e, 0, v, 1), d.number(e, 1, v, 0)
	switch side(e, d.m.Causal) {
	case "back":
		return func(i, j int64) bool { return i >= j && congruent(i-j, phase, step) }
	case "ahead":
		return func(i, j int64) bool { return j >= i && congruent(j-i, phase, step) }
	}
	return func(i, j int64) bool { return congruent(distanceOf(i, j), phase, step) }
}

// members is whether a block is in the ranges that a call lists.
func (d *direct) members(e *callExpr, v *env) func(n int64) bool {
	var list []func(n int64) bool
	for k := range e.args {
		list = append(list, d.within(&e.args[k].value, v))
	}
	return func(n int64) bool {
		for _, in := range list {
			if in(n) {
				return true
			}
		}
		return false
	}
}

func (d *direct) within(r *rangeExpr, v *env) func(n int64) bool {
	lo, _ := d.c.evalInt(r.lo, v)
	switch {
	case !r.ranged:
		return func(n int64) bool { return n == lo }
	case r.hi == nil:
		return func(n int64) bool { return n >= lo }
	}
	hi, _ := d.c.evalInt(r.hi, v)
	return func(n int64) bool { return n >= lo && n <= hi }
}

func (d *direct) rows(e *rowsExpr, v *env) predicate {
	type branch struct {
		rows []func(n int64) bool // none: every row
		body predicate
	}
	var branches []branch
	for k := range e.arms {
		b := branch{body: d.pred(e.arms[k].body, v)}
		for n := range e.arms[k].ranges {
			b.rows = append(b.rows, d.within(&e.arms[k].ranges[n], v))
		}
		branches = append(branches, b)
	}
	return func(i, j int64) bool {
		for _, b := range branches {
			if len(b.rows) == 0 {
				return b.body(i, j)
			}
			for _, in := range b.rows {
				if in(i) {
					return b.body(i, j)
				}
			}
		}
		return false
	}
}

func (d *direct) blocks(e *blocksExpr, v *env) predicate {
	type rect struct{ rows, cols func(n int64) bool }
	var list []rect
	for k := range e.rects {
		list = append(list, rect{d.within(&e.rects[k].rows, v), d.within(&e.rects[k].cols, v)})
	}
	return func(i, j int64) bool {
		for _, r := range list {
			if r.rows(i) && r.cols(j) {
				return true
			}
		}
		return false
	}
}

func distanceOf(i, j int64) int64 {
	if i > j {
		return i - j
	}
	return j - i
}

// congruent is n ≡ phase (mod step).
func congruent(n, phase, step int64) bool {
	r := phase % step
	if r < 0 {
		r += step
	}
	return n%step == r // n ≥ 0
}
