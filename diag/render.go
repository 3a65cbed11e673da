package diag

import (
	"fmt"
	"io"
	"strings"
	"unicode"
)

// snippetWidth is how many characters of a source line are shown at most.
const snippetWidth = 120

const (
	red    = "\x1b[31;1m"
	yellow = "\x1b[33;1m"
	blue   = "\x1b[34;1m"
	cyan   = "\x1b[36;1m"
	bold   = "\x1b[1m"
	reset  = "\x1b[0m"
)

// Text renders a list with source lines, carets and hints.
func Text(l List, colour bool) string {
	var b strings.Builder
	Render(&b, l, colour)
	return b.String()
}

// Render writes a list as text: for each diagnostic its place, severity, code
// and message, the source line, a caret, related places and the hint. Colour
// is ANSI, and only used if asked for.
func Render(w io.Writer, l List, colour bool) error {
	r := renderer{w: w, colour: colour}
	for _, d := range l {
		r.diagnostic(d)
	}
	return r.err
}

// renderer keeps its first write error, so that the code around it need not.
type renderer struct {
	w      io.Writer
	colour bool
	err    error
}

func (r *renderer) printf(format string, args ...any) {
	if r.err == nil {
		_, r.err = fmt.Fprintf(r.w, format, args...)
	}
}

func (r *renderer) paint(colour, s string) string {
	if !r.colour {
		return s
	}
	return colour + s + reset
}

func (r *renderer) diagnostic(d Diagnostic) {
	colour := red
	if d.Severity == Warning {
		colour = yellow
	}
	if p := d.Span.Pos(); p.File != "" {
		r.printf("%s: ", r.paint(bold, printable(p.String())))
	}
	r.printf("%s: %s\n", r.paint(colour, fmt.Sprintf("%s[%s]", d.Severity, d.Code)), r.paint(bold, printable(d.Message)))
	r.snippet(d.Span, colour)
	for _, rel := range d.Related {
		r.printf("%s: note: %s\n", printable(rel.Span.Pos().String()), printable(rel.Message))
		r.snippet(rel.Span, blue)
	}
	if d.Hint != "" {
		r.printf("  %s %s\n", r.paint(cyan, "hint:"), printable(d.Hint))
	}
}

// snippet shows the line of a span with carets below it.
func (r *renderer) snippet(s Span, colour string) {
	if s.Src == nil || s.Start < 0 {
		return
	}
	pos := s.Pos()
	text, start := s.Src.lineAt(pos.Line)
	line, caret, width := excerpt(text, min(max(s.Start-start, 0), len(text)), min(max(s.End, s.Start, start)-start, len(text)))
	number := fmt.Sprint(pos.Line)
	r.printf(" %s %s %s\n", r.paint(blue, number), r.paint(blue, "|"), line)
	r.printf(" %s %s %s%s\n", strings.Repeat(" ", len(number)), r.paint(blue, "|"),
		strings.Repeat(" ", caret), r.paint(colour, strings.Repeat("^", width)))
}

// excerpt cuts a line to what fits around bytes [from, to), with tabs and
// unprintable characters replaced, and says where the carets go.
func excerpt(text string, from, to int) (line string, caret, width int) {
	before := []rune(tail(text[:from], snippetWidth*4))
	marked := []rune(head(text[from:to], snippetWidth*4))
	after := []rune(head(text[to:], snippetWidth*4))
	const lead = snippetWidth / 2
	prefix, suffix := "", ""
	if len(before) > lead && len(before)+len(marked)+len(after) > snippetWidth {
		before = before[len(before)-lead:]
		prefix = "…"
	}
	room := snippetWidth - len(before)
	if len(marked) > room {
		marked, after, suffix = marked[:room], nil, "…"
	} else if len(marked)+len(after) > room {
		after, suffix = after[:room-len(marked)], "…"
	}
	b, m, a := printable(string(before)), printable(string(marked)), printable(string(after))
	return prefix + b + m + a + suffix, len([]rune(prefix)) + len([]rune(b)), max(1, len([]rune(m)))
}

func head(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

func tail(s string, n int) string {
	if len(s) > n {
		return s[len(s)-n:]
	}
	return s
}

// printable replaces what would disturb a terminal, one character for one.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case !unicode.IsPrint(r):
			return '·'
		}
		return r
	}, s)
}
