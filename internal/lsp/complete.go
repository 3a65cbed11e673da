package lsp

import (
	"fmt"
	"slices"
	"strings"

	protocol "github.com/tliron/glsp/protocol_3_16"

	"github.com/s2attention/s2c/dsl"
)

// completer collects what may be typed at a place.
type completer struct {
	f        *file
	e        dsl.Expectation
	at       protocol.Range // of the word that is typed so far
	snippets bool           // the editor fills in parameters
	items    []protocol.CompletionItem
	seen     map[string]bool
}

// complete is what may be typed at an offset.
func (s *files) complete(f *file, offset int, snippets bool) protocol.CompletionList {
	e := dsl.Expect(f.src, offset)
	c := &completer{f: f, e: e, at: f.rangeOf(e.Word), snippets: snippets, items: []protocol.CompletionItem{}, seen: map[string]bool{}}
	if e.Name {
		c.names(s.family(f))
	}
	for _, k := range e.Keywords {
		c.word(words()[k])
	}
	return protocol.CompletionList{Items: c.items}
}

// names adds the names that fit.
func (c *completer) names(family []*file) {
	switch c.e.Role {
	case dsl.RoleField:
		if c.e.Number {
			c.entries(dsl.ModelField)
		}
	case dsl.RoleType:
		c.entries(dsl.ElementType)
	case dsl.RoleProperty:
		c.entries(dsl.RequiredProperty)
	case dsl.RoleKeyword: // behind `for`
		c.add(protocol.CompletionItem{Label: "rows", Kind: new(protocol.CompletionItemKindKeyword)}, "0")
	default:
		c.arguments(family)
		c.locals()
		c.globals(family)
		if c.e.Set {
			c.entries(dsl.SetFunction)
		}
		if c.e.Number {
			c.entries(dsl.MathFunction)
			c.readable()
		}
	}
}

// entries adds the language's own words of a kind.
func (c *completer) entries(g dsl.Group) {
	for _, e := range dsl.Vocabulary() {
		if e.Group == g {
			c.word(e)
		}
	}
}

// readable adds the numbers of the model that have names.
func (c *completer) readable() {
	for _, e := range dsl.Vocabulary() {
		switch {
		case e.Group == dsl.ModelField && dsl.Readable(e.Name), e.Group == dsl.DerivedName:
			c.word(e)
		}
	}
}

// arguments adds the names of parameters of the function that is called, the
// sides of dilated, and i and j within where.
func (c *completer) arguments(family []*file) {
	if c.e.Callee == "" {
		return
	}
	add := func(name, of string) {
		c.add(protocol.CompletionItem{
			Label: name + ":", Kind: new(protocol.CompletionItemKindField), Detail: new("parameter of " + of),
			FilterText: new(name), TextEdit: protocol.TextEdit{Range: c.at, NewText: name + ": "},
		}, "1")
	}
	if e, ok := words()[c.e.Callee]; ok {
		for n, p := range e.Params {
			if n >= c.e.Arg && !strings.Contains(e.Usage, p+", …") && len(e.Params) > 1 {
				add(p, e.Name)
			}
		}
	} else if _, d := declared(family, c.e.Callee); d != nil {
		for _, p := range d.Formals {
			add(p.Name, d.Name)
		}
	}
	switch c.e.Callee {
	case "dilated":
		c.entries(dsl.Side)
	case "where":
		c.entries(dsl.BlockName)
	}
}

// locals adds a pattern's own parameters, and the head's names where they are
// known.
func (c *completer) locals() {
	if c.e.Head && c.e.Number {
		c.entries(dsl.HeadName)
	}
	if !c.e.Number {
		return
	}
	for _, p := range c.e.Formals {
		c.add(protocol.CompletionItem{Label: p.Name, Kind: new(protocol.CompletionItemKindVariable), Detail: new("parameter")}, "0")
	}
}

// globals adds parameters where numbers stand and patterns where sets do.
func (c *completer) globals(family []*file) {
	for _, f := range family {
		for i := range f.outline().Declarations {
			d := &f.outline().Declarations[i]
			switch {
			case d.Name == "":
			case d.Keyword == "param" && c.e.Number:
				c.add(protocol.CompletionItem{
					Label: d.Name, Kind: new(protocol.CompletionItemKindConstant), Detail: new(firstLine(d.Span.Text())),
				}, "1")
			case d.Keyword == "pattern" && c.e.Set:
				var params []string
				for _, p := range d.Formals {
					if !p.Filled && p.Value == "" {
						params = append(params, p.Name)
					}
				}
				item := c.function(d.Name, params)
				item.Detail = new(firstLine(d.Span.Text()))
				if d.Comment != "" {
					item.Documentation = markdown(d.Comment)
				}
				c.add(item, "1")
			}
		}
	}
}

// word adds a word of the language.
func (c *completer) word(e dsl.Entry) {
	item := protocol.CompletionItem{Label: e.Name, Kind: new(itemKind(e.Group))}
	order := "2"
	switch e.Group {
	case dsl.SetFunction, dsl.MathFunction:
		item = c.function(e.Name, e.Needed)
	case dsl.Keyword:
		order = "3"
	}
	item.Detail, item.Documentation = new(e.Usage), markdown(e.Doc)
	c.add(item, order)
}

// function is the name of a function, with brackets and its parameters where
// the editor can fill them in.
func (c *completer) function(name string, params []string) protocol.CompletionItem {
	item := protocol.CompletionItem{Label: name, Kind: new(protocol.CompletionItemKindFunction)}
	behind := c.f.src.Text[c.e.Word.End:]
	if !c.snippets || len(params) == 0 || strings.HasPrefix(behind, "(") {
		return item
	}
	var parts []string
	for n, p := range params {
		parts = append(parts, fmt.Sprintf("${%d:%s}", n+1, p))
	}
	item.InsertTextFormat = new(protocol.InsertTextFormatSnippet)
	item.TextEdit = protocol.TextEdit{Range: c.at, NewText: name + "(" + strings.Join(parts, ", ") + ")"}
	return item
}

func (c *completer) add(item protocol.CompletionItem, order string) {
	if c.seen[item.Label] {
		return
	}
	c.seen[item.Label] = true
	item.SortText = new(order + item.Label)
	if item.TextEdit == nil {
		item.TextEdit = protocol.TextEdit{Range: c.at, NewText: item.Label}
	}
	c.items = append(c.items, item)
}

func itemKind(g dsl.Group) protocol.CompletionItemKind {
	switch g {
	case dsl.Keyword:
		return protocol.CompletionItemKindKeyword
	case dsl.ModelField:
		return protocol.CompletionItemKindField
	case dsl.RequiredProperty:
		return protocol.CompletionItemKindProperty
	case dsl.Side, dsl.ElementType:
		return protocol.CompletionItemKindEnumMember
	}
	return protocol.CompletionItemKindVariable
}

func markdown(text string) protocol.MarkupContent {
	return protocol.MarkupContent{Kind: protocol.MarkupKindMarkdown, Value: text}
}

// signature is the function that is called at an offset, nil for none.
func (s *files) signature(f *file, offset int) *protocol.SignatureHelp {
	e := dsl.Expect(f.src, offset)
	if e.Callee == "" {
		return nil
	}
	var params []string
	var doc string
	if w, ok := words()[e.Callee]; ok && w.Params != nil {
		params, doc = w.Params, document(w)
	} else if _, d := declared(s.family(f), e.Callee); d != nil && d.Keyword == "pattern" {
		for _, p := range d.Formals {
			if !p.Filled {
				params = append(params, p.Name)
			}
		}
		doc = d.Comment
	} else {
		return nil
	}
	sig := protocol.SignatureInformation{Label: e.Callee + "(" + strings.Join(params, ", ") + ")", Documentation: markdown(doc)}
	for _, p := range params {
		sig.Parameters = append(sig.Parameters, protocol.ParameterInformation{Label: p})
	}
	active := uint32(e.Arg)
	if n := slices.Index(params, e.ArgName); n >= 0 {
		active = uint32(n)
	}
	return &protocol.SignatureHelp{Signatures: []protocol.SignatureInformation{sig}, ActiveSignature: new(uint32(0)), ActiveParameter: &active}
}
