package dsl

import (
	"maps"
	"slices"

	"github.com/s2attention/s2c/diag"
)

// scope says which names an expression may use.
type scope struct {
	c         *checker
	names     map[string]kind // a pattern's parameters, or a rule's h, g, kv
	inPattern *patternDef
	ij        bool // inside of where
	real      bool // a real expression: / divides exactly, sqrt exists
}

// want checks an expression whose kind is known.
func (s *scope) want(e expr, k kind) {
	if e == nil {
		return
	}
	var got kind
	if n, ok := e.(*nameExpr); ok {
		got = s.name(n, k == kindSet)
	} else {
		got = s.kind(e)
	}
	if got == kindBad || got == k || k == kindReal && got == kindInt {
		return
	}
	d := diag.New(diag.TypeMismatch, e.at(), "this is %s where %s is needed", got, k)
	switch {
	case got == kindReal:
		d.Hint = "real numbers belong to the model's scale and to the bounds of require"
	case k == kindSet && got == kindInt:
		d.Hint = "sets are made by window, stride, sink, columns, …; see docs/language.md"
	case k == kindInt && got == kindBool:
		d.Hint = "write if … then 1 else 0"
	}
	s.c.bag.Add(d)
}

func (s *scope) rangeOf(r *rangeExpr) {
	s.want(r.lo, kindInt)
	s.want(r.hi, kindInt)
}

func (s *scope) selector(sel *selectExpr) {
	if sel == nil {
		return
	}
	for i := range sel.items {
		item := &sel.items[i]
		s.want(item.every, kindInt)
		s.want(item.from, kindInt)
		s.rangeOf(&item.r)
	}
}

// kind finds an expression's kind and resolves the names in it.
func (s *scope) kind(e expr) kind {
	switch e := e.(type) {
	case *intLit:
		return kindInt
	case *realLit:
		return kindReal
	case *boolLit:
		return kindBool
	case *listLit:
		inner := *s
		inner.ij = false // a list is a constant
		for _, x := range e.items {
			inner.want(x, kindInt)
		}
		return kindList
	case *nameExpr:
		return s.name(e, false)
	case *callExpr:
		return s.call(e)
	case *indexExpr:
		s.want(e.list, kindList)
		s.want(e.i, kindInt)
		return kindInt
	case *unaryExpr:
		return s.unary(e)
	case *binaryExpr:
		return s.binary(e)
	case *condExpr:
		s.want(e.c, kindBool)
		k := s.kind(e.a)
		if k == kindBad {
			return s.kind(e.b)
		}
		s.want(e.b, k)
		return k
	case *rowsExpr:
		s.rows(e)
		return kindSet
	case *blocksExpr:
		for i := range e.rects {
			s.rangeOf(&e.rects[i].rows)
			s.rangeOf(&e.rects[i].cols)
		}
		return kindSet
	}
	return kindBad
}

func (s *scope) rows(e *rowsExpr) {
	for n := range e.arms {
		a := &e.arms[n]
		for i := range a.ranges {
			s.rangeOf(&a.ranges[i])
		}
		if len(a.ranges) == 0 && n != len(e.arms)-1 {
			s.c.errorf(diag.Syntax, a.span, "`else` stands before other ranges")
		}
		s.want(a.body, kindSet)
	}
}

func (s *scope) unary(e *unaryExpr) kind {
	if e.op == "not" {
		s.want(e.x, kindBool)
		return kindBool
	}
	k := s.kind(e.x)
	if k != kindInt && k != kindReal && k != kindBad {
		s.c.errorf(diag.TypeMismatch, e.span, "%s has no sign", k)
		return kindBad
	}
	return k
}

func (s *scope) binary(e *binaryExpr) kind {
	switch e.op {
	case "and", "or":
		s.want(e.x, kindBool)
		s.want(e.y, kindBool)
		return kindBool
	case "|", "&":
		s.want(e.x, kindSet)
		s.want(e.y, kindSet)
		return kindSet
	case "==", "!=", "<", "<=", ">", ">=":
		s.want(e.x, kindInt)
		s.want(e.y, kindInt)
		return kindBool
	}
	k := s.kind(e.x)
	switch {
	case k == kindBad:
		return s.kind(e.y)
	case k == kindSet && e.op == "-":
		s.want(e.y, kindSet)
		return kindSet
	case k == kindInt || k == kindReal:
		y := s.kind(e.y)
		if y == kindReal || k == kindReal {
			if y != kindInt && y != kindReal && y != kindBad {
				s.c.errorf(diag.TypeMismatch, e.y.at(), "this is %s where a number is needed", y)
			}
			return kindReal
		}
		if y == kindBad {
			return k
		}
		if y != kindInt {
			s.c.errorf(diag.TypeMismatch, e.y.at(), "this is %s where an integer is needed", y)
		}
		return kindInt
	}
	d := diag.New(diag.TypeMismatch, e.x.at(), "`%s` does not apply to %s", e.op, k)
	if k == kindSet {
		d.Hint = "sets are joined with |, & and -"
	}
	s.c.bag.Add(d)
	s.kind(e.y)
	return kindBad
}

// name resolves a name; set says that it stands where a set is needed.
func (s *scope) name(e *nameExpr, set bool) kind {
	c := s.c
	if k, ok := s.names[e.id]; ok {
		return k
	}
	if e.id == "i" || e.id == "j" {
		if s.ij {
			return kindInt
		}
		c.bag.Add(diag.New(diag.OutsideWhere, e.span, "`%s` is known only inside of where(…)", e.id).
			WithHint("for a range of query blocks write for rows { … }, for key blocks columns(…)"))
		return kindBad
	}
	if headNames[e.id] != "" {
		d := diag.New(diag.HeadNotInScope, e.span, "`%s` is not known here", e.id)
		if s.inPattern != nil {
			d = d.WithHint("make it a parameter: pattern %s(%s) = …; it is then %s", s.inPattern.name, e.id, headNames[e.id])
		} else {
			d = d.WithHint("`%s` is %s; it exists in patterns that name it as a parameter and in layer rules", e.id, headNames[e.id])
		}
		c.bag.Add(d)
		return kindBad
	}
	if f := fieldByName(e.id); f != nil && f.readable || derivedNames[e.id] != "" {
		return kindInt
	}
	if c.params[e.id] != nil {
		return c.paramKind(e.id)
	}
	if p := c.patterns[e.id]; p != nil {
		before := c.bag.Errors()
		c.bindPattern(p, nil, e.span)
		if c.bag.Errors() == before {
			e.pattern = p
		}
		return kindSet
	}
	if b := builtins[e.id]; b != nil {
		if b.constantSet() {
			return kindSet
		}
		c.bag.Add(diag.New(diag.WrongArguments, e.span, "`%s` needs arguments", e.id).WithHint("%s", b.usage))
		return kindBad
	}
	if c.lost(e.id) {
		return kindBad
	}
	if e.id == "all" {
		c.bag.Add(diag.New(diag.UndefinedName, e.span, "`all` is not defined").WithHint("all layers or heads are `*`, all blocks are `dense`"))
		return kindBad
	}
	d := diag.New(diag.UndefinedName, e.span, "`%s` is not defined", clip(e.id))
	if set {
		d = c.suggestSet(d, e.id)
	} else if !c.bag.Full() {
		d = withSuggestion(d, e.id, s.known())
	}
	c.bag.Add(d)
	return kindBad
}

// known lists what a name may stand for here.
func (s *scope) known() []string {
	names := slices.Collect(maps.Keys(s.names))
	names = slices.AppendSeq(names, maps.Keys(s.c.params))
	names = slices.AppendSeq(names, maps.Keys(s.c.patterns))
	for _, f := range modelFields {
		if f.readable {
			names = append(names, f.name)
		}
	}
	return append(names, "dense", "empty", "group")
}

// knows is whether a name is one of those.
func (s *scope) knows(name string) bool {
	_, here := s.names[name]
	f := fieldByName(name)
	return here || s.c.params[name] != nil || s.c.patterns[name] != nil || f != nil && f.readable ||
		name == "dense" || name == "empty" || name == "group"
}

// call resolves what is called. A call with errors in it is left unresolved,
// so that it has no value.
func (s *scope) call(e *callExpr) kind {
	c := s.c
	before := c.bag.Errors()
	if b := builtins[e.fn]; b != nil {
		s.callBuiltin(e, b)
		if c.bag.Errors() == before {
			e.builtin = b
		}
		if b.result == kindReal && !s.real {
			c.bag.Add(diag.New(diag.TypeMismatch, e.span, "`%s` gives a real number", e.fn).
				WithHint("real numbers belong to the model's scale and to the bounds of require"))
			return kindBad
		}
		return b.result
	}
	p := c.patterns[e.fn]
	if p == nil {
		if c.lost(e.fn) {
			return kindBad
		}
		d := diag.New(diag.UnknownPattern, e.fnSpan, "there is no pattern or function `%s`", clip(e.fn))
		c.bag.Add(c.suggestSet(d, e.fn))
		for i := range e.args {
			s.kind(e.args[i].value.lo)
		}
		return kindBad
	}
	e.bound = c.bindPattern(p, e.args, e.fnSpan)
	var names []string
	for _, f := range p.formals {
		names = append(names, f.name)
	}
	for i := range e.args {
		if s.missingColon(&e.args[i], names) {
			continue
		}
		c.single(&e.args[i].value)
		s.want(e.args[i].value.lo, kindInt)
	}
	if c.bag.Errors() == before {
		e.pattern = p
	}
	return kindSet
}

// bindPattern gives each parameter of a pattern its argument: positional ones
// fill the parameters other than h, g and kv in order.
func (c *checker) bindPattern(p *patternDef, args []argExpr, at diag.Span) []*rangeExpr {
	bound := make([]*rangeExpr, len(p.formals))
	var free []int
	for i, f := range p.formals {
		if headNames[f.name] == "" {
			free = append(free, i)
		}
	}
	positional := 0
	for n := range args {
		a := &args[n]
		i := -1
		if a.name == "" {
			if positional < len(free) {
				i = free[positional]
			}
			positional++
		} else {
			i = slices.IndexFunc(p.formals, func(f formalDef) bool { return f.name == a.name })
		}
		c.bindOne(bound, i, a, p.name, p.span)
	}
	for i, f := range p.formals {
		if bound[i] != nil || f.def != nil {
			continue
		}
		if headNames[f.name] == "" {
			c.bag.Add(diag.New(diag.WrongArguments, at, "`%s` needs a value for `%s`", p.name, f.name).
				WithRelated(f.span, "declared here"))
		}
	}
	return bound
}

// bindOne puts an argument into slot i; a negative slot means there is none.
func (c *checker) bindOne(bound []*rangeExpr, i int, a *argExpr, fn string, declared diag.Span) {
	span := a.value.span
	if a.name != "" {
		span = a.nameSpan
	}
	var d diag.Diagnostic
	switch {
	case i < 0 && a.name != "":
		d = diag.New(diag.WrongArguments, span, "`%s` has no parameter `%s`", fn, clip(a.name))
	case i < 0:
		d = diag.New(diag.WrongArguments, span, "`%s` takes fewer arguments", fn).
			WithHint("h, g and kv are filled in; to set them, name them: %s(h: 0)", fn)
	case bound[i] != nil:
		d = diag.New(diag.WrongArguments, span, "`%s` gets this argument twice", fn)
	default:
		bound[i] = &a.value
		return
	}
	if declared.Src != nil {
		d = d.WithRelated(declared, "declared here")
	} else if b := builtins[fn]; b != nil && i < 0 && a.name != "" {
		d = d.WithHint("%s; without names they are filled in that order: %s", b.named(), b.usage)
	} else if b != nil {
		d = d.WithHint("%s", b.usage)
	}
	c.bag.Add(d)
}

func (s *scope) callBuiltin(e *callExpr, b *builtin) {
	c := s.c
	if b.variadic {
		s.callVariadic(e, b)
		return
	}
	e.bound = make([]*rangeExpr, len(b.params))
	var names []string
	for _, p := range b.params {
		names = append(names, p.name)
	}
	positional, misnamed := 0, false
	for n := range e.args {
		a := &e.args[n]
		i := -1
		if a.name == "" {
			if positional < len(b.params) {
				i = positional
			}
			positional++
		} else {
			i = slices.IndexFunc(b.params, func(p parameter) bool { return p.name == a.name })
		}
		misnamed = misnamed || i < 0 && a.name != ""
		c.bindOne(e.bound, i, a, b.name, diag.Span{})
		if s.missingColon(a, names) {
			continue
		}
		c.single(&a.value)
		if i < 0 {
			s.kind(a.value.lo)
			continue
		}
		s.argument(a.value.lo, b, i)
	}
	for i, p := range b.params {
		if e.bound[i] == nil && !p.optional && !misnamed {
			c.bag.Add(diag.New(diag.WrongArguments, e.fnSpan, "`%s` needs a value for `%s`", b.name, p.name).WithHint("%s", b.usage))
		}
	}
}

// argument checks one argument of a builtin against its parameter.
func (s *scope) argument(e expr, b *builtin, i int) {
	p := b.params[i]
	switch {
	case p.kind == kindSide:
		if n, ok := e.(*nameExpr); !ok || sides[n.id] == "" {
			s.c.errorf(diag.WrongArguments, e.at(), "a side is back, ahead or both")
		}
	case b.ij && i == 0:
		inner := *s
		inner.ij = true
		inner.want(e, p.kind)
	default:
		s.want(e, p.kind)
	}
}

func (s *scope) callVariadic(e *callExpr, b *builtin) {
	if len(e.args) == 0 {
		s.c.bag.Add(diag.New(diag.WrongArguments, e.fnSpan, "`%s` needs arguments", b.name).WithHint("%s", b.usage))
	}
	for n := range e.args {
		a := &e.args[n]
		if a.name != "" {
			s.c.bag.Add(diag.New(diag.WrongArguments, a.nameSpan, "the arguments of `%s` have no names", b.name).WithHint("%s", b.usage))
		}
		if !b.ranges {
			s.c.single(&a.value)
		}
		s.rangeOf(&a.value)
	}
}
