// Package diag holds diagnostics: stable codes, source positions, and their
// rendering as text with a caret and as JSON.
package diag

import (
	"fmt"
	"sort"
	"strings"
	"unicode/utf8"
)

// Source is a file's name and text; positions are derived from it lazily.
type Source struct {
	Name  string
	Text  string
	lines []int // byte offset of each line's start
}

// Mark is the byte order mark. Some editors begin a file with it; it is no part
// of the first line.
const Mark = "\uFEFF"

// NewSource indexes the lines of a text.
func NewSource(name, text string) *Source {
	s := &Source{Name: name, Text: text, lines: []int{0}}
	if strings.HasPrefix(text, Mark) {
		s.lines[0] = len(Mark)
	}
	for i := 0; i < len(text); i++ {
		if text[i] == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
	return s
}

// Pos is a place in a file. Line and Col count from 1, Col in characters.
// Line 0 means the file as a whole.
type Pos struct {
	File      string
	Line, Col int
}

// String is file:line:col, or the file alone.
func (p Pos) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// Pos converts a byte offset.
func (s *Source) Pos(offset int) Pos {
	offset = min(max(offset, s.lines[0]), len(s.Text))
	line := sort.Search(len(s.lines), func(i int) bool { return s.lines[i] > offset }) - 1
	col := utf8.RuneCountInString(s.Text[s.lines[line]:offset]) + 1
	return Pos{File: s.Name, Line: line + 1, Col: col}
}

// lineAt is the text of a line without its end, and where it starts.
func (s *Source) lineAt(line int) (text string, start int) {
	start = s.lines[line-1]
	end := len(s.Text)
	if line < len(s.lines) {
		end = s.lines[line] - 1
	}
	if end > start && s.Text[end-1] == '\r' {
		end--
	}
	return s.Text[start:end], start
}

// Span is the bytes [Start, End) of a source. The zero Span has no place; a
// Span whose Start is negative stands for the whole file.
type Span struct {
	Src        *Source
	Start, End int
}

// Whole is the span that names a file without a place in it.
func Whole(s *Source) Span { return Span{Src: s, Start: -1, End: -1} }

// Pos is where the span starts.
func (s Span) Pos() Pos {
	switch {
	case s.Src == nil:
		return Pos{}
	case s.Start < 0:
		return Pos{File: s.Src.Name}
	}
	return s.Src.Pos(s.Start)
}

// EndPos is the place just behind the span.
func (s Span) EndPos() Pos {
	if s.Src == nil || s.Start < 0 {
		return s.Pos()
	}
	return s.Src.Pos(s.End)
}

// Text is what the span covers.
func (s Span) Text() string {
	if s.Src == nil || s.Start < 0 || s.End > len(s.Src.Text) || s.End < s.Start {
		return ""
	}
	return s.Src.Text[s.Start:s.End]
}

// To extends a span to the end of a later one in the same source.
func (s Span) To(t Span) Span {
	if s.Src == t.Src && t.End > s.End {
		s.End = t.End
	}
	return s
}
