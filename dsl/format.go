package dsl

import (
	"strings"
	"unicode/utf8"

	"github.com/alecthomas/participle/v2/lexer"

	"github.com/s2attention/s2c/diag"
)

// Format rewrites a file in the canonical style: one declaration after the
// other, two spaces of indent within brackets, four before a continued line,
// one space around operators. Line breaks and comments stay where they are,
// and so does the meaning. A file with syntax errors is not formatted.
func Format(path string, text []byte) ([]byte, diag.List) {
	bag := &diag.Bag{}
	src := diag.NewSource(path, string(text))
	parse(src, bag)
	if bag.Failed() {
		return nil, bag.List()
	}
	tokens, _ := scanFile(src, bag)
	f := formatter{tokens: tokens}
	for i := range tokens {
		f.token(i)
	}
	f.newline()
	return []byte(alignArrows(f.out.String(), f.arrows)), bag.List()
}

// alignArrows pads the arrows of layer rules on consecutive lines to the same
// column. arrows are their offsets, ascending.
func alignArrows(text string, arrows []int) string {
	var out strings.Builder
	done := 0
	for len(arrows) > 0 {
		n, widest := 0, 0
		var columns []int
		for n < len(arrows) && (n == 0 || strings.Count(text[arrows[n-1]:arrows[n]], "\n") == 1) {
			start := strings.LastIndexByte(text[:arrows[n]], '\n') + 1
			columns = append(columns, utf8.RuneCountInString(text[start:arrows[n]]))
			widest = max(widest, columns[n])
			n++
		}
		for i, a := range arrows[:n] {
			out.WriteString(text[done:a])
			out.WriteString(strings.Repeat(" ", widest-columns[i]))
			done = a
		}
		arrows = arrows[n:]
	}
	out.WriteString(text[done:])
	return out.String()
}

// formatter prints tokens; it needs no syntax tree, so that no comment can get
// lost between its nodes.
type formatter struct {
	tokens []lexer.Token
	out    strings.Builder

	indent int          // of the current line
	open   []openedAt   // brackets
	fields fieldTracker // within a model's braces
	first  int          // the token that began the line
	arrows []int        // offsets of -> on lines that begin with layer
}

type openedAt struct {
	text   string
	indent int // of the line
}

func (f *formatter) token(i int) {
	t := f.tokens[i]
	f.separate(i)
	f.fields.take(t, f.open)
	text := t.Value
	if t.Type == tokComment {
		f.out.WriteString(comment(text))
		return
	}
	if text == "->" && f.tokens[f.first].Value == "layer" {
		f.arrows = append(f.arrows, f.out.Len())
	}
	f.out.WriteString(text)
	switch text {
	case "(", "[", "{":
		f.open = append(f.open, openedAt{text, f.indent})
	case ")", "]", "}":
		if len(f.open) > 0 {
			f.open = f.open[:len(f.open)-1]
		}
	}
}

// comment drops trailing blanks and carriage returns.
func comment(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " \t\r\f\v")
	}
	return strings.Join(lines, "\n")
}

// separate writes what stands between a token and the one before it.
func (f *formatter) separate(i int) {
	if i == 0 {
		return
	}
	prev, t := f.tokens[i-1], f.tokens[i]
	lines := t.Pos.Line - prev.Pos.Line - strings.Count(prev.Value, "\n")
	begins := f.begins(i)
	if begins && lines == 0 && prev.Type != tokComment {
		lines = 1 // a declaration has a line of its own
	}
	if lines == 0 {
		f.out.WriteString(f.space(i))
		return
	}
	f.newline()
	if lines > 1 && !opens(prev) && !closes(t) {
		f.out.WriteByte('\n')
	}
	f.first = i
	f.indent = f.indentOf(i)
	f.out.WriteString(strings.Repeat(" ", f.indent))
}

func (f *formatter) newline() {
	if s := f.out.String(); s != "" && !strings.HasSuffix(s, "\n") {
		f.out.WriteByte('\n')
	}
}

// begins reports whether a token is the keyword of a declaration.
func (f *formatter) begins(i int) bool {
	t := f.tokens[i]
	if t.Type != tokKeyword || !declarations[t.Value] || len(f.open) > 0 {
		return false
	}
	for i--; i >= 0; i-- {
		if prev := f.tokens[i]; prev.Type != tokComment {
			return prev.Value != "on" && prev.Value != "every"
		}
	}
	return true
}

func (f *formatter) indentOf(i int) int {
	if n := len(f.open); n > 0 {
		if closes(f.tokens[i]) {
			return f.open[n-1].indent
		}
		return f.open[n-1].indent + 2
	}
	for ; i < len(f.tokens); i++ {
		if f.tokens[i].Type != tokComment {
			if f.begins(i) {
				return 0
			}
			return 4
		}
	}
	return 0
}

func opens(t lexer.Token) bool {
	return t.Type == tokPunct && (t.Value == "(" || t.Value == "[" || t.Value == "{")
}

func closes(t lexer.Token) bool {
	return t.Type == tokPunct && (t.Value == ")" || t.Value == "]" || t.Value == "}")
}

// space is what separates a token from the one before it on the same line.
func (f *formatter) space(i int) string {
	prev, t := f.tokens[i-1], f.tokens[i]
	switch {
	case t.Type == tokComment:
		if strings.HasPrefix(t.Value, "//") {
			return "  "
		}
		return " "
	case prev.Type == tokComment:
		return " "
	case f.fields.starts(t, f.open):
		return "  "
	case prev.Value == "{" && t.Value == "}":
		return ""
	case prev.Value == "{", t.Value == "}":
		return " "
	case prev.Value == "(", prev.Value == "[", t.Value == ")", t.Value == "]":
		return ""
	case t.Value == ",", t.Value == ";", t.Value == ":", t.Value == "..":
		return ""
	case prev.Value == ".." && t.Value != "->" && t.Type != tokKeyword:
		return ""
	case f.fields.value(prev):
		return " "
	case (t.Value == "(" || t.Value == "[") && (prev.Type == tokIdent || prev.Value == ")"):
		return ""
	case (prev.Value == "-" || prev.Value == "+") && f.isPrefix(i-1):
		return ""
	}
	if f.fields.inModel && len(f.open) > 0 && (operator1[prev.Value] || operator1[t.Value]) {
		return ""
	}
	return " "
}

// operator1 is what is written without spaces in a model, where spaces
// separate the fields: scale 1/128.
var operator1 = map[string]bool{"+": true, "-": true, "*": true, "/": true}

// isPrefix reports whether a sign has no left operand.
func (f *formatter) isPrefix(i int) bool {
	for i--; i >= 0; i-- {
		p := f.tokens[i]
		switch p.Type {
		case tokComment:
			continue
		case tokIdent, tokInt, tokFloat, tokString:
			return false
		case tokKeyword:
			return p.Value != "true" && p.Value != "false"
		}
		return !closes(p)
	}
	return true
}

// fieldTracker knows where a field of the model begins, which is set off by
// two spaces.
type fieldTracker struct {
	inModel bool // behind the keyword
	named   bool // the field's name is behind us
	valued  bool // and so is an operand of its value
	any     bool // a field was met
}

func (f *fieldTracker) starts(t lexer.Token, open []openedAt) bool {
	if !f.inModel || len(open) != 1 || !f.any || f.named && !f.valued {
		return false
	}
	return t.Type == tokIdent || t.Value == "causal" || t.Value == "bidirectional"
}

// value reports whether a field's value begins behind prev.
func (f *fieldTracker) value(prev lexer.Token) bool {
	return f.inModel && f.named && !f.valued && prev.Type == tokIdent
}

func (f *fieldTracker) take(t lexer.Token, open []openedAt) {
	switch {
	case t.Type == tokComment:
	case t.Type == tokKeyword && t.Value == "model":
		*f = fieldTracker{inModel: true}
	case !f.inModel || len(open) == 0:
	case t.Value == "}" && len(open) == 1:
		*f = fieldTracker{}
	case len(open) > 1:
		f.valued = true
	case t.Value == "causal" || t.Value == "bidirectional" || t.Value == ",":
		f.any, f.named, f.valued = t.Value != ",", false, false
	case t.Type == tokIdent && (!f.named || f.valued):
		f.any, f.named, f.valued = true, true, false
	case t.Type == tokIdent || t.Type == tokInt || t.Type == tokFloat || closes(t):
		f.valued = true
	case t.Type == tokPunct:
		f.valued = false // an operator: another operand follows
	}
}
