package lsp

import (
	"strings"

	protocol "github.com/tliron/glsp/protocol_3_16"

	"github.com/s2attention/s2c/dsl"
)

var symbolKinds = map[string]protocol.SymbolKind{
	"model": protocol.SymbolKindStruct, "param": protocol.SymbolKindConstant, "pattern": protocol.SymbolKindFunction,
	"layer": protocol.SymbolKindArray, "require": protocol.SymbolKindBoolean, "import": protocol.SymbolKindModule,
}

// symbols is the declarations of a file; a model's fields are below it.
func symbols(f *file) []protocol.DocumentSymbol {
	o := f.outline()
	out := []protocol.DocumentSymbol{}
	at := map[int]int{} // by declaration
	for n, d := range o.Declarations {
		kind, ok := symbolKinds[d.Keyword]
		if !ok {
			continue
		}
		s := protocol.DocumentSymbol{Name: d.Name, Kind: kind, Range: f.rangeOf(d.Span), SelectionRange: f.rangeOf(d.At)}
		if d.Name == "" {
			s.Name = firstLine(d.Span.Text())
		} else if d.Keyword != "model" {
			s.Detail = new(firstLine(d.Span.Text()))
		}
		at[n] = len(out)
		out = append(out, s)
	}
	for i := range o.Words {
		w := &o.Words[i]
		if w.Role != dsl.RoleField || !w.Declares {
			continue
		}
		m := &out[at[w.Decl]]
		r := f.rangeOf(w.Span)
		m.Children = append(m.Children, protocol.DocumentSymbol{Name: w.Span.Text(), Kind: protocol.SymbolKindField, Range: r, SelectionRange: r})
	}
	return out
}

// maxLine is how many characters of a line are shown.
const maxLine = 80

// firstLine is the first line of a text, not too long.
func firstLine(text string) string {
	line, _, more := strings.Cut(text, "\n")
	line = strings.TrimRight(line, " \t\r")
	if r := []rune(line[:min(len(line), 4*maxLine)]); len(r) > maxLine {
		line, more = string(r[:maxLine]), true
	}
	if more {
		line += " …"
	}
	return line
}
