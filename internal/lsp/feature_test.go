package lsp

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	protocol "github.com/tliron/glsp/protocol_3_16"

	"github.com/s2attention/s2c/diag"
	"github.com/s2attention/s2c/dsl"
)

// codes is what diagnostics say in short: line:col-line:col severity code.
func codes(list []protocol.Diagnostic) []string {
	out := []string{}
	for _, d := range list {
		out = append(out, rangeText(d.Range)+" "+[]string{"", "error", "warning", "information"}[*d.Severity]+" "+d.Code.Value.(string))
	}
	return out
}

func rangeText(r protocol.Range) string {
	return jsonText([]uint32{r.Start.Line, r.Start.Character, r.End.Line, r.End.Character})
}

func wantSame(t *testing.T, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestDiagnostics(t *testing.T) {
	e := newEditor(t)
	e.open(main, model+"param é = 1\nparam p = /* \U0001f600 */ q\nlayer * -> windw(p), dense\nlayer 0 -> dense\nrequire density < 0.1 at 4096\n")
	wantSame(t, []string{`[1,6,1,7] error S2C0101`, `[2,19,2,20] error S2C0201`, `[3,11,3,16] error S2C0204`}, codes(e.diagnostics(main, 1)))

	e.replace(main, 2, model+"param p = 1, p = 2\nlayer * -> window(p), dense\n")
	list := e.diagnostics(main, 2)
	wantSame(t, []string{`[1,13,1,14] error S2C0202`}, codes(list))
	d := list[0]
	if *d.Source != "s2c" || d.CodeDescription.HRef != errorsPage+"#s2c0202-declared-twice" || len(d.RelatedInformation) != 1 ||
		rangeText(d.RelatedInformation[0].Location.Range) != "[1,6,1,7]" || d.RelatedInformation[0].Location.URI != main {
		t.Errorf("%+v", d)
	}

	e.replace(main, 3, model+"layer * -> window(1)\nlayer 0 -> dense\nrequire density < 0.001 at 4096\n")
	list = e.diagnostics(main, 3)
	wantSame(t, []string{`[2,11,2,16] warning S2C0454`, `[3,8,3,31] error S2C0523`}, codes(list))
	wantSame(t, []protocol.DiagnosticTag{protocol.DiagnosticTagUnnecessary}, list[0].Tags)
	if !strings.Contains(list[0].Message, "\nhint: earlier rules") {
		t.Error(list[0].Message)
	}

	e.tell("textDocument/didClose", protocol.DidCloseTextDocumentParams{TextDocument: protocol.TextDocumentIdentifier{URI: main}})
	e.until(main, func(p protocol.PublishDiagnosticsParams) bool { return len(p.Diagnostics) == 0 })
}

// TestErrorsPage follows the links of all codes.
func TestErrorsPage(t *testing.T) {
	text, err := os.ReadFile("../../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	headings := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if h, ok := strings.CutPrefix(line, "## "); ok {
			headings[errorsPage+"#"+anchor(strings.TrimSpace(h))] = true
		}
	}
	for _, i := range diag.Table() {
		if !headings[explanation(i.Code)] {
			t.Errorf("%s: no heading for %s", i.Code, explanation(i.Code))
		}
	}
}

func TestIncremental(t *testing.T) {
	e := newEditor(t)
	e.open(main, model+"layer * -> // \U0001f600 é\r\n  dense\r\n")
	e.diagnostics(main, 1)
	at := func(l1, c1, l2, c2 uint32, text string) protocol.TextDocumentContentChangeEvent {
		return protocol.TextDocumentContentChangeEvent{Range: &protocol.Range{
			Start: protocol.Position{Line: l1, Character: c1}, End: protocol.Position{Line: l2, Character: c2},
		}, Text: text}
	}
	// The second change counts in what the first one leaves.
	e.change(main, 2, at(1, 18, 1, 18, "\n window(2) |"), at(2, 8, 2, 9, "x"))
	wantSame(t, []string{`[2,8,2,9] error S2C0201`}, codes(e.diagnostics(main, 2)))
	e.change(main, 3, at(2, 1, 2, 12, ""))
	wantSame(t, []string{}, codes(e.diagnostics(main, 3)))
	e.change(main, 4, at(0, 0, 99, 0, "param"))
	wantSame(t, "S2C0103", e.diagnostics(main, 4)[0].Code.Value)
	e.change(main, 5, protocol.TextDocumentContentChangeEventWhole{Text: model}, at(1, 0, 1, 0, "layer * -> dense"))
	wantSame(t, []string{}, codes(e.diagnostics(main, 5)))
}

func (e *editor) hover(text string) string {
	e.t.Helper()
	text, at := marked(text)
	e.open(main, text)
	var h *protocol.Hover
	e.ask("textDocument/hover", protocol.HoverParams{TextDocumentPositionParams: at}, &h)
	if h == nil {
		return ""
	}
	return h.Contents.(protocol.MarkupContent).Value
}

func TestHover(t *testing.T) {
	e := newEditor(t)
	const file = model + `// blocks nearby
param local = 4 * 4, stride = 8
// what Phi-3 does
pattern stripes(h, width = 2) = window(local) | stride(stride, phase: -(h + 1))
layer even -> head 0..1: stripes(width: 3), dense
layer odd  -> dense
require density < 0.9 at 4096
`
	for _, c := range []struct {
		at    string // the first place of it, or behind a bar
		wants []string
	}{
		{"¦stripes(width: 3)", []string{"pattern stripes(h, width = 2)", "what Phi-3 does",
			"The 16 nearest key blocks, the query block among them; and every 8th key block (j ≡ 7 mod 8).",
			"As head 0 of layer 0 has it", "| 4096 | 1030 of 2080 |", "j = 0…i-16, j ≡ 7 mod 8"}},
		{"¦| stride(stride", []string{"The 16 nearest key blocks", "and every 8th"}},
		{"window(¦local)", []string{"param local = 4 * 4", "blocks nearby", "Its value is 16."}},
		{"¦window(local)", []string{"window(n), window(left, right)", "The nearest blocks.", "| 4096 | 904 of 2080 |", "j = i-15…i"}},
		{"¦stride(stride", []string{"Vertical stripes", "j ≡ 7 mod 8"}},
		{"stride(¦stride, phase", []string{"stride = 8"}},
		{"¦phase: -(h", []string{"`phase`: a parameter of `stride`"}},
		{"-(¦h + 1", []string{"`h`: the query head; filled in"}},
		{"stripes(¦width: 3", []string{"`width`: a parameter of `stripes`; 2 where it is left out"}},
		{"¦layer even", []string{"gives the heads of layers their patterns", "As head 0 of layer 0 has it"}},
		{"¦head 0..1", []string{"gives some query heads their pattern", "every 8th"}},
		{"¦dense\nlayer odd", []string{"Every key block", "As head 2 of layer 0", "| 4096 | 2080 of 2080 | 1.0000 |"}},
		{"¦kv_heads", []string{"KV heads; divides heads", "Here it is 2."}},
		{"¦density <", []string{"attended token pairs"}},
		{"¦even ->", []string{"picks the numbers 0, 2, 4"}},
		{"¦-> head", []string{"every 8th"}},
		{"model ¦m {", []string{"model m { heads 4"}},
		{"¦// blocks", nil}, {"density < 0.¦9", nil},
	} {
		plain := strings.Replace(c.at, "¦", "", 1)
		if !strings.Contains(file, plain) {
			t.Fatal(c.at)
		}
		got := e.hover(strings.Replace(file, plain, c.at, 1))
		for _, want := range c.wants {
			if !strings.Contains(got, want) {
				t.Errorf("%s: no %q in\n%s", c.at, want, got)
			}
		}
		if c.wants == nil && got != "" {
			t.Errorf("%s: %s", c.at, got)
		}
	}
	// What needs no closed form is known of a file with errors, too.
	if got := e.hover(file + "param x = ¦local +\n"); !strings.Contains(got, "param local = 4 * 4") {
		t.Error(got)
	}
	if got := e.hover(file + "layer 0 -> ¦window(\n"); !strings.Contains(got, "The nearest blocks") {
		t.Error(got)
	}
	// A clause that fails leaves the sizes.
	if got := e.hover(model + "layer * -> ¦window(1)\nrequire coverage\n"); !strings.Contains(got, "64 of 2080") {
		t.Error(got)
	}
}

func TestSentences(t *testing.T) {
	for text, want := range map[string]string{
		"window(1)": "the query block itself", "window(3)": "the 3 nearest key blocks, the query block among them",
		"dense": "every key block", "empty": "no key block", "sink(1)": "the first key block", "sink(4)": "the first 4 key blocks",
		"columns(5)": "key block 5", "columns(5..9)": "the key blocks 5 to 9", "columns(5..)": "the key blocks from 5 on",
		"rows(2..3)": "every key block, for the query blocks 2 to 3", "stride(1)": "every key block (j ≡ 0 mod 1)",
		"stride(2)": "every second key block (j ≡ 0 mod 2)", "stride(21)": "every 21st key block (j ≡ 0 mod 21)",
		"stride(111)":           "every 111th key block (j ≡ 0 mod 111)",
		"dilated(3, phase: 1)":  "every third key block counted from the query block (i − j ≡ 1 mod 3)",
		"window(9) - window(3)": "the 9 nearest key blocks, the query block among them, without the 3 nearest key blocks, the query block among them",
		"stride(4) & sink(9)":   "every 4th key block (j ≡ 0 mod 4), of these only the first 9 key blocks",
		"blocks { (1, 2) }":     "a rectangle of blocks", "blocks { (1, 2), (3, 4) }": "2 rectangles of blocks",
		"where(i == j, max: 640)":       "the pairs for which a condition holds, up to 10 blocks",
		"window(1) | sink(1) | sink(2)": "the query block itself; and the first key block; and the first 2 key blocks",
	} {
		p, list := dsl.Load("t.s2", dsl.Options{ReadFile: func(string) ([]byte, error) {
			return []byte(model + "layer * -> window(1) | (" + text + ")\n"), nil
		}})
		if p == nil {
			t.Fatal(list)
		}
		if got := sentence(p.Head(0, 0).(dsl.Union).B, true); got != want {
			t.Errorf("%s: %s", text, got)
		}
	}
	deep := "sink(1)" + strings.Repeat(" | sink(1)", 1000)
	p, _ := dsl.Load("t.s2", dsl.Options{ReadFile: func(string) ([]byte, error) { return []byte(model + "layer * -> window(1) | " + deep), nil }})
	if got := sentence(p.Head(0, 0), true); len(got) > 1000 || !strings.HasSuffix(got, "…") {
		t.Errorf("%d bytes: %s", len(got), got)
	}
}

func (e *editor) complete(text string) map[string]protocol.CompletionItem {
	e.t.Helper()
	text, at := marked(text)
	e.open(main, text)
	var l protocol.CompletionList
	e.ask("textDocument/completion", protocol.CompletionParams{TextDocumentPositionParams: at}, &l)
	out := map[string]protocol.CompletionItem{}
	for _, i := range l.Items {
		out[i.Label] = i
	}
	return out
}

func TestCompletion(t *testing.T) {
	e := newEditor(t)
	const decls = model + "param local = 16\npattern stripes(h, width, extra = 1) = window(width)\n"
	for _, c := range []struct{ text, has, lacks string }{
		{"¦", "model param pattern layer require import", "window heads"},
		{"model m { ¦ }", "heads kv_heads head_dim block layers dtype scale active_heads causal bidirectional", "window local layer"},
		{"model m { heads 4 dtype ¦ }", "bf16 f16", "heads causal"},
		{decls + "layer ¦", "even odd every local heads", "window stripes head"},
		{decls + "layer * -> ¦", "head kv_head window stride dense stripes blocks for if", "local even heads coverage"},
		{decls + "layer * -> window(1) | ¦", "window sink stripes", "local head"},
		{decls + "layer * -> window(¦", "left: right: local heads group min h g kv", "stripes sink coverage"},
		{decls + "layer * -> stripes(¦", "width: extra: h: local", "stripes sink"},
		{decls + "layer * -> stride(8, ¦", "phase: local h", "step: sink"},
		{decls + "layer * -> dilated(8, side: ¦", "back ahead both", ""},
		{decls + "layer * -> where(¦", "i j h condition: max: true", "sink"},
		{decls + "pattern q(n, h) = window(¦", "n h local", "stripes"},
		{decls + "pattern q(n) = ¦", "window stripes", "local n head"},
		{decls + "param x = ¦", "local heads min true if", "window h"},
		{decls + "layer * -> dense\nrequire ¦", "coverage kv_efficient density", "local window"},
		{decls + "layer * -> dense\nrequire coverage ¦", "on at", "local"},
		{decls + "layer * -> for ¦", "rows", "local window"},
		{decls + "layer * -> dense // ¦", "", "layer window"},
		{"param ¦", "", "if layer local"},
	} {
		got := e.complete(c.text)
		for name := range strings.FieldsSeq(c.has) {
			if _, ok := got[name]; !ok {
				t.Errorf("%q lacks %s", c.text, name)
			}
		}
		for name := range strings.FieldsSeq(c.lacks) {
			if _, ok := got[name]; ok {
				t.Errorf("%q offers %s", c.text, name)
			}
		}
	}
	items := e.complete(decls + "layer * -> wi¦n")
	edit := items["window"].TextEdit.(protocol.TextEdit)
	if edit.NewText != "window(${1:left})" || *items["window"].InsertTextFormat != protocol.InsertTextFormatSnippet || rangeText(edit.Range) != "[3,11,3,14]" {
		t.Errorf("%v", edit)
	}
	if text := items["stripes"].TextEdit.(protocol.TextEdit).NewText; text != "stripes(${1:width})" {
		t.Error(text)
	}
	if d := *items["stripes"].Detail; d != "pattern stripes(h, width, extra = 1) = window(width)" {
		t.Error(d)
	}
}

func TestSignatureHelp(t *testing.T) {
	e := newEditor(t)
	for text, want := range map[string]string{
		"layer * -> window(1, ¦": "window(left, right) 1", "layer * -> stride(phase: ¦": "stride(step, phase) 1",
		"pattern p(h, a, b = 1) = dense\nlayer * -> p(¦": "p(a, b) 0", "layer * -> dense¦": "", "layer * -> nothing(¦": "",
	} {
		text, at := marked(model + text)
		e.open(main, text)
		var h *protocol.SignatureHelp
		e.ask("textDocument/signatureHelp", protocol.SignatureHelpParams{TextDocumentPositionParams: at}, &h)
		got := ""
		if h != nil {
			got = h.Signatures[0].Label + " " + jsonText(*h.ActiveParameter)
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

const namesFile = model + `param local = 16
pattern stripes(h, width = local) = window(width) | sink(width)
layer even -> head 0: stripes(width: local), stripes
layer odd -> window(heads)
`

func (e *editor) locations(method, text string, more func(*protocol.ReferenceParams)) []string {
	e.t.Helper()
	text, at := marked(text)
	e.open(main, text)
	p := protocol.ReferenceParams{TextDocumentPositionParams: at}
	if more != nil {
		more(&p)
	}
	var list []protocol.Location
	e.ask(method, p, &list)
	out := []string{}
	for _, l := range list {
		out = append(out, filepath.Base(l.URI)+rangeText(l.Range))
	}
	slices.Sort(out)
	return out
}

func TestDefinitionAndReferences(t *testing.T) {
	e := newEditor(t)
	for _, c := range []struct {
		at          string
		definition  []string
		occurrences []string
	}{
		{"¦local)", []string{"main.s2[1,6,1,11]"}, []string{"main.s2[1,6,1,11]", "main.s2[2,27,2,32]", "main.s2[3,37,3,42]"}},
		{"¦stripes\n", []string{"main.s2[2,8,2,15]"}, []string{"main.s2[2,8,2,15]", "main.s2[3,22,3,29]", "main.s2[3,45,3,52]"}},
		{"¦width) |", []string{"main.s2[2,19,2,24]"}, []string{"main.s2[2,19,2,24]", "main.s2[2,43,2,48]", "main.s2[2,57,2,62]", "main.s2[3,30,3,35]"}},
		{"¦width: local", []string{"main.s2[2,19,2,24]"}, []string{"main.s2[2,19,2,24]", "main.s2[2,43,2,48]", "main.s2[2,57,2,62]", "main.s2[3,30,3,35]"}},
		{"¦heads)", []string{"main.s2[0,10,0,15]"}, []string{"main.s2[0,10,0,15]", "main.s2[4,20,4,25]"}},
		{"¦sink", []string{}, []string{}}, {"¦layer odd", []string{}, []string{}},
	} {
		text := strings.Replace(namesFile, strings.Replace(c.at, "¦", "", 1), c.at, 1)
		wantSame(t, c.definition, e.locations("textDocument/definition", text, nil))
		all := func(p *protocol.ReferenceParams) { p.Context.IncludeDeclaration = true }
		wantSame(t, c.occurrences, e.locations("textDocument/references", text, all))
		if got := e.locations("textDocument/references", text, nil); len(got)+len(c.definition) != len(c.occurrences) {
			t.Errorf("%s: without the declaration %v", c.at, got)
		}
		if got := e.locations("textDocument/documentHighlight", text, nil); len(got) != len(c.occurrences) {
			t.Errorf("%s: highlights %v", c.at, got)
		}
	}
}

func TestRename(t *testing.T) {
	e := newEditor(t)
	rename := func(at, to string) string {
		text, place := marked(strings.Replace(namesFile, strings.Replace(at, "¦", "", 1), at, 1))
		e.open(main, text)
		var edit protocol.WorkspaceEdit
		if err := e.try("textDocument/rename", protocol.RenameParams{TextDocumentPositionParams: place, NewName: to}, &edit); err != nil {
			return err.Error()
		}
		return apply(text, edit.Changes[main])
	}
	for at, name := range map[string]string{"¦local)": "local", "¦stripes\n": "stripes", "¦width: local": "width", "¦width = local": "width"} {
		if want := strings.ReplaceAll(namesFile, name, "other"); rename(at, "other") != want {
			t.Errorf("%s\n%s", at, rename(at, "other"))
		}
	}
	for _, c := range []struct{ at, to, want string }{
		{"¦local)", "9x", "is not a name"}, {"¦local)", "layer", "is a word of the language"}, {"¦local)", "dense", "is a word of the language"},
		{"¦local)", "stripes", "declared already"}, {"¦local)", "width", "is a parameter of a pattern that uses `local`"},
		{"¦width: local", "local", "declared already"}, {"¦heads)", "other", "is a field of the model"}, {"stripes(¦h", "other", "filled in by the language"},
		{"¦sink", "other", "no name"},
	} {
		if got := rename(c.at, c.to); !strings.Contains(got, c.want) {
			t.Errorf("%s to %s: %s", c.at, c.to, got)
		}
	}
	var r *protocol.Range
	text, place := marked(strings.Replace(namesFile, "width: local", "wi¦dth: local", 1))
	e.open(main, text)
	e.ask("textDocument/prepareRename", protocol.PrepareRenameParams{TextDocumentPositionParams: place}, &r)
	wantSame(t, "[3,30,3,35]", rangeText(*r))
}

// apply makes the changes, the last one first.
func apply(text string, edits []protocol.TextEdit) string {
	l := newLines(text)
	slices.SortFunc(edits, func(a, b protocol.TextEdit) int { return comparePositions(b.Range.Start, a.Range.Start) })
	for _, c := range edits {
		text = text[:l.offset(c.Range.Start)] + c.NewText + text[l.offset(c.Range.End):]
	}
	return text
}

func TestSymbols(t *testing.T) {
	e := newEditor(t)
	e.open(main, namesFile+"require coverage\nimport \"x.s2\"\npattern half(")
	var list []protocol.DocumentSymbol
	e.ask("textDocument/documentSymbol", protocol.DocumentSymbolParams{TextDocument: protocol.TextDocumentIdentifier{URI: main}}, &list)
	got := []string{}
	for _, s := range list {
		got = append(got, s.Name)
		for _, c := range s.Children {
			got = append(got, "  "+c.Name)
		}
		if comparePositions(s.Range.Start, s.SelectionRange.Start) > 0 || comparePositions(s.SelectionRange.End, s.Range.End) > 0 {
			t.Errorf("%+v", s)
		}
	}
	wantSame(t, []string{"m", "  heads", "  kv_heads", "  head_dim", "  layers", "local", "stripes",
		"layer even -> head 0: stripes(width: local), stripes", "layer odd -> window(heads)", "require coverage", `import "x.s2"`, "half"}, got)
}

func TestFormatting(t *testing.T) {
	e := newEditor(t)
	format := func(text string) []protocol.TextEdit {
		e.open(main, text)
		var edits []protocol.TextEdit
		e.ask("textDocument/formatting", protocol.DocumentFormattingParams{TextDocument: protocol.TextDocumentIdentifier{URI: main}}, &edits)
		return edits
	}
	for _, text := range []string{
		model + "layer   * ->dense", model + "\n\n\nlayer even->dense\nlayer odd->dense\n\n", "param a=1 param b  = 2\r\n// é\U0001f600\r\nparam c=[1,2]", "",
	} {
		want, _ := dsl.Format("t.s2", []byte(text))
		if got := apply(text, format(text)); got != string(want) {
			t.Errorf("%q\n%q, want %q", text, got, want)
		}
	}
	good := namesFile
	if formatted, _ := dsl.Format("t.s2", []byte(good)); string(formatted) != good {
		good = string(formatted)
	}
	wantSame(t, []protocol.TextEdit{}, format(good))
	wantSame(t, []protocol.TextEdit{}, format(good+"layer *"))
	if edits := format(good + "param    z = 1\n"); len(edits) != 1 || strings.Count(edits[0].NewText, "\n") != 1 {
		t.Errorf("%+v", edits)
	}
}

func TestQuickFix(t *testing.T) {
	e := newEditor(t)
	text := model + "/* \U0001f600 */ layer * => windw(3)\n"
	for n := range 2 {
		e.replaceOrOpen(n, text)
		list := e.diagnostics(main, uint32(n+1))
		var actions []protocol.CodeAction
		e.ask("textDocument/codeAction", protocol.CodeActionParams{
			TextDocument: protocol.TextDocumentIdentifier{URI: main}, Range: list[0].Range, Context: protocol.CodeActionContext{Diagnostics: list},
		}, &actions)
		if len(actions) != 1 || *actions[0].Kind != protocol.CodeActionKindQuickFix || !*actions[0].IsPreferred || len(actions[0].Diagnostics) != 1 {
			t.Fatalf("%+v", actions)
		}
		wantSame(t, []string{"Replace `=>` by `->`", "Replace `windw` by `window`"}[n], actions[0].Title)
		text = apply(text, actions[0].Edit.Changes[main])
	}
	wantSame(t, model+"/* \U0001f600 */ layer * -> window(3)\n", text)
}

func (e *editor) replaceOrOpen(n int, text string) {
	if n == 0 {
		e.open(main, text)
		return
	}
	e.replace(main, int32(n+1), text)
}
