package tensor

import (
	"math"

	"github.com/x448/float16"
)

// BF16FromFloat32 rounds to the nearest bfloat16, ties to even; overflow gives
// an infinity, and a NaN stays one.
func BF16FromFloat32(f float32) uint16 {
	bits := math.Float32bits(f)
	if f != f {
		// Keep the sign and the payload's upper bits; set the quiet bit, so that a
		// payload in the lower half alone does not turn into an infinity.
		return uint16(bits>>16) | 0x0040
	}
	// Adding half a unit in the last place, less one where the last kept bit is
	// even, carries into the kept half exactly when the value rounds up.
	return uint16((bits + 0x7FFF + bits>>16&1) >> 16)
}

// BF16ToFloat32 is exact.
func BF16ToFloat32(b uint16) float32 { return math.Float32frombits(uint32(b) << 16) }

// F16FromFloat32 rounds to the nearest binary16, ties to even.
func F16FromFloat32(f float32) uint16 { return float16.Fromfloat32(f).Bits() }

// F16ToFloat32 is exact.
func F16ToFloat32(b uint16) float32 { return float16.Frombits(b).Float32() }
