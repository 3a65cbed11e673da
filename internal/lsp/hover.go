package lsp

import (
	"context"
	"fmt"
	"math/big"
	"slices"
	"strings"

	protocol "github.com/tliron/glsp/protocol_3_16"

	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/diag"
	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/dsl/lower"
	"github.com/s2attention/s2c/ir"
)

// hover is what an editor shows of the word, or the sign between two sets, at an
// offset; nil for nothing. a is the analysis of the file's text, nil where there
// is none.
func (s *files) hover(ctx context.Context, f *file, a *analysis, offset int) *protocol.Hover {
	w := f.outline().At(offset)
	var parts []string
	var at diag.Span
	if w != nil && w.Role != dsl.RoleComment && w.Role != dsl.RoleNumber {
		at = w.Span
		parts = append(parts, s.about(f, a, w)...)
	}
	if w == nil || s.sized(f, w) {
		if p, text := setText(ctx, f, a, offset); text != "" {
			parts = append(parts, text)
			if w == nil {
				at = p.Span
			}
		}
	}
	if len(parts) == 0 {
		return nil
	}
	r := f.rangeOf(at)
	return &protocol.Hover{
		Contents: protocol.MarkupContent{Kind: protocol.MarkupKindMarkdown, Value: strings.Join(parts, "\n\n")}, Range: &r,
	}
}

// setKeywords are keywords that stand for the set that they begin.
var setKeywords = map[string]bool{"layer": true, "head": true, "kv_head": true, "for": true, "blocks": true, "if": true}

// sized reports whether a word stands for a set.
func (s *files) sized(f *file, w *dsl.Word) bool {
	text := w.Span.Text()
	switch w.Role {
	case dsl.RoleKeyword:
		return setKeywords[text] && f.outline().Declarations[w.Decl].Keyword == "layer" || text == "for" || text == "blocks"
	case dsl.RoleFunction:
		return words()[text].Group == dsl.SetFunction
	case dsl.RoleGlobal:
		_, d := declared(s.family(f), text)
		return d != nil && d.Keyword == "pattern"
	}
	return false
}

// about is the documentation of a word, or its declaration.
func (s *files) about(f *file, a *analysis, w *dsl.Word) []string {
	text := w.Span.Text()
	family := func() []*file { return s.family(f) }
	switch w.Role {
	case dsl.RoleGlobal:
		if g, d := declared(family(), text); d != nil {
			return declaration(f, g, d, a)
		}
	case dsl.RoleFormal:
		d := f.outline().Declarations[w.Decl]
		for _, p := range d.Formals {
			if p.Name == text {
				return []string{parameterText(p, d.Name)}
			}
		}
	case dsl.RoleArgument:
		return argumentText(family(), w.Callee, text)
	case dsl.RoleText:
		return nil
	case dsl.RoleModel:
		return declaration(f, f, &f.outline().Declarations[w.Decl], a)
	case dsl.RoleField:
		if v := a.field(text); v != "" && known(text) {
			return []string{document(words()[text]), "Here it is " + v + "."}
		}
	}
	if e, ok := words()[text]; ok {
		return []string{document(e)}
	}
	return nil
}

// maxShown is how many bytes of a declaration are shown.
const maxShown = 1 << 10

// declaration shows a declaration, its comment, and a parameter's value.
func declaration(f, g *file, d *dsl.Declaration, a *analysis) []string {
	text := d.Span.Text()
	if len(text) > maxShown {
		text = strings.ToValidUTF8(text[:maxShown], "") + " …"
	}
	if d.Keyword == "param" && !strings.HasPrefix(text, "param") {
		text = "param " + text
	}
	out := []string{"```s2\n" + text + "\n```"}
	if d.Comment != "" {
		out = append(out, d.Comment)
	}
	if d.Keyword == "param" {
		if v := a.parameter(d.Name); v != "" && !strings.HasSuffix(text, "= "+v) {
			out = append(out, "Its value is "+v+".")
		}
	}
	if g != f {
		out = append(out, "Declared in `"+g.src.Name+"`.")
	}
	return out
}

func parameterText(p dsl.Formal, pattern string) string {
	switch {
	case p.Filled && known(p.Name):
		return fmt.Sprintf("`%s`: %s; filled in where `%s` is used", p.Name, words()[p.Name].Doc, pattern)
	case p.Value != "":
		return fmt.Sprintf("`%s`: a parameter of `%s`; %s where it is left out", p.Name, pattern, p.Value)
	}
	return fmt.Sprintf("`%s`: a parameter of `%s`", p.Name, pattern)
}

// argumentText documents a parameter by the function that is called.
func argumentText(family []*file, callee, text string) []string {
	if _, d := declared(family, callee); d != nil && d.Keyword == "pattern" {
		for _, p := range d.Formals {
			if p.Name == text {
				return []string{parameterText(p, callee)}
			}
		}
		return nil
	}
	if e, ok := words()[callee]; ok && slices.Contains(e.Params, text) {
		return []string{fmt.Sprintf("`%s`: a parameter of `%s`", text, callee), document(e)}
	}
	return nil
}

// parameter is the value of a parameter, "" where it is not known.
func (a *analysis) parameter(text string) string {
	if a == nil || a.unit == nil {
		return ""
	}
	for _, p := range a.unit.Program.Params {
		if p.Name == text {
			return p.Value
		}
	}
	return ""
}

// field is the value of a field of the model, "" where it is not known.
func (a *analysis) field(text string) string {
	if a == nil || a.unit == nil {
		return ""
	}
	m := a.unit.Program.Model
	n := map[string]int{
		"heads": m.TotalHeads, "kv_heads": m.TotalKVHeads, "head_dim": m.HeadDim, "block": m.Block, "layers": m.Layers,
		"group": m.TotalHeads / m.TotalKVHeads,
	}[text]
	switch {
	case n > 0:
		return fmt.Sprint(n)
	case text == "scale":
		return fmt.Sprint(m.Scale)
	}
	return ""
}

// lengths are the contexts, in tokens, that sizes are given for.
var lengths = []int64{4096, 32768, 131072}

// maxCells is how many cells of a closed form are shown.
const maxCells = 8

// setText describes the set at an offset: in words, by size and in closed form.
func setText(ctx context.Context, f *file, a *analysis, offset int) (dsl.Place, string) {
	if a == nil || a.unit == nil || a.file != f && a.files[f.src.Name] != f {
		return dsl.Place{}, ""
	}
	program := a.unit.Program
	place, ok := program.SetAt(f.src.Name, offset)
	if !ok {
		return dsl.Place{}, ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s.\n\n", capital(sentence(place.Set, program.Model.Causal)))
	fmt.Fprintf(&b, "As head %d of layer %d has it", place.Head, place.Layer)
	cancelled := func() bool { return ctx.Err() != nil }
	pattern, err := lower.Pattern(cancelled, program, place.Set)
	if err != nil {
		if cancelled() {
			return dsl.Place{}, ""
		}
		fmt.Fprintf(&b, "; it has no closed form: %v.\n", err)
		return place, b.String()
	}
	b.WriteString(":\n\n")
	sizes(&b, pattern, a.unit, place)
	closedForm(&b, pattern)
	return place, b.String()
}

// sizes is a table of what a head attends, and its layer, at a few lengths.
func sizes(b *strings.Builder, p ir.Pattern, unit *compiler.Unit, place dsl.Place) {
	shape := unit.Module.Shape
	one := shape
	one.Heads, one.KVHeads = 1, 1
	layer, err := unit.Layer(place.Layer)
	if err != nil {
		return
	}
	b.WriteString("| tokens | attended blocks | density | density of the layer |\n| ---: | ---: | ---: | ---: |\n")
	for _, n := range lengths {
		blocks := n / int64(shape.Block)
		if limit := p.Limit(); limit != ir.Inf && blocks > limit {
			fmt.Fprintf(b, "| %d | not defined | | |\n", n)
			continue
		}
		density, err := ir.Density(ir.Layer{Heads: []ir.Pattern{p}}, one, n)
		if err != nil {
			continue
		}
		of := new(big.Int).Mul(big.NewInt(blocks), big.NewInt(blocks))
		if shape.Causal {
			of.Rsh(of.Add(of, big.NewInt(blocks)), 1)
		}
		all := ""
		if d, err := ir.Density(*layer, shape, n); err == nil {
			all = fmt.Sprintf("%.4f", d)
		}
		fmt.Fprintf(b, "| %d | %d of %d | %.4f | %s |\n", n, p.Blocks(blocks, blocks), of, density, all)
	}
}

// closedForm lists the first cells of a pattern.
func closedForm(b *strings.Builder, p ir.Pattern) {
	b.WriteString("\n```\n")
	for n, c := range p.Cells {
		if n == maxCells {
			fmt.Fprintf(b, "and %d more\n", len(p.Cells)-n)
			break
		}
		fmt.Fprintln(b, c)
	}
	if t := p.Table; t != nil {
		fmt.Fprintf(b, "a table of rows 0…%d with %d entries\n", t.Rows-1, len(t.Col))
	}
	if len(p.Cells) == 0 && p.Table == nil {
		b.WriteString("empty\n")
	}
	b.WriteString("```\n")
}
