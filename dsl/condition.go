package dsl

import (
	"math"
	"sync"
)

// uses says which of i and j an expression depends on.
type uses uint8

const (
	usesI uses = 1 << iota
	usesJ
)

// usage is the uses of an expression and of all its parts.
type usage map[expr]uses

func usageOf(e expr) usage {
	u := usage{}
	u.add(e)
	return u
}

func (u usage) add(e expr) (all uses) {
	switch e := e.(type) {
	case *nameExpr:
		switch e.id {
		case "i":
			all = usesI
		case "j":
			all = usesJ
		}
	case *callExpr:
		for i := range e.args {
			all |= u.add(e.args[i].value.lo)
		}
	case *indexExpr:
		all = u.add(e.list) | u.add(e.i)
	case *listLit:
		for _, x := range e.items {
			all |= u.add(x)
		}
	case *unaryExpr:
		all = u.add(e.x)
	case *binaryExpr:
		all = u.add(e.x) | u.add(e.y)
	case *condExpr:
		all = u.add(e.c) | u.add(e.a) | u.add(e.b)
	}
	u[e] = all
	return all
}

// pairFunc is an expression of i and j with all else fixed; ok is false where there
// is no value.
type pairFunc[T any] func(i, j int64) (x T, ok bool)

type (
	intFunc  = pairFunc[int64]
	boolFunc = pairFunc[bool]
)

// condition compiles what `where` is given. What depends on i alone or on j alone is computed
// once for each of them, up to side.
type condition struct {
	c    *checker
	v    *env // quiet
	uses usage
	side int64
	// cost is the steps that one pair takes: each operator, number and name is one, and
	// so is a part of i alone or of j alone.
	cost   int
	hoists int // parts under way that are computed once
}

func (c *checker) condition(v *env, u usage, side int64) *condition {
	return &condition{c: c, v: v.silent(), uses: u, side: side}
}

// count adds a step, unless it is not taken at each pair.
func (p *condition) count() {
	if p.hoists == 0 {
		p.cost++
	}
}

// once is whether a part of these uses is computed once for each i or j.
func (p *condition) once(e expr) bool {
	_, name := e.(*nameExpr)
	return !name && p.hoists == 0 && p.side > 0 && (p.uses[e] == usesI || p.uses[e] == usesJ)
}

// hoist computes a part of i alone or of j alone once for each, when it is first asked.
func hoist[T any](p *condition, e expr, compile func(expr) pairFunc[T]) pairFunc[T] {
	p.count()
	p.hoists++
	at := compile(e)
	p.hoists--
	type entry struct {
		x  T
		ok bool
	}
	var filled sync.Once
	var table []entry
	side, row := p.side, p.uses[e] == usesI
	return func(i, j int64) (T, bool) {
		n := j
		if row {
			n = i
		}
		if n < 0 || n >= side {
			return at(i, j)
		}
		filled.Do(func() {
			table = make([]entry, side)
			for n := range table {
				table[n].x, table[n].ok = at(int64(n), int64(n))
			}
		})
		return table[n].x, table[n].ok
	}
}

func (p *condition) int(e expr) intFunc {
	if p.uses[e] == 0 {
		p.count()
		x, ok := p.c.evalInt(e, p.v)
		return func(_, _ int64) (int64, bool) { return x, ok }
	}
	if p.once(e) {
		return hoist(p, e, p.int)
	}
	p.count()
	switch e := e.(type) {
	case *nameExpr:
		if e.id == "i" {
			return func(i, _ int64) (int64, bool) { return i, true }
		}
		return func(_, j int64) (int64, bool) { return j, true }
	case *callExpr:
		return p.call(e)
	case *indexExpr:
		return p.index(e)
	case *unaryExpr:
		x := p.int(e.x)
		if e.op == "+" {
			return x
		}
		return func(i, j int64) (int64, bool) {
			a, ok := x(i, j)
			return -a, ok && a != math.MinInt64
		}
	case *binaryExpr:
		x, y, op := p.int(e.x), p.int(e.y), arithmetic[e.op]
		return func(i, j int64) (int64, bool) {
			a, ok1 := x(i, j)
			b, ok2 := y(i, j)
			r, ok3 := op(a, b)
			return r, ok1 && ok2 && ok3
		}
	case *condExpr:
		return choose(p.bool(e.c), p.int(e.a), p.int(e.b))
	}
	return func(_, _ int64) (int64, bool) { return 0, false }
}

// choose is if c then x else y.
func choose[T any](c boolFunc, x, y pairFunc[T]) pairFunc[T] {
	return func(i, j int64) (none T, _ bool) {
		b, ok := c(i, j)
		switch {
		case !ok:
			return none, false
		case b:
			return x(i, j)
		}
		return y(i, j)
	}
}

// arithmetic is the operators as functions, so that none is looked up per pair.
var arithmetic = map[string]func(a, b int64) (int64, bool){
	"+": addChecked, "-": subChecked, "*": mulChecked,
	"/": func(a, b int64) (int64, bool) {
		if b == 0 {
			return 0, false
		}
		return floorDiv(a, b)
	},
	"mod": func(a, b int64) (int64, bool) {
		if b == 0 {
			return 0, false
		}
		return euclid(a, b), true
	},
}

var comparison = map[string]func(a, b int64) bool{
	"==": func(a, b int64) bool { return a == b }, "!=": func(a, b int64) bool { return a != b },
	"<": func(a, b int64) bool { return a < b }, "<=": func(a, b int64) bool { return a <= b },
	">": func(a, b int64) bool { return a > b }, ">=": func(a, b int64) bool { return a >= b },
}

func (p *condition) call(e *callExpr) intFunc {
	var args []intFunc
	for i := range e.args {
		args = append(args, p.int(e.args[i].value.lo))
	}
	least := e.builtin.name == "min"
	if e.builtin.name == "abs" {
		return func(i, j int64) (int64, bool) {
			x, ok := args[0](i, j)
			return max(x, -x), ok && x != math.MinInt64
		}
	}
	return func(i, j int64) (int64, bool) {
		best, ok := args[0](i, j)
		for _, a := range args[1:] {
			x, fine := a(i, j)
			ok = ok && fine
			if least == (x < best) {
				best = x
			}
		}
		return best, ok
	}
}

func (p *condition) index(e *indexExpr) intFunc {
	at := p.int(e.i)
	l, _ := p.c.eval(e.list, p.v)
	return func(i, j int64) (int64, bool) {
		n, ok := at(i, j)
		if !ok || n < 0 || n >= int64(len(l.list)) {
			return 0, false
		}
		return l.list[n], true
	}
}

func (p *condition) bool(e expr) boolFunc {
	if p.uses[e] == 0 {
		p.count()
		x, ok := p.c.eval(e, p.v)
		return func(_, _ int64) (bool, bool) { return x.b, ok }
	}
	if p.once(e) {
		return hoist(p, e, p.bool)
	}
	p.count()
	switch e := e.(type) {
	case *unaryExpr:
		x := p.bool(e.x)
		return func(i, j int64) (bool, bool) {
			b, ok := x(i, j)
			return !b, ok
		}
	case *binaryExpr:
		return p.logic(e)
	case *condExpr:
		return choose(p.bool(e.c), p.bool(e.a), p.bool(e.b))
	}
	return func(_, _ int64) (bool, bool) { return false, false }
}

func (p *condition) logic(e *binaryExpr) boolFunc {
	if op := comparison[e.op]; op != nil {
		x, y := p.int(e.x), p.int(e.y)
		return func(i, j int64) (bool, bool) {
			a, ok1 := x(i, j)
			b, ok2 := y(i, j)
			return op(a, b), ok1 && ok2
		}
	}
	x, y, stop := p.bool(e.x), p.bool(e.y), e.op == "or"
	return func(i, j int64) (bool, bool) {
		b, ok := x(i, j)
		if !ok || b == stop {
			return b, ok
		}
		return y(i, j)
	}
}
