package reference

import (
	"context"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/internal/tensor"
)

// single is the problem of one head with n queries of n keys, all attended but
// for later ones.
func single(t testing.TB, d dtype.Type, n, dim int) Problem {
	t.Helper()
	m := dsl.Model{Heads: 1, KVHeads: 1, HeadDim: dim, Block: 16, DType: d, Causal: true}
	p := inputs(t, m, 1, n, n)
	p.Attends = func(int, int64, int64) bool { return true }
	return p
}

// grow multiplies the elements of a tensor that are in one channel, or in all
// where it is −1, in place.
func grow(t *tensor.Tensor, channel int, factor float64) {
	values, dim := make([]float64, t.Len()), t.Shape[len(t.Shape)-1]
	t.Float64s(values, 0)
	for n, v := range values {
		if channel < 0 || n%dim == channel {
			t.Set(n, float32(v*factor))
		}
	}
}

// kernel computes a problem of one head as kernels do: fp32 sums, scores in base
// 2, weights in the type of the values, a row's maximum taken off.
func kernel(t testing.TB, p Problem) (out, lse *tensor.Tensor) {
	t.Helper()
	n, dim := p.Q.Shape[2], p.Model.HeadDim
	out, lse = like(t, p)
	q, k, v := single32(p.Q), single32(p.K), single32(p.V)
	scale := float32(p.Scale) * float32(math.Log2E)
	scores, row := make([]float32, n), make([]float32, dim)
	for query := range n {
		top := float32(math.Inf(-1))
		for key := range query + 1 {
			scores[key] = 0
			for d := range dim {
				scores[key] += q[query*dim+d] * k[key*dim+d]
			}
			top = max(top, scores[key])
		}
		clear(row)
		var sum float32
		for key := range query + 1 {
			weight := float32(math.Exp2(float64(scores[key]*scale - top*scale)))
			sum += weight
			if weight = round(p.Model.DType, weight); weight == 0 {
				continue
			}
			for d := range dim {
				row[d] += weight * v[key*dim+d]
			}
		}
		for d, x := range row {
			out.Set(query*dim+d, x/sum)
		}
		lse.Set(query, (top*scale+float32(math.Log2(float64(sum))))*float32(math.Ln2))
	}
	return out, lse
}

// like makes the outputs of a problem, poisoned.
func like(t testing.TB, p Problem) (out, lse *tensor.Tensor) {
	t.Helper()
	out, err := tensor.New(dtype.Type(p.Model.DType), p.Q.Shape...)
	if err != nil {
		t.Fatal(err)
	}
	lse, err = tensor.New(dtype.F32, p.Q.Shape[:3]...)
	if err != nil {
		t.Fatal(err)
	}
	out.Poison()
	lse.Poison()
	return out, lse
}

func single32(t *tensor.Tensor) []float32 {
	wide, narrow := make([]float64, t.Len()), make([]float32, t.Len())
	t.Float64s(wide, 0)
	for n, v := range wide {
		narrow[n] = float32(v)
	}
	return narrow
}

// round rounds to a type of 16 bits.
func round(d dtype.Type, x float32) float32 {
	if d == dtype.F16 {
		return tensor.F16ToFloat32(tensor.F16FromFloat32(x))
	}
	return tensor.BF16ToFloat32(tensor.BF16FromFloat32(x))
}

// rounded is the reference itself as outputs.
func rounded(t testing.TB, p Problem, ref *Result) (out, lse *tensor.Tensor) {
	t.Helper()
	out, lse = like(t, p)
	for n, v := range ref.Out {
		out.Set(n, float32(v))
	}
	for n, v := range ref.LSE {
		lse.Set(n, float32(v))
	}
	return out, lse
}

func solve(t testing.TB, p Problem) *Result {
	t.Helper()
	ref, err := Attention(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func compare(t testing.TB, out, lse *tensor.Tensor, ref *Result) Errors {
	t.Helper()
	e, err := Compare(out, lse, ref, 1)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// large are problems whose scores fp32 cannot hold to a thousandth.
var large = []struct {
	name string
	lse  float64 // what the greatest log-sum-exp exceeds
	make func(t testing.TB, d dtype.Type) Problem
}{
	// The magnitudes of flashinfer-ai/flashinfer#4267: |q| 448 with one massive
	// channel of the keys.
	{"massive channel", 1 << 13, func(t testing.TB, d dtype.Type) Problem {
		p := single(t, d, 130, 64)
		grow(p.Q, -1, 448.0/8)
		grow(p.K, 10, 300)
		return p
	}},
	{"scale 1000", 1e5, func(t testing.TB, d dtype.Type) Problem {
		p := single(t, d, 130, 64)
		p.Scale = 1000
		grow(p.K, -1, 4)
		return p
	}},
	{"scale 1e6", 1e7, func(t testing.TB, d dtype.Type) Problem {
		p := single(t, d, 100, 64)
		p.Scale = 1e6
		return p
	}},
}

// TestLargeScores takes results that are right to what fp32 can hold, and that
// absolute bounds refuse.
func TestLargeScores(t *testing.T) {
	for _, c := range large {
		for _, d := range []dtype.Type{dtype.BF16, dtype.F16} {
			t.Run(c.name+"/"+string(d), func(t *testing.T) {
				p, tolerance := c.make(t, d), ToleranceOf(d)
				ref := solve(t, p)
				if top := greatest(ref.LSE); !(top > c.lse) {
					t.Fatalf("the greatest log-sum-exp is %v", top)
				}
				out, lse := kernel(t, p)
				e := compare(t, out, lse, ref)
				if e.Distance.Within(tolerance) {
					t.Errorf("the case shows nothing: %+v", e.Distance)
				}
				if !e.Within(tolerance) || e.Reason(tolerance) != "" {
					t.Errorf("refused: %s", e.Reason(tolerance))
				}
				out, lse = rounded(t, p, ref)
				if e := compare(t, out, lse, ref); !e.Within(tolerance) {
					t.Errorf("the rounded reference is refused: %s", e.Reason(tolerance))
				}
			})
		}
	}
}

func greatest(values []float64) float64 {
	top := math.Inf(-1)
	for _, v := range values {
		top = max(top, v)
	}
	return top
}

// TestLargeScoresRefused spoils right results by somewhat more than what is open.
func TestLargeScoresRefused(t *testing.T) {
	for _, c := range large {
		t.Run(c.name, func(t *testing.T) {
			p, tolerance := c.make(t, dtype.BF16), ToleranceOf(dtype.BF16)
			ref := solve(t, p)
			row := len(ref.LSE) - 1
			m := ref.margin(row)
			out, lse := rounded(t, p, ref)
			allowed := tolerance.LSE + m.score + lseRounding*math.Abs(ref.LSE[row])
			lse.Set(row, float32(ref.LSE[row]+2*allowed))
			if e := compare(t, out, lse, ref); e.Within(tolerance) || e.Excess.WorstLSE.Query != row {
				t.Errorf("a log-sum-exp off by twice what is open: %+v", e)
			} else if text := e.Reason(tolerance); !strings.Contains(text, "more than large scores explain") {
				t.Error(text)
			}

			out, lse = rounded(t, p, ref)
			for d := range ref.Dim {
				norm := math.Abs(ref.Out[row*ref.Dim+d])
				out.Set(row*ref.Dim+d, float32(ref.Out[row*ref.Dim+d]+m.out[d]+0.05*norm))
			}
			if e := compare(t, out, lse, ref); e.Within(tolerance) || e.Excess.WorstRow.Query != row {
				t.Errorf("an output off by 5 %% more than what is open: %+v", e)
			}

			out, lse = rounded(t, p, ref)
			out.Set(row*ref.Dim+3, float32(math.NaN()))
			if e := compare(t, out, lse, ref); e.Within(tolerance) || !strings.Contains(e.Reason(tolerance), "element 3, where the reference is") {
				t.Errorf("a NaN: %+v", e)
			}
		})
	}
}

// TestOrdinaryRows: inputs from a normal distribution are judged as strictly as
// ever, and cost nothing more.
func TestOrdinaryRows(t *testing.T) {
	for _, dim := range []int{8, 64, 128, 256} {
		p := single(t, dtype.F16, 200, dim)
		p.Scale = 1 / math.Sqrt(float64(dim))
		for n, m := range solve(t, p).margins {
			if m != nil {
				t.Fatalf("head dimension %d, row %d: %+v", dim, n, m)
			}
		}
	}
}

// TestFloat32Kernel gives fp32 arithmetic scores of any size, up to the limit and
// somewhat beyond.
func TestFloat32Kernel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d, most := dtype.BF16, 60.0
		if rapid.Bool().Draw(rt, "f16") {
			d, most = dtype.F16, 10
		}
		p := single(t, d, rapid.IntRange(1, 60).Draw(rt, "tokens"), 8*rapid.IntRange(1, 8).Draw(rt, "dim"))
		p.Scale = math.Pow(10, rapid.Float64Range(-30, 6).Draw(rt, "log scale"))
		grow(p.Q, -1, math.Pow(2, rapid.Float64Range(-3, most).Draw(rt, "log q")))
		grow(p.K, rapid.IntRange(-1, 7).Draw(rt, "channel"), math.Pow(2, rapid.Float64Range(-3, most).Draw(rt, "log k")))
		out, lse := kernel(t, p)
		e := compare(t, out, lse, solve(t, p))
		if tolerance := ToleranceOf(d); !e.Within(tolerance) || e.NotFinite > 0 {
			rt.Error(e.Reason(tolerance))
		}
	})
}

// TestReach holds the bounds of a row to their definition, pair by pair.
func TestReach(t *testing.T) {
	for _, scale := range []float64{30, 3e4, 3e5} { // e^2δ − 1 is below 1, about 1, and above
		testReach(t, scale)
	}
}

func testReach(t *testing.T, scale float64) {
	p := single(t, dtype.BF16, 50, 16)
	p.Scale = scale
	p.Attends = func(_ int, i, j int64) bool { return (i+j)%2 == 0 }
	ref := solve(t, p)
	q, k, v := wide(p.Q), wide(p.K), wide(p.V)
	for query := range 50 {
		var reach float64
		top, mass := make([]float64, 16), make([]float64, 16)
		for key := range query + 1 {
			if (query/16+key/16)%2 != 0 {
				continue
			}
			var dot, size float64
			for d := range 16 {
				dot += q[query*16+d] * k[key*16+d]
				size += math.Abs(q[query*16+d] * k[key*16+d])
			}
			reach = max(reach, size)
			for d := range 16 {
				size := math.Abs(v[key*16+d])
				top[d] = max(top[d], size)
				mass[d] += math.Exp(p.Scale*dot-ref.LSE[query]) * size
			}
		}
		m := ref.margin(query)
		if want := ScoreRounding * 0x1p-22 * p.Scale * reach; math.Abs(m.score-want) > 1e-12*want || m.out == nil {
			t.Fatalf("scale %v, query %d: a score is off by %v, want %v", scale, query, m.score, want)
		}
		for d, got := range m.out {
			want := min(2*top[d], (math.Exp(2*m.score)-1)*mass[d])
			if math.Abs(got-want) > 1e-6*want {
				t.Fatalf("scale %v, query %d element %d: %v is open, want %v", scale, query, d, got, want)
			}
		}
	}
}

func wide(t *tensor.Tensor) []float64 {
	values := make([]float64, t.Len())
	t.Float64s(values, 0)
	return values
}

// TestLimit: rows with a score beyond the limit are counted, not judged; the
// others are.
func TestLimit(t *testing.T) {
	tolerance := ToleranceOf(dtype.BF16)
	for _, c := range []struct {
		name   string
		scale  float64
		factor float64 // of the key of token 20, whose elements are 1, as are the queries'
		beyond int
	}{
		{"below", 1, 0x1p122, 0}, // 8 products of 2¹²²: half the limit
		{"at it", 1, 0x1p123, 20},
		{"by the scale", 1e6, 0x1p105, 20},
		{"not by a small scale", 1e-20, 0x1p122, 0},
		{"whatever the scale", 1e-40, 0x1p123, 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := single(t, dtype.BF16, 40, 8)
			p.Scale = c.scale
			for n := range p.Q.Len() {
				p.Q.Set(n, 1)
				p.K.Set(n, 1)
				if n/8 == 20 {
					p.K.Set(n, float32(c.factor))
				}
			}
			ref := solve(t, p)
			out, lse := rounded(t, p, ref)
			e := compare(t, out, lse, ref)
			if e.Beyond != c.beyond || e.Rows != 40 || !e.Within(tolerance) {
				t.Errorf("%+v", e)
			}
			if notes := strings.Join(e.Notes(), "; "); (c.beyond > 0) != strings.Contains(notes, "20 of 40 rows are not judged") {
				t.Errorf("notes are %q", notes)
			}
			out.Set(30*8, float32(math.NaN()))
			lse.Set(30, float32(math.NaN()))
			if within := compare(t, out, lse, ref).Within(tolerance); within != (c.beyond > 0) {
				t.Errorf("a NaN in a row with that key is within tolerance: %v", within)
			}
			out.Set(19*8, float32(math.NaN()))
			if compare(t, out, lse, ref).Within(tolerance) {
				t.Error("a NaN in a row without that key is within tolerance")
			}
		})
	}
}

// TestWideOpen: where scores cancel, each key may have all of the weight, even one
// whose weight underflows, and a NaN among the values may be lost; but a query of
// one key has no choice.
func TestWideOpen(t *testing.T) {
	p := single(t, dtype.BF16, 2, 8)
	p.Scale = 1e6
	for _, x := range []*tensor.Tensor{p.Q, p.K, p.V} {
		clear(x.Data)
	}
	for token := range 2 { // scores of 0 and 1000, of products of 256 · 10⁶
		for d, k := range []float32{16, -16, float32(token)} {
			p.Q.Set(token*8+d, []float32{16, 16, 1e-3}[d])
			p.K.Set(token*8+d, k)
		}
	}
	p.V.Set(0, 1)
	ref := solve(t, p)
	if m := ref.margin(1); ref.Out[8] != 0 || m.out[0] != 2 || m.out[1] != 0 {
		t.Errorf("the output is %v, %v is open", ref.Out[8:], m.out)
	}

	p.V.Set(1, float32(math.NaN()))
	p.V.Set(8+1, float32(math.NaN()))
	out, lse := rounded(t, p, solve(t, p))
	ref = solve(t, p)
	for _, c := range []struct {
		row  int
		want bool
	}{{1, true}, {0, false}} {
		out.Set(c.row*8+1, 0)
		if within := compare(t, out, lse, ref).Within(ToleranceOf(dtype.BF16)); within != c.want {
			t.Errorf("without the NaN in row %d within tolerance: %v", c.row, within)
		}
	}
}

// TestLSERounding gives a log-sum-exp what fp32 takes from a number of its size.
func TestLSERounding(t *testing.T) {
	m := margin{score: 0.5}
	for _, c := range []struct{ got, want, excess float64 }{
		{1e5 + 0.5, 1e5, 0},
		{1e5 + 0.52, 1e5, 0}, // 4 · 2⁻²⁴ · 10⁵ is 0.0238
		{-1e5 - 0.53, -1e5, 0.03 - 4*1e5/0x1p24},
		{0.6, 0, 0.1},
	} {
		if _, excess := m.lse(c.got, c.want); math.Abs(excess-c.excess) > 1e-9 {
			t.Errorf("%v for %v is off by %v, want %v", c.got, c.want, excess, c.excess)
		}
	}
}
