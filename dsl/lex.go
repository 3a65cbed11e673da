package dsl

import (
	"fmt"
	"io"
	"math"
	"strconv"
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

// scanFile is scan for a file, which may begin with a byte order mark.
func scanFile(src *diag.Source, bag *diag.Bag) (tokens []lexer.Token, bad []int) {
	if strings.HasPrefix(src.Text, diag.Mark) {
		return scanFrom(len(diag.Mark), src, bag)
	}
	return scan(src, bag)
}

// scan cuts a source into tokens, comments included, white space not. What is
// no token is reported and left out; bad lists where.
func scan(src *diag.Source, bag *diag.Bag) (tokens []lexer.Token, bad []int) {
	return scanFrom(0, src, bag)
}

func scanFrom(offset int, src *diag.Source, bag *diag.Bag) (tokens []lexer.Token, bad []int) {
	s := scanner{src: src, text: src.Text, bag: bag, offset: offset, line: 1, column: 1}
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
	if strings.Contains(rest[:end+2], diag.Mark) {
		s.marksIn(rest[:end+2])
		s.advance(end + 2) // no file of that name is looked for
		return
	}
	s.take(tokString, end+2)
}

// number takes 12, 4K, 0.25, 1e-3 and reports 12abc.
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
	m := span(rest[n:], func(c byte) bool { return isLetter(c) || isDigit(c) })
	switch {
	case m == 0:
	case m == 1 && kind == tokInt && units[rest[n:n+1]] != 0:
		n++
	default:
		s.report(diag.BadCharacter, n+m, fmt.Sprintf("%s is neither a number nor a name", clip(rest[:n+m])),
			numberHint(rest[:n], rest[n:n+m], kind))
		kind = tokInt // of no value: what stands around it is still judged
		n += m
	}
	s.take(kind, n)
}

// product says what a real number of units is in digits, where that is a whole
// number.
func product(digits string, shift uint) string {
	v, err := strconv.ParseFloat(digits, 64)
	v = math.Ldexp(v, int(shift))
	if err != nil || v != math.Trunc(v) || v >= 1<<53 {
		return ""
	}
	return fmt.Sprintf(": write %.0f", v)
}

// units may follow a whole number: each is a power of two.
var units = map[string]uint{"K": 10, "M": 20}

// integer reads the digits and the unit of a token.
func integer(text string) (int64, error) {
	last := len(text) - 1
	shift := units[text[last:]]
	if shift > 0 {
		text = text[:last]
	}
	v, err := strconv.ParseInt(text, 10, 64)
	if err == nil && v > math.MaxInt64>>shift {
		err = strconv.ErrRange
	}
	return v << shift, err
}

// numberHint says how a number is written whose digits are followed by letters.
func numberHint(digits, letters string, kind lexer.TokenType) string {
	unit, rest := strings.ToUpper(letters[:1]), strings.ToLower(letters[1:])
	switch {
	case units[unit] == 0 || rest != "" && rest != "b" && rest != "i" && rest != "ib":
		return "names begin with a letter; numbers are decimal digits, with K or M for 2^10 or 2^20 right behind whole ones"
	case kind == tokFloat:
		return fmt.Sprintf("%s follows whole numbers alone%s", unit, product(digits, units[unit]))
	case rest != "":
		return fmt.Sprintf("K and M, for 2^10 and 2^20, stand alone: write %s%s", clip(digits), unit)
	}
	return fmt.Sprintf("the unit is a capital letter: write %s%s", clip(digits), unit)
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
	if strings.HasPrefix(rest, diag.Mark) {
		s.mark(0)
		s.advance(len(diag.Mark))
		return
	}
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

// mark reports a byte order mark, which is invisible, at bytes from here.
func (s *scanner) mark(at int) {
	s.reportAt(s.offset+at, diag.BadCharacter, len(diag.Mark), "a byte order mark (U+FEFF) stands within the file",
		"it may stand at the very start alone; delete it here")
}

func (s *scanner) report(code diag.Code, n int, message, hint string) {
	s.reportAt(s.offset, code, n, message, hint)
}

func (s *scanner) reportAt(offset int, code diag.Code, n int, message, hint string) {
	d := diag.New(code, diag.Span{Src: s.src, Start: offset, End: offset + n}, "%s", message)
	d.Hint = hint
	d.Fix = respelling(d.Span)
	s.bag.Add(d)
	s.errors = append(s.errors, offset)
}

func (s *scanner) take(kind lexer.TokenType, n int) {
	if kind == tokComment {
		s.marksIn(s.text[s.offset : s.offset+n])
	}
	s.tokens = append(s.tokens, lexer.Token{
		Type: kind, Value: s.text[s.offset : s.offset+n],
		Pos: lexer.Position{Filename: s.src.Name, Offset: s.offset, Line: s.line, Column: s.column},
	})
	s.advance(n)
}

// marksIn reports the byte order marks of a comment or text from here on.
func (s *scanner) marksIn(text string) {
	for at := 0; ; at += len(diag.Mark) {
		next := strings.Index(text[at:], diag.Mark)
		if next < 0 {
			return
		}
		at += next
		s.mark(at)
	}
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
