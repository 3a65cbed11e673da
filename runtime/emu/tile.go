package emu

import "math"

// Tiles of a matrix instruction as float32: A by rows, B by rows of 8 columns.
type (
	tileA = [16][16]float32
	tileB = [16][8]float32
)

// tileScratch is a warp's room for matrix instructions; on the stack it would escape.
type tileScratch struct {
	a    tileA
	b    tileB
	c, d [4]*reg32
	regs [4]reg32
}

// The 16-bit formats, as indices into tileOps.
const (
	formatBF16 = iota
	formatF16
)

// tileOps are the operations on tiles, indexed by format where values are converted.
//
//	fragA, fragB   fill a tile from the fragments of a warp, see mma.go
//	multiply       d = a·b + c on accumulator fragments, with the canonical NaN; c and
//	               d may be the same
//	fma            d = a·b + c by lanes, rounded once, with the canonical NaN
//	flush          d is a with subnormals as zeros, see flushGo
//	extreme        the minimum or the maximum, see extremeGo
//	exp2           d = 2^a
type tileOps struct {
	fragA    [2]func(dst *tileA, r0, r1, r2, r3 *reg32)
	fragB    [2]func(dst *tileB, r0, r1 *reg32)
	multiply func(a *tileA, b *tileB, c, d *[4]*reg32)
	fma      func(d, a, b, c *reg32)
	flush    func(d, a *reg32) (least bool)
	extreme  func(d, a, b *reg32, flip uint32)
	exp2     func(d, a *reg32)
}

var portable = &tileOps{
	fragA: [2]func(*tileA, *reg32, *reg32, *reg32, *reg32){
		func(dst *tileA, r0, r1, r2, r3 *reg32) { fragAGo(dst, halvesBF16, r0, r1, r2, r3) },
		func(dst *tileA, r0, r1, r2, r3 *reg32) { fragAGo(dst, halvesF16, r0, r1, r2, r3) },
	},
	fragB: [2]func(*tileB, *reg32, *reg32){
		func(dst *tileB, r0, r1 *reg32) { fragBGo(dst, halvesBF16, r0, r1) },
		func(dst *tileB, r0, r1 *reg32) { fragBGo(dst, halvesF16, r0, r1) },
	},
	multiply: multiplyGo,
	fma:      fmaGo,
	flush:    flushGo,
	extreme:  extremeGo,
	exp2:     exp2Go,
}

// tiles is the fastest implementation here; vector the one with vector
// instructions, nil where there is none.
var (
	tiles  = portable
	vector *tileOps
)

func halvesBF16(v uint32) (lo, hi float32) {
	return math.Float32frombits(v << 16), math.Float32frombits(v &^ 0xffff)
}

func halvesF16(v uint32) (lo, hi float32) {
	return f16Values[v&0xffff], f16Values[v>>16]
}

func fragAGo(dst *tileA, halves func(uint32) (lo, hi float32), r0, r1, r2, r3 *reg32) {
	for l := range 32 {
		row, col := l>>2, l&3*2
		dst[row][col], dst[row][col+1] = halves(r0[l])
		dst[row+8][col], dst[row+8][col+1] = halves(r1[l])
		dst[row][col+8], dst[row][col+9] = halves(r2[l])
		dst[row+8][col+8], dst[row+8][col+9] = halves(r3[l])
	}
}

func fragBGo(dst *tileB, halves func(uint32) (lo, hi float32), r0, r1 *reg32) {
	for l := range 32 {
		col, k := l>>2, l&3*2
		dst[k][col], dst[k+1][col] = halves(r0[l])
		dst[k+8][col], dst[k+9][col] = halves(r1[l])
	}
}

// multiplyGo keeps one row of the result in registers.
func multiplyGo(a *tileA, b *tileB, c, d *[4]*reg32) {
	for i := range a {
		even, odd := c[i>>3*2], c[i>>3*2+1]
		to, next := d[i>>3*2], d[i>>3*2+1]
		at := i & 7 * 4
		c0, c1, c2, c3 := fromBits(even[at]), fromBits(odd[at]), fromBits(even[at+1]), fromBits(odd[at+1])
		c4, c5, c6, c7 := fromBits(even[at+2]), fromBits(odd[at+2]), fromBits(even[at+3]), fromBits(odd[at+3])
		for k := range b {
			x, y := a[i][k], &b[k]
			c0 += x * y[0]
			c1 += x * y[1]
			c2 += x * y[2]
			c3 += x * y[3]
			c4 += x * y[4]
			c5 += x * y[5]
			c6 += x * y[6]
			c7 += x * y[7]
		}
		to[at], next[at] = toBits(c0), toBits(c1)
		to[at+1], next[at+1] = toBits(c2), toBits(c3)
		to[at+2], next[at+2] = toBits(c4), toBits(c5)
		to[at+3], next[at+3] = toBits(c6), toBits(c7)
	}
}
