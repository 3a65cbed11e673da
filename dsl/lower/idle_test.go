package lower

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s2attention/s2c/diag"
	"github.com/s2attention/s2c/dsl"
)

// Parts that attend nothing, or nothing of their own, in every head and layer are
// warned of, each where it is written; no others.
func TestIdleParts(t *testing.T) {
	for _, c := range []struct {
		mode, text string
		want       []string // what the warnings are about
	}{
		{"causal", "layer * -> rows(0..1) | window(4000)", []string{"adds: rows(0..1)"}},
		{"bidirectional", "layer * -> rows(0..1) | window(4000)", nil},
		{"causal", "layer * -> window(4) | window(4)", []string{"adds: window(4)"}},
		{"causal", "layer * -> window(1) | window(4) | dense", []string{"adds: window(1)", "adds: window(4)"}},
		{"causal", "layer * -> window(2) | rows(3) & columns(9)", []string{"attends: rows(3) & columns(9)"}},
		{"bidirectional", "layer * -> window(2) | rows(3) & columns(9)", nil},
		{"causal", "layer * -> window(2) | stride(8, phase: 3) - columns(3..)", []string{"attends: stride(8, phase: 3) - columns(3..)"}},
		{"causal", "layer * -> window(1) | stride(4, phase: -h)", nil},
		// Of use to one head, or in one layer, is of use.
		{"causal", "layer * -> window(1) | stride(2, phase: h) | columns(2)", nil},
		{"causal", "layer * -> window(1) | stride(1 + h) | columns(3)", nil},
		{"causal", "layer * -> head 0: window(1) | stride(1), window(1) | sink(1)", []string{"adds: window(1)"}},
		{"causal", "pattern local = window(4)\nlayer 0 -> local\nlayer 1 -> local | dense", []string{"adds: local"}},
		{"causal", "pattern local = window(4) | rows(1)\nlayer * -> local | sink(1)", []string{"adds: rows(1)"}},
		{"causal", "pattern local = rows(0) | rows(1)\nlayer * -> local | window(8)", []string{"adds: local"}},
		{"causal", "layer * -> if h == 0 then window(2) | rows(0) else window(2) | sink(1)", []string{"adds: rows(0)"}},
		// What a table holds is not looked at, and hides nothing else.
		{"causal", "layer * -> window(1) | where(i == j, max: 640)", nil},
		{"causal", "layer * -> window(4) | window(1) | where(i == j, max: 640)", []string{"adds: window(1)"}},
		{"causal", "layer * -> window(2) | blocks { (5, 9) }", []string{"attends: blocks { (5, 9) }"}},
		{"causal", "layer * -> window(2) | blocks { (5, 9), (9, 5) }", nil},
		{"causal", "layer * -> window(2) | empty", nil},
		// A slice has parts for heads that are elsewhere.
		{"causal active_heads 0..0", "layer * -> window(1) | stride(1 + h) | columns(3)", nil},
		{"causal active_heads 0..0", "layer * -> window(2) | rows(1)", []string{"adds: rows(1)"}},
	} {
		text := fmt.Sprintf("model m { heads 2 head_dim 64 %s layers 2 }\n%s\n", c.mode, c.text)
		p, list := dsl.Load("in.s2", dsl.Options{ReadFile: func(string) ([]byte, error) { return []byte(text), nil }})
		if p == nil {
			t.Fatal(list)
		}
		m, list := Module(p)
		if m == nil {
			t.Fatal(list)
		}
		var got []string
		for _, d := range list {
			what := "attends: "
			if d.Code != diag.IdlePart || d.Severity != diag.Warning {
				t.Errorf("%v", d)
			}
			if d.Message != "this part of the pattern attends nothing" {
				what = "adds: "
			}
			got = append(got, what+d.Span.Text())
		}
		slices.Sort(got)
		slices.Sort(c.want)
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s-want +got\n%s", text, d)
		}
	}
}
