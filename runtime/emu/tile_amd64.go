package emu

import (
	"math"

	"golang.org/x/sys/cpu"
)

//go:noescape
func fragAbf16(dst *tileA, r0, r1, r2, r3 *reg32)

//go:noescape
func fragAf16(dst *tileA, r0, r1, r2, r3 *reg32)

//go:noescape
func fragBbf16(dst *tileB, r0, r1 *reg32)

//go:noescape
func fragBf16(dst *tileB, r0, r1 *reg32)

//go:noescape
func multiplyAVX2(a *tileA, b *tileB, c, d *[4]*reg32)

//go:noescape
func fmaAVX2(d, a, b, c *reg32)

//go:noescape
func flushAVX2(d, a *reg32) (least bool)

//go:noescape
func extremeAVX2(d, a, b *reg32, flip uint32)

//go:noescape
func exp2Lanes(d, a *reg32, steps *[32]float64, constants *[11]float64)

// exp2Constants are those of exp2: the series, ln 2, the bounds beyond which the result
// is 0 or infinite, 32 and its inverse.
var exp2Constants = [11]float64{1, 1, 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, math.Ln2, -160, 130, 32, 1.0 / 32}

func exp2AVX2(d, a *reg32) { exp2Lanes(d, a, &exp2Steps, &exp2Constants) }

// Every processor with AVX2 and FMA has F16C as well.
func init() {
	if !cpu.X86.HasAVX2 || !cpu.X86.HasFMA {
		return
	}
	vector = &tileOps{
		fragA:    [2]func(*tileA, *reg32, *reg32, *reg32, *reg32){fragAbf16, fragAf16},
		fragB:    [2]func(*tileB, *reg32, *reg32){fragBbf16, fragBf16},
		multiply: multiplyAVX2,
		fma:      fmaAVX2,
		flush:    flushAVX2,
		extreme:  extremeAVX2,
		exp2:     exp2AVX2,
	}
	tiles = vector
}
