package lsp

import (
	"context"
	"fmt"

	protocol "github.com/tliron/glsp/protocol_3_16"

	"github.com/s2attention/s2c/diag"
	"github.com/s2attention/s2c/dsl"
)

// report publishes what an analysis found.
func (s *server) report(a *analysis) {
	s.reports.replace(a.file.uri, a.diagnostics(), new(uint32(a.file.version)))
}

func (s *server) didOpen(p protocol.DidOpenTextDocumentParams) {
	d := p.TextDocument
	s.update(newFile(d.URI, pathOf(d.URI), d.Version, d.Text))
}

func (s *server) didChange(p protocol.DidChangeTextDocumentParams) {
	old := s.files.get(p.TextDocument.URI)
	if old == nil {
		return
	}
	if text, err := changed(old.src.Text, p.ContentChanges); err == nil {
		s.update(newFile(old.uri, old.path, p.TextDocument.Version, text))
	}
}

// update takes a new state of a text, and checks it and what imports it.
func (s *server) update(f *file) {
	s.files.put(f)
	s.jobs.start(f)
	s.again(f)
}

// again checks the open texts that import a file; nil is any file.
func (s *server) again(f *file) {
	for _, g := range s.files.all() {
		if g != f && (f == nil || contains(s.files.reached(g), f)) {
			s.jobs.start(g)
		}
	}
}

func (s *server) didClose(p protocol.DidCloseTextDocumentParams) {
	f := s.files.get(p.TextDocument.URI)
	if f == nil {
		return
	}
	var importers []*file
	for _, g := range s.files.all() {
		if g != f && contains(s.files.reached(g), f) {
			importers = append(importers, g)
		}
	}
	s.jobs.stop(f.uri)
	s.files.drop(f.uri)
	s.reports.replace(f.uri, nil, nil)
	for _, g := range importers {
		s.jobs.start(g) // what is on disk counts again
	}
}

// file is an open text.
func (s *server) file(uri string) (*file, error) {
	if f := s.files.get(uri); f != nil {
		return f, nil
	}
	return nil, fmt.Errorf("%s is not open", uri)
}

// at is an open text and the byte of a position in it.
func (s *server) at(p protocol.TextDocumentPositionParams) (*file, int, error) {
	f, err := s.file(p.TextDocument.URI)
	if err != nil {
		return nil, 0, err
	}
	return f, f.lines().offset(p.Position), nil
}

// current is the analysis of a text as it is now, nil where there is none in
// time. A library's is that of an open text that imports it, where one is good.
func (s *server) current(ctx context.Context, f *file) *analysis {
	a := s.jobs.wait(ctx, f.uri)
	if a != nil && a.unit != nil {
		return a
	}
	for _, g := range s.files.all() {
		if g == f || !contains(s.files.reached(g), f) {
			continue
		}
		if b := s.jobs.wait(ctx, g.uri); b != nil && b.unit != nil && b.files[f.src.Name] == f {
			return b
		}
	}
	return a
}

func (s *server) hover(ctx context.Context, p protocol.HoverParams) (*protocol.Hover, error) {
	f, offset, err := s.at(p.TextDocumentPositionParams)
	if err != nil {
		return nil, err
	}
	a := s.current(ctx, f)
	if a != nil && a.files[f.src.Name] != f {
		a = nil // the text has changed since
	}
	return s.files.hover(ctx, f, a, offset), nil
}

func (s *server) completion(_ context.Context, p protocol.CompletionParams) (protocol.CompletionList, error) {
	f, offset, err := s.at(p.TextDocumentPositionParams)
	if err != nil {
		return protocol.CompletionList{}, err
	}
	return s.files.complete(f, offset, s.snippets.Load()), nil
}

func (s *server) signatureHelp(_ context.Context, p protocol.SignatureHelpParams) (*protocol.SignatureHelp, error) {
	f, offset, err := s.at(p.TextDocumentPositionParams)
	if err != nil {
		return nil, err
	}
	return s.files.signature(f, offset), nil
}

func (s *server) definition(_ context.Context, p protocol.DefinitionParams) ([]protocol.Location, error) {
	f, offset, err := s.at(p.TextDocumentPositionParams)
	if err != nil {
		return nil, err
	}
	return s.files.definition(f, offset), nil
}

func (s *server) references(_ context.Context, p protocol.ReferenceParams) ([]protocol.Location, error) {
	f, offset, err := s.at(p.TextDocumentPositionParams)
	if err != nil {
		return nil, err
	}
	return s.files.references(f, offset, p.Context.IncludeDeclaration), nil
}

func (s *server) highlight(_ context.Context, p protocol.DocumentHighlightParams) ([]protocol.DocumentHighlight, error) {
	f, offset, err := s.at(p.TextDocumentPositionParams)
	if err != nil {
		return nil, err
	}
	return s.files.highlights(f, offset), nil
}

func (s *server) prepareRename(_ context.Context, p protocol.PrepareRenameParams) (*protocol.Range, error) {
	f, offset, err := s.at(p.TextDocumentPositionParams)
	if err != nil {
		return nil, err
	}
	return s.files.renamable(f, offset)
}

func (s *server) rename(_ context.Context, p protocol.RenameParams) (*protocol.WorkspaceEdit, error) {
	f, offset, err := s.at(p.TextDocumentPositionParams)
	if err != nil {
		return nil, err
	}
	return s.files.rename(f, offset, p.NewName)
}

func (s *server) documentSymbol(_ context.Context, p protocol.DocumentSymbolParams) ([]protocol.DocumentSymbol, error) {
	f, err := s.file(p.TextDocument.URI)
	if err != nil {
		return nil, err
	}
	return symbols(f), nil
}

// formatting changes nothing in a text with syntax errors, which diagnostics
// show.
func (s *server) formatting(_ context.Context, p protocol.DocumentFormattingParams) ([]protocol.TextEdit, error) {
	f, err := s.file(p.TextDocument.URI)
	if err != nil {
		return nil, err
	}
	after, list := dsl.Format(f.path, []byte(f.src.Text))
	if diag.List(list).HasErrors() {
		return []protocol.TextEdit{}, nil
	}
	return difference(f, string(after)), nil
}

func (s *server) codeAction(ctx context.Context, p protocol.CodeActionParams) ([]protocol.CodeAction, error) {
	f, err := s.file(p.TextDocument.URI)
	if err != nil {
		return nil, err
	}
	a := s.jobs.wait(ctx, f.uri)
	if a == nil || a.file != f {
		return []protocol.CodeAction{}, nil
	}
	return a.fixes(f.uri, p.Range), nil
}
