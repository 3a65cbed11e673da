package lsp

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	protocol "github.com/tliron/glsp/protocol_3_16"

	"github.com/s2attention/s2c/diag"
	"github.com/s2attention/s2c/dsl"
)

// name is what a word stands for, in every file that shares it.
type name struct {
	role    dsl.Role // RoleGlobal, RoleFormal or RoleField
	text    string
	file    *file  // of a formal
	decl    int    // of a formal
	pattern string // of a formal
}

// occurrence is a place where a name stands.
type occurrence struct {
	file     *file
	span     diag.Span
	declares bool
	decl     int // the declaration that it is in
}

// nameAt is the name at an offset; false where there is none that is declared
// in a file.
func nameAt(f *file, family []*file, offset int) (name, bool) {
	o := f.outline()
	w := o.At(offset)
	if w == nil {
		return name{}, false
	}
	text := w.Span.Text()
	switch w.Role {
	case dsl.RoleGlobal, dsl.RoleField:
		return name{role: w.Role, text: text}, true
	case dsl.RoleFormal:
		return name{role: w.Role, text: text, file: f, decl: w.Decl, pattern: o.Declarations[w.Decl].Name}, true
	case dsl.RoleArgument:
		g, d := declared(family, w.Callee)
		if d != nil && formal(d, text) {
			return name{role: dsl.RoleFormal, text: text, file: g, decl: index(g, d), pattern: w.Callee}, true
		}
	}
	return name{}, false
}

// declared is where a parameter or pattern is declared.
func declared(family []*file, text string) (*file, *dsl.Declaration) {
	for _, f := range family {
		if d := f.outline().Declared(text); d != nil {
			return f, d
		}
	}
	return nil, nil
}

func formal(d *dsl.Declaration, text string) bool {
	return slices.ContainsFunc(d.Formals, func(f dsl.Formal) bool { return f.Name == text })
}

func index(f *file, d *dsl.Declaration) int {
	return slices.IndexFunc(f.outline().Declarations, func(x dsl.Declaration) bool { return x.At == d.At })
}

// is reports whether a word is the name.
func (n name) is(f *file, w *dsl.Word) bool {
	if w.Span.End-w.Span.Start != len(n.text) || w.Span.Text() != n.text {
		return false
	}
	if n.role != dsl.RoleFormal {
		return w.Role == n.role
	}
	return w.Role == dsl.RoleFormal && f == n.file && w.Decl == n.decl || w.Role == dsl.RoleArgument && w.Callee == n.pattern
}

// occurrences is every place where the name stands.
func (n name) occurrences(family []*file) []occurrence {
	var out []occurrence
	for _, f := range family {
		o := f.outline()
		for i := range o.Words {
			w := &o.Words[i]
			if !n.is(f, w) {
				continue
			}
			out = append(out, occurrence{f, w.Span, w.Declares, w.Decl})
		}
	}
	return out
}

// definition is where the word at an offset is declared.
func (s *files) definition(f *file, offset int) []protocol.Location {
	out := []protocol.Location{}
	if w := f.outline().At(offset); w != nil && w.Role == dsl.RoleText && f.outline().Declarations[w.Decl].Keyword == "import" {
		if g, err := s.at(importPath(f, *w)); err == nil {
			out = append(out, g.location(diag.Span{Src: g.src}))
		}
		return out
	}
	family := s.family(f)
	n, ok := nameAt(f, family, offset)
	if !ok {
		return out
	}
	for _, o := range n.occurrences(family) {
		if o.declares {
			out = append(out, o.file.location(o.span))
		}
	}
	return out
}

// references is every place of the name at an offset.
func (s *files) references(f *file, offset int, declaration bool) []protocol.Location {
	out := []protocol.Location{}
	family := s.family(f)
	n, ok := nameAt(f, family, offset)
	if !ok {
		return out
	}
	for _, o := range n.occurrences(family) {
		if declaration || !o.declares {
			out = append(out, o.file.location(o.span))
		}
	}
	return out
}

// highlights is the places of the name at an offset in its own file.
func (s *files) highlights(f *file, offset int) []protocol.DocumentHighlight {
	out := []protocol.DocumentHighlight{}
	n, ok := nameAt(f, s.family(f), offset)
	if !ok {
		return out
	}
	for _, o := range n.occurrences([]*file{f}) {
		kind := protocol.DocumentHighlightKindRead
		if o.declares {
			kind = protocol.DocumentHighlightKindWrite
		}
		out = append(out, protocol.DocumentHighlight{Range: f.rangeOf(o.span), Kind: &kind})
	}
	return out
}

// renamable is the range of a name that can be given another.
func (s *files) renamable(f *file, offset int) (*protocol.Range, error) {
	if _, _, err := s.changeable(f, offset); err != nil {
		return nil, err
	}
	r := f.rangeOf(f.outline().At(offset).Span)
	return &r, nil
}

// changeable is the name at an offset and the files that it may stand in, if it can be
// given another.
func (s *files) changeable(f *file, offset int) (name, []*file, error) {
	family := s.family(f)
	n, ok := nameAt(f, family, offset)
	if !ok {
		return n, nil, errors.New("here is no name that can be changed")
	}
	return n, family, n.fixed(family)
}

// fixed says why a name cannot be changed.
func (n name) fixed(family []*file) error {
	switch {
	case n.role == dsl.RoleField:
		return fmt.Errorf("`%s` is a field of the model", n.text)
	case n.role == dsl.RoleFormal && words()[n.text].Group == dsl.HeadName && known(n.text):
		return fmt.Errorf("`%s` is filled in by the language", n.text)
	}
	if n.role == dsl.RoleGlobal {
		if _, d := declared(family, n.text); d == nil {
			return fmt.Errorf("`%s` is not declared", n.text)
		}
	}
	return nil
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// rename is the changes that give the name at an offset another.
func (s *files) rename(f *file, offset int, to string) (*protocol.WorkspaceEdit, error) {
	n, family, err := s.changeable(f, offset)
	if err != nil {
		return nil, err
	}
	places := n.occurrences(family)
	if err := n.free(family, places, to); err != nil {
		return nil, err
	}
	changes := map[string][]protocol.TextEdit{}
	for _, o := range places {
		changes[o.file.uri] = append(changes[o.file.uri], protocol.TextEdit{Range: o.file.rangeOf(o.span), NewText: to})
	}
	return &protocol.WorkspaceEdit{Changes: changes}, nil
}

// free says why the name cannot be called so.
func (n name) free(family []*file, places []occurrence, to string) error {
	if !identifier.MatchString(to) {
		return fmt.Errorf("%q is not a name: letters, digits and underscores, and no digit first", to)
	}
	if known(to) && words()[to].Group != dsl.RequiredProperty && words()[to].Group != dsl.Side && words()[to].Group != dsl.ElementType {
		return fmt.Errorf("`%s` is a word of the language already", to)
	}
	if _, d := declared(family, to); d != nil {
		return fmt.Errorf("`%s` is declared already", to)
	}
	for k, o := range places {
		if k > 0 && places[k-1].file == o.file && places[k-1].decl == o.decl {
			continue // looked at already
		}
		if formal(&o.file.outline().Declarations[o.decl], to) {
			return fmt.Errorf("`%s` is a parameter of a pattern that uses `%s`", to, n.text)
		}
	}
	return nil
}
