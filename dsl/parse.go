package dsl

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/alecthomas/participle/v2"
	"github.com/alecthomas/participle/v2/lexer"

	"github.com/s2attention/s2c/diag"
	"github.com/s2attention/s2c/limit"
)

// Bounds on what a file may hold, so that every input is read in bounded time
// and memory.
const (
	MaxFileSize  = limit.FileBytes
	maxFiles     = limit.Files
	maxDepth     = limit.Nesting // brackets within brackets
	maxIfs       = 256           // conditionals in one declaration
	maxPrefixes  = 16            // prefix operators in a row
	maxOperators = 2000          // operators in a row without brackets
	maxTokens    = 1 << 16       // words, numbers and signs of one declaration
	maxErrors    = 1000          // after which the rest of a file is not parsed
)

// parse reads one file's text. It reports every syntax error that it can tell
// apart: participle stops at the first error, so the tokens are cut at
// top-level declarations and each piece is parsed alone.
func parse(src *diag.Source, bag *diag.Bag) *unit {
	u := &unit{src: src}
	if !checkText(src, bag) {
		u.broken = true
		return u
	}
	tokens, bad := scanFile(src, bag)
	b := &builder{src: src, bag: bag, unit: u}
	list := pieces(withoutComments(tokens))
	for i, piece := range list {
		if bag.Errors() > maxErrors {
			u.broken = true
			break
		}
		end := len(src.Text)
		if i+1 < len(list) {
			end = list[i+1][0].Pos.Offset
		}
		for len(bad) > 0 && bad[0] < end {
			b.quiet = true // what follows from a bad character is no news
			bad = bad[1:]
		}
		if !parsePiece(b, piece) || b.quiet {
			u.broken = true
			b.salvage(piece)
		}
		b.quiet = false
	}
	u.broken = u.broken || len(bad) > 0
	return u
}

// salvage notes the names that a piece with errors would have declared, so
// that their uses are not reported as well.
func (b *builder) salvage(piece []lexer.Token) {
	if piece[0].Value != "param" && piece[0].Value != "pattern" {
		return
	}
	for i := 1; i < len(piece); i++ {
		first := i == 1
		assigned := piece[0].Value == "param" && i+1 < len(piece) && piece[i+1].Value == "="
		if piece[i].Type == tokIdent && (first || assigned) {
			if b.unit.lost == nil {
				b.unit.lost = map[string]bool{}
			}
			b.unit.lost[piece[i].Value] = true
		}
	}
}

func checkText(src *diag.Source, bag *diag.Bag) bool {
	if len(src.Text) > MaxFileSize {
		bag.Add(diag.New(diag.FileTooLarge, diag.Whole(src), "the file has more than %d bytes", MaxFileSize).
			WithHint("move patterns that are used together into files of their own and import them"))
		return false
	}
	bad := strings.IndexByte(src.Text, 0)
	if !utf8.ValidString(src.Text) {
		for i, r := range src.Text {
			if r == utf8.RuneError {
				if _, n := utf8.DecodeRuneInString(src.Text[i:]); n == 1 && (bad < 0 || i < bad) {
					bad = i
					break
				}
			}
		}
	}
	if bad >= 0 && src.Text[bad] == 0 {
		bag.Add(diag.New(diag.NotText, diag.Span{Src: src, Start: bad, End: bad + 1}, "the file is not text: it holds a NUL byte").
			WithHint("a .s2 file is UTF-8 text; is this another kind of file, or UTF-16?"))
		return false
	}
	if bad >= 0 {
		bag.Add(diag.New(diag.NotText, diag.Span{Src: src, Start: bad, End: bad + 1},
			"the file is not UTF-8 text: byte 0x%02x", src.Text[bad]).
			WithHint("a .s2 file is plain text; is this another kind of file?"))
		return false
	}
	return true
}

// pieces cuts at keywords that begin a declaration: the first of a line and
// outside of brackets, or in the first column wherever it stands.
func pieces(tokens []lexer.Token) [][]lexer.Token {
	var out [][]lexer.Token
	start, depth := 0, 0
	for i, t := range tokens {
		switch t.Value {
		case "(", "[", "{":
			depth++
		case ")", "]", "}":
			depth = max(0, depth-1)
		}
		if i == start || t.Type != tokKeyword || !declarations[t.Value] {
			continue
		}
		prev := tokens[i-1]
		continues := t.Value == "layer" && (prev.Value == "on" || prev.Value == "every")
		if prev.Pos.Line == t.Pos.Line || continues || depth > 0 && t.Pos.Column > 1 {
			continue
		}
		out = append(out, tokens[start:i])
		start, depth = i, 0
	}
	if start < len(tokens) {
		out = append(out, tokens[start:])
	}
	return out
}

// parsePiece parses one or more declarations, adds them to the unit and
// reports whether there was no syntax error.
func parsePiece(b *builder, tokens []lexer.Token) bool {
	before := b.bag.Errors()
	if !b.bounded(tokens) {
		return false
	}
	lex, err := lexer.Upgrade(&tokenLexer{tokens: tokens})
	if err != nil {
		b.syntaxError(err, tokens)
		return false
	}
	f, err := fileParser.ParseFromLexer(lex)
	if err != nil {
		b.syntaxError(err, tokens)
		return false
	}
	for _, d := range f.Decls {
		b.decl(d)
	}
	return b.bag.Errors() == before
}

// parseRange reads the value of a define.
func parseRange(src *diag.Source, bag *diag.Bag) (rangeExpr, bool) {
	before := bag.Errors()
	if !checkText(src, bag) {
		return rangeExpr{}, false
	}
	tokens, _ := scan(src, bag)
	tokens = withoutComments(tokens)
	b := &builder{src: src, bag: bag, unit: &unit{}}
	if bag.Errors() > before || !b.bounded(tokens) {
		return rangeExpr{}, false
	}
	lex, err := lexer.Upgrade(&tokenLexer{tokens: tokens})
	if err == nil {
		var r *rangeOf
		if r, err = rangeParser.ParseFromLexer(lex); err == nil {
			out := b.rangeOf(r)
			return out, bag.Errors() == before
		}
	}
	b.syntaxError(err, tokens)
	return rangeExpr{}, false
}

// bounded refuses what the parser, which recurses, could not take, and says
// which bracket has no partner.
func (b *builder) bounded(tokens []lexer.Token) bool {
	pair := map[string]string{")": "(", "]": "[", "}": "{"}
	if len(tokens) > maxTokens {
		b.report(diag.New(diag.TooDeep, b.token(tokens[maxTokens]), "more than %d words, numbers and signs in one declaration", maxTokens).
			WithHint("give parts of it names with `pattern` or `param`"))
		return false
	}
	var open []lexer.Token
	ifs, prefixes := 0, 0
	for _, t := range tokens {
		if t.Type == tokString {
			continue
		}
		switch t.Value {
		case "(", "[", "{":
			if open = append(open, t); len(open) > maxDepth {
				b.report(diag.New(diag.TooDeep, b.token(t), "more than %d brackets within brackets", maxDepth).
					WithHint("give parts of it names with `pattern` or `param`"))
				return false
			}
		case ")", "]", "}":
			if len(open) == 0 {
				b.report(diag.New(diag.Brackets, b.token(t), "%s closes nothing", t.Value))
				return false
			}
			last := open[len(open)-1]
			if last.Value != pair[t.Value] {
				b.report(diag.New(diag.Brackets, b.token(t), "%s does not close %s", t.Value, last.Value).
					WithRelated(b.token(last), "opened here"))
				return false
			}
			open = open[:len(open)-1]
		case "if":
			if ifs++; ifs > maxIfs {
				b.report(diag.New(diag.TooDeep, b.token(t), "more than %d conditionals in one declaration", maxIfs).
					WithHint("put the values into a list and index it"))
				return false
			}
		}
		if t.Value == "-" || t.Value == "+" || t.Value == "not" {
			if prefixes++; prefixes > maxPrefixes {
				b.report(diag.New(diag.TooDeep, b.token(t), "more than %d prefix operators in a row", maxPrefixes))
				return false
			}
		} else {
			prefixes = 0
		}
	}
	if len(open) > 0 {
		last := open[len(open)-1]
		b.report(diag.New(diag.Brackets, b.token(last), "%s is never closed", last.Value))
		return false
	}
	return true
}

// syntaxError turns a participle error into a diagnostic.
func (b *builder) syntaxError(err error, tokens []lexer.Token) {
	at := tokens[max(0, len(tokens)-1):]
	span := diag.Whole(b.src)
	if len(at) > 0 {
		span = b.token(at[0])
		span.Start = span.End
	}
	message := "syntax error"
	hint := ""
	var fix *diag.Fix
	var unexpected *participle.UnexpectedTokenError
	var other participle.Error
	switch {
	case errors.As(err, &unexpected):
		if t := unexpected.Unexpected; t.EOF() {
			message = "the declaration ends too early"
		} else {
			span = b.token(t)
			message = "unexpected " + describe(t)
			var change tokenChange
			hint, change = syntaxHint(t, tokens)
			fix = b.fix(change)
		}
		if want := expected(err); want != "" {
			message += ", expected " + want
			hint = cmp.Or(wantedHints[want], hint, colonHints[want])
		}
	case errors.As(err, &other):
		message = other.Message()
		if pos := other.Position(); pos.Line > 0 {
			span = diag.Span{Src: b.src, Start: pos.Offset, End: pos.Offset + 1}
		}
	}
	d := diag.New(diag.Syntax, span, "%s", message)
	d.Hint, d.Fix = hint, fix
	b.report(d)
}

// argumentOf is what is called where the last of the tokens is the first word of
// an argument, or "".
func argumentOf(tokens []lexer.Token) string {
	last := len(tokens) - 1
	if last < 2 || tokens[last].Type != tokIdent || tokens[last-1].Value != "(" && tokens[last-1].Value != "," {
		return ""
	}
	depth := 0
	for n := last - 1; n > 0; n-- {
		switch tokens[n].Value {
		case ")", "]", "}":
			depth++
		case "(", "[", "{":
			if depth--; depth >= 0 {
				continue
			}
			fn := tokens[n-1]
			if tokens[n].Value != "(" || fn.Type != tokIdent || n > 1 && tokens[n-2].Value == "pattern" {
				return ""
			}
			return fn.Value
		}
	}
	return ""
}

// nonterminals in words, for messages.
var nonterminals = map[string]string{
	"Atom": "an expression", "Operand": "an expression", "Operands": "an expression", "RangeOf": "an expression",
	"Selector": "what to pick, such as * or 0..3", "Selection": "what to pick, such as * or 0..3",
	"Ident": "a name", "<ident>": "a name", "<string>": "a text in quotes", "Word": "a text in quotes",
	"Clause": "a property", "RuleDecl": "a pattern", "Binding": "name = value", "Formal": "a parameter's name",
	"Argument": "an argument", "Rectangle": "(rows, columns)", "Arm": "rows and a pattern",
}

// expected reads what the parser wanted out of its message, such as
// unexpected token "x" (expected "->" RuleDecl ("," RuleDecl)*): the first
// thing of it, in words.
func expected(err error) string {
	_, want, found := strings.Cut(err.Error(), "(expected ")
	if !found {
		return ""
	}
	want, _, _ = strings.Cut(want, " ")
	want = strings.TrimRight(want, ")*?+")
	if words := nonterminals[want]; words != "" {
		return words
	}
	if strings.HasPrefix(want, `"`) {
		return "`" + strings.Trim(want, `"`) + "`"
	}
	return ""
}

func describe(t lexer.Token) string {
	if t.Type == tokKeyword {
		return fmt.Sprintf("keyword `%s`", t.Value)
	}
	return fmt.Sprintf("`%s`", clip(t.Value))
}

// syntaxHint knows the usual mistakes, and which tokens to change.
func syntaxHint(t lexer.Token, tokens []lexer.Token) (string, tokenChange) {
	i := 0
	for i < len(tokens) && tokens[i].Pos.Offset != t.Pos.Offset {
		i++
	}
	if i == 0 {
		return "a declaration begins with import, model, param, pattern, layer or require", tokenChange{}
	}
	prev, next := tokens[i-1], lexer.Token{}
	if t.Type == tokIdent && t.Pos.Line > prev.Pos.Line && t.Pos.Column == 1 {
		if s := suggest(t.Value, slices.Collect(maps.Keys(declarations))); s != "" {
			return fmt.Sprintf("did you mean `%s`?", s), tokenChange{t, t, s}
		}
		return "a declaration begins with import, model, param, pattern, layer or require", tokenChange{}
	}
	if i+1 < len(tokens) {
		next = tokens[i+1]
	}
	if units[t.Value] != 0 && prev.Type == tokInt {
		unit := clip(prev.Value) + t.Value
		return fmt.Sprintf("the unit follows without a space: %s", unit), tokenChange{prev, t, unit}
	}
	assigns := t.Value == "=" && next.Value != "="
	if fn := argumentOf(tokens[:i]); fn != "" && (t.Type == tokIdent || t.Type == tokInt || assigns || t.Value == "[") {
		change := tokenChange{prev, prev, prev.Value + ":"}
		if assigns {
			change = tokenChange{t, t, ":"}
		}
		switch b := builtins[fn]; {
		case b == nil || b.has(prev.Value):
			return fmt.Sprintf("an argument's name is followed by a colon: %s: …", clip(prev.Value)), change
		case assigns && !b.ij && !b.variadic:
			return fmt.Sprintf("an argument's name is followed by a colon, and %s", b.named()), tokenChange{}
		}
	}
	for _, h := range hints {
		if (h.prev == "" || h.prev == prev.Value) && (h.token == "" || h.token == t.Value) && (h.next == "" || h.next == next.Value) &&
			(h.decl == "" || h.decl == tokens[0].Value) {
			return h.hint, h.change(prev, t, next)
		}
	}
	switch {
	case t.Type == tokKeyword && declarations[t.Value]:
		return fmt.Sprintf("`%s` begins a declaration: it cannot be a name, and the declaration before it has to be complete", t.Value), tokenChange{}
	case t.Type == tokKeyword:
		return fmt.Sprintf("`%s` is a keyword and cannot be a name", t.Value), tokenChange{}
	}
	return "", tokenChange{}
}

// wantedHints are by what the parser expected.
var wantedHints = map[string]string{
	"`then`": conditionalHint,
	"`else`": conditionalHint,
}

// colonHints are too, where nothing else is known.
var colonHints = map[string]string{
	"`:`": "a colon stands between the heads, or the rows, and their pattern: head 0..3: dense",
}

const conditionalHint = "a conditional has both branches: if c then a else b"

const causalHint = "causality is the model's: write `causal` between its braces, and `dense` for all that it admits"

// mistake is a usual one: the unexpected token, its neighbours and the
// declaration's keyword, as far as they matter. Where fix is not empty it takes
// the place of the tokens that are named.
type mistake struct{ decl, prev, token, next, hint, fix string }

// hints are tried in order; the first that fits is given.
var hints = []mistake{
	{token: "=", next: ">", hint: "an arrow is spelt ->", fix: "->"},
	{prev: "=", token: ">", hint: "an arrow is spelt ->", fix: "->"},
	{prev: "=", token: "=", hint: "a value follows a single =", fix: "="},
	{decl: "model", next: "=", hint: "a field's value follows its name without a sign: heads 32"},
	{decl: "model", next: ":", hint: "a field's value follows its name without a sign: heads 32"},
	{decl: "model", token: "=", hint: "a field's value follows its name without a sign: heads 32"},
	{decl: "model", token: ":", hint: "a field's value follows its name without a sign: heads 32"},
	{token: "=", hint: "equality is spelt ==", fix: "=="},
	{decl: "layer", token: "causal", hint: causalHint},
	{decl: "pattern", token: "causal", hint: causalHint},
	{prev: "|", token: "|", hint: "the union of sets is a single |; conditions are joined with `or`", fix: "|"},
	{token: "|", next: "|", hint: "the union of sets is a single |; conditions are joined with `or`", fix: "|"},
	{token: "&", next: "&", hint: "the intersection of sets is a single &; conditions are joined with `and`", fix: "&"},
	{prev: "&", token: "&", hint: "the intersection of sets is a single &; conditions are joined with `and`", fix: "&"},
	{token: "*", next: "*", hint: "there are no powers; write a product or index a list"},
	{prev: "*", token: "*", hint: "there are no powers; write a product or index a list"},
	{decl: "layer", token: ":", hint: "layers are followed by ->, heads by a colon: layer 0..3 -> head 0: dense"},
	{token: "head", hint: "heads are followed by a colon: head 0..3: dense"},
	{token: "kv_head", hint: "KV heads are followed by a colon: kv_head 0..3: dense"},
	{decl: "require", prev: "on", token: "even", hint: "write `on layer even`", fix: "on layer even"},
	{decl: "require", prev: "on", token: "odd", hint: "write `on layer odd`", fix: "on layer odd"},
	{decl: "require", token: "-", hint: "names have underscores: kv_efficient"},
	{decl: "require", token: "==", hint: "a bound is one of < <= > >="},
}
