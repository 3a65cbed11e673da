package dsl

import (
	"fmt"
	"math"

	"github.com/s2attention/s2c/diag"
	"github.com/s2attention/s2c/limit"
)

// lazyValue is a parameter's or field's value, found on first use.
type lazyValue struct {
	state lazyState
	v     value
}

type lazyState int

const (
	lazyBusy lazyState = iota
	lazyFailed
	lazyDone
)

// value is a constant.
type value struct {
	kind kind
	i    int64
	b    bool
	list []int64
}

func intValue(i int64) value { return value{kind: kindInt, i: i} }
func boolValue(b bool) value { return value{kind: kindBool, b: b} }

func (v value) String() string {
	switch v.kind {
	case kindBool:
		return fmt.Sprint(v.b)
	case kindList:
		s := "["
		for n, x := range v.list {
			if n > 0 {
				s += ", "
			}
			s += fmt.Sprint(x)
		}
		return s + "]"
	}
	return fmt.Sprint(v.i)
}

// env is what names stand for while a pattern is evaluated for one head. The
// zero env knows parameters and model fields alone.
type env struct {
	head, kv int64 // full head numbers
	inHead   bool
	vars     map[string]int64 // a pattern's parameters
	quiet    bool             // fail without a diagnostic: `where` explains itself
}

// steps bounds the work of one Load; every node evaluated counts. Now and then
// it is asked whether the work is still wanted.
const (
	maxSteps   = limit.Steps
	checkEvery = 1 << 12
)

func (c *checker) step(e expr) bool { return c.spend(1, e) }

// spend counts steps and reports when too many are gone.
func (c *checker) spend(n int, e expr) bool {
	before := c.steps
	c.steps += n
	if c.cancelled != nil && before/checkEvery != c.steps/checkEvery && c.cancelled() {
		c.steps = maxSteps // nothing has a value any more
		return false
	}
	if before < maxSteps && c.steps >= maxSteps {
		c.bag.Add(diag.New(diag.PatternTooLarge, e.at(), "the patterns take more than %d steps to resolve", maxSteps).
			WithHint("use fewer heads, layers or nested pattern calls, or a lower `max` in where(…)"))
	}
	return c.steps < maxSteps
}

// eval computes a constant. It returns false after a diagnostic, here or
// earlier.
func (c *checker) eval(e expr, v *env) (value, bool) {
	if !c.step(e) {
		return value{}, false
	}
	switch e := e.(type) {
	case *intLit:
		return intValue(e.v), true
	case *boolLit:
		return boolValue(e.v), true
	case *listLit:
		out := value{kind: kindList}
		for _, x := range e.items {
			i, ok := c.evalInt(x, v)
			if !ok {
				return out, false
			}
			out.list = append(out.list, i)
		}
		return out, true
	case *nameExpr:
		return c.evalName(e, v)
	case *callExpr:
		return c.evalCall(e, v)
	case *indexExpr:
		return c.evalIndex(e, v)
	case *unaryExpr:
		return c.evalUnary(e, v)
	case *binaryExpr:
		return c.evalBinary(e, v)
	case *condExpr:
		cond, ok := c.eval(e.c, v)
		if !ok || cond.kind != kindBool {
			return value{}, false
		}
		if cond.b {
			return c.eval(e.a, v)
		}
		return c.eval(e.b, v)
	}
	return value{}, false
}

func (c *checker) evalInt(e expr, v *env) (int64, bool) {
	x, ok := c.eval(e, v)
	return x.i, ok && x.kind == kindInt
}

func (c *checker) evalName(e *nameExpr, v *env) (value, bool) {
	if i, ok := v.vars[e.id]; ok {
		return intValue(i), true
	}
	if v.inHead {
		switch e.id {
		case "h":
			return intValue(v.head), true
		case "g", "kv":
			return intValue(v.kv), true
		}
	}
	if f := fieldByName(e.id); f != nil && f.readable || derivedNames[e.id] != "" {
		return c.fieldValue(e.id, e.span)
	}
	if p := c.params[e.id]; p != nil {
		return c.lazy(e.id, e.span, func() (value, bool) { return c.eval(p.value, &env{}) })
	}
	return value{}, false
}

// lazy evaluates a named value once and reports a cycle.
func (c *checker) lazy(name string, at diag.Span, f func() (value, bool)) (value, bool) {
	if l := c.values[name]; l != nil {
		if l.state == lazyBusy {
			c.errorf(diag.Cycle, at, "`%s` is defined in terms of itself", name)
			l.state = lazyFailed
		}
		return l.v, l.state == lazyDone
	}
	l := &lazyValue{}
	c.values[name] = l
	v, ok := f()
	if !ok || l.state == lazyFailed {
		l.state = lazyFailed
		return v, false
	}
	l.v, l.state = v, lazyDone
	return v, true
}

func (c *checker) evalCall(e *callExpr, v *env) (value, bool) {
	if e.builtin == nil {
		return value{}, false
	}
	switch e.builtin.name {
	case "min", "max":
		var best int64
		for n := range e.args {
			x, ok := c.evalInt(e.args[n].value.lo, v)
			if !ok {
				return value{}, false
			}
			if n == 0 || (e.builtin.name == "min") == (x < best) {
				best = x
			}
		}
		return intValue(best), len(e.args) > 0
	case "abs", "len":
		if len(e.bound) == 0 || e.bound[0] == nil {
			return value{}, false
		}
		x, ok := c.eval(e.bound[0].lo, v)
		if !ok {
			return value{}, false
		}
		if e.builtin.name == "len" {
			return intValue(int64(len(x.list))), x.kind == kindList
		}
		if x.i == math.MinInt64 {
			return c.overflow(e, v)
		}
		return intValue(max(x.i, -x.i)), x.kind == kindInt
	}
	return value{}, false
}

func (c *checker) evalIndex(e *indexExpr, v *env) (value, bool) {
	l, ok := c.eval(e.list, v)
	if !ok || l.kind != kindList {
		return value{}, false
	}
	i, ok := c.evalInt(e.i, v)
	if !ok {
		return value{}, false
	}
	if i < 0 || i >= int64(len(l.list)) {
		c.report(v, diag.New(diag.IndexOutOfRange, e.i.at(), "index %d is outside of a list of %d%s", i, len(l.list), v.where()).
			WithHint("the first element has index 0; wrap around with `mod len(…)`"))
		return value{}, false
	}
	return intValue(l.list[i]), true
}

func (c *checker) evalUnary(e *unaryExpr, v *env) (value, bool) {
	x, ok := c.eval(e.x, v)
	switch {
	case !ok:
		return value{}, false
	case e.op == "not":
		return boolValue(!x.b), x.kind == kindBool
	case x.kind != kindInt:
		return value{}, false
	case e.op == "-" && x.i == math.MinInt64:
		return c.overflow(e, v)
	case e.op == "-":
		return intValue(-x.i), true
	}
	return x, true
}

func (c *checker) evalBinary(e *binaryExpr, v *env) (value, bool) {
	x, ok := c.eval(e.x, v)
	if !ok {
		return value{}, false
	}
	switch {
	case e.op == "and" && x.kind == kindBool && !x.b, e.op == "or" && x.kind == kindBool && x.b:
		return x, true
	}
	y, ok := c.eval(e.y, v)
	if !ok || x.kind != y.kind {
		return value{}, false
	}
	if x.kind == kindBool {
		return y, e.op == "and" || e.op == "or"
	}
	if b, ok := compare(e.op, x.i, y.i); ok {
		return boolValue(b), true
	}
	r, err := calculate(e.op, x.i, y.i)
	switch err {
	case arithOverflow:
		return c.overflow(e, v)
	case arithZero:
		c.report(v, diag.New(diag.DivideByZero, e.y.at(), "division by zero%s", v.where()))
		return value{}, false
	}
	return intValue(r), true
}

type arithError int

const (
	arithFine arithError = iota
	arithOverflow
	arithZero
)

// calculate applies + - * / mod.
func calculate(op string, x, y int64) (int64, arithError) {
	var r int64
	ok := true
	switch op {
	case "+":
		r, ok = addChecked(x, y)
	case "-":
		r, ok = subChecked(x, y)
	case "*":
		r, ok = mulChecked(x, y)
	case "/", "mod":
		if y == 0 {
			return 0, arithZero
		}
		if op == "mod" {
			return euclid(x, y), arithFine
		}
		r, ok = floorDiv(x, y)
	}
	if !ok {
		return 0, arithOverflow
	}
	return r, arithFine
}

func compare(op string, x, y int64) (result, known bool) {
	switch op {
	case "==":
		return x == y, true
	case "!=":
		return x != y, true
	case "<":
		return x < y, true
	case "<=":
		return x <= y, true
	case ">":
		return x > y, true
	case ">=":
		return x >= y, true
	}
	return false, false
}

func (c *checker) overflow(e expr, v *env) (value, bool) {
	c.report(v, diag.New(diag.Overflow, e.at(), "the result does not fit in 64 bits%s", v.where()))
	return value{}, false
}

func (c *checker) report(v *env, d diag.Diagnostic) {
	if !v.quiet {
		c.bag.Add(d)
	}
}

// where names the head in messages.
func (v *env) where() string {
	if !v.inHead {
		return ""
	}
	return fmt.Sprintf(" (at head %d)", v.head)
}

// evalReal computes a real expression: / divides exactly.
func (c *checker) evalReal(e expr) (float64, bool) {
	if !c.step(e) {
		return 0, false
	}
	switch e := e.(type) {
	case *realLit:
		return e.v, true
	case *unaryExpr:
		x, ok := c.evalReal(e.x)
		if e.op == "-" {
			x = -x
		}
		return x, ok
	case *binaryExpr:
		x, ok1 := c.evalReal(e.x)
		y, ok2 := c.evalReal(e.y)
		if !ok1 || !ok2 {
			return 0, false
		}
		return c.realBinary(e, x, y)
	case *condExpr:
		b, ok := c.eval(e.c, &env{})
		if !ok {
			return 0, false
		}
		if b.b {
			return c.evalReal(e.a)
		}
		return c.evalReal(e.b)
	case *callExpr:
		if e.builtin != nil && e.builtin.name == "sqrt" && len(e.bound) == 1 && e.bound[0] != nil {
			x, ok := c.evalReal(e.bound[0].lo)
			if ok && x < 0 {
				c.errorf(diag.OutOfRange, e.span, "the square root of %g is not real", x)
				return 0, false
			}
			return math.Sqrt(x), ok
		}
	}
	i, ok := c.evalInt(e, &env{})
	return float64(i), ok
}

func (c *checker) realBinary(e *binaryExpr, x, y float64) (float64, bool) {
	switch e.op {
	case "+":
		return x + y, true
	case "-":
		return x - y, true
	case "*":
		return x * y, true
	case "/":
		if y == 0 {
			c.errorf(diag.DivideByZero, e.y.at(), "division by zero")
			return 0, false
		}
		return x / y, true
	}
	i, ok := c.evalInt(e, &env{})
	return float64(i), ok
}
