package tensor

import (
	"encoding/binary"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/s2attention/s2c/dtype"
)

// TestRoundOnce holds float64 to the nearest 16-bit float by exact arithmetic:
// none of its neighbours is nearer, and of two that are equally near the even one
// is taken. Rounding to float32 in between fails it.
func TestRoundOnce(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, d := range []dtype.Type{dtype.BF16, dtype.F16} {
		var values []float64
		for range 2000 {
			below, above := of16(d, uint16(random.Uint32())), 0.0
			if above = of16(d, bits16(d, below)+1); !finite(below) || !finite(above) {
				continue
			}
			tie := below/2 + above/2
			values = append(values, tie, math.Nextafter(tie, below), math.Nextafter(tie, above), below+(above-below)*random.Float64())
		}
		values = append(values, 1+0x1p-8+0x1p-40, -1-0x1p-8-0x1p-40, 1+0x1p-11+0x1p-50, 0x1p-134, 0x1p-150, 0x1p-1074, 65519.999999999, 65504, 0)
		for _, v := range values {
			data, r := float64s.rounded(binary.LittleEndian.AppendUint64(nil, math.Float64bits(v)), d, []int{1})
			got := binary.LittleEndian.Uint16(data.Data)
			if r != (Rounding{From: "float64"}) {
				t.Errorf("%v as %s: %+v", v, d, r)
			}
			for _, neighbour := range []uint16{got - 1, got + 1} {
				if got&0x7fff == 0 && neighbour&0x7fff != 1 { // below 0 stands the other sign
					neighbour = got&0x8000 ^ 0x8001
				}
				if x := of16(d, neighbour); !finite(x) {
					continue
				} else if c := distance(v, of16(d, got)).Cmp(distance(v, x)); c > 0 || c == 0 && got&1 != 0 {
					t.Fatalf("%x became %x in %s; %x is nearer", v, of16(d, got), d, x)
				}
			}
		}
	}
}

func bits16(d dtype.Type, v float64) uint16 {
	x, _ := New(d, 1)
	x.Set(0, float32(v))
	return binary.LittleEndian.Uint16(x.Data)
}

func of16(d dtype.Type, bits uint16) float64 {
	var v [1]float64
	(&Tensor{DType: d, Shape: []int{1}, Data: binary.LittleEndian.AppendUint16(nil, bits)}).Float64s(v[:], 0)
	return v[0]
}

func distance(a, b float64) *big.Rat {
	d := new(big.Rat).Sub(new(big.Rat).SetFloat64(a), new(big.Rat).SetFloat64(b))
	return d.Abs(d)
}

func finite(x float64) bool { return x-x == 0 }

// TestRoundedSpecials keeps NaNs and infinities, and counts what overflows.
func TestRoundedSpecials(t *testing.T) {
	inf, nan, zero := math.Inf(1), math.NaN(), math.Copysign(0, -1)
	for _, c := range []struct {
		d        dtype.Type
		from, to []float64
		overflow int
	}{
		{dtype.BF16, []float64{inf, -inf, nan, zero, 1e300, -1e300, 3.3895313892515355e38, 3.3961775292304957e38}, []float64{inf, -inf, nan, zero, inf, -inf, 3.3895313892515355e38, inf}, 3},
		{dtype.F16, []float64{inf, -inf, nan, zero, 65504, 65519.9999, 65520, -70000}, []float64{inf, -inf, nan, zero, 65504, 65504, inf, -inf}, 2},
	} {
		var body []byte
		for _, v := range c.from {
			body = binary.LittleEndian.AppendUint64(body, math.Float64bits(v))
		}
		x, r := float64s.rounded(body, c.d, []int{len(c.from)})
		if want := (Rounding{"float64", c.overflow}); r != want {
			t.Errorf("%s: %+v, want %+v", c.d, r, want)
		}
		got := make([]float64, x.Len())
		x.Float64s(got, 0)
		for n, want := range c.to {
			same := math.Float64bits(got[n]) == math.Float64bits(want) || math.IsNaN(got[n]) && math.IsNaN(want)
			if !same {
				t.Errorf("%v became %v in %s, want %v", c.from[n], got[n], c.d, want)
			}
		}
	}
	signalling := math.Float32frombits(0x7f800001) // its payload is lost in bf16
	x, _ := float32s.rounded(binary.LittleEndian.AppendUint32(nil, math.Float32bits(signalling)), dtype.BF16, []int{1})
	if v := of16(dtype.BF16, binary.LittleEndian.Uint16(x.Data)); !math.IsNaN(v) {
		t.Errorf("a NaN became %v", v)
	}
}
