package dsl

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/alecthomas/participle/v2/lexer"

	"github.com/s2attention/s2c/diag"
)

const (
	tokEOF lexer.TokenType = lexer.EOF

	tokIdent lexer.TokenType = -(iota + 2)
	tokKeyword
	tokInt
	tokFloat
	tokString
	tokPunct
	tokComment
)

// declarations begin with these.
var declarations = map[string]bool{
	"model": true, "param": true, "pattern": true, "layer": true, "require": true, "import": true,
}

// punctuation, longest first.
var punctuation = []string{
	"->", "..", "==", "!=", "<=", ">=",
	"{", "}", "(", ")", "[", "]", ",", ":", ";", "|", "&", "-", "+", "*", "/", "<", ">", "=",
}

// scan cuts a source into tokens, comments included, white space not. What is
// no token is reported and left out; bad lists where.
func scan(src *diag.Source, bag *diag.Bag) (tokens []lexer.Token, bad []int) {
	s := scanner{src: src, text: src.Text, bag: bag, line: 1, column: 1}
	for s.next() {
	}
	return s.tokens, s.errors
}

type scanner struct {
	src          *diag.Source
	text         string
	bag          *diag.Bag
	offset       int
	line, column int
	tokens       []lexer.Token
	errors       []int // offsets
}

// next takes one token and reports whether there may be more.
func (s *scanner) next() bool {
	rest := s.text[s.offset:]
	trimmed := strings.TrimLeft(rest, " \t\r\n\f\v")
	s.advance(len(rest) - len(trimmed))
	rest = trimmed
	if rest == "" {
		return false
	}
	c := rest[0]
	switch {
	case strings.HasPrefix(rest, "//"):
		n := strings.IndexByte(rest, '\n')
		if n < 0 {
			n = len(rest)
		}
		s.take(tokComment, len(strings.TrimRight(rest[:n], "\r")))
	case strings.HasPrefix(rest, "/*"):
		n := strings.Index(rest[2:], "*/")
		if n < 0 {
			s.report(diag.Unterminated, 2, "this comment never ends", "close it with */")
			s.advance(len(rest))
			return false
		}
		s.take(tokComment, n+4)
	case c == '"':
		s.str(rest)
	case isLetter(c):
		n := span(rest, func(c byte) bool { return isLetter(c) || isDigit(c) })
		if keywords[rest[:n]] {
			s.take(tokKeyword, n)
		} else {
			s.take(tokIdent, n)
		}
	case isDigit(c):
		s.number(rest)
	default:
		for _, p := range punctuation {
			if strings.HasPrefix(rest, p) {
				s.take(tokPunct, len(p))
				return true
			}
		}
		s.bad(rest)
	}
	return true
}

func (s *scanner) str(rest string) {
	end := strings.IndexAny(rest[1:], "\"\n")
	if end < 0 || rest[1+end] == '\n' {
		if end < 0 {
			end = len(rest) - 1
		}
		s.report(diag.Unterminated, 1, "this text never ends", `close it with " on the same line`)
		s.advance(1 + end)
		return
	}
	s.take(tokString, end+2)
}

// number takes 12, 0.25, 1e-3 and reports 12abc.
func (s *scanner) number(rest string) {
	n := span(rest, isDigit)
	kind := tokInt
	if strings.HasPrefix(rest[n:], ".") && n+1 < len(rest) && isDigit(rest[n+1]) {
		kind = tokFloat
		n += 1 + span(rest[n+1:], isDigit)
	}
	if m := exponent(rest[n:]); m > 0 {
		kind = tokFloat
		n += m
	}
	if m := span(rest[n:], func(c byte) bool { return isLetter(c) || isDigit(c) }); m > 0 {
		s.report(diag.BadCharacter, n+m, fmt.Sprintf("%s is neither a number nor a name", clip(rest[:n+m])),
			"names begin with a letter; numbers are written in decimal digits alone")
		s.advance(n + m)
		return
	}
	s.take(kind, n)
}

// exponent is the length of an e±dd suffix, or 0.
func exponent(rest string) int {
	if rest == "" || rest[0] != 'e' && rest[0] != 'E' {
		return 0
	}
	n := 1
	if n < len(rest) && (rest[n] == '+' || rest[n] == '-') {
		n++
	}
	if d := span(rest[n:], isDigit); d > 0 {
		return n + d
	}
	return 0
}

func (s *scanner) bad(rest string) {
	r, n := utf8.DecodeRuneInString(rest)
	hint := ""
	switch r {
	case '%':
		hint = "the remainder is spelt `mod`"
	case '!':
		hint = "negation is spelt `not`"
	case '#':
		hint = "comments begin with //"
	case '–', '−':
		hint = "write an ASCII minus sign"
	case '≤', '≥', '≠':
		hint = "write <=, >= or !="
	case '∪', '∩', '∖':
		hint = "write | for union, & for intersection, - for difference"
	}
	what := fmt.Sprintf("%q has no meaning here", r)
	if !unicode.IsPrint(r) {
		what = fmt.Sprintf("character %U has no meaning here", r)
	}
	s.report(diag.BadCharacter, n, what, hint)
	s.advance(n)
}

func (s *scanner) report(code diag.Code, n int, message, hint string) {
	d := diag.New(code, diag.Span{Src: s.src, Start: s.offset, End: s.offset + n}, "%s", message)
	d.Hint = hint
	d.Fix = respelling(d.Span)
	s.bag.Add(d)
	s.errors = append(s.errors, s.offset)
}

func (s *scanner) take(kind lexer.TokenType, n int) {
	s.tokens = append(s.tokens, lexer.Token{
		Type: kind, Value: s.text[s.offset : s.offset+n],
		Pos: lexer.Position{Filename: s.src.Name, Offset: s.offset, Line: s.line, Column: s.column},
	})
	s.advance(n)
}

func (s *scanner) advance(n int) {
	text := s.text[s.offset : s.offset+n]
	if k := strings.Count(text, "\n"); k > 0 {
		s.line += k
		s.column = 1
		text = text[strings.LastIndexByte(text, '\n')+1:]
	}
	s.column += utf8.RuneCountInString(text)
	s.offset += n
}

func span(s string, in func(byte) bool) int {
	n := 0
	for n < len(s) && in(s[n]) {
		n++
	}
	return n
}

func isLetter(c byte) bool { return c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }

// clip shortens what a message quotes.
func clip(s string) string {
	const most = 40
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// definition makes the scanner known to participle.
type definition struct{}

func (definition) Symbols() map[string]lexer.TokenType {
	return map[string]lexer.TokenType{
		"EOF": tokEOF, "Ident": tokIdent, "Keyword": tokKeyword, "Int": tokInt,
		"Float": tokFloat, "String": tokString, "Punct": tokPunct, "Comment": tokComment,
	}
}

func (definition) Lex(name string, r io.Reader) (lexer.Lexer, error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxFileSize+1))
	if err != nil {
		return nil, err
	}
	var bag diag.Bag
	tokens, _ := scan(diag.NewSource(name, string(text)), &bag)
	if err := bag.List().Err(); err != nil {
		return nil, err
	}
	return &tokenLexer{tokens: withoutComments(tokens)}, nil
}

// tokenLexer hands out tokens that were scanned before.
type tokenLexer struct {
	tokens []lexer.Token
	end    lexer.Position
}

func (l *tokenLexer) Next() (lexer.Token, error) {
	if len(l.tokens) == 0 {
		return lexer.EOFToken(l.end), nil
	}
	t := l.tokens[0]
	l.tokens = l.tokens[1:]
	if len(l.tokens) == 0 {
		l.end = t.Pos
		l.end.Offset += len(t.Value)
		l.end.Column += utf8.RuneCountInString(t.Value)
	}
	return t, nil
}

func withoutComments(tokens []lexer.Token) []lexer.Token {
	out := make([]lexer.Token, 0, len(tokens))
	for _, t := range tokens {
		if t.Type != tokComment {
			out = append(out, t)
		}
	}
	return out
}
