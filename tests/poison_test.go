package tests

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/s2attention/s2c/internal/conformance"
	"github.com/s2attention/s2c/internal/tensor"
)

// poisonSuite puts NaN and infinities into keys and values, attended ones
// included: they show where a row attends them, and nowhere else. (What no query
// attends is NaN in every case anyway.)
var poisonSuite = suite{
	named: append(skippedBlockTrials(), laterTokenTrials()...),
	drawn: rapid.Custom(func(t *rapid.T) trial {
		return trial{
			Case: drawCase(t), cut: rapid.Uint64Min(1).Draw(t, "cut"),
			inputs: strike, about: "random keys and values are not finite",
		}
	}),
}

// TestPoison runs the suite in the emulator.
func TestPoison(t *testing.T) {
	poisonSuite.run(t, draws(20), inEmulators)
}

// TestDevicePoison runs the same on a GPU, and more of it.
func TestDevicePoison(t *testing.T) { poisonSuite.run(t, draws(80), on(openGPU(t))) }

const alone = "model alone { heads 2  kv_heads 2  head_dim 64  block %d  dtype bf16  %s  layers 1 }\nlayer * -> window(1)\n"

// skippedBlockTrials: one key block is not finite, and each query block attends
// its own alone, so that one block of the output must be not finite.
func skippedBlockTrials() []trial {
	var list []trial
	for _, block := range []int{16, 32, 64} {
		for _, mode := range []string{"causal", "bidirectional"} {
			for _, x := range []struct {
				what  string
				value float32
				of    func(*conformance.Problem) *tensor.Tensor
			}{
				{"infinite values", float32(math.Inf(1)), values},
				{"values that are NaN", float32(math.NaN()), values},
				{"keys that are NaN", float32(math.NaN()), keys},
			} {
				list = append(list, trial{
					Case: conformance.Case{
						Name:   fmt.Sprintf("%s/%s block %d", x.what, mode, block),
						Source: fmt.Sprintf(alone, block, mode), KLen: 7 * block, Seed: uint64(block),
					},
					inputs: func(_ *rand.Rand, p *conformance.Problem) { setTokens(x.of(p), block, 2*block, x.value) },
					about:  "the second key block holds " + x.what,
				})
			}
		}
	}
	return list
}

// laterTokenTrials: one token in the middle of a diagonal block is not finite;
// the rows before it, of this block and of others, are.
func laterTokenTrials() []trial {
	var list []trial
	for _, block := range []int{16, 32, 64, 128} {
		const token = 100
		list = append(list, trial{
			Case: conformance.Case{
				Name:   fmt.Sprintf("a later token of the diagonal/block %d", block),
				Source: fmt.Sprintf(alone, block, "causal"), KLen: 200, Seed: uint64(block),
			},
			inputs: func(_ *rand.Rand, p *conformance.Problem) { setTokens(p.V, token, token+1, float32(math.NaN())) },
			about:  "the values of token 100 are NaN",
		})
	}
	return list
}

func keys(p *conformance.Problem) *tensor.Tensor   { return p.K }
func values(p *conformance.Problem) *tensor.Tensor { return p.V }

// setTokens sets the tokens [from, to) of every head.
func setTokens(t *tensor.Tensor, from, to int, value float32) {
	for n := range t.Shape[0] * t.Shape[1] {
		setSpan(t, n, span{from, to}, func(int) bool { return true }, value)
	}
}

// setSpan sets the chosen columns of a span of tokens, for the n-th pair of
// sequence and head.
func setSpan(t *tensor.Tensor, n int, s span, column func(d int) bool, value float32) {
	seq, dim := t.Shape[2], t.Shape[3]
	for token := s.from; token < min(s.to, seq); token++ {
		for d := range dim {
			if column(d) {
				t.Set((n*seq+token)*dim+d, value)
			}
		}
	}
}

// span is the tokens [from, to).
type span struct{ from, to int }

// strike makes random tokens not finite: of the values some columns, of the keys
// whole tokens, and only ones that at most half of the rows attend, so that
// something remains to be compared.
func strike(rng *rand.Rand, p *conformance.Problem) {
	m := p.Subject.Model
	rows := rowsThatAttend(enumerate(p))
	seq := p.K.Shape[2]
	for n := range p.K.Shape[0] * m.KVHeads {
		for range 1 + rng.IntN(3) {
			column := func(int) bool { return true }
			if d := rng.IntN(m.HeadDim); rng.IntN(4) > 0 {
				column = func(x int) bool { return x == d || x%8 == d%8 && d%3 == 0 }
			}
			setSpan(p.V, n, drawSpan(rng, seq, m.Block), column, drawPoison(rng))
		}
		if s := drawSpan(rng, seq, m.Block); rng.IntN(2) > 0 && mostly(rows[n], s) <= p.Q.Shape[2]*m.Heads/m.KVHeads/2 {
			setSpan(p.K, n, s, func(int) bool { return true }, drawPoison(rng))
		}
	}
}

// drawSpan is a token, a block, or the end of a block.
func drawSpan(rng *rand.Rand, seq, block int) span {
	token := rng.IntN(seq)
	first := token / block * block
	return []span{{token, token + 1}, {first, first + block}, {token, first + block}}[rng.IntN(3)]
}

func drawPoison(rng *rand.Rand) float32 {
	return []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))}[rng.IntN(3)]
}

// rowsThatAttend counts, for each pair of sequence and KV head, the queries that
// attend each token.
func rowsThatAttend(e *enumeration) [][]int {
	count := make([][]int, e.batch*e.Subject.Model.KVHeads)
	for n := range count {
		count[n] = make([]int, e.kLen)
	}
	e.eachQuery(func(at place) {
		for _, token := range e.keys(at) {
			count[at.batch*e.Subject.Model.KVHeads+e.kvHead(at.head)][token]++
		}
	})
	return count
}

// mostly is the greatest count of a span.
func mostly(count []int, s span) int {
	most := 0
	for _, n := range count[s.from:min(s.to, len(count))] {
		most = max(most, n)
	}
	return most
}
