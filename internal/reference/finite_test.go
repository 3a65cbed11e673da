package reference

import (
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/internal/tensor"
)

var unusual = []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))}

// TestUnattendedNeverTouches fills every key and value that a query block skips,
// and every later token, with what is not finite: no bit of the block's rows
// changes.
func TestUnattendedNeverTouches(t *testing.T) { portably(t, unattendedNeverTouches) }

func unattendedNeverTouches(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := dsl.Model{
			Heads: 2, KVHeads: 1, HeadDim: 8, Block: 16, DType: dtype.BF16,
			Causal: rapid.Bool().Draw(rt, "causal"),
		}
		kLen := rapid.IntRange(1, 100).Draw(rt, "k_len")
		qLen := rapid.IntRange(1, kLen).Draw(rt, "q_len")
		mask := rapid.SliceOfN(rapid.Bool(), 16, 16).Draw(rt, "mask")
		p := inputs(t, m, 1, qLen, kLen)
		p.Scale = rapid.SampledFrom([]float64{0.3, 300}).Draw(rt, "scale")
		p.Attends = func(head int, i, j int64) bool { return mask[(int64(head)*5+i*7+j)%16] }
		row := rapid.IntRange(0, qLen-1).Draw(rt, "row")
		p.Heads, p.Rows = []int{1}, []int{row}
		want := solve(t, p)

		position := kLen - qLen + row
		for key := range kLen {
			if p.Attends(1, int64(position/16), int64(key/16)) && (!m.Causal || key <= position) {
				continue
			}
			for d := range 8 {
				p.K.Set(key*8+d, rapid.SampledFrom(unusual).Draw(rt, "k"))
				p.V.Set(key*8+d, rapid.SampledFrom(unusual).Draw(rt, "v"))
			}
		}
		got := solve(t, p)
		if got.LSE[0] != want.LSE[0] || !slices.Equal(got.Out, want.Out) {
			rt.Fatalf("%v, %v becomes %v, %v", want.Out, want.LSE, got.Out, got.LSE)
		}
		out, lse := rounded2(t, p, got)
		if e, err := Compare(out, lse, got, 2); err != nil || !e.Within(ToleranceOf(m.DType)) || e.NotFinite != 0 {
			rt.Fatalf("%+v, %v", e, err)
		}
	})
}

// rounded2 is a reference of one row of the second of two heads, as outputs.
func rounded2(t testing.TB, p Problem, ref *Result) (out, lse *tensor.Tensor) {
	out, lse = like(t, p)
	row := ref.QLen + ref.Rows[0]
	for d, v := range ref.Out {
		out.Set(row*ref.Dim+d, float32(v))
	}
	lse.Set(row, float32(ref.LSE[0]))
	return out, lse
}

// TestNotFinite: where what a query attends is not finite, its output must not be
// finite, and only there.
func TestNotFinite(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	tolerance := ToleranceOf(dtype.BF16)
	for _, c := range []struct {
		name   string
		change func(p *Problem)
		// rows from 20 on attend token 20: all of their elements are not finite, or
		// element 3, or none; the log-sum-exp is NaN or not.
		all, one, lse bool
	}{
		{"NaN value", func(p *Problem) { p.V.Set(20*8+3, nan) }, false, true, false},
		{"infinite value", func(p *Problem) { p.V.Set(20*8+3, -inf) }, false, true, false},
		{"opposite infinities", func(p *Problem) { p.V.Set(20*8+3, -inf); p.V.Set(7*8+3, inf) }, false, true, false},
		{"NaN key", func(p *Problem) { p.K.Set(20*8+5, nan) }, true, false, true},
		{"score of +∞", func(p *Problem) { p.K.Set(20*8+5, inf) }, true, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := single(t, dtype.BF16, 40, 8)
			for n := range p.Q.Len() {
				p.Q.Set(n, 0.5)
			}
			c.change(&p)
			ref := solve(t, p)
			bad := func(row, d int) bool { return row >= 20 && (c.all || c.one && d == 3) }
			if c.name == "opposite infinities" {
				bad = func(row, d int) bool { return row >= 7 && d == 3 }
			}
			for n, v := range ref.Out {
				if finite(v) == bad(n/8, n%8) {
					t.Fatalf("row %d element %d is %v", n/8, n%8, v)
				}
			}
			for row, v := range ref.LSE {
				if math.IsNaN(v) != (c.lse && row >= 20) {
					t.Fatalf("row %d: log-sum-exp %v", row, v)
				}
			}
			out, lse := rounded(t, p, ref)
			e := compare(t, out, lse, ref)
			if !e.Within(tolerance) || !finite(e.OutRel) || e.NotFinite < 20 || len(e.Notes()) != 1 {
				t.Fatalf("%+v: %s", e, e.Reason(tolerance))
			}
			for _, v := range unusual { // which of them it is does not matter
				out.Set(30*8+3, v)
				if e := compare(t, out, lse, ref); !e.Within(tolerance) {
					t.Errorf("%v: %s", v, e.Reason(tolerance))
				}
			}
			out.Set(30*8+3, 0.25)
			if e := compare(t, out, lse, ref); e.Within(tolerance) || !strings.Contains(e.Reason(tolerance), "0.25 at batch 0, head 0, query 30, element 3") {
				t.Errorf("a finite element passes: %+v", e)
			}
			out, lse = rounded(t, p, ref)
			out.Set(6*8+3, nan) // a row of earlier tokens alone
			if e := compare(t, out, lse, ref); e.Within(tolerance) || !strings.Contains(e.Reason(tolerance), "NaN at batch 0, head 0, query 6, element 3") {
				t.Errorf("a NaN in a row that attends none passes: %+v", e)
			}
			out, lse = rounded(t, p, ref)
			out.Set(30*8+4, nan) // an element of finite values
			if e := compare(t, out, lse, ref); e.Within(tolerance) != c.all {
				t.Errorf("a NaN beside a value that is not finite: %+v", e)
			}
			out, lse = rounded(t, p, ref)
			lse.Set(30, 1)
			if e := compare(t, out, lse, ref); e.Within(tolerance) || c.lse && !strings.Contains(e.Stray, "log-sum-exp is 1 at") {
				t.Errorf("a wrong log-sum-exp passes: %+v", e)
			}
			out, lse = like(t, p)
			if e := compare(t, out, lse, ref); e.Within(tolerance) {
				t.Errorf("outputs that nobody wrote pass: %+v", e)
			}
		})
	}
}

// TestFaintWeights: a value that is not finite may be lost where its weight is
// next to nothing, a key with a score of −∞ as well. What is finite then is
// judged.
func TestFaintWeights(t *testing.T) {
	tolerance := ToleranceOf(dtype.BF16)
	for _, c := range []struct {
		name   string
		score  float32 // of token 20; others have 0
		either bool
	}{
		{"2^-87", -60, false},
		{"2^-115", -80, true},
		{"underflow", -1e6, true},
		{"none", float32(math.Inf(-1)), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := single(t, dtype.BF16, 40, 8)
			p.Scale = 1
			for n := range p.Q.Len() {
				p.Q.Set(n, 0)
				p.K.Set(n, 0)
				if n%8 == 0 {
					p.Q.Set(n, 1)
				}
			}
			p.K.Set(20*8, c.score)
			p.V.Set(20*8+3, float32(math.NaN()))
			ref := solve(t, p)
			without := single(t, dtype.BF16, 40, 8)
			without.Q, without.K, without.V, without.Scale = p.Q, p.K, tensorLike(t, p.V), 1
			without.V.Set(20*8+3, 0)
			right := solve(t, without)

			out, lse := rounded(t, p, right)
			if e := compare(t, out, lse, ref); e.Within(tolerance) != c.either {
				t.Errorf("an output without the value: %+v", e)
			}
			for row := 20; row < 40; row++ {
				out.Set(row*8+3, float32(math.NaN()))
			}
			if e := compare(t, out, lse, ref); !e.Within(tolerance) {
				t.Errorf("a NaN is refused: %s", e.Reason(tolerance))
			}
			out.Set(30*8+3, 77)
			if e := compare(t, out, lse, ref); e.Within(tolerance) {
				t.Errorf("any finite value passes: %+v", e)
			}
			out, lse = rounded(t, p, right)
			out.Set(30*8+4, float32(math.NaN()))
			lse.Set(30, float32(math.NaN()))
			if e := compare(t, out, lse, ref); e.Within(tolerance) != (c.name == "none") {
				t.Errorf("a NaN beside: %+v", e)
			}
		})
	}
}

// tensorLike copies a tensor.
func tensorLike(t testing.TB, from *tensor.Tensor) *tensor.Tensor {
	t.Helper()
	to, err := tensor.New(from.DType, from.Shape...)
	if err != nil {
		t.Fatal(err)
	}
	copy(to.Data, from.Data)
	return to
}

// TestNaNQuery: a query that is not finite spoils its own row, unless it attends
// nothing.
func TestNaNQuery(t *testing.T) {
	p := single(t, dtype.BF16, 40, 8)
	p.Attends = func(_ int, i, j int64) bool { return i != 1 }
	p.Q.Set(5*8, float32(math.NaN()))
	p.Q.Set(20*8, float32(math.NaN())) // in the block that attends nothing
	ref := solve(t, p)
	for row, lse := range ref.LSE {
		out := ref.Out[row*8]
		switch {
		case row == 5 && math.IsNaN(lse) && math.IsNaN(out):
		case row/16 == 1 && math.IsInf(lse, -1) && out == 0:
		case row != 5 && row/16 != 1 && finite(lse) && finite(out):
		default:
			t.Errorf("row %d: %v, %v", row, out, lse)
		}
	}
	out, lse := rounded(t, p, ref)
	if e := compare(t, out, lse, ref); !e.Within(ToleranceOf(dtype.BF16)) || e.NotFinite != 1 {
		t.Errorf("%+v", e)
	}
	out.Set(20*8, float32(math.NaN()))
	if e := compare(t, out, lse, ref); e.Within(ToleranceOf(dtype.BF16)) {
		t.Error("a row that attends nothing may be NaN")
	}
}
