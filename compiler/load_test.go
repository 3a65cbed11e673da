package compiler

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s2attention/s2c/dsl"
)

// text makes options that read one file from memory.
func text(s string) dsl.Options {
	return dsl.Options{ReadFile: func(string) ([]byte, error) { return []byte(s), nil }}
}

const modelText = "model m { heads 4  kv_heads 2  head_dim 64  block 16  dtype bf16  causal  layers 4 }\n"

func TestLayers(t *testing.T) {
	u, list := Load("m.s2", text(modelText+"layer 0, 3 -> dense\nlayer * -> window(2)\n"))
	if u == nil {
		t.Fatal(list)
	}
	if got := u.DefaultLayer(); got != 1 {
		t.Errorf("the default layer is %d, want 1", got)
	}
	for number, want := range [][]int{{0, 3}, {1, 2}, {1, 2}, {0, 3}} {
		layer, err := u.Layer(number)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, layer.Numbers); diff != "" {
			t.Errorf("layer %d: %s", number, diff)
		}
	}
	for _, number := range []int{-1, 4} {
		if _, err := u.Layer(number); err == nil {
			t.Errorf("layer %d exists", number)
		}
	}
	if u, _ := Load("m.s2", text(modelText+"layer * -> dense\n")); u.DefaultLayer() != 0 {
		t.Error("the default of a dense model is not layer 0")
	}
}

// TestRequire decides each property where it holds and where it does not.
func TestRequire(t *testing.T) {
	const stripes = "window(2) | stride(4, phase: -h)"
	for _, c := range []struct{ pattern, clause, want string }{
		{stripes, "coverage", ""},
		{"window(2)", "coverage", "no head attends key block 0 from query block 2"},
		{"window(2)", "coverage at 32", ""},
		{"window(2)", "coverage at 33", "no head attends key block 0 from query block 2"},
		{stripes, "kv_efficient", ""},
		{"window(1) | dilated(3)", "kv_efficient", "KV head 0 reads key block 0 at query block 3, but did not at query block 2"},
		{"window(1) | dilated(3)", "kv_efficient at 48", ""},
		{stripes, "closed_form", ""},
		{"window(1) | blocks { (5, 1) }", "closed_form", "head 0 needs a table of 6 rows"},
		{stripes, "non_empty", ""},
		{"dense", "density >= 1 at 100", ""},
		{"dense", "density < 1 at 100", "density is 1 at 100 tokens"},
		{"dense", "speedup > 1 at 100", "speedup is 1 at 100 tokens"},
		{"dense", "speedup <= 1 at 100", ""},
		{"dense", "kv_kept < 1 at 100", "kv_kept is 1 at 100 tokens"},
		{"window(2)", "kv_kept < 0.1 at 1600", ""},
	} {
		t.Run(c.clause+" of "+c.pattern, func(t *testing.T) {
			source := fmt.Sprintf("%slayer * -> %s\nrequire %s on every layer\n", modelText, c.pattern, c.clause)
			u, list := Load("m.s2", text(source))
			if (u != nil) != (c.want == "") || list.HasErrors() != (c.want != "") {
				t.Fatalf("unit %v, diagnostics %v", u != nil, list)
			}
			if c.want == "" {
				return
			}
			if len(list) != 1 || !strings.Contains(list[0].Message, "layer 0: "+c.want) {
				t.Errorf("diagnostics are %v, want %q", list, c.want)
			}
			if lowered, _ := Lower("m.s2", text(source)); lowered == nil {
				t.Error("a failing clause stops Lower")
			}
		})
	}
}

// TestLoadReports finds errors of each stage.
func TestLoadReports(t *testing.T) {
	for _, c := range []struct{ name, source, code string }{
		{"syntax", "model {", "S2C01"},
		{"empty row", modelText + "layer * -> stride(4, phase: 1)\n", "S2C0520"},
		{"two clauses", modelText + "layer * -> window(2)\nrequire coverage on every layer\nrequire speedup > 1e9 at 64 on every layer\n", "S2C0525"},
	} {
		u, list := Load("m.s2", text(c.source))
		found := false
		for _, d := range list {
			found = found || strings.HasPrefix(string(d.Code), c.code)
		}
		if u != nil || !found {
			t.Errorf("%s: unit %v, diagnostics %v, want %s", c.name, u != nil, list, c.code)
		}
	}
}
