package dsl

import "github.com/s2attention/s2c/diag"

// Place is a set of blocks that a file names, as one query head has it.
type Place struct {
	Span  diag.Span
	Set   Set
	Layer int // the first layer that has it
	Head  int // the first head of that layer; full number
}

// SetAt is the smallest set that is written at an offset of a file, with the
// values that its names have where a rule first uses it. On the name of a
// pattern that is declared it is the pattern's, on what else a rule is made of
// the rule's.
func (p *Program) SetAt(path string, offset int) (Place, bool) {
	e := p.setExpr(path, offset)
	if e == nil {
		return Place{}, false
	}
	c := p.private()
	for _, class := range p.classes {
		for h, rule := range class.rules {
			v, ok := c.meet(rule.body, p.headEnv(h), &p.Model, e)
			if ok {
				return p.placed(c, e, v, class.layers[0], p.Model.FirstHead+h)
			}
			if c.steps >= maxSteps {
				return Place{}, false
			}
		}
	}
	return p.unused(c, e)
}

// meet resolves a rule for a head and returns what names stand for when it
// comes to an expression.
func (c *checker) meet(rule expr, v *env, m *Model, e expr) (at *env, ok bool) {
	r := resolver{c: c, m: m, met: func(x expr, v *env) {
		if x == e && at == nil {
			at = v
		}
	}}
	r.set(rule, v)
	return at, at != nil
}

func (p *Program) placed(c *checker, e expr, v *env, layer, head int) (Place, bool) {
	s, ok := c.resolve(e, v, &p.Model)
	return Place{Span: e.at(), Set: s, Layer: layer, Head: head}, ok
}

// unused tries the patterns that no rule uses, as if layer 0 did with head 0.
func (p *Program) unused(c *checker, e expr) (Place, bool) {
	for _, u := range c.units {
		for _, d := range u.patterns {
			call := &nameExpr{place: place{d.span}, id: d.name, pattern: d}
			if v, ok := c.meet(call, p.headEnv(0), &p.Model, e); ok {
				return p.placed(c, e, v, 0, p.Model.FirstHead)
			}
		}
	}
	return Place{}, false
}

// setExpr finds the expression that SetAt is about.
func (p *Program) setExpr(path string, offset int) expr {
	for _, u := range p.c.units {
		if u.src.Name != path {
			continue
		}
		for _, d := range u.patterns {
			if within(d.span, offset) {
				return d.body
			}
			if e := smallest(d.body, offset); e != nil {
				return e
			}
		}
		for _, l := range u.layers {
			if e := l.setExpr(offset); e != nil {
				return e
			}
		}
	}
	return nil
}

// setExpr is the part of a rule at an offset; outside of all rules, the first.
func (l *layerDef) setExpr(offset int) expr {
	if !within(l.span, offset) {
		return nil
	}
	for _, r := range l.rules {
		if e := smallest(r.body, offset); e != nil {
			return e
		}
		if within(r.span, offset) {
			return r.body
		}
	}
	return l.rules[0].body
}

func within(s diag.Span, offset int) bool { return s.Start <= offset && offset < s.End }

// smallest is the innermost set expression at an offset, nil where there is
// none. Arguments are numbers, not sets, so a call is as small as it gets.
func smallest(e expr, offset int) expr {
	if !within(e.at(), offset) {
		return nil
	}
	var parts []expr
	switch e := e.(type) {
	case *binaryExpr:
		parts = []expr{e.x, e.y}
	case *condExpr:
		parts = []expr{e.a, e.b}
	case *rowsExpr:
		for _, a := range e.arms {
			parts = append(parts, a.body)
		}
	}
	for _, x := range parts {
		if inner := smallest(x, offset); inner != nil {
			return inner
		}
	}
	return e
}
