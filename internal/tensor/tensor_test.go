package tensor

import (
	"math"
	"strings"
	"testing"

	"github.com/s2attention/s2c/dtype"
)

func TestNewRefusesBadShapes(t *testing.T) {
	for _, c := range []struct {
		d     dtype.Type
		shape []int
		want  string
	}{
		{"f8", []int{1}, "unknown element type"},
		{dtype.BF16, []int{2, -1}, "negative"},
		{dtype.BF16, []int{1 << 40, 1 << 40, 1 << 40}, "too large"},
	} {
		if _, err := New(c.d, c.shape...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("New(%s, %v) says %v, want %q", c.d, c.shape, err, c.want)
		}
	}
	if empty, err := New(dtype.F32, 0, 1<<40, 1<<40); err != nil || empty.Len() != 0 {
		t.Errorf("an empty tensor is %v, %v", empty, err)
	}
}

func TestNormal(t *testing.T) {
	const n = 1 << 16
	for _, d := range []dtype.Type{dtype.BF16, dtype.F16, dtype.F32} {
		x, err := Normal(7, 1, d, n)
		if err != nil {
			t.Fatal(err)
		}
		again, _ := Normal(7, 1, d, n)
		if string(x.Data) != string(again.Data) {
			t.Errorf("%s: the same seed gives two tensors", d)
		}
		for _, other := range [][2]uint64{{8, 1}, {7, 2}} {
			y, _ := Normal(other[0], other[1], d, n)
			if string(x.Data) == string(y.Data) {
				t.Errorf("%s: seed and stream %v give the same tensor as 7, 1", d, other)
			}
		}
		values := make([]float64, n)
		x.Float64s(values, 0)
		var sum, squares float64
		for _, v := range values {
			sum += v
			squares += v * v
		}
		if mean, variance := sum/n, squares/n; math.Abs(mean) > 0.02 || math.Abs(variance-1) > 0.03 {
			t.Errorf("%s: mean %g, variance %g", d, mean, variance)
		}
	}
}

func TestPoison(t *testing.T) {
	for _, d := range []dtype.Type{dtype.BF16, dtype.F16, dtype.F32} {
		x, _ := New(d, 3)
		x.Poison()
		values := make([]float64, 2)
		x.Float64s(values, 1)
		if !math.IsNaN(values[0]) || !math.IsNaN(values[1]) {
			t.Errorf("%s: poison reads %v", d, values)
		}
	}
}

func TestCheckShape(t *testing.T) {
	x, _ := New(dtype.BF16, 1, 8, 100, 64)
	names := []string{"batch", "heads", "seq", "dim"}
	if err := x.CheckShape([]int{-1, 8, -1, 64}, names...); err != nil {
		t.Error(err)
	}
	for _, want := range [][]int{{-1, 8, 100}, {-1, 4, -1, 64}} {
		if x.CheckShape(want, names...) == nil {
			t.Errorf("shape %v passes for %v", x.Shape, want)
		}
	}
	err := x.CheckShape([]int{-1, 4, -1, 64}, names...)
	const want = "shape is [1, 8, 100, 64], want [batch, heads 4, seq, dim 64]"
	if err == nil || err.Error() != want {
		t.Errorf("message is %q, want %q", err, want)
	}
}
