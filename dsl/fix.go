package dsl

import (
	"unicode/utf8"

	"github.com/alecthomas/participle/v2/lexer"

	"github.com/s2attention/s2c/diag"
)

// tokenChange replaces tokens, from first to last, by a text; none where the
// text is empty.
type tokenChange struct {
	first, last lexer.Token
	text        string
}

// change is the mistake's fix at the tokens that it names.
func (m *mistake) change(prev, t, next lexer.Token) tokenChange {
	c := tokenChange{t, t, m.fix}
	if m.prev != "" {
		c.first = prev
	}
	if m.next != "" {
		c.last = next
	}
	return c
}

func (b *builder) fix(c tokenChange) *diag.Fix {
	if c.text == "" {
		return nil
	}
	return &diag.Fix{Span: b.token(c.first).To(b.token(c.last)), Text: c.text}
}

// respellings are what the language writes for characters that it lacks.
var respellings = map[string]string{
	"%": "mod", "!": "not", "#": "//", "–": "-", "−": "-", "≤": "<=", "≥": ">=", "≠": "!=", "∪": "|", "∩": "&", "∖": "-",
}

// respelling replaces a character that the language lacks, or is nil.
func respelling(at diag.Span) *diag.Fix {
	text := respellings[at.Text()]
	if text == "" {
		return nil
	}
	if isLetter(text[0]) {
		before, _ := utf8.DecodeLastRuneInString(at.Src.Text[:at.Start])
		after, _ := utf8.DecodeRuneInString(at.Src.Text[at.End:])
		if !isBlank(before) {
			text = " " + text
		}
		if !isBlank(after) {
			text += " "
		}
	}
	return &diag.Fix{Span: at, Text: text}
}

func isBlank(r rune) bool { return r == ' ' || r == '\t' || r == '\n' || r == '\r' }
