package tests

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/internal/conformance"
	"github.com/s2attention/s2c/launch"
	"github.com/s2attention/s2c/runtime"
	"github.com/s2attention/s2c/target"
)

const misuseModel = `model misuse { heads 4  kv_heads 2  head_dim 64  block 16  causal  layers 1 }
layer * -> window(1) | where((i + j) mod 3 == h mod 3, max: 128)
`

// misuses are arguments that no kernel can serve, each with a part of the message.
var misuses = []struct {
	name, want string
	change     func(*runtime.Args)
}{
	{"no batch", "batch 0", func(a *runtime.Args) { a.Batch = 0 }},
	{"a batch too many", "batch", func(a *runtime.Args) { a.Batch = math.MaxInt32 + 1 }},
	{"no queries", "q_len 0", func(a *runtime.Args) { a.QLen = 0 }},
	{"fewer than no queries", "q_len -1", func(a *runtime.Args) { a.QLen = -1 }},
	{"no keys", "k_len 0", func(a *runtime.Args) { a.KLen = 0 }},
	{"more queries than keys", "q_len 101 exceeds k_len 100", func(a *runtime.Args) { a.QLen = 101 }},
	{"longer than the table", "k_len 129 exceeds 128", func(a *runtime.Args) { a.KLen = 129 }},
	{"nil query", "q: the pointer is nil", func(a *runtime.Args) { a.Tensors[launch.Q].Ptr = 0 }},
	{"nil output", "o: the pointer is nil", func(a *runtime.Args) { a.Tensors[launch.O].Ptr = 0 }},
	{"misaligned key", "k: the pointer", func(a *runtime.Args) { a.Tensors[launch.K].Ptr += 8 }},
	{"misaligned value", "v: the pointer", func(a *runtime.Args) { a.Tensors[launch.V].Ptr += 2 }},
	{"misaligned log-sum-exp", "lse: the pointer", func(a *runtime.Args) { a.Tensors[launch.LSE].Ptr += 2 }},
	{"stride of 4 elements too many", "no multiple of 8", func(a *runtime.Args) { a.Tensors[launch.Q].Seq += 4 }},
	{"negative stride", "is negative", func(a *runtime.Args) { a.Tensors[launch.K].Head = -a.Tensors[launch.K].Head }},
	{"stride beyond 64 bits", "overflows", func(a *runtime.Args) { a.Tensors[launch.V].Seq = 1 << 60 }},
	{"rows of the output overlap", "overlap", func(a *runtime.Args) { a.Tensors[launch.O].Seq = 0 }},
	{"heads of the output overlap", "overlap", func(a *runtime.Args) { a.Tensors[launch.O].Head = 8 }},
	{"scale 0 by sign", "scale", func(a *runtime.Args) { a.Scale = -1 }},
	{"scale NaN", "scale", func(a *runtime.Args) { a.Scale = math.NaN() }},
	{"scale beyond fp32", "scale", func(a *runtime.Args) { a.Scale = 1e60 }},
}

// TestMisuse: each mistake is an ErrArgs before the launch; nothing runs.
func TestMisuse(t *testing.T) {
	for _, on := range compiler.Targets {
		t.Run(on.String(), func(t *testing.T) {
			c := conformance.Case{Source: misuseModel, Batch: 2, KLen: 100}
			l := load(t, &c, on, true)
			p, err := c.Problem(l.subject)
			if err != nil {
				t.Fatal(err)
			}
			dev := device()
			defer dev.Close()
			a, err := runtime.Load(dev, l.compiled.Plan)
			if err != nil {
				t.Fatal(err)
			}
			defer a.Unload()
			in, err := p.Prepare(dev)
			if err != nil {
				t.Fatal(err)
			}
			defer in.Free()
			for _, m := range misuses {
				args := in.Args
				m.change(&args)
				err := a.Launch(nil, args)
				if !errors.Is(err, runtime.ErrArgs) || !strings.Contains(err.Error(), m.want) {
					t.Errorf("%s: %v, want an ErrArgs with %q", m.name, err, m.want)
				}
				if n := dev.LastLaunch().Blocks; n != 0 {
					t.Fatalf("%s: %d thread blocks ran", m.name, n)
				}
			}
			if err := a.Launch(nil, in.Args); err != nil { // unchanged, they are good
				t.Error(err)
			}
		})
	}
}

// TestTableLimit: a table serves every length up to its limit, and none beyond.
func TestTableLimit(t *testing.T) {
	for _, on := range compiler.Targets {
		for _, n := range []int{127, 128, 129, 1000} {
			c := conformance.Case{Source: misuseModel, KLen: n, Seed: 1}
			l := load(t, &c, on, true)
			if got := l.compiled.Plan.MaxBlocks; got != 8 {
				t.Fatalf("%s: the kernel serves %d blocks, want 8", on, got)
			}
			dev := device()
			_, _, err := c.Check(context.Background(), dev, l.subject, l.compiled)
			if n <= 128 && err != nil || n > 128 && !errors.Is(err, runtime.ErrArgs) {
				t.Errorf("%s at %d tokens: %v", on, n, err)
			}
			if err := dev.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestWrongTarget: a kernel for another architecture is refused by name.
func TestWrongTarget(t *testing.T) {
	c := conformance.Case{Source: misuseModel, KLen: 64}
	s, err := c.Load(true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Unit.Compile(s.Layer, target.Target{Major: 7}, compiler.Options{}); err == nil || !strings.Contains(err.Error(), "sm_70") {
		t.Errorf("compiling for sm_70 gives %v", err)
	}
	l := load(t, &c, target.SM80, true)
	k := *l.compiled.Plan
	k.Target = target.Target{Major: 12, Rule: target.Chip}
	dev := device()
	defer dev.Close()
	if _, err := runtime.Load(dev, &k); !errors.Is(err, runtime.ErrArchitecture) {
		t.Errorf("loading a kernel for sm_120a gives %v", err)
	}
}

// TestGreatestScale: the fully masked tiles of merged query blocks leave no NaN
// at the greatest scale that a launch accepts.
func TestGreatestScale(t *testing.T) {
	for _, on := range compiler.Targets {
		c := conformance.Case{Source: strings.ReplaceAll(misuseModel, "max: 128", "max: 256"), KLen: 150, Scale: 1e6}
		l := load(t, &c, on, true)
		p, err := c.Problem(l.subject)
		if err != nil {
			t.Fatal(err)
		}
		dev := device()
		defer dev.Close()
		o, err := p.Launch(dev, l.compiled.Plan)
		if err != nil {
			t.Fatal(err)
		}
		m := l.subject.Model
		out := make([]float64, m.Heads*c.KLen*m.HeadDim)
		o.Out.Float64s(out, 0)
		for n, x := range out {
			if math.IsNaN(x) || math.IsInf(x, 0) {
				t.Fatalf("%s: element %d is %v", on, n, x)
			}
		}
	}
}

// TestEmptyRowsAreExact: a row that attends nothing gives 0 and −∞ to the bit,
// never a NaN.
func TestEmptyRowsAreExact(t *testing.T) {
	keep := func(c *conformance.Case) bool { return strings.HasPrefix(c.Name, "empty rows/") }
	eachCase(t, keep, func(t *testing.T, c *conformance.Case, on target.Target) {
		l := load(t, c, on, true)
		p, err := c.Problem(l.subject)
		if err != nil {
			t.Fatal(err)
		}
		dev := device()
		defer dev.Close()
		o, err := p.Launch(dev, l.compiled.Plan)
		if err != nil {
			t.Fatal(err)
		}
		empty, m := 0, l.subject.Model
		out, lse := make([]float64, m.HeadDim), make([]float64, 1)
		for head := range m.Heads {
			for row := range c.KLen {
				if attendsAny(l.subject, head, row, c.KLen) {
					continue
				}
				empty++
				at := head*c.KLen + row
				o.LSE.Float64s(lse, at)
				o.Out.Float64s(out, at*m.HeadDim)
				if !math.IsInf(lse[0], -1) {
					t.Errorf("head %d row %d: log-sum-exp %v, want −Inf", head, row, lse[0])
				}
				for d, x := range out {
					if x != 0 {
						t.Fatalf("head %d row %d dim %d: %v, want 0", head, row, d, x)
					}
				}
			}
		}
		if empty == 0 {
			t.Error("the case has no empty row")
		}
	})
}

func attendsAny(s *conformance.Subject, head, row, kLen int) bool {
	block := s.Model.Block
	for j := range (kLen + block - 1) / block {
		if s.Attends(head, int64(row/block), int64(j)) {
			return true
		}
	}
	return false
}

// TestEmptyRowsAreRefused: the language does not let such a pattern through.
func TestEmptyRowsAreRefused(t *testing.T) {
	const text = "model m { heads 2  head_dim 64  block 16  causal  layers 1 }\nlayer * -> columns(4..)\n"
	unit, list := compiler.Lower("in.s2", dsl.Options{ReadFile: func(string) ([]byte, error) { return []byte(text), nil }})
	if unit != nil || !list.HasErrors() {
		t.Errorf("a pattern with empty rows compiles: %v", list)
	}
}
