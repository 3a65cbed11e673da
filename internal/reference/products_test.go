package reference

import (
	"math"
	"math/rand/v2"
	"testing"
)

// portably runs a test without wide vectors, as well as with them where there are
// some.
func portably(t *testing.T, run func(t *testing.T)) {
	if vectors != nil {
		t.Run("vectors", run)
	}
	saved := vectors
	vectors = nil
	defer func() { vectors = saved }()
	t.Run("portable", run)
}

// TestProducts holds the products of wide vectors to sums one term at a time, and
// demands that nothing beside the result is written.
func TestProducts(t *testing.T) {
	if vectors == nil {
		t.Skip("SKIPPED: this processor has no wide vectors; the portable products are tested alone")
	}
	random := rand.New(rand.NewPCG(1, 2))
	const guard = 12345
	for _, dim := range []int{8, 24, 64, 128, 256} {
		for _, keys := range []int{16, 32, 64} {
			stride := keys + 16
			fill := func(n int) []float64 {
				s := make([]float64, n)
				for i := range s {
					s[i] = random.NormFloat64()
				}
				return s
			}
			q, k, v, weights, out := fill(2*dim), fill(keys*dim), fill(keys*dim), fill(rowGroup*stride), fill(rowGroup*dim)
			scores := make([]float64, 2*stride)
			for n := range scores {
				scores[n] = guard
			}
			vectors.dots(&scores[0], stride, &q[0], &k[0], dim, keys, 0.25)
			for n, got := range scores {
				row, key := n/stride, n%stride
				want := 0.0
				for d := 0; key < keys && d < dim; d++ {
					want += 0.25 * q[row*dim+d] * k[key*dim+d]
				}
				if key >= keys {
					want = guard
				}
				if math.Abs(got-want) > 1e-12 {
					t.Fatalf("dim %d, %d keys: score %d of row %d is %v, want %v", dim, keys, key, row, got, want)
				}
			}
			want := make([]float64, len(out))
			for n := range want {
				want[n] = out[n]
				for key := range keys {
					want[n] += weights[n/dim*stride+key] * v[key*dim+n%dim]
				}
			}
			out = append(out, guard)
			vectors.sums(&out[0], &weights[0], stride, &v[0], dim, keys)
			for n := range want {
				if math.Abs(out[n]-want[n]) > 1e-12 {
					t.Fatalf("dim %d, %d keys: element %d is %v, want %v", dim, keys, n, out[n], want[n])
				}
			}
			if out[len(want)] != guard {
				t.Fatalf("dim %d, %d keys: written beyond the rows", dim, keys)
			}
		}
	}
}
