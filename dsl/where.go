package dsl

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/s2attention/s2c/diag"
)

// maxWhereBlocks bounds the side of the table that a `where` becomes.
const maxWhereBlocks = 4096

// where resolves a predicate, after making sure that it has a value at every
// pair that it will be asked for.
func (r *resolver) where(e *callExpr, v *env) (Set, bool) {
	limit, ok := r.c.whereLimit(e, v, r.m)
	if !ok {
		return nil, false
	}
	cond := e.bound[0].lo
	key := whereKey(cond, v)
	holds := r.c.compileBool(cond, v)
	if !r.c.loaded && !r.c.total[key] {
		if !r.c.proveTotal(cond, holds, v, limit, r.m.Causal) {
			return nil, false
		}
		r.c.total[key] = true
	}
	return Where{Limit: limit, Key: key, Holds: func(i, j int64) bool {
		if i < 0 || j < 0 || i >= limit || j >= limit {
			return false
		}
		b, fine := holds(i, j)
		return b && fine
	}}, true
}

// whereLimit is the declared greatest length, in blocks.
func (c *checker) whereLimit(e *callExpr, v *env, m *Model) (int64, bool) {
	tokens, ok := c.evalInt(e.bound[1].lo, v)
	if !ok {
		return 0, false
	}
	block := int64(m.Block)
	if tokens < block || tokens%block != 0 || tokens/block > maxWhereBlocks {
		c.bag.Add(diag.New(diag.WhereLimit, e.bound[1].span, "`max` cannot be %d tokens", tokens).
			WithHint("it is a multiple of the block size (%d) up to %d tokens", block, maxWhereBlocks*block))
		return 0, false
	}
	return tokens / block, true
}

// whereKey names a predicate: its place and the values of the names it uses.
func whereKey(cond expr, v *env) string {
	used := map[string]bool{}
	eachName(cond, func(id string) { used[id] = true })
	var b strings.Builder
	s := cond.at()
	fmt.Fprintf(&b, "%s:%d", s.Src.Name, s.Start)
	for _, id := range slices.Sorted(maps.Keys(used)) {
		if x, ok := v.vars[id]; ok {
			fmt.Fprintf(&b, ",%s=%d", id, x)
		} else if id == "h" {
			fmt.Fprintf(&b, ",h=%d", v.head)
		} else if id == "g" || id == "kv" {
			fmt.Fprintf(&b, ",g=%d", v.kv)
		}
	}
	return b.String()
}

// eachName visits the names in an integer or boolean expression.
func eachName(e expr, f func(id string)) {
	switch e := e.(type) {
	case *nameExpr:
		f(e.id)
	case *callExpr:
		for i := range e.args {
			eachName(e.args[i].value.lo, f)
		}
	case *indexExpr:
		eachName(e.list, f)
		eachName(e.i, f)
	case *listLit:
		for _, x := range e.items {
			eachName(x, f)
		}
	case *unaryExpr:
		eachName(e.x, f)
	case *binaryExpr:
		eachName(e.x, f)
		eachName(e.y, f)
	case *condExpr:
		eachName(e.c, f)
		eachName(e.a, f)
		eachName(e.b, f)
	}
}

func usesIJ(e expr) bool {
	found := false
	eachName(e, func(id string) { found = found || id == "i" || id == "j" })
	return found
}

// intFunc and boolFunc are expressions of i and j with all else fixed; ok is
// false where there is no value.
type (
	intFunc  func(i, j int64) (x int64, ok bool)
	boolFunc func(i, j int64) (x, ok bool)
)

func (c *checker) compileInt(e expr, v *env) intFunc {
	if !usesIJ(e) {
		x, ok := c.evalInt(e, v.silent())
		return func(_, _ int64) (int64, bool) { return x, ok }
	}
	switch e := e.(type) {
	case *nameExpr:
		if e.id == "i" {
			return func(i, _ int64) (int64, bool) { return i, true }
		}
		return func(_, j int64) (int64, bool) { return j, true }
	case *callExpr:
		return c.compileCall(e, v)
	case *indexExpr:
		return c.compileIndex(e, v)
	case *unaryExpr:
		x := c.compileInt(e.x, v)
		if e.op == "+" {
			return x
		}
		return func(i, j int64) (int64, bool) {
			a, ok := x(i, j)
			return -a, ok && a != math.MinInt64
		}
	case *binaryExpr:
		x, y, op := c.compileInt(e.x, v), c.compileInt(e.y, v), arithmetic[e.op]
		return func(i, j int64) (int64, bool) {
			a, ok1 := x(i, j)
			b, ok2 := y(i, j)
			r, ok3 := op(a, b)
			return r, ok1 && ok2 && ok3
		}
	case *condExpr:
		cond, x, y := c.compileBool(e.c, v), c.compileInt(e.a, v), c.compileInt(e.b, v)
		return func(i, j int64) (int64, bool) {
			b, ok := cond(i, j)
			if !ok {
				return 0, false
			}
			if b {
				return x(i, j)
			}
			return y(i, j)
		}
	}
	return func(_, _ int64) (int64, bool) { return 0, false }
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

func (c *checker) compileCall(e *callExpr, v *env) intFunc {
	var args []intFunc
	for i := range e.args {
		args = append(args, c.compileInt(e.args[i].value.lo, v))
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

func (c *checker) compileIndex(e *indexExpr, v *env) intFunc {
	at := c.compileInt(e.i, v)
	l, _ := c.eval(e.list, v.silent())
	return func(i, j int64) (int64, bool) {
		n, ok := at(i, j)
		if !ok || n < 0 || n >= int64(len(l.list)) {
			return 0, false
		}
		return l.list[n], true
	}
}

func (c *checker) compileBool(e expr, v *env) boolFunc {
	if !usesIJ(e) {
		x, ok := c.eval(e, v.silent())
		return func(_, _ int64) (bool, bool) { return x.b, ok }
	}
	switch e := e.(type) {
	case *unaryExpr:
		x := c.compileBool(e.x, v)
		return func(i, j int64) (bool, bool) {
			b, ok := x(i, j)
			return !b, ok
		}
	case *binaryExpr:
		return c.compileLogic(e, v)
	case *condExpr:
		cond, x, y := c.compileBool(e.c, v), c.compileBool(e.a, v), c.compileBool(e.b, v)
		return func(i, j int64) (bool, bool) {
			b, ok := cond(i, j)
			if !ok {
				return false, false
			}
			if b {
				return x(i, j)
			}
			return y(i, j)
		}
	}
	return func(_, _ int64) (bool, bool) { return false, false }
}

func (c *checker) compileLogic(e *binaryExpr, v *env) boolFunc {
	if op := comparison[e.op]; op != nil {
		x, y := c.compileInt(e.x, v), c.compileInt(e.y, v)
		return func(i, j int64) (bool, bool) {
			a, ok1 := x(i, j)
			b, ok2 := y(i, j)
			return op(a, b), ok1 && ok2
		}
	}
	x, y, stop := c.compileBool(e.x, v), c.compileBool(e.y, v), e.op == "or"
	return func(i, j int64) (bool, bool) {
		b, ok := x(i, j)
		if !ok || b == stop {
			return b, ok
		}
		return y(i, j)
	}
}

func (v *env) silent() *env {
	q := *v
	q.quiet = true
	return &q
}

// proveTotal makes sure that a predicate has a value everywhere: by interval
// arithmetic, or, where that is too coarse, by trying every pair.
func (c *checker) proveTotal(cond expr, holds boolFunc, v *env, limit int64, causal bool) bool {
	if (&ranger{c: c, v: v, last: limit - 1}).bool(cond) {
		return true
	}
	pairs := int(limit) * int(limit)
	if causal {
		pairs /= 2
	}
	if !c.spend(pairs/2, cond) {
		return false
	}
	for i := range limit {
		last := limit - 1
		if causal {
			last = i
		}
		for j := int64(0); j <= last; j++ {
			if _, ok := holds(i, j); !ok {
				if why := c.whyPartial(cond, v, i, j); why.Code != "" {
					c.bag.Add(why)
				}
				return false
			}
		}
	}
	return true
}

// whyPartial evaluates a predicate at the pair where it fails, to say why. It
// says nothing where the reason has been reported already.
func (c *checker) whyPartial(cond expr, v *env, i, j int64) diag.Diagnostic {
	at := *v
	at.vars = maps.Clone(v.vars)
	if at.vars == nil {
		at.vars = map[string]int64{}
	}
	at.vars["i"], at.vars["j"] = i, j
	var bag diag.Bag
	probe := *c
	probe.bag, probe.steps = &bag, 0
	probe.eval(cond, &at)
	if l := bag.List(); len(l) > 0 {
		d := l[0]
		d.Message += fmt.Sprintf(" (at i = %d, j = %d)", i, j)
		return d
	}
	return diag.Diagnostic{}
}
