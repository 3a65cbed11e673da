package dsl

import (
	"errors"
	"strconv"
	"strings"

	"github.com/alecthomas/participle/v2/lexer"

	"github.com/s2attention/s2c/diag"
)

// builder makes the syntax tree out of the parser's output.
type builder struct {
	src  *diag.Source
	bag  *diag.Bag
	unit *unit
	// quiet drops syntax errors: the piece has characters that were reported.
	quiet bool
}

// report adds a syntax error.
func (b *builder) report(d diag.Diagnostic) {
	if !b.quiet {
		b.bag.Add(d)
	}
}

func (b *builder) token(t lexer.Token) diag.Span {
	return diag.Span{Src: b.src, Start: t.Pos.Offset, End: t.Pos.Offset + len(t.Value)}
}

func (b *builder) tokens(ts []lexer.Token) place {
	if len(ts) == 0 {
		return place{diag.Whole(b.src)}
	}
	return place{b.token(ts[0]).To(b.token(ts[len(ts)-1]))}
}

func (b *builder) ident(i ident) diag.Span { return b.tokens(i.Tokens).span }

func (b *builder) decl(d *decl) {
	u := b.unit
	switch {
	case d.Import != nil:
		span := b.tokens(d.Import.Path.Tokens).span
		u.imports = append(u.imports, importDef{strings.Trim(d.Import.Path.Text, `"`), span})
	case d.Model != nil:
		u.models = append(u.models, b.model(d.Model, b.tokens(d.Tokens)))
	case d.Param != nil:
		for _, p := range d.Param.Bindings {
			u.params = append(u.params, &paramDef{name: p.Name.Text, span: b.ident(p.Name), value: b.expr(&p.Value)})
		}
	case d.Pattern != nil:
		u.patterns = append(u.patterns, b.pattern(d.Pattern))
	case d.Layer != nil:
		l := &layerDef{place: b.tokens(d.Tokens), layers: b.selector(d.Layer.Layers)}
		for _, r := range d.Layer.Rules {
			l.rules = append(l.rules, &ruleDef{
				place: b.tokens(r.Tokens), kind: r.Kind, heads: b.selector(r.Heads), body: b.expr(&r.Body),
			})
		}
		u.layers = append(u.layers, l)
	case d.Require != nil:
		r := &requireDef{layers: b.selector(d.Require.Layers)}
		for _, c := range d.Require.Clauses {
			r.clauses = append(r.clauses, clauseDef{
				place: b.tokens(c.Tokens), name: c.Name.Text, nameSpan: b.ident(c.Name),
				op: c.Op, bound: b.maybe(c.Bound), seq: b.maybe(c.At),
			})
		}
		u.requires = append(u.requires, r)
	}
}

func (b *builder) model(m *modelDecl, at place) *modelDef {
	out := &modelDef{place: at}
	if m.Name != nil {
		out.name = m.Name.Text
	}
	for _, f := range m.Fields {
		fd := &fieldDef{place: b.tokens(f.Tokens), name: f.Flag}
		if f.Name != nil {
			fd.name = f.Name.Text
			fd.place = place{b.ident(*f.Name)}
			fd.value = b.rangeOf(f.Value)
		}
		out.fields = append(out.fields, fd)
	}
	return out
}

func (b *builder) pattern(p *patternDecl) *patternDef {
	out := &patternDef{name: p.Name.Text, span: b.ident(p.Name), body: b.expr(&p.Body)}
	for _, f := range p.Formals {
		out.formals = append(out.formals, formalDef{f.Name.Text, b.ident(f.Name), b.maybe(f.Default)})
	}
	return out
}

func (b *builder) selector(s *selector) *selectExpr {
	if s == nil {
		return nil
	}
	out := &selectExpr{place: b.tokens(s.Tokens)}
	for _, i := range s.Items {
		item := selectItem{place: b.tokens(i.Tokens), word: i.Word, every: b.maybe(i.Every), from: b.maybe(i.From)}
		if i.Every != nil {
			item.word = "every"
		}
		if i.Range != nil {
			item.r = b.rangeOf(i.Range)
		}
		out.items = append(out.items, item)
	}
	return out
}

func (b *builder) rangeOf(r *rangeOf) rangeExpr {
	return rangeExpr{place: b.tokens(r.Tokens), lo: b.expr(&r.Low), hi: b.maybe(r.High), ranged: r.Dots != ""}
}

// maybe keeps an absent expression nil.
func (b *builder) maybe(o *operands) expr {
	if o == nil {
		return nil
	}
	return b.expr(o)
}

func (b *builder) expr(o *operands) expr {
	if c := o.If; c != nil {
		return &condExpr{b.tokens(o.Tokens), b.expr(&c.If), b.expr(&c.Then), b.expr(&c.Else)}
	}
	if len(o.Rest) > maxOperators {
		b.bag.Add(diag.New(diag.TooDeep, b.tokens(o.Tokens).span, "more than %d operators in a row", maxOperators).
			WithHint("give parts of it names with `pattern` or `param`"))
		return &badExpr{b.tokens(o.Tokens)}
	}
	c := climber{b: b}
	c.operand(o.First)
	for _, r := range o.Rest {
		c.ops = append(c.ops, opToken{text: r.Op.Text, span: b.tokens(r.Op.Tokens).span, binary: true})
		c.operand(&r.Operand)
	}
	return c.climb(0)
}

// precedence of the binary operators, loosest first.
var precedence = map[string]int{
	"or": 1, "and": 2,
	"==": 4, "!=": 4, "<": 4, "<=": 4, ">": 4, ">=": 4,
	"|": 5, "&": 6, "+": 7, "-": 7, "*": 8, "/": 8, "mod": 8,
}

const (
	precNot     = 3
	precCompare = 4
	precUnary   = 9
)

type opToken struct {
	text   string
	span   diag.Span
	binary bool
	atom   *atom
}

// climber applies precedence to a flat list of operators and operands.
type climber struct {
	b   *builder
	ops []opToken
}

func (c *climber) operand(o *operand) {
	for _, p := range o.Prefix {
		c.ops = append(c.ops, opToken{text: p.Text, span: c.b.tokens(p.Tokens).span})
	}
	c.ops = append(c.ops, opToken{atom: &o.Atom})
}

// climb reads an expression of binary operators that bind at least as tightly
// as least.
func (c *climber) climb(least int) expr {
	x := c.prefixed()
	compared := false
	for len(c.ops) > 0 {
		op := c.ops[0]
		prec := precedence[op.text]
		if !op.binary || prec < least {
			break
		}
		c.ops = c.ops[1:]
		y := c.climb(prec + 1)
		if prec == precCompare && compared {
			c.b.bag.Add(diag.New(diag.Syntax, op.span, "comparisons do not chain").
				WithHint("join two of them with `and`: a < b and b < c"))
		}
		at := place{x.at().To(y.at())}
		if prec == precCompare && compared {
			x = &badExpr{at}
			continue
		}
		compared = prec == precCompare
		x = &binaryExpr{at, op.text, op.span, x, y}
	}
	return x
}

func (c *climber) prefixed() expr {
	op := c.ops[0]
	c.ops = c.ops[1:]
	if op.atom != nil {
		return c.b.atom(op.atom)
	}
	var x expr
	if op.text == "not" {
		x = c.climb(precNot)
	} else {
		x = c.climb(precUnary)
	}
	return &unaryExpr{place{op.span.To(x.at())}, op.text, x}
}

func (b *builder) atom(a *atom) expr {
	at := b.tokens(a.Tokens)
	switch {
	case a.Int != "":
		v, err := integer(a.Int)
		if errors.Is(err, strconv.ErrSyntax) {
			return &badExpr{at} // the scanner has reported it
		}
		if err != nil {
			b.bag.Add(diag.New(diag.HugeNumber, at.span, "%s does not fit in 64 bits", clip(a.Int)))
			return &badExpr{at}
		}
		return &intLit{at, v}
	case a.Float != "":
		v, err := strconv.ParseFloat(a.Float, 64)
		if err != nil {
			b.bag.Add(diag.New(diag.HugeNumber, at.span, "%s is out of range", clip(a.Float)))
			return &badExpr{at}
		}
		return &realLit{at, v}
	case a.Bool != "":
		return &boolLit{at, a.Bool == "true"}
	case a.Paren != nil:
		return b.expr(a.Paren)
	case a.List != nil:
		l := &listLit{place: at}
		for _, i := range a.List.Items {
			l.items = append(l.items, b.expr(i))
		}
		if a.List.Index != nil {
			return &indexExpr{at, l, b.expr(a.List.Index)}
		}
		return l
	case a.Rows != nil:
		return b.rowSwitch(a.Rows, at)
	case a.Blocks != nil:
		l := &blocksExpr{place: at}
		for _, r := range a.Blocks.Items {
			l.rects = append(l.rects, rectExpr{b.tokens(r.Tokens), b.rangeOf(&r.Rows), b.rangeOf(&r.Cols)})
		}
		return l
	}
	return b.reference(a.Ref, at)
}

func (b *builder) rowSwitch(r *rowSwitch, at place) expr {
	if r.Rows.Text != "rows" {
		b.bag.Add(diag.New(diag.Syntax, b.ident(r.Rows), "unexpected `%s`, expected `rows`", clip(r.Rows.Text)).
			WithHint("write for rows { 0..15: dense; 16..: window(8) }"))
	}
	out := &rowsExpr{place: at}
	for _, a := range r.Arms {
		arm := armExpr{place: b.tokens(a.Tokens), body: b.expr(&a.Body)}
		for _, x := range a.Ranges {
			arm.ranges = append(arm.ranges, b.rangeOf(x))
		}
		out.arms = append(out.arms, arm)
	}
	return out
}

func (b *builder) reference(r *reference, at place) expr {
	name := b.ident(r.Name)
	var x expr = &nameExpr{place: place{name}, id: r.Name.Text}
	if r.Call != nil {
		call := &callExpr{place: at, fn: r.Name.Text, fnSpan: name}
		for _, a := range r.Call.Args {
			arg := argExpr{value: b.rangeOf(&a.Value)}
			if a.Name != nil {
				arg.name, arg.nameSpan = a.Name.Text, b.ident(*a.Name)
			}
			call.args = append(call.args, arg)
		}
		x = call
	}
	if r.Index != nil {
		x = &indexExpr{at, x, b.expr(r.Index)}
	}
	return x
}
