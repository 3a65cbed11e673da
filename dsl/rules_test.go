package dsl

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s2attention/s2c/diag"
	"github.com/s2attention/s2c/dtype"
)

// windows lists the window of each head of a layer of a program whose rules
// are all windows.
func windows(p *Program, layer int) string {
	s := ""
	for h := range p.Model.Heads {
		s += fmt.Sprint(p.Head(layer, h).(Band).HiDiff+1, " ")
	}
	return s
}

// TestRules checks which rule each head of each layer gets.
func TestRules(t *testing.T) {
	for _, c := range []struct {
		name, rules string
		defines     map[string]string
		want        []string // by layer
		classes     string
	}{
		{"first wins", "layer 1 -> window(2)\nlayer * -> window(1)", nil,
			[]string{"1 1 1 1 ", "2 2 2 2 ", "1 1 1 1 ", "1 1 1 1 "}, "[[0 2 3] [1]]"},
		{"heads in order", "layer * -> head 1: window(2), head odd: window(3), window(1)", nil,
			[]string{"1 2 1 3 ", "1 2 1 3 ", "1 2 1 3 ", "1 2 1 3 "}, "[[0 1 2 3]]"},
		{"kv heads", "layer * -> kv_head 1: window(2), kv_head *: window(1)", nil,
			[]string{"1 1 2 2 ", "1 1 2 2 ", "1 1 2 2 ", "1 1 2 2 "}, "[[0 1 2 3]]"},
		{"every from", "layer every 2 from 1 -> head every 3: window(2), window(3)\nlayer 0.. -> window(1)", nil,
			[]string{"1 1 1 1 ", "2 3 3 2 ", "1 1 1 1 ", "2 3 3 2 "}, "[[0 2] [1 3]]"},
		{"lists", "layer 0, 2..3 -> window(h + 1)\nlayer 1 -> window(g + 1)", nil,
			[]string{"1 2 3 4 ", "1 1 2 2 ", "1 2 3 4 ", "1 2 3 4 "}, "[[0 2 3] [1]]"},
		{"rules that come to the same", "layer even -> window(1 + 1)\nlayer odd -> window(2)", nil,
			[]string{"2 2 2 2 ", "2 2 2 2 ", "2 2 2 2 ", "2 2 2 2 "}, "[[0 1 2 3]]"},
		{"across declarations", "layer 0 -> head 0: window(5)\nlayer * -> window(1)", nil,
			[]string{"5 1 1 1 ", "1 1 1 1 ", "1 1 1 1 ", "1 1 1 1 "}, "[[0] [1 2 3]]"},
		{"cut short by a define", "layer 0..2 -> head 0..1: window(1), head 2..3: window(2)\nlayer 3 -> window(3)",
			map[string]string{"heads": "2", "layers": "1"}, []string{"1 1 "}, "[[0]]"},
		{"a slice", "layer * -> window(10 * h + g + heads)", map[string]string{"active_heads": "2..3"},
			[]string{"25 35 ", "25 35 ", "25 35 ", "25 35 "}, "[[0 1 2 3]]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := mustLoad(t, testModel+c.rules, c.defines)
			var got []string
			for n := range p.Model.Layers {
				got = append(got, windows(p, n))
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			if s := fmt.Sprint(p.LayerClasses()); s != c.classes {
				t.Errorf("%s, want %s", s, c.classes)
			}
			if len(p.Warnings) > 0 {
				t.Error(diag.Text(p.Warnings, false))
			}
		})
	}
}

// TestLayersNamed checks how many layers a model has that does not say.
func TestLayersNamed(t *testing.T) {
	for rules, want := range map[string]int{
		"layer * -> dense": 1, "layer even -> dense\nlayer odd -> window(1)": 2, "layer 0..5 -> dense": 6,
		"layer 3 -> window(1)\nlayer * -> dense": 4, "layer every 4 from 1 -> window(1)\nlayer * -> dense": 5,
	} {
		p := mustLoad(t, "model m { heads 4 head_dim 64 causal }\n"+rules, nil)
		if p.Model.Layers != want {
			t.Errorf("%s: %d layers, want %d", rules, p.Model.Layers, want)
		}
	}
}

func TestModelDefaults(t *testing.T) {
	p := mustLoad(t, "model { heads 6, head_dim 64, bidirectional }\nlayer * -> dense", nil)
	want := Model{Heads: 6, KVHeads: 6, HeadDim: 64, Block: 64, Layers: 1, DType: dtype.BF16, Scale: 0.125, TotalHeads: 6, TotalKVHeads: 6}
	if d := cmp.Diff(want, p.Model); d != "" {
		t.Error(d)
	}
}

// TestRequires checks how clauses are resolved.
func TestRequires(t *testing.T) {
	p := mustLoad(t, testModel+"param n = 1024\nlayer * -> dense\nrequire coverage at 2 * n, density\n <= 1/4 at n on layer odd\nrequire non_empty", nil)
	type clause struct {
		Kind      Property
		Layers    []int
		Op        string
		Bound     float64
		Seq       int64
		Text, Pos string
	}
	var got []clause
	for _, r := range p.Requires {
		got = append(got, clause{r.Kind, r.Layers, r.Op, r.Bound, r.Seq, r.Text, r.Pos()})
	}
	want := []clause{
		{Coverage, []int{1, 3}, "", 0, 2048, "coverage at 2 * n", "t.s2:4:9"},
		{Density, []int{1, 3}, "<=", 0.25, 1024, "density <= 1/4 at n", "t.s2:4:28"},
		{NonEmpty, []int{0, 1, 2, 3}, "", 0, 0, "non_empty", "t.s2:6:9"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	d := p.Requires[1].Fail("it is 1", "less")
	if d.Code != diag.DensityFails || d.Error() != "t.s2:4:28: error[S2C0523]: require density <= 1/4 at n fails: it is 1" || d.Hint != "less" {
		t.Errorf("%+v", d)
	}
	r := Require{Bound: 2}
	for op, want := range map[string]string{"<": "true false false", "<=": "true true false", ">": "false false true", ">=": "false true true", "": "false false false"} {
		r.Op = op
		if got := fmt.Sprint(r.Compare(1), r.Compare(2), r.Compare(3)); got != want {
			t.Errorf("%q: %s", op, got)
		}
	}
}

// TestLimit checks the greatest length of a `where`.
func TestLimit(t *testing.T) {
	p := mustLoad(t, testModel+"layer 0 -> window(1) | where(j == 3, max: 4096)\n"+
		"layer 1 -> head 0: where(true, max: 1024) & where(true, max: 2048), dense\nlayer * -> dense", nil)
	if a, b, c := p.Limit(0), p.Limit(1), p.Limit(2); a != 64 || b != 16 || c != 0 {
		t.Error(a, b, c)
	}
	w := p.Head(0, 0).(Union).B.(Where)
	if !w.Holds(63, 3) || w.Holds(64, 3) || w.Holds(3, 4) || w.Holds(-1, 3) {
		t.Error("where beyond its limit")
	}
	if other := p.Head(0, 1).(Union).B.(Where); other.Key != w.Key {
		t.Error("a condition that does not name the head has a key for each head")
	}
}

// TestConcurrentUse reads one program from several goroutines, for the race
// detector.
func TestConcurrentUse(t *testing.T) {
	p := mustLoad(t, "model m { heads 4 head_dim 64 causal layers 2 }\nparam a = 3, l = [1, 2, 3, 4]\n"+
		"pattern q(h, n = a) = window(l[h] + n + group) | where((i + j) mod 3 == h, max: 4096)\nlayer * -> q", nil)
	var wg sync.WaitGroup
	for h := range p.Model.Heads {
		wg.Go(func() {
			set, eval := p.Head(1, h), p.Evaluator(0, h)
			for i := range int64(30) {
				if want := holds(set, i, 2) && i >= 2; want != eval(i, 2) {
					t.Errorf("head %d row %d", h, i)
				}
			}
		})
	}
	wg.Wait()
}
