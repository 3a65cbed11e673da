package measure

import (
	"bytes"
	"math"
	"runtime"
	"testing"

	"github.com/s2attention/s2c/dtype"
)

// TestNormalMoments holds the first four moments, and the correlation of
// neighbours, against those of independent standard normal values.
func TestNormalMoments(t *testing.T) {
	const n = 3<<20 + 5 // several streams, and a tail
	for _, d := range []dtype.Type{dtype.BF16, dtype.F16} {
		x, err := Normal(7, 1, d, n)
		if err != nil {
			t.Fatal(err)
		}
		values := make([]float64, n)
		x.Float64s(values, 0)
		var m [5]float64 // moments, then the correlation
		for i, v := range values {
			m[0], m[1], m[2], m[3] = m[0]+v, m[1]+v*v, m[2]+v*v*v, m[3]+v*v*v*v
			m[4] += v * values[(i+1)%n]
		}
		for i, want := range []struct{ value, tolerance float64 }{{0, 0.02}, {1, 0.02}, {0, 0.05}, {3, 0.15}, {0, 0.005}} {
			if got := m[i] / n; math.Abs(got-want.value) > want.tolerance {
				t.Errorf("%s: quantity %d is %v, want %v ± %v", d, i, got, want.value, want.tolerance)
			}
		}
	}
}

// TestNormalRepeats: the same values on any number of cores, others for another
// seed or stream.
func TestNormalRepeats(t *testing.T) {
	draw := func(seed, stream uint64) []byte {
		x, err := Normal(seed, stream, dtype.BF16, 3, 1<<19+3)
		if err != nil {
			t.Fatal(err)
		}
		return x.Data
	}
	want := draw(1, 2)
	old := runtime.GOMAXPROCS(1)
	again := draw(1, 2)
	runtime.GOMAXPROCS(old)
	if !bytes.Equal(want, again) {
		t.Error("the values depend on the number of cores")
	}
	for _, other := range [][]byte{draw(2, 2), draw(1, 1), want[2*chunk:]} {
		same := 0
		for n := 0; n < 4096; n += 2 {
			if other[n] == want[n] && other[n+1] == want[n+1] {
				same++
			}
		}
		if same > 200 {
			t.Errorf("%d of 2048 values are the same in another stream", same)
		}
	}
	if _, err := Normal(0, 0, dtype.BF16, -1); err == nil {
		t.Error("a negative dimension passes")
	}
}

// BenchmarkNormal reports the bytes a second: a tensor of 128K tokens and 32 heads
// has a gigabyte.
func BenchmarkNormal(b *testing.B) {
	b.SetBytes(64 << 20)
	for b.Loop() {
		if _, err := Normal(0, 0, dtype.BF16, 32<<20); err != nil {
			b.Fatal(err)
		}
	}
}
