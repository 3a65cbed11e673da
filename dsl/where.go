package dsl

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/s2attention/s2c/diag"
	"github.com/s2attention/s2c/limit"
)

// maxWhereBlocks bounds the side of the table that a `where` becomes.
const maxWhereBlocks = limit.WhereBlocks

// where resolves a predicate, after making sure that it has a value at every
// pair that it will be asked for.
func (r *resolver) where(e *callExpr, v *env) (Set, bool) {
	limit, ok := r.c.whereLimit(e, v, r.m)
	if !ok {
		return nil, false
	}
	cond := e.bound[0].lo
	key := whereKey(cond, v)
	p := r.c.condition(v, usageOf(cond), limit)
	if !r.c.spend(len(p.uses), cond) {
		return nil, false
	}
	holds := p.bool(cond)
	if !r.c.loaded && !r.c.total[key] {
		if !r.c.proveTotal(cond, p, holds, v, limit, r.m.Causal) {
			return nil, false
		}
		r.c.total[key] = true
	}
	return Where{Limit: limit, Key: key, Steps: p.cost, Holds: func(i, j int64) bool {
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

func (v *env) silent() *env {
	q := *v
	q.quiet = true
	return &q
}

// proveTotal makes sure that a predicate has a value everywhere: by interval
// arithmetic, or, where that is too coarse, by trying every pair.
func (c *checker) proveTotal(cond expr, p *condition, holds boolFunc, v *env, limit int64, causal bool) bool {
	if (&ranger{c: c, v: v, uses: p.uses, last: limit - 1}).bool(cond) {
		return true
	}
	pairs := int(limit) * int(limit)
	if causal {
		pairs /= 2
	}
	if !c.spend(pairs/2*(1+p.cost/perStep), cond) {
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

// perStep is how many more of a predicate's steps take as long as one of Load's.
const perStep = 12

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
