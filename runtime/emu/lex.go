package emu

import (
	"fmt"
	"strings"

	"github.com/s2attention/s2c/runtime"
)

type tokenKind uint8

const (
	tokEOF tokenKind = iota
	tokWord
	tokNumber
	tokString
	tokPunct
)

type token struct {
	kind tokenKind
	line int32
	text string
}

func (t token) String() string {
	if t.kind == tokEOF {
		return "the end of the text"
	}
	return fmt.Sprintf("%q", t.text)
}

// failure is the panic that ends the reading of a text.
type failure struct{ error }

// fail ends the reading for a defect of the PTX text, with its line counted from 1.
func fail(line int32, format string, args ...any) {
	panic(failure{runtime.Errorf(runtime.ErrCompile, "emu: PTX line %d: %s", line, fmt.Sprintf(format, args...))})
}

// caught, deferred, makes a failure an error.
func caught(err *error) {
	switch r := recover().(type) {
	case nil:
	case failure:
		*err = r.error
	default:
		panic(r)
	}
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isWordStart(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '$' || c == '%' || c == '.'
}

// lexer cuts PTX text into tokens. A word keeps its dots and double colons, so
// that an opcode such as cp.async.bulk.tensor.2d.shared::cluster is one token.
type lexer struct {
	src  string
	pos  int
	line int32
}

func (l *lexer) next() token {
	l.space()
	if l.pos >= len(l.src) {
		return token{tokEOF, l.line, ""}
	}
	start := l.pos
	switch c := l.src[l.pos]; {
	case isWordStart(c):
		l.word()
		return token{tokWord, l.line, l.src[start:l.pos]}
	case isDigit(c):
		for l.pos < len(l.src) && (isDigit(l.src[l.pos]) || isWordStart(l.src[l.pos])) {
			l.pos++
		}
		return token{tokNumber, l.line, l.src[start:l.pos]}
	case c == '"':
		end := strings.IndexAny(l.src[l.pos+1:], "\"\n")
		if end < 0 || l.src[l.pos+1+end] == '\n' {
			fail(l.line, "string without an end")
		}
		l.pos += end + 2
		return token{tokString, l.line, l.src[start+1 : l.pos-1]}
	case strings.IndexByte("{}[]()<>,;:=@!|+-", c) < 0:
		fail(l.line, "unexpected character %q", c)
	}
	l.pos++
	return token{tokPunct, l.line, l.src[start:l.pos]}
}

func (l *lexer) word() {
	for l.pos++; l.pos < len(l.src); l.pos++ {
		c := l.src[l.pos]
		if isWordStart(c) || isDigit(c) {
			continue
		}
		if c == ':' && l.pos+1 < len(l.src) && l.src[l.pos+1] == ':' {
			l.pos++
			continue
		}
		return
	}
}

// space skips white space and comments.
func (l *lexer) space() {
	for l.pos < len(l.src) {
		rest, n := l.src[l.pos:], 0
		switch {
		case strings.IndexByte(" \t\r\f\v\n", rest[0]) >= 0:
			n = 1
		case strings.HasPrefix(rest, "//"):
			if n = strings.IndexByte(rest, '\n'); n < 0 {
				n = len(rest)
			}
		case strings.HasPrefix(rest, "/*"):
			if n = strings.Index(rest, "*/") + 2; n < 2 {
				fail(l.line, "comment without an end")
			}
		default:
			return
		}
		l.line += int32(strings.Count(rest[:n], "\n"))
		l.pos += n
	}
}
