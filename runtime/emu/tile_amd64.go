package emu

import "golang.org/x/sys/cpu"

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
	}
	tiles = vector
}
