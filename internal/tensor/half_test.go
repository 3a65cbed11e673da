package tensor

import (
	"math"
	"testing"
)

// halves are the two 16-bit types; fraction is their stored fraction's width.
var halves = []struct {
	name     string
	to       func(float32) uint16
	from     func(uint16) float32
	infinity uint16
}{
	{"bf16", BF16FromFloat32, BF16ToFloat32, 0x7F80},
	{"f16", F16FromFloat32, F16ToFloat32, 0x7C00},
}

// TestHalfRoundTrip converts every value there is to float32 and back.
func TestHalfRoundTrip(t *testing.T) {
	for _, h := range halves {
		t.Run(h.name, func(t *testing.T) {
			for n := range 1 << 16 {
				b := uint16(n)
				f := h.from(b)
				if isNaN := b&0x7FFF > h.infinity; isNaN {
					if !math.IsNaN(float64(f)) {
						t.Fatalf("%#04x is a NaN but reads %v", b, f)
					}
					if back := h.to(f); back&0x7FFF <= h.infinity {
						t.Fatalf("NaN %#04x comes back as %#04x", b, back)
					}
					continue
				}
				if back := h.to(f); back != b {
					t.Fatalf("%#04x reads %v and comes back as %#04x", b, f, back)
				}
			}
		})
	}
}

// TestHalfRounding checks every point where rounding changes its mind: between
// each pair of neighbours, the float32 just below the midpoint, the midpoint
// itself, which goes to the even one, and the float32 just above it.
func TestHalfRounding(t *testing.T) {
	for _, h := range halves {
		t.Run(h.name, func(t *testing.T) {
			for low := uint16(0); low < h.infinity; low++ {
				high := low + 1
				// Above the greatest finite value the midpoint is where the next value
				// would lie, had the format one more exponent.
				a, b := float64(h.from(low)), float64(h.from(high))
				if high == h.infinity {
					b = a + (a - float64(h.from(low-1)))
				}
				mid := float32((a + b) / 2)
				if float64(mid) != (a+b)/2 {
					t.Fatalf("the midpoint above %#04x is no float32", low)
				}
				even := low + low&1
				for _, c := range []struct {
					f    float32
					want uint16
				}{
					{math.Nextafter32(mid, 0), low}, {mid, even},
					{math.Nextafter32(mid, float32(math.Inf(1))), high},
				} {
					if got := h.to(c.f); got != c.want {
						t.Fatalf("%v rounds to %#04x, want %#04x", c.f, got, c.want)
					}
					if got := h.to(-c.f); got != c.want|0x8000 {
						t.Fatalf("%v rounds to %#04x, want %#04x", -c.f, got, c.want|0x8000)
					}
				}
			}
		})
	}
}

func TestHalfKnownValues(t *testing.T) {
	for _, c := range []struct {
		f         float32
		bf16, f16 uint16
	}{
		{1, 0x3F80, 0x3C00},
		{-2, 0xC000, 0xC000},
		{65504, 0x4780, 0x7BFF},
		{float32(math.Inf(-1)), 0xFF80, 0xFC00},
		{math.MaxFloat32, 0x7F80, 0x7C00},
		{0x1p-24, 0x3380, 0x0001},
	} {
		if got := BF16FromFloat32(c.f); got != c.bf16 {
			t.Errorf("bf16 of %v is %#04x, want %#04x", c.f, got, c.bf16)
		}
		if got := F16FromFloat32(c.f); got != c.f16 {
			t.Errorf("f16 of %v is %#04x, want %#04x", c.f, got, c.f16)
		}
	}
}
