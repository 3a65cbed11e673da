package dsl

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/s2attention/s2c/diag"
)

// TestOutlineAgrees holds the roles of words to what the checker makes of them,
// in every example and every file of the documentation.
func TestOutlineAgrees(t *testing.T) {
	texts := fenced(readDoc(t), "s2")
	for _, p := range fenced(readDoc(t), "s2-part") {
		texts = append(texts, "model m { heads 4  head_dim 64  causal  layers 2 }\n"+p)
	}
	for _, file := range examples(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	for _, text := range slices.Clone(texts) { // all on one line
		if !strings.Contains(text, "//") {
			texts = append(texts, strings.ReplaceAll(text, "\n", " "))
		}
	}
	names := 0
	for _, text := range texts {
		p, list := loadText(text, nil)
		if p == nil {
			t.Fatal(diag.Text(list, false))
		}
		u := p.c.units[0]
		a := agreement{t: t, c: p.c, o: NewOutline(u.src)}
		for _, d := range u.params {
			a.is(d.span, RoleGlobal, true)
			a.expr(d.value, nil)
		}
		for _, d := range u.patterns {
			a.is(d.span, RoleGlobal, true)
			formals := map[string]bool{}
			for _, f := range d.formals {
				a.is(f.span, RoleFormal, true)
				a.expr(f.def, formals)
				formals[f.name] = true
			}
			a.expr(d.body, formals)
		}
		for _, l := range u.layers {
			for _, r := range l.rules {
				a.expr(r.body, nil)
			}
		}
		for _, r := range u.requires {
			for _, cl := range r.clauses {
				a.is(cl.nameSpan, RoleProperty, false)
				a.expr(cl.bound, nil)
				a.expr(cl.seq, nil)
			}
		}
		for _, f := range u.models[0].fields {
			if f.value.lo != nil {
				a.is(f.span, RoleField, true)
			}
			if f.name == "dtype" {
				a.is(f.value.lo.at(), RoleType, false)
			} else {
				a.expr(f.value.lo, nil)
			}
		}
		names += a.names
		if n := len(u.params) + len(u.patterns) + len(u.layers) + len(u.requires) + len(u.models) + len(u.imports); n != len(a.o.Declarations) {
			t.Errorf("%s\nhas %d declarations, the outline %d", text, n, len(a.o.Declarations))
		}
	}
	if names < 100 {
		t.Errorf("only %d names were compared", names)
	}
}

type agreement struct {
	t     *testing.T
	c     *checker
	o     *Outline
	names int
}

func (a *agreement) is(at diag.Span, role Role, declares bool) {
	a.t.Helper()
	a.names++
	w := a.o.At(at.Start)
	if w == nil || w.Span != at || w.Role != role || w.Declares != declares {
		a.t.Errorf("%v %q is %+v, want role %d", at.Pos(), at.Text(), w, role)
	}
}

// expr looks at every name of an expression.
func (a *agreement) expr(e expr, formals map[string]bool) {
	each := func(list ...expr) {
		for _, x := range list {
			if x != nil {
				a.expr(x, formals)
			}
		}
	}
	ranges := func(list ...rangeExpr) {
		for _, r := range list {
			each(r.lo, r.hi)
		}
	}
	switch e := e.(type) {
	case *nameExpr:
		a.is(e.span, a.role(e.id, formals), false)
	case *callExpr:
		role := RoleFunction
		if e.pattern != nil {
			role = RoleGlobal
		}
		a.is(e.fnSpan, role, false)
		for _, arg := range e.args {
			if arg.name != "" {
				a.is(arg.nameSpan, RoleArgument, false)
			}
			if arg.name == "side" {
				a.is(arg.value.lo.at(), RoleSide, false)
				continue
			}
			ranges(arg.value)
		}
	case *listLit:
		each(e.items...)
	case *indexExpr:
		each(e.list, e.i)
	case *unaryExpr:
		each(e.x)
	case *binaryExpr:
		each(e.x, e.y)
	case *condExpr:
		each(e.c, e.a, e.b)
	case *rowsExpr:
		for _, arm := range e.arms {
			ranges(arm.ranges...)
			each(arm.body)
		}
	case *blocksExpr:
		for _, r := range e.rects {
			ranges(r.rows, r.cols)
		}
	}
}

func (a *agreement) role(name string, formals map[string]bool) Role {
	switch {
	case formals[name]:
		return RoleFormal
	case name == "i" || name == "j":
		return RoleBlock
	case headNames[name] != "":
		return RoleHead
	case a.c.params[name] != nil || a.c.patterns[name] != nil:
		return RoleGlobal
	case builtins[name] != nil:
		return RoleFunction
	}
	return RoleField
}

func TestOutlineDeclarations(t *testing.T) {
	const text = `// a library
// of two lines
param a = 1, b = [2, 3] // behind

/* wide */
pattern p(h, n, m = max(a, 2)) = window(n)
model big { heads 4
layer * -> p(1
require coverage on every layer
x = 3 param c = 4 layer 0 -> p(c) require coverage
( model { heads
`
	o := NewOutline(diag.NewSource("t.s2", text))
	type row struct{ Keyword, Name, At, Span, Comment string }
	var got []row
	for _, d := range o.Declarations {
		got = append(got, row{d.Keyword, d.Name, d.At.Text(), d.Span.Text(), d.Comment})
	}
	want := []row{
		{"param", "a", "a", "param a = 1", "a library\nof two lines"},
		{"param", "b", "b", "b = [2, 3]", "a library\nof two lines"},
		{"pattern", "p", "p", "pattern p(h, n, m = max(a, 2)) = window(n)", "wide"},
		{"model", "big", "big", "model big { heads 4", ""},
		{"layer", "", "layer", "layer * -> p(1", ""},
		{"require", "", "require", "require coverage on every layer\nx = 3", ""},
		{"param", "c", "c", "param c = 4", ""},
		{"layer", "", "layer", "layer 0 -> p(c)", ""},
		{"require", "", "require", "require coverage\n( model { heads", ""},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]Formal{{"h", true, ""}, {"n", false, ""}, {"m", false, "max(a, 2)"}}, o.Declared("p").Formals); d != "" {
		t.Error(d)
	}
}

// TestOutlineIsLinear reads files made to be slow, in a small part of the time
// that a loop in a loop would take.
func TestOutlineIsLinear(t *testing.T) {
	fill := func(head, part string) string {
		return head + strings.Repeat(part, (MaxFileSize/8-len(head))/len(part))
	}
	for _, text := range []string{
		fill("", "("), fill("pattern p(", "a,"), fill("pattern p(a=", "(,a"), fill("param ", "a=1,"), fill("", "//\n"),
		fill("", "param a\n"), fill("layer * -> ", "where("), fill("pattern p() = ", "p(x: "), fill("model {", "a "), fill("", "é"),
	} {
		start := time.Now()
		o := NewOutline(diag.NewSource("t.s2", text))
		Expect(diag.NewSource("t.s2", text), len(text))
		Expect(diag.NewSource("t.s2", text), 2000)
		o.At(len(text) / 2)
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("%.20q… took %v", text, d)
		}
	}
}

// TestVocabulary finds every word of the language documented.
func TestVocabulary(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range Vocabulary() {
		seen[e.Name] = true
		if e.Usage == "" || e.Doc == "" || e.Group != Keyword && e.Group != Side && !strings.Contains(e.Usage, e.Name) {
			t.Errorf("%+v", e)
		}
	}
	for _, names := range []map[string]bool{keywords, keysOf(builtins), keysOf(headNames), keysOf(sides), keysOf(derivedNames)} {
		for name := range names {
			if !seen[name] {
				t.Errorf("%s is not documented", name)
			}
		}
	}
	if len(functionOrder) != len(builtins) {
		t.Errorf("%d functions are documented, there are %d", len(functionOrder), len(builtins))
	}
}

func keysOf[V any](m map[string]V) map[string]bool {
	out := map[string]bool{}
	for k := range m {
		out[k] = true
	}
	return out
}
