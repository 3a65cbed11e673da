package dsl

import (
	"errors"
	"slices"

	"github.com/alecthomas/participle/v2"
	"github.com/alecthomas/participle/v2/lexer"

	"github.com/s2attention/s2c/diag"
)

// Expectation is what may be typed at a place.
type Expectation struct {
	Keywords []string  // in the order of the documentation
	Name     bool      // a name
	Role     Role      // what a name would stand for
	Set      bool      // the name of a set of blocks
	Number   bool      // the name of a number, condition or list
	Head     bool      // h, g and kv are known
	Field    string    // of the model, whose value it is
	Formals  []Formal  // parameters of the pattern that is being declared
	Callee   string    // the innermost function that is called here
	Arg      int       // the argument's index
	ArgName  string    // the name that it is given by
	Word     diag.Span // what is typed so far: letters in front of the place and behind
}

// maxExpect is how many tokens of a declaration in front of a place the parser is
// asked about; behind more, only names are expected.
const maxExpect = 1 << 8

// probe stands for a name that is not typed yet.
const probe = "s2c_name"

// Expect says what may be typed at an offset of a file.
func Expect(src *diag.Source, offset int) Expectation {
	e := Expectation{Word: wordAround(src, offset)}
	if !checkText(src, &diag.Bag{}) {
		return e
	}
	head := diag.NewSource(src.Name, src.Text[:e.Word.Start]+" "+probe)
	bag := &diag.Bag{}
	tokens, _ := scan(head, bag)
	if n := len(tokens); n == 0 || tokens[n-1].Value != probe || e.Word.Start < len(src.Text) && isDigit(src.Text[e.Word.Start]) {
		return e // in a comment, a text or a number
	}
	list := declarationsOf(withoutComments(tokens))
	piece := list[len(list)-1]
	e.Name = true
	if len(piece) <= maxExpect {
		e.fromParser(piece)
	}
	e.fromOutline(head, piece)
	return e
}

// wordAround is the letters that an offset is in or at the end of.
func wordAround(src *diag.Source, offset int) diag.Span {
	inWord := func(c byte) bool { return isLetter(c) || isDigit(c) }
	start := min(max(offset, 0), len(src.Text))
	end := start
	for start > 0 && inWord(src.Text[start-1]) {
		start--
	}
	for end < len(src.Text) && inWord(src.Text[end]) {
		end++
	}
	return diag.Span{Src: src, Start: start, End: end}
}

// fromParser asks the grammar which words may follow the tokens in front of
// the probe.
func (e *Expectation) fromParser(piece []lexer.Token) {
	piece = shortened(piece)
	last := len(piece) - 1
	if !shallow(piece) {
		return
	}
	accepts := func(kind lexer.TokenType, text string) bool {
		for _, c := range continuations {
			tries := append([]lexer.Token(nil), piece...)
			tries[last].Type, tries[last].Value = kind, text
			if acceptable(append(tries, c...)) {
				return true
			}
		}
		return false
	}
	e.Name = accepts(tokIdent, probe)
	for _, k := range keywordList {
		if accepts(tokKeyword, k.name) {
			e.Keywords = append(e.Keywords, k.name)
		}
	}
}

// shortened leaves out what stands in closed brackets, and the items in front of
// the last one in open ones: the same words may follow, and the parser is asked
// many times.
func shortened(piece []lexer.Token) []lexer.Token {
	var out []lexer.Token
	var open []int // tokens of out
	for _, t := range piece {
		top := len(open) - 1
		switch t.Value {
		case "(", "[", "{":
			open = append(open, len(out))
		case ",", ";":
			if top >= 0 {
				out = out[:open[top]+1]
				continue
			}
		case ")", "]", "}":
			if top >= 0 {
				out = append(out[:open[top]+1], filling(out, open)...)
				open = open[:top]
			}
		}
		out = append(out, t)
	}
	return out
}

// filling is the least that the innermost open bracket may hold.
func filling(out []lexer.Token, open []int) []lexer.Token {
	before := func(n int) string {
		if n < 0 || open[n] == 0 {
			return ""
		}
		return out[open[n]-1].Value
	}
	name := lexer.Token{Type: tokIdent, Value: probe}
	n := len(open) - 1
	switch out[open[n]].Value {
	case "[":
		return []lexer.Token{name}
	case "{":
		if before(n) == "rows" {
			return []lexer.Token{name, {Type: tokPunct, Value: ":"}, name}
		}
	case "(":
		switch {
		case before(n-1) == "blocks":
			return []lexer.Token{name, {Type: tokPunct, Value: ","}, name}
		case open[n] > 0 && out[open[n]-1].Type != tokIdent:
			return []lexer.Token{name}
		}
	}
	return nil
}

// continuations follow a word that is tried: the parser gives up an optional
// part that ends within its lookahead, and reports the part's first word.
var continuations = [][]lexer.Token{
	nil,
	{{Type: tokIdent, Value: probe}},
	{{Type: tokPunct, Value: ":"}, {Type: tokIdent, Value: probe}},
	{{Type: tokIdent, Value: probe}, {Type: tokPunct, Value: ":"}, {Type: tokIdent, Value: probe}},
}

// acceptable reports whether tokens are the beginning of a file.
func acceptable(tokens []lexer.Token) bool {
	lex, err := lexer.Upgrade(&tokenLexer{tokens: tokens})
	if err != nil {
		return false
	}
	_, err = fileParser.ParseFromLexer(lex)
	var unexpected *participle.UnexpectedTokenError
	return err == nil || errors.As(err, &unexpected) && unexpected.Unexpected.EOF()
}

// shallow reports whether the parser, which recurses, can take the tokens.
func shallow(tokens []lexer.Token) bool {
	depth, prefixes, ifs := 0, 0, 0
	for _, t := range tokens {
		prefixes++
		switch t.Value {
		case "(", "[", "{":
			depth++
		case ")", "]", "}":
			depth--
		case "if":
			ifs++
		}
		if t.Value != "-" && t.Value != "+" && t.Value != "not" {
			prefixes = 0
		}
		if depth > maxDepth || prefixes > maxPrefixes || ifs > maxIfs {
			return false
		}
	}
	return true
}

// fromOutline finds what a name would stand for.
func (e *Expectation) fromOutline(src *diag.Source, piece []lexer.Token) {
	o := &Outline{}
	x := newOutliner(src, o, piece)
	for i := range piece {
		x.token(i)
	}
	w := o.Words[len(o.Words)-1]
	e.Role = w.Role
	if w.Declares && w.Role != RoleField {
		e.Name = false
		return
	}
	if n := len(x.calls); n > 0 && x.open[n-1].text == "(" {
		e.Callee, e.Arg, e.ArgName = x.calls[n-1].callee, x.calls[n-1].args, x.calls[n-1].name
	}
	e.Formals = x.formals
	e.Field = x.field
	e.Head = x.keyword() == "layer"
	e.Set, e.Number = x.kinds(len(piece) - 1)
	e.Keywords = slices.DeleteFunc(e.Keywords, func(k string) bool {
		return !e.Set && (k == "for" || k == "blocks") || !e.Number && (k == "true" || k == "false" || k == "not")
	})
}

// numeric are signs and words next to which numbers and conditions stand.
var numeric = map[string]bool{
	"+": true, "*": true, "/": true, "mod": true, "==": true, "!=": true, "<": true, "<=": true, ">": true, ">=": true,
	"and": true, "or": true, "not": true, "if": true, "..": true, "every": true, "from": true, "at": true, "head": true, "kv_head": true,
	"layer": true,
}

// kinds says whether a set or a number may stand at a token.
func (x *outliner) kinds(i int) (set, number bool) {
	switch prev := x.value(i - 1); {
	case prev == "|" || prev == "&" || prev == "->":
		return true, false
	case numeric[prev]:
		return false, true
	}
	setHere := map[string]bool{"layer": true, "pattern": true}[x.keyword()]
	for n := len(x.open) - 1; n >= 0; n-- {
		switch {
		case x.open[n].text == "[", x.open[n].text == "(" && x.calls[n].callee != "":
			return false, true
		case x.open[n].text == "{":
			return setHere && x.value(i-1) == ":", x.value(i-1) != ":"
		}
	}
	if x.keyword() == "layer" && !x.afterArrow(i) {
		return false, true
	}
	return setHere, !setHere || x.value(i-1) == "then" || x.value(i-1) == "else" || x.value(i-1) == "("
}

func (x *outliner) afterArrow(i int) bool {
	for n := range i {
		if x.tokens[n].Value == "->" {
			return true
		}
	}
	return false
}
