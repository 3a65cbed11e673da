package lsp

import (
	"sort"

	protocol "github.com/tliron/glsp/protocol_3_16"
)

// lines converts between bytes of a text and the protocol's positions: lines,
// and UTF-16 units within them. Each conversion takes logarithmic time, on long
// lines too.
type lines struct {
	text   string
	starts []int // byte offset of each line
	marks  []int // units in front of each stride
}

// stride is how many bytes there are between two marks.
const stride = 128

func newLines(text string) *lines {
	l := &lines{text: text, starts: []int{0}, marks: make([]int, 0, len(text)/stride+1)}
	n := 0
	for i := 0; i < len(text); i++ {
		if i%stride == 0 {
			l.marks = append(l.marks, n)
		}
		n += unitsOf(text[i])
		if c := text[i]; c == '\n' || c == '\r' && (i+1 == len(text) || text[i+1] != '\n') {
			l.starts = append(l.starts, i+1)
		}
	}
	return l
}

// unitsOf is what a byte of UTF-8 adds in UTF-16: continuation bytes nothing,
// the first of four bytes a surrogate pair.
func unitsOf(c byte) int {
	switch {
	case c&0xc0 == 0x80:
		return 0
	case c >= 0xf0:
		return 2
	}
	return 1
}

// units is how many there are in front of a byte.
func (l *lines) units(offset int) int {
	if len(l.marks) == 0 {
		return 0
	}
	m := min(offset/stride, len(l.marks)-1)
	n := l.marks[m]
	for i := m * stride; i < offset; i++ {
		n += unitsOf(l.text[i])
	}
	return n
}

// position is the place of a byte.
func (l *lines) position(offset int) protocol.Position {
	offset = min(max(offset, 0), len(l.text))
	line := sort.SearchInts(l.starts, offset+1) - 1
	return protocol.Position{
		Line: uint32(line), Character: uint32(l.units(offset) - l.units(l.starts[line])),
	}
}

// offset is the byte at a place. A place behind the end of its line is the end
// of the line, one behind the last line the end of the text.
func (l *lines) offset(p protocol.Position) int {
	if int64(p.Line) >= int64(len(l.starts)) {
		return len(l.text)
	}
	start, end := l.starts[p.Line], l.end(int(p.Line))
	n := l.units(start)
	want := n + int(p.Character)
	at := start
	// The last mark on the line that is not behind the place.
	if m := sort.SearchInts(l.marks, want+1) - 1; m >= 0 && m*stride > start {
		at = min(m*stride, end)
		n = l.units(at)
	}
	for at < end {
		u := unitsOf(l.text[at])
		if n+u > want {
			break
		}
		n += u
		at++
	}
	for at < end && unitsOf(l.text[at]) == 0 { // never within a character
		at++
	}
	return at
}

// end is where a line's text ends, without what ends the line.
func (l *lines) end(line int) int {
	if line+1 == len(l.starts) {
		return len(l.text)
	}
	end := l.starts[line+1] - 1
	if l.text[end] == '\n' && end > l.starts[line] && l.text[end-1] == '\r' {
		end--
	}
	return end
}

// rangeOf is a piece of the text as the protocol writes it.
func (l *lines) rangeOf(start, end int) protocol.Range {
	return protocol.Range{Start: l.position(start), End: l.position(max(start, end))}
}
