package dsl

import (
	"github.com/s2attention/s2c/diag"
)

// checker holds everything that is declared, by name.
type checker struct {
	bag      *diag.Bag
	units    []*unit // the main file first
	model    *modelDef
	fields   map[string]*fieldDef
	params   map[string]*paramDef
	order    []*paramDef // in order of declaration
	patterns map[string]*patternDef
	layers   []*layerDef
	requires []*requireDef

	paramKinds map[string]kind
	kindBusy   map[string]bool
	values     map[string]*lazyValue
	fixed      map[string]bool // model fields that a define sets
	steps      int
	missing    map[string]bool
	total      map[string]bool // conditions proved to have a value everywhere
	loaded     bool
	cancelled  func() bool // while a file is loaded; may be nil
	unread     bool        // an import could not be read
}

// lost reports whether a declaration with syntax errors, or a file that could
// not be read, may have declared a name.
func (c *checker) lost(name string) bool {
	for _, u := range c.units {
		if u.lost[name] || u.broken && u.lost == nil && u != c.units[0] {
			return true
		}
	}
	return c.unread
}

func (c *checker) errorf(code diag.Code, span diag.Span, format string, args ...any) {
	c.bag.Add(diag.New(code, span, format, args...))
}

// collect fills the tables from the units and reports what is declared twice
// or in the wrong place.
func (c *checker) collect() {
	for n, u := range c.units {
		for _, p := range u.params {
			c.declareParam(p)
		}
		for _, p := range u.patterns {
			c.declarePattern(p)
		}
		if n > 0 {
			c.onlyLibrary(u)
			continue
		}
		for i, m := range u.models {
			if i > 0 {
				c.bag.Add(diag.New(diag.Duplicate, m.span, "a second model").
					WithRelated(u.models[0].span, "the first is here"))
				continue
			}
			c.model = m
		}
		c.layers, c.requires = u.layers, u.requires
	}
	main := c.units[0]
	if c.model == nil {
		if main.broken {
			return
		}
		c.bag.Add(diag.New(diag.NoModel, diag.Whole(main.src), "the file declares no model").
			WithHint("add, for example: model m { heads 32 kv_heads 8 head_dim 128 block 64 dtype bf16 causal }"))
		return
	}
	for _, f := range c.model.fields {
		c.declareField(f)
	}
}

// onlyLibrary refuses what an imported file may not hold.
func (c *checker) onlyLibrary(u *unit) {
	refuse := func(span diag.Span, what string) {
		c.bag.Add(diag.New(diag.NotInImport, span, "an imported file cannot hold a %s", what).
			WithHint("imported files are libraries of `param` and `pattern`"))
	}
	for _, m := range u.models {
		refuse(m.span, "model")
	}
	for _, l := range u.layers {
		refuse(l.span, "layer rule")
	}
	for _, r := range u.requires {
		refuse(r.clauses[0].span, "require clause")
	}
}

func (c *checker) declareField(f *fieldDef) {
	info := fieldByName(f.name)
	if info == nil {
		d := diag.New(diag.UnknownField, f.span, "a model has no field `%s`", clip(f.name))
		var names []string
		for _, m := range modelFields {
			names = append(names, m.name)
		}
		c.bag.Add(withSuggestion(d, f.name, names))
		return
	}
	if old := c.fields[f.name]; old != nil {
		c.bag.Add(diag.New(diag.Duplicate, f.span, "`%s` is set twice", f.name).WithRelated(old.span, "first here"))
		return
	}
	c.fields[f.name] = f
}

// reserved reports a name that means something already.
func (c *checker) reserved(name string, span diag.Span) bool {
	what := ""
	switch {
	case fieldByName(name) != nil:
		what = "a field of the model"
	case derivedNames[name] != "":
		what = derivedNames[name]
	case headNames[name] != "":
		what = headNames[name]
	case name == "i":
		what = "the query block"
	case name == "j":
		what = "the key block"
	case builtins[name] != nil && builtins[name].constantSet():
		what = "a set of blocks"
	default:
		return false
	}
	c.bag.Add(diag.New(diag.ReservedName, span, "`%s` is %s already", name, what).WithHint("choose another name"))
	return true
}

func (c *checker) duplicate(name string, span diag.Span) bool {
	var old diag.Span
	if p := c.params[name]; p != nil {
		old = p.span
	} else if p := c.patterns[name]; p != nil {
		old = p.span
	} else {
		return false
	}
	c.bag.Add(diag.New(diag.Duplicate, span, "`%s` is declared twice", name).WithRelated(old, "first here"))
	return true
}

func (c *checker) declareParam(p *paramDef) {
	if c.reserved(p.name, p.span) || c.duplicate(p.name, p.span) {
		return
	}
	c.params[p.name] = p
	c.order = append(c.order, p)
}

func (c *checker) declarePattern(p *patternDef) {
	if b := builtins[p.name]; b != nil {
		c.bag.Add(diag.New(diag.ReservedName, p.span, "`%s` is a function of the language already", p.name).
			WithHint("choose another name"))
		return
	}
	if c.reserved(p.name, p.span) || c.duplicate(p.name, p.span) {
		return
	}
	c.patterns[p.name] = p
	seen := map[string]bool{}
	for _, f := range p.formals {
		name := f.name
		if name == "kv" {
			name = "g"
		}
		if seen[name] {
			c.errorf(diag.Duplicate, f.span, "two parameters are called `%s`", clip(f.name))
		}
		seen[name] = true
		if headNames[f.name] != "" {
			if f.def != nil {
				c.errorf(diag.WrongArguments, f.def.at(), "`%s` is %s and takes no default", f.name, headNames[f.name])
			}
			continue
		}
		c.reserved(f.name, f.span)
	}
}

// checkAll resolves names and checks kinds everywhere.
func (c *checker) checkAll() {
	for _, p := range c.order {
		c.paramKind(p.name)
	}
	for _, u := range c.units {
		for _, p := range u.patterns {
			c.checkPattern(p)
		}
	}
	c.checkRecursion()
	global := &scope{c: c}
	for _, name := range fieldOrder(c.fields) {
		f := c.fields[name]
		switch info := fieldByName(name); {
		case f.value.lo == nil || name == "dtype":
		case name == "active_heads":
			global.rangeOf(&f.value)
		default:
			c.single(&f.value)
			if info.kind == kindReal {
				(&scope{c: c, real: true}).want(f.value.lo, kindReal)
			} else {
				global.want(f.value.lo, info.kind)
			}
		}
	}
	rule := &scope{c: c, names: map[string]kind{"h": kindInt, "g": kindInt, "kv": kindInt}}
	for _, l := range c.layers {
		global.selector(l.layers)
		for _, r := range l.rules {
			global.selector(r.heads)
			rule.want(r.body, kindSet)
		}
	}
	c.checkRequires(global)
}

func fieldOrder(fields map[string]*fieldDef) []string {
	var names []string
	for _, f := range modelFields {
		if fields[f.name] != nil {
			names = append(names, f.name)
		}
	}
	return names
}

// single reports a range where one value belongs.
func (c *checker) single(r *rangeExpr) {
	if r.ranged {
		c.errorf(diag.TypeMismatch, r.span, "a range stands where one value is needed")
	}
}

func (c *checker) checkPattern(p *patternDef) {
	s := &scope{c: c, names: map[string]kind{}, inPattern: p}
	for _, f := range p.formals {
		if f.def != nil {
			s.want(f.def, kindInt)
		}
		s.names[f.name] = kindInt
	}
	s.want(p.body, kindSet)
}

// paramKind is the kind of a parameter's value, found on first use.
func (c *checker) paramKind(name string) kind {
	if k, ok := c.paramKinds[name]; ok {
		return k
	}
	p := c.params[name]
	if c.kindBusy[name] {
		return kindBad // its evaluation reports the circle
	}
	c.kindBusy[name] = true
	s := &scope{c: c}
	k := s.kind(p.value)
	if k == kindSet || k == kindReal {
		d := diag.New(diag.TypeMismatch, p.value.at(), "a parameter cannot be %s", k)
		if k == kindSet {
			d = d.WithHint("declare it with `pattern %s = …`", name)
		}
		c.bag.Add(d)
		k = kindBad
	}
	c.paramKinds[name] = k
	return k
}

// checkRecursion reports patterns that call themselves, directly or not.
func (c *checker) checkRecursion() {
	busy := map[*patternDef]bool{}
	var visit func(p *patternDef)
	visit = func(p *patternDef) {
		if p.checked {
			return
		}
		busy[p] = true
		eachCall(p.body, func(ref **patternDef, at diag.Span) {
			q := *ref
			if busy[q] {
				*ref = nil // cut, so that evaluation ends
				c.bag.Add(diag.New(diag.Recursion, at, "pattern `%s` calls itself", q.name).WithRelated(q.span, "declared here"))
				return
			}
			visit(q)
		})
		busy[p] = false
		p.checked = true
	}
	for _, u := range c.units {
		for _, p := range u.patterns {
			visit(p)
		}
	}
}

// eachCall visits the patterns that an expression calls.
func eachCall(e expr, f func(ref **patternDef, at diag.Span)) {
	each := func(list ...expr) {
		for _, x := range list {
			if x != nil {
				eachCall(x, f)
			}
		}
	}
	switch e := e.(type) {
	case *nameExpr:
		if e.pattern != nil {
			f(&e.pattern, e.span)
		}
	case *callExpr:
		if e.pattern != nil {
			f(&e.pattern, e.fnSpan)
		}
	case *unaryExpr:
		each(e.x)
	case *binaryExpr:
		each(e.x, e.y)
	case *condExpr:
		each(e.c, e.a, e.b)
	case *rowsExpr:
		for _, a := range e.arms {
			each(a.body)
		}
	}
}
