package compiler

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/ir"
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
		{"dilated(3)", "kv_efficient", "KV head 0 reads key block 0 at query block 3, but did not at query block 2"},
		{"dilated(3)", "kv_efficient at 48", ""},
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

// TestRequireOfSlice wants clauses to be about the model, not about the slice
// of it that is compiled.
func TestRequireOfSlice(t *testing.T) {
	const stripes = modelText + "layer * -> window(2) | stride(4, phase: -h)\n"
	slice := func(source, heads string) (*Unit, string) {
		opt := text(source)
		opt.Defines = map[string]string{"active_heads": heads}
		u, list := Load("m.s2", opt)
		if (u == nil) != list.HasErrors() {
			t.Fatalf("unit %v, %v", u != nil, list)
		}
		return u, list.Error()
	}
	u, message := slice(stripes+"require coverage, kv_efficient, density < 0.3 at 65536 on every layer\n", "2..3")
	if u == nil {
		t.Fatal(message)
	}
	if s := u.Module.Shape; s.Heads != 2 || s.KVHeads != 1 || len(u.Module.Layers[0].Heads) != 2 {
		t.Errorf("the unit has shape %+v", s)
	}
	if ir.Coverage(u.Module.Layers[0], u.Module.Shape).Holds {
		t.Error("the slice covers everything: the test shows nothing")
	}
	all, list := u.Whole()
	if all == nil {
		t.Fatal(list)
	}
	if again, _ := u.Whole(); again != all {
		t.Error("the whole model is lowered twice")
	}
	full, _ := Load("m.s2", text(stripes))
	if d := cmp.Diff(full.Module, all.Module); d != "" {
		t.Errorf("the whole model is not that of the file without a slice: %s", d)
	}
	if self, _ := full.Whole(); self != full {
		t.Error("a model without a slice is not its own whole")
	}

	// It fails on a head that the slice leaves out.
	for _, c := range []struct{ rules, clause, want string }{
		{"layer * -> head 3: dilated(3), window(2)", "kv_efficient", "layer 0: KV head 1 reads key block 0"},
		{"layer * -> head 3: dense, window(2)", "density < 0.2 at 65536", "density is 0.25"},
		{"layer * -> head 3: window(1) | blocks { (5, 1) }, dense", "closed_form", "head 3 needs a table"},
		{"layer * -> head 3: where(i - j < 2, max: 1024), dense", "coverage at 4096", "defined up to 1024 tokens only"},
		{"layer * -> head 3: stride(4, phase: 1), dense", "coverage", "query block 0 of head 3"},
		{"param n = [1, 2, 3]\nlayer * -> window(n[h])", "coverage", "index 3 is outside of a list of 3"},
	} {
		u, message := slice(modelText+c.rules+"\nrequire "+c.clause+"\n", "0..1")
		if u != nil || !strings.Contains(message, c.want) {
			t.Errorf("%s of %s: unit %v, %q, want %q", c.clause, c.rules, u != nil, message, c.want)
		}
		u, message = slice(modelText+c.rules+"\n", "0..1") // nothing is asked of the other heads
		if u == nil {
			t.Errorf("%s does not compile for heads 0..1: %s", c.rules, message)
		}
	}
}

// TestWholeFromManyGoroutines is for the race detector.
func TestWholeFromManyGoroutines(t *testing.T) {
	opt := text(modelText + "pattern p(h) = window(2) | where((i + j) mod 4 == h, max: 1024)\nlayer * -> p\n")
	opt.Defines = map[string]string{"active_heads": "1..1"}
	u, list := Load("m.s2", opt)
	if u == nil {
		t.Fatal(list)
	}
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			if all, list := u.Whole(); all == nil || len(all.Module.Layers[0].Heads) != 4 {
				t.Error(list)
			}
			u.Program.Head(0, 0)
		})
	}
	wait.Wait()
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
