package reference

import (
	"math"
	"testing"

	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/internal/tensor"
)

// exact makes a reference of three rows in one of two heads, and tensors that
// equal it.
func exact(t *testing.T) (ref *Result, out, lse *tensor.Tensor) {
	t.Helper()
	ref = &Result{
		Heads: []int{1}, Batch: 1, QLen: 3, Dim: 2,
		Out: []float64{3, 4, 0, 0, 0, 1},
		LSE: []float64{1, math.Inf(-1), 2},
	}
	out, err := tensor.New(dtype.F32, 1, 2, 3, 2)
	if err != nil {
		t.Fatal(err)
	}
	lse, err = tensor.New(dtype.F32, 1, 2, 3)
	if err != nil {
		t.Fatal(err)
	}
	out.Poison() // head 0 is not compared
	lse.Poison()
	for n, v := range ref.Out {
		out.Set(6+n, float32(v))
	}
	for n, v := range ref.LSE {
		lse.Set(3+n, float32(v))
	}
	return ref, out, lse
}

func TestCompare(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range []struct {
		name   string
		change func(out, lse *tensor.Tensor)
		want   Distance
	}{
		{"equal", func(out, lse *tensor.Tensor) {}, Distance{}},
		{"first row", func(out, _ *tensor.Tensor) { out.Set(6, 3.5) },
			Distance{OutRel: 0.5 / math.Sqrt(26), OutRow: 0.1, WorstRow: Row{0, 1, 0}}},
		{"masked row", func(out, _ *tensor.Tensor) { out.Set(9, 0.25) },
			Distance{OutRel: 0.25 / math.Sqrt(26), OutRow: 0.25, WorstRow: Row{0, 1, 1}}},
		{"lse", func(_, lse *tensor.Tensor) { lse.Set(5, 2.5) },
			Distance{LSE: 0.5, WorstLSE: Row{0, 1, 2}}},
		{"lse of a masked row", func(_, lse *tensor.Tensor) { lse.Set(4, -1e30) },
			Distance{LSE: math.Inf(1), WorstLSE: Row{0, 1, 1}}},
		{"unwritten", func(out, _ *tensor.Tensor) { out.Set(10, nan) },
			Distance{OutRel: math.NaN(), OutRow: math.NaN(), WorstRow: Row{0, 1, 2}}},
		{"unwritten, then wrong", func(out, lse *tensor.Tensor) { lse.Set(3, nan); lse.Set(5, 9) },
			Distance{LSE: math.NaN(), WorstLSE: Row{0, 1, 0}}},
		{"infinite", func(out, _ *tensor.Tensor) { out.Set(6, inf) },
			Distance{OutRel: math.Inf(1), OutRow: math.Inf(1), WorstRow: Row{0, 1, 0}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ref, out, lse := exact(t)
			c.change(out, lse)
			got, err := Compare(out, lse, ref, 2)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range [][2]float64{{got.OutRel, c.want.OutRel}, {got.OutRow, c.want.OutRow}, {got.LSE, c.want.LSE}} {
				same := logDistance(v[0], v[1]) < 1e-12 || math.IsNaN(v[0]) && math.IsNaN(v[1])
				if !same {
					t.Errorf("got %+v, want %+v", got, c.want)
				}
			}
			if got.WorstRow != c.want.WorstRow || got.WorstLSE != c.want.WorstLSE {
				t.Errorf("worst at %v and %v, want %v and %v", got.WorstRow, got.WorstLSE, c.want.WorstRow, c.want.WorstLSE)
			}
			if got.Rows != 3 || got.NotFinite != 0 || got.Beyond != 0 {
				t.Errorf("%d rows, %d not finite, %d beyond the limit", got.Rows, got.NotFinite, got.Beyond)
			}
			if within := got.Within(ToleranceOf(dtype.BF16)); within != (c.name == "equal") {
				t.Errorf("within tolerance: %v", within)
			}
		})
	}
}

func TestTolerance(t *testing.T) {
	for _, c := range []struct {
		d    dtype.Type
		e    Distance
		want bool
	}{
		{dtype.BF16, Distance{OutRel: 4e-3, OutRow: 2e-2, LSE: 1e-3}, true},
		{dtype.BF16, Distance{OutRel: 4.1e-3}, false},
		{dtype.BF16, Distance{OutRow: 2.1e-2}, false},
		{dtype.BF16, Distance{LSE: 1.1e-3}, false},
		{dtype.F16, Distance{OutRel: 1e-3, OutRow: 5e-3, LSE: 1e-3}, true},
		{dtype.F16, Distance{OutRel: 1.1e-3}, false},
		{dtype.F16, Distance{OutRow: 5.1e-3}, false},
		{dtype.F16, Distance{OutRel: math.NaN()}, false},
	} {
		if got := c.e.Within(ToleranceOf(c.d)); got != c.want {
			t.Errorf("%s %+v within tolerance: %v", c.d, c.e, got)
		}
	}
}

func TestCompareRefusesShapes(t *testing.T) {
	ref, out, lse := exact(t)
	if _, err := Compare(lse, lse, ref, 2); err == nil {
		t.Error("an output of three dimensions passes")
	}
	if _, err := Compare(out, out, ref, 2); err == nil {
		t.Error("a log-sum-exp of four dimensions passes")
	}
}

// TestCompareRows looks at the rows that the reference holds, and no others.
func TestCompareRows(t *testing.T) {
	ref, out, lse := exact(t)
	ref.Rows, ref.Out, ref.LSE = []int{0, 2}, []float64{3, 4, 0, 1}, []float64{1, 2}
	out.Set(8, float32(math.NaN())) // row 1
	lse.Set(4, 7)
	if got, err := Compare(out, lse, ref, 2); err != nil || got != (Errors{Rows: 2}) {
		t.Errorf("got %+v, %v, want no errors", got, err)
	}
	out.Set(10, 3)
	got, err := Compare(out, lse, ref, 2)
	if want := (Row{0, 1, 2}); err != nil || got.OutRow != 3 || got.WorstRow != want {
		t.Errorf("got %+v, %v, want a worst row of 3 at %v", got, err, want)
	}
}
