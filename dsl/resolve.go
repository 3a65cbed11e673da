package dsl

import (
	"fmt"
	"strconv"

	"github.com/s2attention/s2c/diag"
	"github.com/s2attention/s2c/limit"
)

// maxNodes bounds one head's resolved tree.
const maxNodes = limit.Parts

// resolver turns a checked pattern into a Set for one head.
type resolver struct {
	c     *checker
	m     *Model
	nodes int
	met   func(expr, *env) // sees every part before it is resolved; may be nil
}

func (c *checker) resolve(e expr, v *env, m *Model) (Set, bool) {
	r := resolver{c: c, m: m}
	return r.set(e, v)
}

// Head is the resolved pattern of a query head: layer in [0, Model.Layers),
// head in [0, Model.Heads). The causal restriction is not part of it.
func (p *Program) Head(layer, head int) Set {
	s, ok := p.private().resolve(p.class(layer).rules[head].body, p.headEnv(head), &p.Model)
	if !ok {
		return Empty{} // Load has resolved every head: this cannot happen
	}
	return s
}

// private is a copy of the checker that one goroutine may evaluate with: what
// it shares is complete after Load and only read.
func (p *Program) private() *checker {
	c := *p.c
	c.bag = &diag.Bag{}
	c.steps = 0
	return &c
}

func (r *resolver) set(e expr, v *env) (Set, bool) {
	if !r.c.step(e) {
		return nil, false
	}
	if r.nodes++; r.nodes > maxNodes {
		return r.tooLarge(e, v)
	}
	if r.met != nil {
		r.met(e, v)
	}
	switch e := e.(type) {
	case *nameExpr:
		switch {
		case e.pattern != nil:
			return r.call(e.pattern, nil, v)
		case e.id == "dense":
			return Band{-Inf, Inf}, true
		case e.id == "empty":
			return Empty{}, true
		}
	case *callExpr:
		if e.pattern != nil {
			return r.call(e.pattern, e.bound, v)
		}
		if e.builtin != nil {
			return r.builtin(e, v)
		}
	case *binaryExpr:
		return r.binary(e, v)
	case *condExpr:
		cond, ok := r.c.eval(e.c, v)
		if !ok || cond.kind != kindBool {
			return nil, false
		}
		if cond.b {
			return r.set(e.a, v)
		}
		return r.set(e.b, v)
	case *rowsExpr:
		return r.rows(e, v)
	case *blocksExpr:
		return r.blocks(e, v)
	}
	return nil, false
}

func (r *resolver) tooLarge(e expr, v *env) (Set, bool) {
	r.c.bag.Add(diag.New(diag.PatternTooLarge, e.at(), "the pattern of a head has more than %d parts%s", maxNodes, v.where()).
		WithHint("write irregular parts as one blocks { … } list"))
	return nil, false
}

func (r *resolver) binary(e *binaryExpr, v *env) (Set, bool) {
	a, ok1 := r.set(e.x, v)
	b, ok2 := r.set(e.y, v)
	if !ok1 || !ok2 {
		return nil, false
	}
	switch e.op {
	case "|":
		return Union{a, b}, true
	case "&":
		return Intersection{a, b}, true
	case "-":
		return Difference{a, b}, true
	}
	return nil, false
}

// call evaluates a pattern in an environment of its own.
func (r *resolver) call(p *patternDef, bound []*rangeExpr, v *env) (Set, bool) {
	inner, ok := r.c.enter(p, bound, v)
	if !ok {
		return nil, false
	}
	return r.set(p.body, inner)
}

// enter binds a pattern's parameters: arguments are evaluated where the call
// stands, defaults in the pattern; h, g and kv come from the caller.
func (c *checker) enter(p *patternDef, bound []*rangeExpr, v *env) (*env, bool) {
	if !c.loaded { // a program is only read after Load
		p.entered = true
	}
	inner := &env{head: v.head, kv: v.kv, inHead: v.inHead, quiet: v.quiet, vars: make(map[string]int64, len(p.formals))}
	for i, f := range p.formals {
		switch {
		case i < len(bound) && bound[i] != nil:
			x, ok := c.evalInt(bound[i].lo, v)
			if !ok {
				return nil, false
			}
			switch f.name {
			case "h":
				inner.head = x
			case "g", "kv":
				inner.kv = x
			default:
				inner.vars[f.name] = x
			}
		case headNames[f.name] != "":
		case f.def != nil:
			x, ok := c.evalInt(f.def, inner)
			if !ok {
				return nil, false
			}
			inner.vars[f.name] = x
		default:
			return nil, false
		}
	}
	return inner, true
}

func (r *resolver) builtin(e *callExpr, v *env) (Set, bool) {
	switch e.builtin.name {
	case "window":
		return r.window(e, v)
	case "stride":
		step, phase, ok := r.c.stepAndPhase(e, v)
		if !ok {
			return nil, false
		}
		return Stride{step, phase}, true
	case "dilated":
		return r.dilated(e, v)
	case "sink":
		n, ok := r.c.arg(e, 0, v, 0, 0)
		if !ok || n == 0 {
			return Empty{}, ok
		}
		return Columns{0, n - 1}, true
	case "columns", "rows", "global":
		return r.listed(e, v)
	case "where":
		return r.where(e, v)
	}
	return nil, false
}

func (r *resolver) window(e *callExpr, v *env) (Set, bool) {
	left, ok := r.c.arg(e, 0, v, 1, 0)
	if !ok {
		return nil, false
	}
	if e.bound[1] != nil {
		right, ok := r.c.arg(e, 1, v, 1, 0)
		return Band{-(right - 1), left - 1}, ok
	}
	if r.m.Causal {
		return Band{0, left - 1}, true
	}
	return Band{-(left - 1), left - 1}, true
}

func (r *resolver) dilated(e *callExpr, v *env) (Set, bool) {
	step, phase, ok := r.c.stepAndPhase(e, v)
	if !ok {
		return nil, false
	}
	r.nodes += 6
	back := Set(Intersection{Dilated{step, phase}, Band{0, Inf}})
	ahead := Set(Intersection{Dilated{step, euclid(-phase, step)}, Band{-Inf, 0}})
	switch side(e, r.m.Causal) {
	case "back":
		if r.m.Causal {
			return Dilated{step, phase}, true // j ≤ i holds anyway
		}
		return back, true
	case "ahead":
		return ahead, true
	}
	return Union{back, ahead}, true
}

// side is the third argument of dilated.
func side(e *callExpr, causal bool) string {
	if e.bound[2] != nil {
		return e.bound[2].lo.(*nameExpr).id
	}
	if causal {
		return "back"
	}
	return "both"
}

// stepAndPhase reads the first two arguments of stride and dilated; the phase
// is reduced modulo the step.
func (c *checker) stepAndPhase(e *callExpr, v *env) (step, phase int64, ok bool) {
	step, ok = c.arg(e, 0, v, 1, 0)
	if !ok {
		return 0, 0, false
	}
	if e.bound[1] == nil {
		return step, 0, true
	}
	phase, ok = c.evalInt(e.bound[1].lo, v)
	if !ok {
		return 0, 0, false
	}
	return step, euclid(phase, step), true
}

// arg evaluates an argument between least and 2³¹.
func (c *checker) arg(e *callExpr, i int, v *env, least int64, absent int64) (int64, bool) {
	if e.bound[i] == nil {
		return absent, true
	}
	x, ok := c.evalInt(e.bound[i].lo, v)
	if !ok {
		return 0, false
	}
	return x, c.inRange(x, least, e.bound[i].span, fmt.Sprintf("`%s` of `%s`", e.builtin.params[i].name, e.fn), v)
}

func (c *checker) inRange(x, least int64, span diag.Span, what string, v *env) bool {
	if x >= least && x <= maxArg {
		return true
	}
	c.bag.Add(diag.New(diag.OutOfRange, span, "%s is %d%s", what, x, v.where()).
		WithHint("it is between %d and 2^31 (blocks, not tokens)", least))
	return false
}

// interval evaluates a range of block numbers.
func (c *checker) interval(x *rangeExpr, v *env) (lo, hi int64, ok bool) {
	lo, hi, ok = c.rangeIn(x, v, Inf)
	if !ok {
		return 0, 0, false
	}
	if r := meantRange(x); r != "" && lo < 0 {
		c.bag.Add(diag.New(diag.OutOfRange, x.lo.at(), "a block number is %d%s", lo, v.where()).WithHint("a range is written %s", r))
		return 0, 0, false
	}
	ok = c.inRange(lo, 0, x.lo.at(), "a block number", v)
	if x.hi != nil {
		ok = ok && c.inRange(hi, 0, x.hi.at(), "a block number", v)
	}
	return lo, hi, ok
}

func (r *resolver) listed(e *callExpr, v *env) (Set, bool) {
	var out Set
	for i := range e.args {
		lo, hi, ok := r.c.interval(&e.args[i].value, v)
		if !ok {
			return nil, false
		}
		var s Set
		switch e.builtin.name {
		case "columns":
			s = Columns{lo, hi}
		case "rows":
			s = Rows{lo, hi}
		default:
			s = Union{Columns{lo, hi}, Rows{lo, hi}}
		}
		if r.nodes += 2; r.nodes > maxNodes {
			return r.tooLarge(e, v)
		}
		out = join(out, s)
	}
	return out, out != nil
}

func join(a, b Set) Set {
	if a == nil {
		return b
	}
	return Union{a, b}
}

// rows gives each query block the first arm whose ranges hold it.
func (r *resolver) rows(e *rowsExpr, v *env) (Set, bool) {
	var out Set
	free := []interval{{0, Inf}} // rows that no arm has taken
	for i := range e.arms {
		a := &e.arms[i]
		body, ok := r.set(a.body, v)
		if !ok {
			return nil, false
		}
		mine := free
		if len(a.ranges) > 0 {
			if mine, ok = r.ranges(a.ranges, v); !ok {
				return nil, false
			}
		}
		var guard Set
		for _, m := range mine {
			for _, x := range overlap(free, m) {
				guard = join(guard, Rows{x.lo, x.hi})
				r.nodes += 2
			}
			free = without(free, m)
		}
		if guard != nil {
			out = join(out, Intersection{guard, body})
		}
		if r.nodes > maxNodes {
			return r.tooLarge(e, v)
		}
	}
	if out == nil {
		return Empty{}, true
	}
	return out, true
}

func (r *resolver) ranges(list []rangeExpr, v *env) ([]interval, bool) {
	var out []interval
	for i := range list {
		lo, hi, ok := r.c.interval(&list[i], v)
		if !ok {
			return nil, false
		}
		out = append(out, interval{lo, hi})
	}
	return out, true
}

// interval is lo ≤ x ≤ hi.
type interval struct{ lo, hi int64 }

// overlap is the parts of disjoint intervals inside of x.
func overlap(list []interval, x interval) []interval {
	var out []interval
	for _, l := range list {
		if lo, hi := max(l.lo, x.lo), min(l.hi, x.hi); lo <= hi {
			out = append(out, interval{lo, hi})
		}
	}
	return out
}

// without is the parts of disjoint intervals outside of x.
func without(list []interval, x interval) []interval {
	var out []interval
	for _, l := range list {
		if l.lo < x.lo {
			out = append(out, interval{l.lo, min(l.hi, x.lo-1)})
		}
		if l.hi > x.hi {
			out = append(out, interval{max(l.lo, x.hi+1), l.hi})
		}
	}
	return out
}

func (r *resolver) blocks(e *blocksExpr, v *env) (Set, bool) {
	if len(e.rects) == 0 {
		return Empty{}, true
	}
	out := Blocks{}
	for i := range e.rects {
		x := &e.rects[i]
		ilo, ihi, ok1 := r.c.interval(&x.rows, v)
		jlo, jhi, ok2 := r.c.interval(&x.cols, v)
		if !ok1 || !ok2 {
			return nil, false
		}
		out.List = append(out.List, Rect{ilo, ihi, jlo, jhi})
	}
	return out, true
}

// isDense reports whether a set holds everything that the model can attend.
func isDense(s Set, causal bool) bool {
	switch s := s.(type) {
	case Band:
		return s.HiDiff == Inf && (s.LoDiff == -Inf || causal && s.LoDiff <= 0)
	case Stride:
		return s.Step == 1
	case Dilated:
		return s.Step == 1
	case Columns:
		return s.Lo == 0 && s.Hi == Inf
	case Rows:
		return s.Lo == 0 && s.Hi == Inf
	case Union:
		return isDense(s.A, causal) || isDense(s.B, causal)
	case Intersection:
		return isDense(s.A, causal) && isDense(s.B, causal)
	}
	return false
}

// limitOf is the least limit of the `where`s in a set, or 0.
func limitOf(s Set) int64 {
	switch s := s.(type) {
	case Where:
		return s.Limit
	case Union:
		return leastLimit(limitOf(s.A), limitOf(s.B))
	case Intersection:
		return leastLimit(limitOf(s.A), limitOf(s.B))
	case Difference:
		return leastLimit(limitOf(s.A), limitOf(s.B))
	}
	return 0
}

// fingerprint appends a text of a set; equal texts mean equal sets.
func fingerprint(to []byte, s Set) []byte {
	switch s := s.(type) {
	case Band:
		return numbersTo(append(to, 'b'), s.LoDiff, s.HiDiff)
	case Stride:
		return numbersTo(append(to, 's'), s.Step, s.Phase)
	case Dilated:
		return numbersTo(append(to, 'd'), s.Step, s.Phase)
	case Columns:
		return numbersTo(append(to, 'c'), s.Lo, s.Hi)
	case Rows:
		return numbersTo(append(to, 'r'), s.Lo, s.Hi)
	case Blocks:
		to = numbersTo(append(to, 'x'), int64(len(s.List)))
		for _, r := range s.List {
			to = numbersTo(to, r.ILo, r.IHi, r.JLo, r.JHi)
		}
		return to
	case Where:
		to = numbersTo(append(to, 'w'), s.Limit, int64(len(s.Key)))
		return append(to, s.Key...)
	case Union:
		return fingerprint(fingerprint(append(to, '|'), s.A), s.B)
	case Intersection:
		return fingerprint(fingerprint(append(to, '&'), s.A), s.B)
	case Difference:
		return fingerprint(fingerprint(append(to, '-'), s.A), s.B)
	}
	return append(to, '0')
}

func numbersTo(to []byte, list ...int64) []byte {
	for _, n := range list {
		to = append(strconv.AppendInt(to, n, 10), ' ')
	}
	return to
}
