package dsl

import "github.com/s2attention/s2c/diag"

// Part is an operand of the unions that a head's pattern is made of.
type Part struct {
	// Spans are where it stands: in the rule, or in the pattern that is called there, and
	// so on down to where it is written.
	Spans []diag.Span
	Set   Set
	// Void says that it is written as nothing: `empty`.
	Void bool
}

// Parts is the parts of a query head's pattern, left to right; together they are
// [Program.Head].
func (p *Program) Parts(layer, head int) []Part {
	c := p.private()
	s := splitter{resolver: resolver{c: c, m: &p.Model}}
	if !s.split(p.class(layer).rules[head].body, p.headEnv(head), nil) {
		return nil // Load has resolved every head: this cannot happen
	}
	return s.parts
}

// Recounted reports whether a definition from outside sets the number of heads or layers:
// what is of no use may be so for this number alone.
func (p *Program) Recounted() bool { return p.c.countDefined("head") || p.c.countDefined("layer") }

// splitter resolves a pattern part by part.
type splitter struct {
	resolver
	parts []Part
}

func (s *splitter) split(e expr, v *env, above []diag.Span) bool {
	here := append(above[:len(above):len(above)], e.at())
	switch e := e.(type) {
	case *binaryExpr:
		if e.op == "|" {
			return s.split(e.x, v, above) && s.split(e.y, v, above)
		}
	case *condExpr:
		cond, ok := s.c.eval(e.c, v)
		switch {
		case !ok || cond.kind != kindBool:
			return false
		case cond.b:
			return s.split(e.a, v, above)
		}
		return s.split(e.b, v, above)
	case *nameExpr:
		if e.pattern != nil {
			return s.splitCall(e.pattern, nil, v, here)
		}
	case *callExpr:
		if e.pattern != nil {
			return s.splitCall(e.pattern, e.bound, v, here)
		}
	}
	set, ok := s.set(e, v)
	name, _ := e.(*nameExpr)
	s.parts = append(s.parts, Part{Spans: here, Set: set, Void: name != nil && name.id == "empty"})
	return ok
}

func (s *splitter) splitCall(p *patternDef, bound []*rangeExpr, v *env, above []diag.Span) bool {
	inner, ok := s.c.enter(p, bound, v)
	return ok && s.split(p.body, inner, above)
}
