package tests

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/internal/conformance"
	"github.com/s2attention/s2c/internal/reference"
	"github.com/s2attention/s2c/internal/tensor"
	"github.com/s2attention/s2c/runtime"
	"github.com/s2attention/s2c/target"
)

// A row with one key has its score as log-sum-exp, which shows how a target rounds
// scores: |lse − scale·q·k| in units of 2⁻²²·scale·Σ|q·k|. reference.ScoreRounding
// must be no less.

// roundingKinds make scores that are hard to sum: terms of one size, terms of many,
// and terms that cancel but for a little.
var roundingKinds = []struct {
	name string
	draw func(rng *rand.Rand, dim int) (q, k float64)
}{
	{"normal", func(rng *rand.Rand, _ int) (q, k float64) { return rng.NormFloat64(), rng.NormFloat64() }},
	{"of many sizes", func(rng *rand.Rand, _ int) (q, k float64) {
		return math.Ldexp(rng.NormFloat64(), rng.IntN(16)-8), math.Ldexp(rng.NormFloat64(), rng.IntN(16)-8)
	}},
	{"cancelling", func(rng *rand.Rand, dim int) (q, k float64) {
		return 1 + rng.Float64()/8, float64(1-dim%2*2) * (1 + rng.Float64()/8)
	}},
	{"of one sign", func(rng *rand.Rand, _ int) (q, k float64) { return 1 + rng.Float64(), 1 + rng.Float64() }},
}

// scoreRoundings measures the greatest rounding of a target on a device.
func scoreRoundings(t *testing.T, dev runtime.Device, on target.Target, batch int, dims ...int) {
	for _, dim := range dims {
		for _, dtype := range []string{"bf16", "f16"} {
			for _, kind := range roundingKinds {
				c := conformance.Case{
					Source: fmt.Sprintf("model one { heads 8  kv_heads 8  head_dim %d  block 64  dtype %s  causal  layers 1 }\nlayer * -> dense\n", dim, dtype),
					Batch:  batch, KLen: 1, Scale: 1,
				}
				s, err := c.Load(true)
				if err != nil {
					t.Fatal(err)
				}
				compiled, err := s.Compile(on, nil)
				if err != nil {
					t.Fatal(err)
				}
				p, err := c.Problem(s)
				if err != nil {
					t.Fatal(err)
				}
				rng := rand.New(rand.NewPCG(uint64(dim), 'r'))
				for n := range p.Q.Len() {
					q, k := kind.draw(rng, n%dim)
					p.Q.Set(n, float32(q))
					p.K.Set(n, float32(k))
				}
				o, err := p.Launch(dev, compiled.Plan)
				if err != nil {
					t.Fatal(err)
				}
				worst := 0.0
				q, k, lse := floats(p.Q), floats(p.K), floats(o.LSE)
				for row, got := range lse {
					var score, reach float64
					for d := row * dim; d < (row+1)*dim; d++ {
						score += q[d] * k[d]
						reach += math.Abs(q[d] * k[d])
					}
					worst = max(worst, math.Abs(got-score)/(0x1p-22*reach))
				}
				t.Logf("%s, head dimension %d, %s, terms %s: %.3f", on, dim, dtype, kind.name, worst)
				if !(worst <= reference.ScoreRounding) {
					t.Errorf("%s, head dimension %d, %s, terms %s: scores are off by %.3g, the bound is %g", on, dim, dtype, kind.name, worst, float64(reference.ScoreRounding))
				}
			}
		}
	}
}

func TestScoreRounding(t *testing.T) {
	for _, on := range compiler.Targets {
		dev := device()
		scoreRoundings(t, dev, on, 4, 16, 64)
		if err := dev.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestDeviceScoreRounding is the probe behind reference.ScoreRounding.
func TestDeviceScoreRounding(t *testing.T) {
	dev := openGPU(t)
	for _, on := range compiler.Targets {
		scoreRoundings(t, dev, on, 4096, 16, 64, 128, 256)
	}
}

// floats are a tensor's numbers.
func floats(t *tensor.Tensor) []float64 {
	list := make([]float64, t.Len())
	t.Float64s(list, 0)
	return list
}
