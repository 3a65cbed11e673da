package diag

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Severity says whether a diagnostic stops the work.
type Severity int

const (
	Error Severity = iota
	Warning
)

func (s Severity) String() string {
	if s == Warning {
		return "warning"
	}
	return "error"
}

// Related is a second place that explains a diagnostic.
type Related struct {
	Span    Span
	Message string
}

// Diagnostic is one finding.
type Diagnostic struct {
	Code     Code
	Severity Severity
	Span     Span
	Message  string
	Hint     string // what to do; may be empty
	Fix      *Fix   // the hint as a change of the text, where it is one
	Related  []Related
}

// Fix replaces a piece of the text.
type Fix struct {
	Span Span
	Text string
}

// New is an error with a formatted message.
func New(code Code, span Span, format string, args ...any) Diagnostic {
	return Diagnostic{Code: code, Span: span, Message: fmt.Sprintf(format, args...)}
}

// Warn is a warning with a formatted message.
func Warn(code Code, span Span, format string, args ...any) Diagnostic {
	d := New(code, span, format, args...)
	d.Severity = Warning
	return d
}

// WithHint returns a copy that says what to do.
func (d Diagnostic) WithHint(format string, args ...any) Diagnostic {
	d.Hint = fmt.Sprintf(format, args...)
	return d
}

// WithFix returns a copy whose hint an editor can carry out.
func (d Diagnostic) WithFix(span Span, text string) Diagnostic {
	d.Fix = &Fix{span, text}
	return d
}

// WithRelated returns a copy that also points at another place.
func (d Diagnostic) WithRelated(span Span, format string, args ...any) Diagnostic {
	d.Related = append(slices.Clone(d.Related), Related{span, fmt.Sprintf(format, args...)})
	return d
}

// Error is the first line of the rendering: file:line:col: error[code]: message.
func (d Diagnostic) Error() string {
	head := fmt.Sprintf("%s[%s]: %s", d.Severity, d.Code, d.Message)
	if p := d.Span.Pos(); p.File != "" {
		head = p.String() + ": " + head
	}
	return head
}

// List is diagnostics in order of place.
type List []Diagnostic

// HasErrors reports whether anything in the list is an error.
func (l List) HasErrors() bool {
	return slices.ContainsFunc(l, func(d Diagnostic) bool { return d.Severity == Error })
}

// Split separates errors from warnings.
func (l List) Split() (errors, warnings List) {
	for _, d := range l {
		if d.Severity == Error {
			errors = append(errors, d)
		} else {
			warnings = append(warnings, d)
		}
	}
	return errors, warnings
}

// Err is the list as an error, or nil where it holds no errors.
func (l List) Err() error {
	if !l.HasErrors() {
		return nil
	}
	return listError{l}
}

type listError struct{ list List }

func (e listError) Error() string {
	return strings.TrimRight(Text(e.list, false), "\n")
}

// As lets errors.As find the list.
func (e listError) As(target any) bool {
	if l, ok := target.(*List); ok {
		*l = e.list
		return true
	}
	return false
}

// Error makes List itself usable with errors.As.
func (l List) Error() string { return strings.TrimRight(Text(l, false), "\n") }

// Sort orders by file as first met, then by place; errors and warnings mix.
func (l List) Sort() {
	order := map[*Source]int{}
	for _, d := range l {
		if _, ok := order[d.Span.Src]; !ok {
			order[d.Span.Src] = len(order)
		}
	}
	slices.SortStableFunc(l, func(a, b Diagnostic) int {
		return cmp.Or(
			cmp.Compare(order[a.Span.Src], order[b.Span.Src]),
			cmp.Compare(a.Span.Start, b.Span.Start),
			cmp.Compare(a.Code, b.Code),
		)
	})
}

// MaxErrors is how many errors a [Bag] keeps; the rest are counted only.
const MaxErrors = 100

// Bag collects diagnostics, one for each code and place.
type Bag struct {
	list    List
	seen    map[bagKey]bool
	errors  int
	dropped int
}

type bagKey struct {
	code       Code
	src        *Source
	start, end int
}

// Add keeps a diagnostic unless its code was already reported for its place.
func (b *Bag) Add(d Diagnostic) {
	if b.seen == nil {
		b.seen = map[bagKey]bool{}
	}
	key := bagKey{d.Code, d.Span.Src, d.Span.Start, d.Span.End}
	if b.seen[key] {
		return
	}
	b.seen[key] = true
	if d.Severity == Error {
		b.errors++
	}
	if len(b.list) >= MaxErrors {
		b.dropped++
		return
	}
	b.list = append(b.list, d)
}

// Full reports whether another diagnostic would be counted only, so that its hint
// need not be thought about.
func (b *Bag) Full() bool { return len(b.list) >= MaxErrors }

// Failed reports whether an error was added.
func (b *Bag) Failed() bool { return b.errors > 0 }

// Errors counts the errors added so far.
func (b *Bag) Errors() int { return b.errors }

// List is what was collected, in order of place, with a last entry that
// counts what did not fit.
func (b *Bag) List() List {
	l := slices.Clone(b.list)
	l.Sort()
	if b.dropped > 0 {
		last := l[len(l)-1]
		l = append(l, New(TooMany, Whole(last.Span.Src), "%d more errors and warnings are not shown", b.dropped))
	}
	return l
}

type jsonDiagnostic struct {
	File     string        `json:"file"`
	Line     int           `json:"line"`
	Col      int           `json:"col"`
	EndLine  int           `json:"end_line"`
	EndCol   int           `json:"end_col"`
	Severity string        `json:"severity"`
	Code     Code          `json:"code"`
	Message  string        `json:"message"`
	Hint     string        `json:"hint,omitempty"`
	Related  []jsonRelated `json:"related,omitempty"`
}

type jsonRelated struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Col     int    `json:"col"`
	Message string `json:"message"`
}

// MarshalJSON is a list of flat objects: file, line, col, end_line, end_col,
// severity, code, message, hint, related.
func (l List) MarshalJSON() ([]byte, error) {
	out := make([]jsonDiagnostic, 0, len(l))
	for _, d := range l {
		p, e := d.Span.Pos(), d.Span.EndPos()
		j := jsonDiagnostic{p.File, p.Line, p.Col, e.Line, e.Col, d.Severity.String(), d.Code, d.Message, d.Hint, nil}
		for _, r := range d.Related {
			q := r.Span.Pos()
			j.Related = append(j.Related, jsonRelated{q.File, q.Line, q.Col, r.Message})
		}
		out = append(out, j)
	}
	return json.Marshal(out)
}
