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

// syntaxError is a defect of the PTX text, with its line counted from 1.
func syntaxError(line int32, format string, args ...any) error {
	return runtime.Errorf(runtime.ErrCompile, "emu: PTX line %d: %s", line, fmt.Sprintf(format, args...))
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

func (l *lexer) next() (token, error) {
	if err := l.space(); err != nil {
		return token{}, err
	}
	if l.pos >= len(l.src) {
		return token{tokEOF, l.line, ""}, nil
	}
	start, line := l.pos, l.line
	switch c := l.src[l.pos]; {
	case isWordStart(c):
		l.word()
		return token{tokWord, line, l.src[start:l.pos]}, nil
	case isDigit(c):
		for l.pos < len(l.src) && (isDigit(l.src[l.pos]) || isWordStart(l.src[l.pos])) {
			l.pos++
		}
		return token{tokNumber, line, l.src[start:l.pos]}, nil
	case c == '"':
		end := strings.IndexAny(l.src[l.pos+1:], "\"\n")
		if end < 0 || l.src[l.pos+1+end] == '\n' {
			return token{}, syntaxError(line, "string without an end")
		}
		l.pos += end + 2
		return token{tokString, line, l.src[start+1 : l.pos-1]}, nil
	case strings.IndexByte("{}[]()<>,;:=@!|+-", c) >= 0:
		l.pos++
		return token{tokPunct, line, l.src[start:l.pos]}, nil
	default:
		return token{}, syntaxError(line, "unexpected character %q", c)
	}
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
func (l *lexer) space() error {
	for l.pos < len(l.src) {
		switch rest := l.src[l.pos:]; {
		case rest[0] == '\n':
			l.line++
			l.pos++
		case rest[0] == ' ' || rest[0] == '\t' || rest[0] == '\r' || rest[0] == '\f' || rest[0] == '\v':
			l.pos++
		case strings.HasPrefix(rest, "//"):
			end := strings.IndexByte(rest, '\n')
			if end < 0 {
				end = len(rest)
			}
			l.pos += end
		case strings.HasPrefix(rest, "/*"):
			end := strings.Index(rest, "*/")
			if end < 0 {
				return syntaxError(l.line, "comment without an end")
			}
			l.line += int32(strings.Count(rest[:end], "\n"))
			l.pos += end + 2
		default:
			return nil
		}
	}
	return nil
}
