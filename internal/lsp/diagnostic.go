package lsp

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"unicode"

	protocol "github.com/tliron/glsp/protocol_3_16"

	"github.com/s2attention/s2c/diag"
)

// errorsPage explains the codes.
const errorsPage = "https://github.com/s2attention/s2c/blob/main/docs/errors.md"

// sourceName says whose diagnostics they are.
const sourceName = "s2c"

// reports is what has been published: by the text that was analysed, then by
// the file that it is about.
type reports struct {
	mu     sync.Mutex
	of     map[string]map[string][]protocol.Diagnostic
	notify func(protocol.PublishDiagnosticsParams)
}

func newReports(notify func(protocol.PublishDiagnosticsParams)) *reports {
	return &reports{of: map[string]map[string][]protocol.Diagnostic{}, notify: notify}
}

// replace publishes what is new about a text, and about the files that it
// imports or did import.
func (r *reports) replace(root string, now map[string][]protocol.Diagnostic, version *uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	about := map[string]bool{root: true}
	for uri := range r.of[root] {
		about[uri] = true
	}
	for uri := range now {
		about[uri] = true
	}
	r.of[root] = now
	if now == nil {
		delete(r.of, root)
	}
	for _, uri := range slices.Sorted(keys(about)) {
		p := protocol.PublishDiagnosticsParams{URI: uri, Diagnostics: r.about(uri)}
		if uri == root {
			p.Version = version
		}
		r.notify(p)
	}
}

// about joins what the analyses of several texts say of a file: what they agree
// on is said once.
func (r *reports) about(uri string) []protocol.Diagnostic {
	out := []protocol.Diagnostic{}
	type key struct {
		at      protocol.Range
		message string
	}
	seen := map[key]bool{}
	for _, root := range slices.Sorted(keys(r.of)) {
		for _, d := range r.of[root][uri] {
			k := key{d.Range, d.Message}
			if !seen[k] {
				seen[k] = true
				out = append(out, d)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b protocol.Diagnostic) int { return comparePositions(a.Range.Start, b.Range.Start) })
	return out
}

func comparePositions(a, b protocol.Position) int {
	return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Character, b.Character))
}

func keys[V any](m map[string]V) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// diagnostics is what an analysis found, by the file that it is about.
func (a *analysis) diagnostics() map[string][]protocol.Diagnostic {
	out := map[string][]protocol.Diagnostic{}
	for _, d := range a.list {
		f := a.fileOf(d.Span)
		out[f.uri] = append(out[f.uri], a.diagnostic(f, d))
	}
	if a.late {
		out[a.file.uri] = append(out[a.file.uri], protocol.Diagnostic{
			Severity: new(protocol.DiagnosticSeverityInformation), Source: new(sourceName),
			Message: fmt.Sprintf("not all of this was checked within %v; `s2c check` takes the time it needs", timeLimit),
		})
	}
	return out
}

// fileOf is the file that a span is in; the text itself for what is in none.
func (a *analysis) fileOf(s diag.Span) *file {
	if s.Src != nil {
		if f := a.files[s.Src.Name]; f != nil {
			return f
		}
		if f := a.files[filepath.ToSlash(filepath.Clean(s.Src.Name))]; f != nil {
			return f
		}
	}
	return a.file
}

func (a *analysis) diagnostic(f *file, d diag.Diagnostic) protocol.Diagnostic {
	out := protocol.Diagnostic{
		Range: f.rangeOf(d.Span), Severity: new(a.severity(d)), Source: new(sourceName),
		Code: &protocol.IntegerOrString{Value: string(d.Code)}, CodeDescription: &protocol.CodeDescription{HRef: explanation(d.Code)},
		Message: d.Message,
	}
	if d.Hint != "" {
		out.Message += "\nhint: " + d.Hint
	}
	if d.Code == diag.UnusedRule {
		out.Tags = []protocol.DiagnosticTag{protocol.DiagnosticTagUnnecessary}
	}
	for _, r := range d.Related {
		out.RelatedInformation = append(out.RelatedInformation, protocol.DiagnosticRelatedInformation{
			Location: a.fileOf(r.Span).location(r.Span), Message: r.Message,
		})
	}
	return out
}

// severity is that of the diagnostic, but a library lacks nothing without a
// model.
func (a *analysis) severity(d diag.Diagnostic) protocol.DiagnosticSeverity {
	switch {
	case d.Code == diag.NoModel && a.file.library():
		return protocol.DiagnosticSeverityInformation
	case d.Severity == diag.Warning:
		return protocol.DiagnosticSeverityWarning
	}
	return protocol.DiagnosticSeverityError
}

// explanation is where a code is explained.
func explanation(code diag.Code) string {
	info, ok := diag.Lookup(code)
	if !ok {
		return errorsPage
	}
	return errorsPage + "#" + anchor(fmt.Sprintf("%s: %s", code, info.Title))
}

// anchor is a heading as links name it.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}

// fixes is the quick fixes of what is wrong in a range of a file.
func (a *analysis) fixes(uri string, at protocol.Range) []protocol.CodeAction {
	out := []protocol.CodeAction{}
	for _, d := range a.list {
		f := a.fileOf(d.Span)
		if d.Fix == nil || d.Fix.Span.Start < 0 || f.uri != uri || a.files[d.Fix.Span.Src.Name] == nil {
			continue
		}
		r := f.rangeOf(d.Span)
		if comparePositions(r.End, at.Start) < 0 || comparePositions(at.End, r.Start) < 0 {
			continue
		}
		title := fmt.Sprintf("Replace `%s` by `%s`", d.Fix.Span.Text(), strings.TrimSpace(d.Fix.Text))
		out = append(out, protocol.CodeAction{
			Title: title, Kind: new(protocol.CodeActionKindQuickFix), IsPreferred: new(true),
			Diagnostics: []protocol.Diagnostic{a.diagnostic(f, d)},
			Edit: &protocol.WorkspaceEdit{Changes: map[string][]protocol.TextEdit{
				f.uri: {{Range: f.rangeOf(d.Fix.Span), NewText: d.Fix.Text}},
			}},
		})
	}
	return out
}
