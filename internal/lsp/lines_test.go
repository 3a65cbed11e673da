package lsp

import (
	"strings"
	"testing"
	"unicode/utf16"

	protocol "github.com/tliron/glsp/protocol_3_16"
	"pgregory.net/rapid"
)

func TestPositions(t *testing.T) {
	const text = "aé€\U0001f600b\r\nx\ry\n\nend"
	l := newLines(text)
	for _, c := range []struct {
		offset    int
		line, col uint32
	}{
		{0, 0, 0}, {1, 0, 1}, {3, 0, 2}, {6, 0, 3}, {10, 0, 5}, {11, 0, 6}, {13, 1, 0}, {14, 1, 1}, {15, 2, 0}, {17, 3, 0}, {18, 4, 0}, {21, 4, 3},
	} {
		p := protocol.Position{Line: c.line, Character: c.col}
		if got := l.position(c.offset); got != p {
			t.Errorf("%d: %v", c.offset, got)
		}
		if got := l.offset(p); got != c.offset {
			t.Errorf("%v: %d", p, got)
		}
	}
	for p, want := range map[protocol.Position]int{
		{Line: 0, Character: 4}: 6, {Line: 0, Character: 99}: 11, {Line: 9}: 21, {Line: 1 << 31, Character: 1 << 31}: 21,
	} {
		if got := l.offset(p); got != want {
			t.Errorf("%v: %d, want %d", p, got, want)
		}
	}
	if p := newLines("").position(5); p != (protocol.Position{}) {
		t.Error(p)
	}
}

// TestPositionsAgree compares with a conversion that splits the text and
// encodes each line.
func TestPositionsAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.RuneFrom([]rune("ab é€\U0001f600\n")), 0, 700, -1).Draw(t, "text")
		l := newLines(text)
		offset := 0
		for n, line := range strings.Split(text, "\n") {
			units := 0
			for i, r := range line {
				p := protocol.Position{Line: uint32(n), Character: uint32(units)}
				if got := l.position(offset + i); got != p {
					t.Fatalf("byte %d is at %v, want %v", offset+i, got, p)
				}
				if got := l.offset(p); got != offset+i {
					t.Fatalf("%v is byte %d, want %d", p, got, offset+i)
				}
				units += len(utf16.Encode([]rune{r}))
			}
			offset += len(line) + 1
		}
	})
}
