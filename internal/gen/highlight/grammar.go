package main

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/s2attention/s2c/dsl"
)

// rule is one of a TextMate grammar's.
type rule struct {
	Include       string           `json:"include,omitempty"`
	Name          string           `json:"name,omitempty"`
	Match         string           `json:"match,omitempty"`
	Begin         string           `json:"begin,omitempty"`
	End           string           `json:"end,omitempty"`
	Captures      map[string]*rule `json:"captures,omitempty"`
	BeginCaptures map[string]*rule `json:"beginCaptures,omitempty"`
	EndCaptures   map[string]*rule `json:"endCaptures,omitempty"`
	Patterns      []*rule          `json:"patterns,omitempty"`
}

// grammar is a TextMate grammar.
type grammar struct {
	Comment    string           `json:"comment"`
	Name       string           `json:"name"`
	ScopeName  string           `json:"scopeName"`
	FileTypes  []string         `json:"fileTypes"`
	Patterns   []*rule          `json:"patterns"`
	Repository map[string]*rule `json:"repository"`
}

// keywordScopes says what kind of word each keyword is to an editor's colours.
// One that is missing fails a test.
var keywordScopes = map[string]string{
	"import": "keyword.control.import",
	"model":  "storage.type", "param": "storage.type", "pattern": "storage.type", "layer": "storage.type", "require": "storage.type",
	"causal": "storage.modifier", "bidirectional": "storage.modifier",
	"head": "keyword.other", "kv_head": "keyword.other", "even": "keyword.other", "odd": "keyword.other", "every": "keyword.other",
	"from": "keyword.other", "on": "keyword.other", "at": "keyword.other", "blocks": "keyword.other",
	"if": "keyword.control", "then": "keyword.control", "else": "keyword.control", "for": "keyword.control",
	"and": "keyword.operator.word", "or": "keyword.operator.word", "not": "keyword.operator.word", "mod": "keyword.operator.word",
	"true": "constant.language", "false": "constant.language",
}

// Scopes of the other words of the language.
const (
	functionScope = "support.function.s2"
	setScope      = "support.constant.set.s2" // a function without brackets
	fieldScope    = "support.type.property-name.s2"
	typeScope     = "support.constant.type.s2"
	propertyScope = "support.constant.property.s2"
	specialScope  = "variable.language.s2" // h, g, kv, i, j, group
	sideScope     = "support.constant.side.s2"
)

// identifier is a name.
const identifier = `[A-Za-z_][A-Za-z0-9_]*`

// build makes the grammar from the language's vocabulary.
func build(vocabulary []dsl.Entry) *grammar {
	return &grammar{
		Comment:   "Generated from the table in dsl by `go generate ./internal/gen/highlight`; do not edit.",
		Name:      "s2",
		ScopeName: "source.s2",
		FileTypes: []string{"s2"},
		Patterns:  []*rule{{Include: "#comments"}, {Include: "#model"}, {Include: "#require"}, {Include: "#pattern"}, {Include: "#words"}},
		Repository: map[string]*rule{
			"comments": {Patterns: []*rule{
				{Name: "comment.line.double-slash.s2", Match: "//.*$"},
				{Name: "comment.block.s2", Begin: `/\*`, End: `\*/`},
			}},
			"model":   model(vocabulary),
			"require": require(vocabulary),
			"pattern": {
				Match:    `\b(pattern)\s+(` + identifier + `)`,
				Captures: map[string]*rule{"1": {Name: "storage.type.s2"}, "2": {Name: "entity.name.function.s2"}},
			},
			"words": {Patterns: words(vocabulary)},
		},
	}
}

// model is the braces of a model, where names are fields.
func model(vocabulary []dsl.Entry) *rule {
	return &rule{
		Begin:         `\b(model)\b\s*(` + identifier + `)?\s*(\{)`,
		BeginCaptures: map[string]*rule{"1": {Name: "storage.type.s2"}, "2": {Name: "entity.name.type.s2"}, "3": {Name: "punctuation.section.block.s2"}},
		End:           `\}`,
		EndCaptures:   map[string]*rule{"0": {Name: "punctuation.section.block.s2"}},
		Patterns: []*rule{
			{Include: "#comments"},
			{Name: fieldScope, Match: anyOf(vocabulary, dsl.ModelField)},
			{Name: typeScope, Match: anyOf(vocabulary, dsl.ElementType)},
			{Include: "#words"},
		},
	}
}

// require goes on to the next declaration.
func require(vocabulary []dsl.Entry) *rule {
	var declarations []string
	for _, e := range vocabulary {
		if s := keywordScopes[e.Name]; e.Group == dsl.Keyword && (s == "storage.type" || s == "keyword.control.import") {
			declarations = append(declarations, e.Name)
		}
	}
	return &rule{
		Begin:         `\b(require)\b`,
		BeginCaptures: map[string]*rule{"1": {Name: "storage.type.s2"}},
		End:           `(?=^\s*(?:` + strings.Join(declarations, "|") + `)\b)`,
		Patterns:      []*rule{{Include: "#comments"}, {Name: propertyScope, Match: anyOf(vocabulary, dsl.RequiredProperty)}, {Include: "#words"}},
	}
}

// words is what stands anywhere, the more special first.
func words(vocabulary []dsl.Entry) []*rule {
	out := []*rule{
		{Name: "string.quoted.double.s2", Match: `"[^"\n]*"?`},
		{Match: `\b(for)\s+(rows)\b`, Captures: map[string]*rule{"1": {Name: "keyword.control.s2"}, "2": {Name: "keyword.control.s2"}}},
		{Match: `(?<=[(,])\s*(` + identifier + `)\s*(:)`, Captures: map[string]*rule{
			"1": {Name: "variable.parameter.s2"}, "2": {Name: "punctuation.separator.s2"},
		}},
	}
	for _, scope := range scopeOrder(vocabulary) {
		var names []string
		for _, e := range vocabulary {
			if e.Group == dsl.Keyword && keywordScopes[e.Name] == scope {
				names = append(names, e.Name)
			}
		}
		out = append(out, &rule{Name: scope + ".s2", Match: wordOf(names)})
	}
	var called, constant []string
	for _, e := range vocabulary {
		switch {
		case e.Group != dsl.SetFunction && e.Group != dsl.MathFunction:
		case len(e.Params) > 0:
			called = append(called, e.Name)
		default:
			constant = append(constant, e.Name)
		}
	}
	return append(out,
		&rule{Name: functionScope, Match: wordOf(called) + `(?=\s*\()`},
		&rule{Name: setScope, Match: wordOf(constant)},
		&rule{Name: "entity.name.function.s2", Match: `\b` + identifier + `(?=\s*\()`},
		&rule{Name: specialScope, Match: anyOf(vocabulary, dsl.HeadName, dsl.BlockName, dsl.DerivedName)},
		&rule{Name: sideScope, Match: `(?<=[,:])\s*` + anyOf(vocabulary, dsl.Side) + `(?=\s*\))`},
		&rule{Name: "constant.numeric.s2", Match: `\b[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?[A-Za-z]?\b`},
		&rule{Name: "keyword.operator.s2", Match: `->|\.\.|==|!=|<=|>=|[|&+\-*/<>=]`},
		&rule{Name: "punctuation.separator.s2", Match: `[,:;]`},
		&rule{Name: "punctuation.section.s2", Match: `[()\[\]{}]`},
		&rule{Name: "variable.other.s2", Match: `\b` + identifier + `\b`},
	)
}

// scopeOrder is the keywords' scopes as the vocabulary first has them.
func scopeOrder(vocabulary []dsl.Entry) []string {
	var out []string
	seen := map[string]bool{}
	for _, e := range vocabulary {
		if s := keywordScopes[e.Name]; e.Group == dsl.Keyword && !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}

// anyOf matches the words of some kinds.
func anyOf(vocabulary []dsl.Entry, groups ...dsl.Group) string {
	var names []string
	for _, g := range groups {
		for _, e := range vocabulary {
			if _, isKeyword := keywordScopes[e.Name]; e.Group == g && !isKeyword {
				names = append(names, e.Name)
			}
		}
	}
	return wordOf(names)
}

func wordOf(names []string) string { return `\b(?:` + strings.Join(names, "|") + `)\b` }

// text is the grammar as its file holds it.
func text(g *grammar) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(g)
	return b.Bytes(), err
}
