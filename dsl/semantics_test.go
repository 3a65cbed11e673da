package dsl

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/s2attention/s2c/diag"
)

// holds evaluates a resolved set at a pair, as set.go defines it.
func holds(s Set, i, j int64) bool {
	switch s := s.(type) {
	case Band:
		return i-j >= s.LoDiff && i-j <= s.HiDiff
	case Stride:
		return ((j-s.Phase)%s.Step+s.Step)%s.Step == 0
	case Dilated:
		return ((i-j-s.Phase)%s.Step+s.Step)%s.Step == 0
	case Columns:
		return j >= s.Lo && j <= s.Hi
	case Rows:
		return i >= s.Lo && i <= s.Hi
	case Blocks:
		for _, r := range s.List {
			if i >= r.ILo && i <= r.IHi && j >= r.JLo && j <= r.JHi {
				return true
			}
		}
		return false
	case Where:
		return i < s.Limit && j < s.Limit && s.Holds(i, j)
	case Empty:
		return false
	case Union:
		return holds(s.A, i, j) || holds(s.B, i, j)
	case Intersection:
		return holds(s.A, i, j) && holds(s.B, i, j)
	case Difference:
		return holds(s.A, i, j) && !holds(s.B, i, j)
	}
	panic(fmt.Sprintf("%T", s))
}

// sameMeaning demands that the resolved tree and the direct evaluation agree
// on every pair below n, for each distinct layer and head.
func sameMeaning(t interface {
	Helper()
	Fatalf(format string, args ...any)
}, p *Program, n int64) {
	t.Helper()
	for _, layers := range p.LayerClasses() {
		full := true
		for h := range p.Model.Heads {
			set, eval := p.Head(layers[0], h), p.Evaluator(layers[0], h)
			for i := range n {
				for j := range n {
					want := holds(set, i, j) && !(p.Model.Causal && j > i)
					full = full && (want || p.Model.Causal && j > i)
					if got := eval(i, j); got != want {
						t.Fatalf("layer %d head %d (%d, %d): directly %v, resolved %v: %+v", layers[0], h, i, j, got, want, set)
					}
				}
			}
		}
		if p.IsDense(layers[0]) && !full {
			t.Fatalf("layer %d is said to be dense", layers[0])
		}
	}
}

func TestHeadAgreesWithAttends(t *testing.T) {
	for _, file := range examples(t) {
		p, list := Load(file, Options{})
		if len(list) > 0 {
			t.Fatal(diag.Text(list, false))
		}
		n := int64(72)
		if strings.Contains(file, "custom") {
			n = 130
		}
		sameMeaning(t, p, n)
	}
	for _, text := range fenced(readDoc(t), "s2-part") {
		for _, flag := range []string{"causal", "bidirectional"} {
			p := mustLoad(t, "model m { heads 4 head_dim 64 layers 2 "+flag+" }\n"+text, nil)
			sameMeaning(t, p, 70)
		}
	}
}

// drawSet writes a random pattern.
func drawSet(t *rapid.T, depth int) string {
	n := func(lo, hi int) string { return strconv.Itoa(rapid.IntRange(lo, hi).Draw(t, "n")) }
	if depth > 0 && rapid.Bool().Draw(t, "join") {
		op := rapid.SampledFrom([]string{"|", "&", "-"}).Draw(t, "op")
		return "(" + drawSet(t, depth-1) + " " + op + " " + drawSet(t, depth-1) + ")"
	}
	switch rapid.IntRange(0, 13).Draw(t, "kind") {
	case 0:
		return "window(" + n(1, 9) + ")"
	case 1:
		return "window(" + n(1, 9) + ", " + n(1, 9) + ")"
	case 2:
		return "stride(" + n(1, 7) + ", phase: " + n(0, 9) + " - h * " + n(0, 3) + ")"
	case 3:
		return "dilated(" + n(1, 7) + ", phase: g - " + n(0, 9) + ")"
	case 4:
		side := rapid.SampledFrom([]string{"back", "ahead", "both"}).Draw(t, "side")
		return "dilated(" + n(1, 7) + ", phase: " + n(0, 9) + ", side: " + side + ")"
	case 5:
		return "sink(" + n(0, 4) + ")"
	case 6:
		return "columns(" + n(0, 9) + ", " + n(3, 5) + ".." + n(5, 20) + ", " + n(18, 30) + "..)"
	case 7:
		return "rows(" + n(0, 9) + ", " + n(3, 5) + ".." + n(5, 20) + ")"
	case 8:
		return "global(h.." + n(4, 8) + ")"
	case 9:
		return "blocks { (" + n(0, 9) + ", " + n(0, 5) + "), (" + n(0, 9) + ".., h..h + " + n(0, 9) + ") }"
	case 10:
		return "where((i * " + n(1, 5) + " + j - h) mod " + n(1, 6) + " <= " + n(0, 3) + ", max: 1024)"
	case 11:
		return "(if h mod 2 == " + n(0, 1) + " then " + drawSet(t, 0) + " else " + drawSet(t, 0) + ")"
	case 12:
		if depth == 0 {
			return "dense"
		}
		return "(for rows { " + n(3, 6) + ".." + n(6, 9) + ", 20..: " + drawSet(t, depth-1) + "; " + n(0, 5) + "..12: " +
			drawSet(t, depth-1) + "; else: " + drawSet(t, 0) + " })"
	}
	return "p(" + n(1, 5) + ", h: h + " + n(0, 3) + ")"
}

func TestRandomPatterns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		flag := rapid.SampledFrom([]string{"causal", "bidirectional"}).Draw(t, "flag")
		text := "model m { heads 4 kv_heads 2 head_dim 64 " + flag + " }\n" +
			"pattern p(n, h, g) = window(n) | stride(5, phase: h - g)\n" +
			"layer * -> " + drawSet(t, 3) + "\n"
		p, list := loadText(text, nil)
		if p == nil {
			t.Fatalf("%s\n%s", text, diag.Text(list, false))
		}
		sameMeaning(t, p, 40)
	})
}

// dkernelCausal is the formula of DKernel's LocalStrideSparseAttention.
func dkernelCausal(kv, heads, local, stride, offset, i, j int64) bool {
	step := max(1, stride/heads)
	return j <= i && (i-j < local || (j+kv*step+offset)%stride == 0)
}

// spelling is the file behind a marker in docs/language.md.
func spelling(t *testing.T, name string) string {
	t.Helper()
	_, rest, found := strings.Cut(readDoc(t), "<!-- dkernel: "+name+" -->")
	if !found {
		t.Fatalf("no spelling %q", name)
	}
	return fenced(rest, "s2")[0]
}

func TestDKernelCausal(t *testing.T) {
	text := spelling(t, "causal")
	for _, c := range []struct{ heads, kvHeads, local, stride, offset, homo, dense int64 }{
		{8, 4, 2, 5, 0, 0, 0}, {8, 4, 1, 15, 0, 0, 0}, {8, 8, 3, 8, 3, 0, 0}, {8, 4, 2, 5, 2, 1, 0},
		{8, 4, 2, 4, 0, 0, 1}, {8, 4, 2, 4, 0, 0, 4}, {8, 2, 2, 16, 1, 0, 1}, {4, 4, 1, 23, 7, 0, 2}, {4, 1, 16, 8, 0, 0, 0},
	} {
		p := mustLoad(t, text, map[string]string{
			"heads": fmt.Sprint(c.heads), "kv_heads": fmt.Sprint(c.kvHeads), "local": fmt.Sprint(c.local), "stride": fmt.Sprint(c.stride),
			"offset": fmt.Sprint(c.offset), "homo": fmt.Sprint(c.homo), "dense_heads": fmt.Sprint(c.dense),
		})
		for h := range c.heads {
			kv := h / (c.heads / c.kvHeads)
			dense, phase := kv >= c.kvHeads-c.dense, kv
			if c.homo == 1 {
				phase = 0
			}
			eval := p.Evaluator(0, int(h))
			for i := range int64(64) {
				for j := range int64(64) {
					want := j <= i && (dense || dkernelCausal(phase, c.heads, c.local, c.stride, c.offset, i, j))
					if got := eval(i, j); got != want {
						t.Fatalf("%+v head %d (%d, %d): %v, want %v", c, h, i, j, got, want)
					}
				}
			}
		}
	}
}

// TestDKernelActiveHeads compares each slice with the whole model.
func TestDKernelActiveHeads(t *testing.T) {
	text := spelling(t, "causal")
	whole := mustLoad(t, text, map[string]string{"dense_heads": "1"})
	for _, s := range []struct{ lo, hi, kvHeads int }{{0, 7, 4}, {2, 5, 2}, {6, 7, 1}, {3, 3, 1}} {
		p := mustLoad(t, text, map[string]string{"dense_heads": "1", "active_heads": fmt.Sprintf("%d..%d", s.lo, s.hi)})
		if p.Model.Heads != s.hi-s.lo+1 || p.Model.KVHeads != s.kvHeads || p.Model.TotalHeads != 8 || p.Model.FirstHead != s.lo {
			t.Errorf("%+v: %+v", s, p.Model)
		}
		for h := range p.Model.Heads {
			a, b := p.Evaluator(0, h), whole.Evaluator(0, s.lo+h)
			for i := range int64(40) {
				for j := range int64(40) {
					if a(i, j) != b(i, j) {
						t.Fatalf("%+v head %d (%d, %d)", s, h, i, j)
					}
				}
			}
		}
	}
}

func TestDKernelBidirectional(t *testing.T) {
	compare := func(p *Program, want func(i, j int64) bool) {
		t.Helper()
		for h := range p.Model.Heads {
			eval := p.Evaluator(0, h)
			for i := range int64(48) {
				for j := range int64(48) {
					if got := eval(i, j); got != want(i, j) {
						t.Fatalf("%v head %d (%d, %d): %v", p.Params, h, i, j, got)
					}
				}
			}
		}
	}
	for local := range int64(5) {
		for stride := range int64(6) {
			l, v := local+1, stride+1
			p := mustLoad(t, spelling(t, "bidirectional"), map[string]string{"local": fmt.Sprint(l), "stride": fmt.Sprint(v)})
			compare(p, func(i, j int64) bool {
				d := max(i-j, j-i)
				return d < l || (d-l+1)%v == 0
			})
			for r := int64(1); r < 5; r++ {
				p := mustLoad(t, spelling(t, "two-sided"),
					map[string]string{"left": fmt.Sprint(l), "right": fmt.Sprint(r), "stride": fmt.Sprint(v)})
				compare(p, func(i, j int64) bool { return (max(0, i-j-l+1)+max(0, j-i-r+1))%v == 0 })
			}
		}
	}
}

func TestPhi3Small(t *testing.T) {
	for _, c := range []struct{ heads, local, stride int64 }{{8, 2, 5}, {32, 16, 8}, {4, 3, 9}} {
		p := mustLoad(t, spelling(t, "phi-3-small"), map[string]string{
			"heads": fmt.Sprint(c.heads), "local": fmt.Sprint(c.local), "stride": fmt.Sprint(c.stride)})
		step := max(1, c.stride/c.heads)
		for layer := range p.Model.Layers {
			dense := (layer+1)%2 == 0
			if p.IsDense(layer) != dense {
				t.Errorf("layer %d: dense %v", layer, !dense)
			}
			for h := range c.heads {
				eval := p.Evaluator(layer, int(h))
				for i := range int64(48) {
					for j := range int64(48) {
						want := j <= i && (dense || i-j < c.local || (j+h*step+1)%c.stride == 0)
						if got := eval(i, j); got != want {
							t.Fatalf("%+v layer %d head %d (%d, %d): %v", c, layer, h, i, j, got)
						}
					}
				}
			}
		}
	}
}

// row lists the key blocks that a query block reads.
func row(p *Program, layer, head int, i int64) string {
	var out []string
	eval := p.Evaluator(layer, head)
	for j := int64(0); j <= i; j++ {
		if eval(i, j) {
			out = append(out, fmt.Sprint(j))
		}
	}
	return strings.Join(out, " ")
}

// density is attended ÷ dense token pairs of a causal layer, by counting.
func density(p *Program, layer int, tokens int64) float64 {
	block := int64(p.Model.Block)
	attended, dense := int64(0), int64(0)
	for h := range p.Model.Heads {
		eval := p.Evaluator(layer, h)
		for i := range tokens / block {
			for j := int64(0); j <= i; j++ {
				pairs := block * block
				if i == j {
					pairs = block * (block + 1) / 2
				}
				dense += pairs
				if eval(i, j) {
					attended += pairs
				}
			}
		}
	}
	return float64(attended) / float64(dense)
}

// TestCheckValues is the numbers that the design gives.
func TestCheckValues(t *testing.T) {
	load := func(name string) *Program {
		p, list := Load("../examples/"+name, Options{})
		if p == nil {
			t.Fatal(diag.Text(list, false))
		}
		return p
	}
	local := "25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40"
	if got := row(load("phi3-small.s2"), 0, 4, 40); got != "3 11 19 "+local {
		t.Error(got)
	}
	if got := row(load("s2-gqa.s2"), 0, 4, 40); got != "7 15 23 "+local {
		t.Error(got)
	}
	for _, c := range []struct {
		file   string
		tokens int64
		want   string
	}{
		{"phi3-small.s2", 8192, "0.3242"}, {"s2-gqa.s2", 8192, "0.3242"},
		{"phi3-small.s2", 32768, "0.1772"}, {"s2-gqa.s2", 32768, "0.1772"},
	} {
		if got := fmt.Sprintf("%.4f", density(load(c.file), 0, c.tokens)); got != c.want {
			t.Errorf("%s at %d: %s, want %s", c.file, c.tokens, got, c.want)
		}
	}
}

// TestExamplesKeepTheirPromises checks the density bounds of the examples by
// counting, and that no causal row is empty.
func TestExamplesKeepTheirPromises(t *testing.T) {
	for _, file := range examples(t) {
		p, _ := Load(file, Options{})
		if text, _ := os.ReadFile(file); !strings.Contains(string(text), "// Why:") {
			t.Errorf("%s does not say why", file)
		}
		for _, r := range p.Requires {
			if r.Kind == Density && r.Seq <= 32768 && p.Model.Causal {
				if got := density(p, r.Layers[0], r.Seq); !r.Compare(got) {
					t.Errorf("%s: %s, but it is %.4f", file, r.Text, got)
				}
			}
		}
		for _, layers := range p.LayerClasses() {
			for h := range p.Model.Heads {
				for i := range int64(140) {
					if row(p, layers[0], h, i) == "" {
						t.Errorf("%s: layer %d head %d row %d is empty", file, layers[0], h, i)
					}
				}
			}
		}
	}
}

func BenchmarkEvaluator(b *testing.B) {
	p, _ := Load("../examples/phi3-small.s2", Options{})
	eval := p.Evaluator(0, 3)
	for n := range b.N {
		eval(1000, int64(n&1023))
	}
}

func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		if p, _ := Load("../examples/phi3-small.s2", Options{}); p == nil {
			b.Fatal("refused")
		}
	}
}
