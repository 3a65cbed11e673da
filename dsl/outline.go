package dsl

import (
	"slices"
	"strings"

	"github.com/alecthomas/participle/v2/lexer"

	"github.com/s2attention/s2c/diag"
)

// Outline is what the words of one file stand for, and what it declares. It is
// made of tokens alone, so that a file which is being typed has one as well.
type Outline struct {
	Words        []Word        // in order, without signs
	Declarations []Declaration // in order

	lines []int // of the declarations
}

// Role is what a word stands for.
type Role int

const (
	RoleKeyword  Role = iota
	RoleComment       //
	RoleNumber        //
	RoleText          // in quotes
	RoleModel         // the model's name
	RoleField         // of the model, set or used; also what follows from them
	RoleType          // of elements
	RoleGlobal        // a parameter or pattern of the program
	RoleFormal        // a parameter of the pattern that is being declared
	RoleArgument      // names a parameter of the function that is called
	RoleHead          // h, g or kv, filled in
	RoleBlock         // i or j
	RoleFunction      // of the language
	RoleSide          // of dilated
	RoleProperty      // of a require clause
)

// Word is a word, number, text or comment.
type Word struct {
	Span     diag.Span
	Role     Role
	Declares bool   // here the name is declared, or the field set
	Callee   string // the function that an argument is for
	Decl     int    // the index of its declaration, -1 for a comment between them
}

// Declaration is one declaration; a param with several names is one for each.
type Declaration struct {
	Keyword string    // "" where it begins with none
	Name    string    // "" where it has none
	At      diag.Span // of the name, else of the keyword
	Span    diag.Span // of all of it
	Formals []Formal  // of a pattern
	Comment string    // right above it, without its signs
}

// Formal is a parameter of a pattern.
type Formal struct {
	Name   string
	Filled bool   // h, g or kv
	Value  string // its default as written, "" for none
}

// NewOutline reads a file, however broken it is. A file that is too large or is
// not text has an empty outline.
func NewOutline(src *diag.Source) *Outline {
	o := &Outline{}
	bag := &diag.Bag{}
	if !checkText(src, bag) {
		return o
	}
	tokens, _ := scan(src, bag)
	for _, piece := range declarationsOf(withoutComments(tokens)) {
		x := newOutliner(src, o, piece)
		for i := range piece {
			x.token(i)
		}
		x.declare()
	}
	o.comments(src, tokens)
	return o
}

// declarationsOf cuts as [pieces] does, and also within a line.
func declarationsOf(tokens []lexer.Token) [][]lexer.Token {
	var out [][]lexer.Token
	for _, piece := range pieces(tokens) {
		start, depth := 0, 0
		for i, t := range piece {
			switch {
			case opens(t):
				depth++
			case closes(t):
				depth--
			case i == start || depth > 0 || t.Type != tokKeyword || !declarations[t.Value]:
			case piece[i-1].Value != "on" && piece[i-1].Value != "every":
				out = append(out, piece[start:i])
				start = i
			}
		}
		out = append(out, piece[start:])
	}
	return out
}

// At is the word that holds an offset or ends there; nil for none.
func (o *Outline) At(offset int) *Word {
	n, found := slices.BinarySearchFunc(o.Words, offset, func(w Word, at int) int { return w.Span.Start - at })
	if !found {
		n--
	}
	if n < 0 || o.Words[n].Span.End < offset {
		return nil
	}
	return &o.Words[n]
}

// Declared is the declaration of a parameter or pattern, nil for none.
func (o *Outline) Declared(name string) *Declaration {
	for n := range o.Declarations {
		if d := &o.Declarations[n]; d.Name == name && (d.Keyword == "param" || d.Keyword == "pattern") {
			return d
		}
	}
	return nil
}

// maxComment is how many bytes of a comment are kept, and the line that passes it.
const maxComment = 1 << 11

// comments adds the comments to the words and to what stands below them.
func (o *Outline) comments(src *diag.Source, tokens []lexer.Token) {
	above := map[int]string{} // by the line on which the comment ends
	for i, t := range tokens {
		if t.Type != tokComment {
			continue
		}
		o.Words = append(o.Words, Word{Span: diag.Span{Src: src, Start: t.Pos.Offset, End: t.Pos.Offset + len(t.Value)}, Role: RoleComment, Decl: -1})
		if i > 0 && lastLine(tokens[i-1]) == t.Pos.Line && tokens[i-1].Type != tokComment {
			continue // behind something else
		}
		text := strings.TrimSpace(strings.TrimSuffix(strings.TrimLeft(t.Value, "/*"), "*/"))
		if before := above[t.Pos.Line-1]; before != "" && len(before) < maxComment {
			text = before + "\n" + text
			delete(above, t.Pos.Line-1)
		}
		above[lastLine(t)] = text
	}
	slices.SortStableFunc(o.Words, func(a, b Word) int { return a.Span.Start - b.Span.Start })
	for n := range o.Declarations {
		d := &o.Declarations[n]
		d.Comment = above[o.lines[n]-1]
	}
}

func lastLine(t lexer.Token) int { return t.Pos.Line + strings.Count(t.Value, "\n") }

// outliner reads the tokens of one piece.
type outliner struct {
	src    *diag.Source
	to     *Outline
	tokens []lexer.Token
	first  int // index of the piece's first declaration
	open   []openedAt
	calls  []call // parallel to open
	fields fieldTracker
	field  string // of the model, the last one set

	names    []int // tokens that declare names
	formals  []Formal
	isFormal map[string]bool
	at       []int // tokens of the formals
	onSeen   bool
	closed   bool // the first bracket is
	wheres   int  // open calls of where
}

// call is what a bracket belongs to.
type call struct {
	callee string
	args   int    // commas so far
	name   string // of the argument, "" where it has none
}

func newOutliner(src *diag.Source, to *Outline, tokens []lexer.Token) *outliner {
	return &outliner{src: src, to: to, tokens: tokens, first: len(to.Declarations), isFormal: map[string]bool{}}
}

func (x *outliner) span(i int) diag.Span {
	t := x.tokens[i]
	return diag.Span{Src: x.src, Start: t.Pos.Offset, End: t.Pos.Offset + len(t.Value)}
}

func (x *outliner) keyword() string {
	if t := x.tokens[0]; t.Type == tokKeyword && declarations[t.Value] {
		return t.Value
	}
	return ""
}

func (x *outliner) token(i int) {
	t := x.tokens[i]
	starts := x.startsField(t)
	x.fields.take(t, x.open)
	w := Word{Span: x.span(i), Decl: max(x.first, x.first+len(x.names)-1)}
	switch t.Type {
	case tokKeyword:
		w.Role = RoleKeyword
		x.onSeen = x.onSeen || t.Value == "on"
	case tokInt, tokFloat:
		w.Role = RoleNumber
	case tokString:
		w.Role = RoleText
	case tokIdent:
		x.ident(i, starts, &w)
	default:
		x.sign(i)
		return
	}
	x.to.Words = append(x.to.Words, w)
}

func (x *outliner) sign(i int) {
	switch x.tokens[i].Value {
	case "(", "[", "{":
		callee := ""
		if i > 0 && x.tokens[i-1].Type == tokIdent && x.tokens[i].Value == "(" {
			callee = x.tokens[i-1].Value
		}
		x.open = append(x.open, openedAt{text: x.tokens[i].Value})
		x.calls = append(x.calls, call{callee: callee})
		if callee == "where" {
			x.wheres++
		}
	case ")", "]", "}":
		if n := len(x.open); n > 0 {
			if x.calls[n-1].callee == "where" {
				x.wheres--
			}
			x.open, x.calls = x.open[:n-1], x.calls[:n-1]
			x.closed = x.closed || n == 1
		}
	case ",":
		if n := len(x.calls); n > 0 {
			x.calls[n-1].args++
			x.calls[n-1].name = ""
		}
	}
}

// startsField reports whether a word names a field of the model.
func (x *outliner) startsField(t lexer.Token) bool {
	f := &x.fields
	return x.keyword() == "model" && f.inModel && len(x.open) == 1 && (!f.named || f.valued) && t.Type == tokIdent
}

func (x *outliner) value(i int) string {
	if i < 0 || i >= len(x.tokens) {
		return ""
	}
	return x.tokens[i].Value
}

// ident finds the role of a name, in the order in which the checker looks.
func (x *outliner) ident(i int, startsField bool, w *Word) {
	name, prev := x.tokens[i].Value, x.value(i-1)
	var in call
	inCall := false
	if n := len(x.open); n > 0 {
		in, inCall = x.calls[n-1], x.open[n-1].text == "(" && x.calls[n-1].callee != ""
	}
	listed := prev == "(" || prev == ","
	switch {
	case x.declares(i, w):
	case x.keyword() == "model" && len(x.open) == 0:
		w.Role, w.Declares = RoleModel, true
	case startsField:
		w.Role, w.Declares, x.field = RoleField, true, name
	case x.keyword() == "model" && x.field == "dtype" && len(x.open) == 1:
		w.Role = RoleType
	case x.keyword() == "require" && len(x.open) == 0 && !x.onSeen && (i == 1 || prev == ","):
		w.Role = RoleProperty
	case prev == "for":
		w.Role = RoleKeyword
	case inCall && listed && x.value(i+1) == ":":
		w.Role, w.Callee = RoleArgument, in.callee
		x.calls[len(x.calls)-1].name = name
	case inCall && in.callee == "dilated" && sides[name] != "" && (in.args == 2 && listed || prev == ":"):
		w.Role = RoleSide
	case x.value(i+1) == "(":
		w.Role = RoleGlobal
		if builtins[name] != nil {
			w.Role = RoleFunction
		}
	default:
		w.Role = x.use(name)
	}
}

// declares takes a name that is declared here.
func (x *outliner) declares(i int, w *Word) bool {
	prev := x.value(i - 1)
	switch x.keyword() {
	case "param":
		if len(x.open) > 0 || i > 1 && prev != "," {
			return false
		}
		x.names = append(x.names, i)
		w.Decl = x.first + len(x.names) - 1
		w.Role = RoleGlobal
	case "pattern":
		switch {
		case i == 1:
			x.names = append(x.names, i)
			w.Role = RoleGlobal
		case len(x.open) == 1 && x.value(2) == "(" && len(x.names) == 1 && !x.closed && (prev == "(" || prev == ","):
			x.formals = append(x.formals, Formal{Name: x.tokens[i].Value, Filled: headNames[x.tokens[i].Value] != ""})
			x.isFormal[x.tokens[i].Value] = true
			x.at = append(x.at, i)
			w.Role = RoleFormal
		default:
			return false
		}
	default:
		return false
	}
	w.Declares = true
	return true
}

// use is the role of a name in an expression.
func (x *outliner) use(name string) Role {
	f := fieldByName(name)
	switch {
	case x.isFormal[name]:
		return RoleFormal
	case blockNames[name] != "" && x.wheres > 0:
		return RoleBlock
	case headNames[name] != "":
		return RoleHead
	case f != nil && f.readable, derivedNames[name] != "":
		return RoleField
	case builtins[name] != nil && builtins[name].constantSet():
		return RoleFunction
	}
	return RoleGlobal // a parameter may be called stride, too
}

// declare adds what the piece declares.
func (x *outliner) declare() {
	whole := x.span(0).To(x.span(len(x.tokens) - 1))
	if len(x.names) == 0 {
		d := Declaration{Keyword: x.keyword(), At: x.span(0), Span: whole}
		if x.keyword() == "model" && len(x.tokens) > 1 && x.tokens[1].Type == tokIdent {
			d.Name, d.At = x.tokens[1].Value, x.span(1)
		}
		x.to.Declarations = append(x.to.Declarations, d)
		x.to.lines = append(x.to.lines, x.tokens[0].Pos.Line)
		return
	}
	for n, i := range x.names {
		d := Declaration{Keyword: x.keyword(), Name: x.tokens[i].Value, At: x.span(i), Span: whole}
		line := x.tokens[0].Pos.Line
		if n > 0 {
			d.Span.Start, line = d.At.Start, x.tokens[i].Pos.Line
		}
		if n+1 < len(x.names) {
			d.Span.End = x.span(x.names[n+1] - 2).End // before the comma
		}
		x.to.Declarations = append(x.to.Declarations, d)
		x.to.lines = append(x.to.lines, line)
	}
	if x.keyword() == "pattern" {
		x.to.Declarations[x.first].Formals = x.withDefaults()
	}
}

// withDefaults adds the text of the defaults to the formals.
func (x *outliner) withDefaults() []Formal {
	for n, i := range x.at {
		if x.value(i+1) != "=" {
			continue
		}
		depth, end := 0, i+2
		for ; end < len(x.tokens); end++ {
			v := x.tokens[end].Value
			if depth == 0 && (v == "," || v == ")") {
				break
			}
			switch v {
			case "(", "[":
				depth++
			case ")", "]":
				depth--
			}
		}
		if end > i+2 {
			x.formals[n].Value = x.span(i + 2).To(x.span(end - 1)).Text()
		}
	}
	return x.formals
}
