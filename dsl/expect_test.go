package dsl

import (
	"strings"
	"testing"

	"github.com/s2attention/s2c/diag"
)

// TestExpect asks at the place of the bar, which is no part of the file.
func TestExpect(t *testing.T) {
	const model = "model m { heads 4 head_dim 64 causal }\n"
	for _, c := range []struct {
		text     string
		keywords string // some of them; a minus: not this one
		role     Role
		name     bool
		set      bool
		number   bool
	}{
		{"^", "import model param pattern layer require -head -if -and", 0, false, false, true},
		{"pa^", "param pattern -head", 0, false, false, true},
		{model + "layer ^", "even odd every -head -layer -for -blocks", RoleGlobal, true, false, true},
		{model + "layer even -> ^", "head kv_head if for blocks -even -layer", RoleGlobal, true, true, false},
		{model + "layer even -> head ^", "even odd every -head", RoleGlobal, true, false, true},
		{model + "layer even -> win^", "head kv_head if for blocks -even", RoleGlobal, true, true, false},
		{model + "layer even -> dense\n^", "layer require and or mod -head -even", 0, false, true, false},
		{model + "layer even -> dense, ^", "head kv_head if for blocks", RoleGlobal, true, true, false},
		{model + "layer even -> window(^", "if true false not -head", RoleGlobal, true, false, true},
		{model + "layer even -> window(1) | ^", "for blocks -head", RoleGlobal, true, true, false},
		{model + "layer even -> if ^", "not true -head", RoleGlobal, true, false, true},
		{model + "layer even -> if h < 2 ^", "then and or -else", RoleGlobal, false, true, false},
		{model + "layer * -> dense\nrequire ^", "-on", RoleProperty, true, false, true},
		{model + "layer * -> dense\nrequire coverage ^", "on at -even", RoleGlobal, false, false, true},
		{model + "layer * -> dense\nrequire coverage on ^", "every layer -even", RoleGlobal, false, false, true},
		{model + "layer * -> dense\nrequire coverage on layer ^", "even odd every", RoleGlobal, true, false, true},
		{"model m { heads 4 ^", "causal bidirectional mod -layer", RoleField, true, false, true},
		{"model m { ^ }", "causal bidirectional", RoleField, true, false, true},
		{"model m { dtype ^", "-causal", RoleType, true, false, true},
		{"param ^", "-if", RoleGlobal, false, false, false},
		{"param a = ^", "if true false not", RoleGlobal, true, false, true},
		{"pattern p(^", "-if", RoleFormal, false, false, false},
		{"pattern p(n) = ^", "if for blocks", RoleGlobal, true, true, false},
		{model + "layer * -> (window(1, 2) | sink(1)) & for rows { 0..3: dense; 4.. ^", "-layer", RoleGlobal, true, false, true},
		{model + "layer * -> blocks { (1, 2), (3, 4) } | ^", "for blocks -if -head", RoleGlobal, true, true, false},
		{model + "layer * -> for rows { 0..3: dense; else: sink(1) } & window([1, 2][0]) ^", "layer require -head -if", RoleGlobal, false, true, false},
		{model + "layer * -> for rows { 0..3: dense; ^", "else", RoleGlobal, true, false, true},
		{model + "layer * -> for rows { 0..3: ^", "if for blocks", RoleGlobal, true, true, false},
		{"layer * -> dilated(4, side: ^)", "-head", RoleGlobal, true, false, true},
	} {
		at := strings.Index(c.text, "^")
		src := diag.NewSource("t.s2", c.text[:at]+c.text[at+1:])
		e := Expect(src, at)
		have := map[string]bool{}
		for _, k := range e.Keywords {
			have[k] = true
		}
		for k := range strings.FieldsSeq(c.keywords) {
			if name, not := strings.CutPrefix(k, "-"); have[name] == not {
				t.Errorf("%q: keywords %v, want %s", c.text, e.Keywords, k)
			}
		}
		if e.Name != c.name || c.name && (e.Role != c.role || c.role == RoleGlobal && (e.Set != c.set || e.Number != c.number)) {
			t.Errorf("%q: name %v, role %d, set %v, number %v", c.text, e.Name, e.Role, e.Set, e.Number)
		}
	}
	for _, text := range []string{"// ^", "/* ^", "import \"^", "param a = 12^"} {
		at := strings.Index(text, "^")
		if e := Expect(diag.NewSource("t.s2", text[:at]+text[at+1:]), at); e.Name || len(e.Keywords) > 0 {
			t.Errorf("%q: %+v", text, e)
		}
	}
}
