package reference

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/internal/tensor"
)

// naive is the definition written down once more, one pair of tokens at a time.
func naive(p Problem, batch, head, query int) (out []float64, lse float64) {
	m := p.Model
	qLen, kLen, dim := p.Q.Shape[2], p.K.Shape[2], m.HeadDim
	position := kLen - qLen + query
	kvHead := head / (m.Heads / m.KVHeads)
	at := func(t *tensor.Tensor, heads, head, seq, row, d int) float64 {
		var value [1]float64
		t.Float64s(value[:], ((batch*heads+head)*seq+row)*dim+d)
		return value[0]
	}
	out = make([]float64, dim)
	var sum float64
	for key := range kLen {
		if m.Causal && key > position || !p.Attends(head, int64(position/m.Block), int64(key/m.Block)) {
			continue
		}
		var dot float64
		for d := range dim {
			dot += at(p.Q, m.Heads, head, qLen, query, d) * at(p.K, m.KVHeads, kvHead, kLen, key, d)
		}
		weight := math.Exp(p.Scale * dot)
		sum += weight
		for d := range dim {
			out[d] += weight * at(p.V, m.KVHeads, kvHead, kLen, key, d)
		}
	}
	for d := range out {
		if sum > 0 {
			out[d] /= sum
		}
	}
	return out, math.Log(sum) // ln 0 is −∞
}

// inputs makes a problem of random tensors.
func inputs(t testing.TB, m dsl.Model, batch, qLen, kLen int) Problem {
	t.Helper()
	p := Problem{Model: m, Scale: 1 / math.Sqrt(float64(m.HeadDim))}
	for n, x := range []struct {
		to         **tensor.Tensor
		heads, seq int
	}{{&p.Q, m.Heads, qLen}, {&p.K, m.KVHeads, kLen}, {&p.V, m.KVHeads, kLen}} {
		made, err := tensor.Normal(1, uint64(n), m.DType, batch, x.heads, x.seq, m.HeadDim)
		if err != nil {
			t.Fatal(err)
		}
		*x.to = made
	}
	return p
}

func TestAttentionAgainstNaive(t *testing.T) { portably(t, attentionAgainstNaive) }

func attentionAgainstNaive(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		group := rapid.SampledFrom([]int{1, 2, 3}).Draw(rt, "group")
		kvHeads := rapid.IntRange(1, 3).Draw(rt, "kv_heads")
		m := dsl.Model{
			Heads: group * kvHeads, KVHeads: kvHeads,
			HeadDim: 8 * rapid.IntRange(1, 3).Draw(rt, "dim"),
			Block:   rapid.SampledFrom([]int{16, 32}).Draw(rt, "block"),
			DType:   rapid.SampledFrom([]dtype.Type{dtype.BF16, dtype.F16}).Draw(rt, "dtype"),
			Causal:  rapid.Bool().Draw(rt, "causal"),
		}
		kLen := rapid.IntRange(1, 100).Draw(rt, "k_len")
		qLen := rapid.IntRange(1, kLen).Draw(rt, "q_len")
		p := inputs(t, m, rapid.IntRange(1, 2).Draw(rt, "batch"), qLen, kLen)
		mask := rapid.SliceOfN(rapid.Bool(), 64, 64).Draw(rt, "mask")
		p.Attends = func(head int, i, j int64) bool { return mask[(int64(head)*29+i*7+j)%64] }
		p.Heads = rapid.SampledFrom([][]int{nil, {m.Heads - 1}, {m.Heads - 1, 0}}).Draw(rt, "heads")
		if rapid.Bool().Draw(rt, "sampled") {
			p.Rows = []int{}
			for row := range qLen {
				if rapid.Bool().Draw(rt, "row") {
					p.Rows = append(p.Rows, row)
				}
			}
		}

		got, err := Attention(context.Background(), p)
		if err != nil {
			rt.Fatal(err)
		}
		at := 0
		for batch := range got.Batch {
			for _, head := range got.Heads {
				for n := range got.rows() {
					query := got.row(n)
					out, lse := naive(p, batch, head, query)
					if e := logDistance(got.LSE[at], lse); !(e < 1e-12) {
						rt.Fatalf("head %d query %d: lse %v, want %v", head, query, got.LSE[at], lse)
					}
					for d, want := range out {
						if e := math.Abs(got.Out[at*got.Dim+d] - want); !(e < 1e-12) {
							rt.Fatalf("head %d query %d dim %d: %v, want %v", head, query, d, got.Out[at*got.Dim+d], want)
						}
					}
					at++
				}
			}
		}
		if at != len(got.LSE) {
			rt.Fatalf("%d rows, want %d", len(got.LSE), at)
		}
	})
}

// TestAttentionByHand takes values that anybody can check: equal scores average
// the values of the attended keys.
func TestAttentionByHand(t *testing.T) {
	m := dsl.Model{Heads: 1, KVHeads: 1, HeadDim: 8, Block: 16, DType: dtype.BF16, Causal: true}
	p := inputs(t, m, 1, 40, 40)
	p.Attends = func(_ int, i, j int64) bool { return i != 1 && j != 1 } // blocks 0 and 2 of 0…2
	clear(p.Q.Data)
	for n := range p.V.Len() {
		p.V.Set(n, float32(n/8)) // the position
	}
	got, err := Attention(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		query    int
		out, lse float64
	}{
		{0, 0, 0},
		{3, 1.5, math.Log(4)},
		{20, 0, math.Inf(-1)}, // attends nothing
		{33, (120 + 32 + 33) / 18.0, math.Log(18)}, // 0…15, 32, 33
	} {
		if out := got.Out[c.query*8]; math.Abs(out-c.out) > 1e-12 {
			t.Errorf("query %d gives %v, want %v", c.query, out, c.out)
		}
		if lse := got.LSE[c.query]; logDistance(lse, c.lse) > 1e-12 {
			t.Errorf("query %d has log-sum-exp %v, want %v", c.query, lse, c.lse)
		}
	}
}

func TestAttentionRefuses(t *testing.T) {
	m := dsl.Model{Heads: 4, KVHeads: 2, HeadDim: 8, Block: 16, DType: dtype.BF16}
	all := func(int, int64, int64) bool { return true }
	for _, c := range []struct {
		name, want string
		change     func(*Problem)
	}{
		{"heads", "query head 4 does not exist", func(p *Problem) { p.Heads = []int{4} }},
		{"swapped", "q: shape", func(p *Problem) { p.Q, p.K = p.K, p.Q }},
		{"rows", "query row 5: rows must be ascending and below 5", func(p *Problem) { p.Rows = []int{0, 5} }},
		{"row order", "query row 2", func(p *Problem) { p.Rows = []int{2, 2} }},
		{"longer", "q has 20 rows for 10 keys", func(p *Problem) { *p = inputs(t, m, 1, 20, 10) }},
		{"value", "v: shape", func(p *Problem) { p.V = inputs(t, m, 1, 5, 11).V }},
		{"batch", "k: shape", func(p *Problem) { p.K = inputs(t, m, 2, 5, 10).K }},
	} {
		p := inputs(t, m, 1, 5, 10)
		c.change(&p)
		p.Attends = all
		if _, err := Attention(context.Background(), p); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestAttentionProgressAndCancel(t *testing.T) {
	m := dsl.Model{Heads: 4, KVHeads: 2, HeadDim: 8, Block: 16, DType: dtype.BF16}
	p := inputs(t, m, 2, 30, 50)
	p.Attends = func(int, int64, int64) bool { return true }
	var calls, most atomic.Int64
	p.Progress = func(done, total int) {
		calls.Add(1)
		most.Store(max(most.Load(), int64(done)))
		if total != 2*4*3 { // positions 20…49 touch blocks 1, 2 and 3
			t.Errorf("total is %d, want 24", total)
		}
	}
	if _, err := Attention(context.Background(), p); err != nil {
		t.Fatal(err)
	}
	if calls.Load() != 24 {
		t.Errorf("%d reports of progress, want 24", calls.Load())
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Attention(ctx, p); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled run gives %v", err)
	}
}

// BenchmarkAttention is the command line's default problem: Phi-3-small's shape
// and pattern at 2048 tokens.
func BenchmarkAttention(b *testing.B) {
	m := dsl.Model{Heads: 32, KVHeads: 8, HeadDim: 128, Block: 64, DType: dtype.BF16, Causal: true}
	p := inputs(b, m, 1, 2048, 2048)
	p.Attends = func(head int, i, j int64) bool {
		return j <= i && (i-j < 16 || (j+int64(head)+1)%8 == 0)
	}
	for b.Loop() {
		if _, err := Attention(context.Background(), p); err != nil {
			b.Fatal(err)
		}
	}
}
