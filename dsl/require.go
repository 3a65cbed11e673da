package dsl

import (
	"fmt"
	"strings"

	"github.com/s2attention/s2c/diag"
)

// Property is what a require clause asks for.
type Property string

const (
	Coverage    Property = "coverage"     // the heads of a layer together attend the whole context
	KVEfficient Property = "kv_efficient" // a block that drops out of a KV head never comes back
	NonEmpty    Property = "non_empty"    // no query block attends nothing
	ClosedForm  Property = "closed_form"  // no tables
	Density     Property = "density"      // attended ÷ dense token pairs
	KVKept      Property = "kv_kept"      // mean share of key blocks that later queries may still read
	Speedup     Property = "speedup"      // dense ÷ attended pairs
)

// propertyInfo describes a property of require clauses.
type propertyInfo struct {
	name     Property
	compared bool // takes a comparison, and a length after `at`
	code     diag.Code
	doc      string
}

var properties = []propertyInfo{
	{Coverage, false, diag.NotCovered, "the heads of the layer together attend every block that a dense model attends"},
	{KVEfficient, false, diag.NotKVEfficient, "once a key block drops out of all heads of a KV group it never comes back, so it can be evicted"},
	{NonEmpty, false, diag.EmptyRow, "every query block of every head attends something (checked in any case)"},
	{ClosedForm, false, diag.NotClosedForm, "no head needs a table"},
	{Density, true, diag.DensityFails, "attended token pairs ÷ those of a dense model, summed over the heads"},
	{KVKept, true, diag.KVKeptFails, "blocks that a later query may still read ÷ blocks so far, mean over KV heads"},
	{Speedup, true, diag.SpeedupFails, "pairs of a dense model ÷ attended pairs"},
}

func propertyByName(name string) *propertyInfo {
	for i := range properties {
		if string(properties[i].name) == name {
			return &properties[i]
		}
	}
	return nil
}

// Require is one clause for some layers. It is resolved here and decided on
// the closed form.
type Require struct {
	Kind   Property
	Layers []int   // ascending
	Op     string  // < <= > >= for density, kv_kept and speedup; else ""
	Bound  float64 // what Op compares with
	Seq    int64   // length in tokens; 0: every length
	Text   string  // as the file writes it
	Span   diag.Span
}

// Pos is the clause's file:line:col.
func (r Require) Pos() string { return r.Span.Pos().String() }

// Compare applies the clause's comparison to a value.
func (r Require) Compare(value float64) bool {
	switch r.Op {
	case "<":
		return value < r.Bound
	case "<=":
		return value <= r.Bound
	case ">":
		return value > r.Bound
	case ">=":
		return value >= r.Bound
	}
	return false
}

// Fail is the diagnostic for a clause that does not hold. The message says
// what is so instead (a value, a counter-example); hint may be empty.
func (r Require) Fail(message, hint string) diag.Diagnostic {
	d := diag.New(propertyByName(string(r.Kind)).code, r.Span, "require %s fails: %s", r.Text, message)
	d.Hint = hint
	return d
}

// checkRequires resolves the names in require clauses.
func (c *checker) checkRequires(global *scope) {
	real := &scope{c: c, real: true}
	for _, r := range c.requires {
		global.selector(r.layers)
		for i := range r.clauses {
			cl := &r.clauses[i]
			c.checkClause(cl)
			real.want(cl.bound, kindReal)
			global.want(cl.seq, kindInt)
		}
	}
}

func (c *checker) checkClause(cl *clauseDef) {
	info := propertyByName(cl.name)
	if info == nil {
		var names []string
		for _, p := range properties {
			names = append(names, string(p.name))
		}
		c.bag.Add(withSuggestion(diag.New(diag.UnknownProperty, cl.nameSpan, "there is no property `%s`", clip(cl.name)), cl.name, names))
		return
	}
	switch {
	case info.compared && cl.op == "":
		c.bag.Add(diag.New(diag.BadRequire, cl.span, "`%s` needs a bound", cl.name).
			WithHint("write, for example: require %s < 0.2 at 32768", cl.name))
	case info.compared && cl.seq == nil:
		c.bag.Add(diag.New(diag.BadRequire, cl.span, "`%s` needs a length", cl.name).
			WithHint("say at how many tokens: `at 32768`"))
	case !info.compared && cl.op != "":
		c.bag.Add(diag.New(diag.BadRequire, cl.span, "`%s` holds or does not; it has no bound", cl.name))
	case info.name == ClosedForm && cl.seq != nil:
		c.bag.Add(diag.New(diag.BadRequire, cl.span, "`%s` does not depend on a length", cl.name))
	}
}

// requiresOf resolves the clauses of a checked program.
func (p *Program) requiresOf() {
	c := p.c
	for _, r := range c.requires {
		layers, ok := c.pick(r.layers, int64(p.Model.Layers), "layer", diag.NoSuchLayer)
		if !ok {
			continue
		}
		var list []int
		for n := range p.Model.Layers {
			if layers.has(int64(n)) {
				list = append(list, n)
			}
		}
		for i := range r.clauses {
			if q, ok := p.clause(&r.clauses[i], list); ok {
				p.Requires = append(p.Requires, q)
			}
		}
	}
}

func (p *Program) clause(cl *clauseDef, layers []int) (Require, bool) {
	q := Require{Kind: Property(cl.name), Layers: layers, Op: cl.op, Span: cl.span, Text: strings.Join(strings.Fields(cl.span.Text()), " ")}
	ok := propertyByName(cl.name) != nil
	if cl.bound != nil {
		var fine bool
		q.Bound, fine = p.c.evalReal(cl.bound)
		ok = ok && fine
	}
	if cl.seq == nil {
		return q, ok
	}
	n, fine := p.c.evalInt(cl.seq, &env{})
	if !fine {
		return q, false
	}
	q.Seq = n
	if n < 1 || n > maxArg {
		p.c.errorf(diag.OutOfRange, cl.seq.at(), "a length of %d tokens", n)
		return q, false
	}
	return q, ok && p.withinLimits(cl, q)
}

// withinLimits refuses a length that a `where` is not defined for.
func (p *Program) withinLimits(cl *clauseDef, q Require) bool {
	if p.c.bag.Failed() {
		return true // the layers may have no patterns
	}
	for _, n := range q.Layers {
		if limit := p.Limit(n) * int64(p.Model.Block); limit > 0 && q.Seq > limit {
			p.c.bag.Add(diag.New(diag.BadRequire, cl.seq.at(), "layer %d is defined up to %d tokens only", n, limit).
				WithHint("%s", fmt.Sprintf("raise `max` in its where(…), or ask at most at %d", limit)))
			return false
		}
	}
	return true
}
