package dsl

import (
	"strings"
	"testing"

	"github.com/s2attention/s2c/diag"
)

// TestPrecedence writes expressions with full brackets.
func TestPrecedence(t *testing.T) {
	for in, want := range map[string]string{
		"a | b & c - d":                       "(a | (b & (c - d)))",
		"a & b | c & d":                       "((a & b) | (c & d))",
		"a - b - c":                           "((a - b) - c)",
		"a - b + c * d mod e / f":             "((a - b) + (((c * d) mod e) / f))",
		"-a * -b":                             "((-a) * (-b))",
		"- - a + +b":                          "((-(-a)) + (+b))",
		"not a == b and c or d":               "(((not (a == b)) and c) or d)",
		"a or b and not c or d":               "((a or (b and (not c))) or d)",
		"a + 1 < b | c":                       "((a + 1) < (b | c))",
		"if a then b else c | d":              "(if a then b else (c | d))",
		"(if a then b else c) | d":            "((if a then b else c) | d)",
		"f(a, x: b - 1)[c + 1] - d":           "(f(:a,x:(b - 1))[(c + 1)] - d)",
		"[1, 2][i mod 2] * 3":                 "([1,2][(i mod 2)] * 3)",
		"if a then if b then c else d else e": "(if a then (if b then c else d) else e)",
	} {
		if got := strings.TrimPrefix(parsed(t, "param p = "+in)[0], "param p = "); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

// TestWherePartial: in a causal model the pairs above the diagonal are never
// asked for, so a condition needs no value there.
func TestWherePartial(t *testing.T) {
	text := "model m { heads 1 head_dim 64 causal }\nlayer * -> where(8 mod (i - j + 1) == 0, max: 4096)"
	p := mustLoad(t, text, nil)
	if !p.Attends(0, 0, 8, 5) || p.Attends(0, 0, 8, 4) {
		t.Error("8 mod 4 and 8 mod 5")
	}
	_, list := loadText(strings.Replace(text, "causal", "bidirectional", 1), nil)
	if len(list) != 1 || list[0].Code != diag.DivideByZero || !strings.Contains(list[0].Message, "i = 0, j = 1") {
		t.Error(diag.Text(list, false))
	}
}
