package dsl

// ranger bounds integer expressions by interval arithmetic over 0 ≤ i, j ≤
// last, and so proves that they have a value at every pair.
type ranger struct {
	c    *checker
	v    *env
	uses usage
	last int64
}

// int bounds an expression; ok means that it always has a value.
func (r *ranger) int(e expr) (x interval, ok bool) {
	if r.uses[e] == 0 {
		n, ok := r.c.evalInt(e, r.v.silent())
		return interval{n, n}, ok
	}
	switch e := e.(type) {
	case *nameExpr:
		return interval{0, r.last}, true
	case *callExpr:
		return r.call(e)
	case *indexExpr:
		return r.index(e)
	case *unaryExpr:
		x, ok := r.int(e.x)
		if e.op == "-" {
			return negate(x, ok)
		}
		return x, ok
	case *condExpr:
		a, ok1 := r.int(e.a)
		b, ok2 := r.int(e.b)
		return hull(a, b), r.bool(e.c) && ok1 && ok2
	case *binaryExpr:
		a, ok1 := r.int(e.x)
		b, ok2 := r.int(e.y)
		if !ok1 || !ok2 {
			return interval{}, false
		}
		return spanOf(e.op, a, b)
	}
	return interval{}, false
}

// spanOf bounds a op b. Every operator is monotone in each argument as long as
// the divisor keeps its sign, so the corners decide.
func spanOf(op string, a, b interval) (interval, bool) {
	if op == "mod" || op == "/" {
		if b.lo <= 0 && b.hi >= 0 {
			return interval{}, false
		}
		if op == "mod" {
			return interval{0, max(b.hi, -b.lo) - 1}, b.lo > -1<<62
		}
	}
	f := arithmetic[op]
	var out interval
	for n, p := range [4][2]int64{{a.lo, b.lo}, {a.lo, b.hi}, {a.hi, b.lo}, {a.hi, b.hi}} {
		x, ok := f(p[0], p[1])
		if !ok {
			return interval{}, false
		}
		if n == 0 {
			out = interval{x, x}
		}
		out = hull(out, interval{x, x})
	}
	return out, true
}

func hull(a, b interval) interval { return interval{min(a.lo, b.lo), max(a.hi, b.hi)} }

func negate(x interval, ok bool) (interval, bool) {
	lo, ok1 := subChecked(0, x.hi)
	hi, ok2 := subChecked(0, x.lo)
	return interval{lo, hi}, ok && ok1 && ok2
}

func (r *ranger) call(e *callExpr) (interval, bool) {
	var out interval
	for n := range e.args {
		x, ok := r.int(e.args[n].value.lo)
		if !ok {
			return interval{}, false
		}
		switch {
		case n == 0:
			out = x
		case e.builtin.name == "min":
			out = interval{min(out.lo, x.lo), min(out.hi, x.hi)}
		default:
			out = interval{max(out.lo, x.lo), max(out.hi, x.hi)}
		}
	}
	if e.builtin.name == "abs" {
		n, ok := negate(out, true)
		return interval{0, max(out.hi, n.hi)}, ok
	}
	return out, e.builtin.name != "len"
}

func (r *ranger) index(e *indexExpr) (interval, bool) {
	l, ok := r.c.eval(e.list, r.v.silent())
	at, fine := r.int(e.i)
	if !ok || !fine || at.lo < 0 || at.hi >= int64(len(l.list)) {
		return interval{}, false
	}
	out := interval{l.list[at.lo], l.list[at.lo]}
	for _, x := range l.list[at.lo : at.hi+1] {
		out = hull(out, interval{x, x})
	}
	return out, true
}

// bool reports whether a condition always has a value.
func (r *ranger) bool(e expr) bool {
	if r.uses[e] == 0 {
		_, ok := r.c.eval(e, r.v.silent())
		return ok
	}
	switch e := e.(type) {
	case *unaryExpr:
		return r.bool(e.x)
	case *binaryExpr:
		if comparison[e.op] != nil {
			_, ok1 := r.int(e.x)
			_, ok2 := r.int(e.y)
			return ok1 && ok2
		}
		return r.bool(e.x) && r.bool(e.y)
	case *condExpr:
		return r.bool(e.c) && r.bool(e.a) && r.bool(e.b)
	}
	return false
}
