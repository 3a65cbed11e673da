package emu

import (
	"math"
	"math/big"

	"github.com/s2attention/s2c/codegen/ptx/inst"
)

const canonicalNaN = 0x7fffffff

func fromBits(b uint32) float32 { return math.Float32frombits(b) }

// toBits is the bit pattern of a result; every NaN becomes the canonical one.
func toBits(f float32) uint32 {
	if f != f {
		return canonicalNaN
	}
	return math.Float32bits(f)
}

// flush makes a subnormal a zero of its sign: .ftz.
func flush(b uint32) uint32 {
	if b&0x7f800000 == 0 {
		return b & 0x80000000
	}
	return b
}

// flushed returns a register to read, subnormals flushed if the instruction says so.
func (w *warp) flushed(in *instr, r int32, operand int) *reg32 {
	a := &w.r[r]
	if !in.form.Ftz {
		return a
	}
	for i := range a {
		if v := a[i]; v&0x7f800000 == 0 && v&0x7fffffff != 0 {
			buf := &w.flush[operand]
			for j := range buf {
				buf[j] = flush(a[j])
			}
			return buf
		}
	}
	return a
}

// putF32 flushes a result if the instruction says so and stores it.
func (w *warp) putF32(in *instr, d *reg32, mask uint32) status {
	if in.form.Ftz {
		for i := range d {
			if v := d[i]; v&0x7f800000 == 0 {
				d[i] = v & 0x80000000
			}
		}
	}
	return w.put32(in, mask)
}

func execAddF32(w *warp, in *instr, mask uint32) status {
	d, a, b := w.out32(in, mask), w.flushed(in, in.a, 0), w.flushed(in, in.b, 1)
	for i := range d {
		d[i] = toBits(fromBits(a[i]) + fromBits(b[i]))
	}
	return w.putF32(in, d, mask)
}

func execSubF32(w *warp, in *instr, mask uint32) status {
	d, a, b := w.out32(in, mask), w.flushed(in, in.a, 0), w.flushed(in, in.b, 1)
	for i := range d {
		d[i] = toBits(fromBits(a[i]) - fromBits(b[i]))
	}
	return w.putF32(in, d, mask)
}

func execMulF32(w *warp, in *instr, mask uint32) status {
	d, a, b := w.out32(in, mask), w.flushed(in, in.a, 0), w.flushed(in, in.b, 1)
	to := w.product(in, d)
	for i := range to {
		to[i] = toBits(fromBits(a[i]) * fromBits(b[i]))
	}
	return w.putProduct(in, d, mask, a, b, &noAddend)
}

var noAddend reg32

// product is where a product goes before it is flushed, apart from its operands.
func (w *warp) product(in *instr, d *reg32) *reg32 {
	if in.form.Ftz {
		return &w.products
	}
	return d
}

// putProduct flushes what product gave room for, if the instruction says so, and
// stores it. The GPU asks whether a·b + c was below the normal numbers before it
// was rounded up to the least of them.
func (w *warp) putProduct(in *instr, d *reg32, mask uint32, a, b, c *reg32) status {
	if in.form.Ftz {
		for i, v := range &w.products {
			if m := v & 0x7fffffff; m < leastNormal || m == leastNormal && tiny(fromBits(a[i]), fromBits(b[i]), fromBits(c[i])) {
				v &= 1 << 31
			}
			d[i] = v
		}
	}
	return w.put32(in, mask)
}

const leastNormal = 0x00800000

// tiny is whether a·b + c, rounded to 24 bits whatever its exponent, is no normal number.
func tiny(a, b, c float32) bool {
	x := new(big.Float).SetPrec(1024) // exact
	x.Mul(big.NewFloat(float64(a)), big.NewFloat(float64(b)))
	x.Add(x, big.NewFloat(float64(c)))
	return x.SetPrec(24).MantExp(nil) < -125 // 2⁻¹²⁶ is ½·2⁻¹²⁵
}

// fma32 is a·b + c rounded once. The product is exact in float64; the sum there may
// round onto a float32 tie, or near the subnormals, so those are rounded to odd first
// (Boldo and Melquiond, Emulation of FMA and correctly rounded sums, 2008).
func fma32(a, b, c float32) float32 {
	p, z := float64(a)*float64(b), float64(c)
	s := p + z
	bits := math.Float64bits(s)
	if bits&0x1fffffff != 0x10000000 && bits>>52&0x7ff > 1023-125 {
		return float32(s)
	}
	if s-s != 0 { // infinite or NaN
		return float32(s)
	}
	t := s - p
	rest := (p - (s - t)) + (z - t)
	if rest != 0 && bits&1 == 0 {
		if (rest > 0) == (s > 0) {
			bits++
		} else {
			bits--
		}
		s = math.Float64frombits(bits)
	}
	return float32(s)
}

func execFmaF32(w *warp, in *instr, mask uint32) status {
	d, a, b, c := w.out32(in, mask), w.flushed(in, in.a, 0), w.flushed(in, in.b, 1), w.flushed(in, in.c, 2)
	tiles.fma(w.product(in, d), a, b, c)
	return w.putProduct(in, d, mask, a, b, c)
}

func fmaGo(d, a, b, c *reg32) {
	for i := range d {
		d[i] = toBits(fma32(fromBits(a[i]), fromBits(b[i]), fromBits(c[i])))
	}
}

// oneF32 makes the executor of a function of one number.
func oneF32(op func(x float32) float32) execFn {
	return func(w *warp, in *instr, mask uint32) status {
		d, a := w.out32(in, mask), w.flushed(in, in.a, 0)
		for i := range d {
			d[i] = toBits(op(fromBits(a[i])))
		}
		return w.putF32(in, d, mask)
	}
}

// negF32 is the canonical NaN for every NaN, as on the GPU: no sign is flipped.
func negF32(x float32) float32 { return -x }
func rcpF32(x float32) float32 { return float32(1 / float64(x)) }
func lg2F32(x float32) float32 { return float32(math.Log2(float64(x))) }

// ordinal maps floats that are no NaN to integers of the same order, −0 below +0.
func ordinal(b uint32) int32 {
	return int32(b) ^ int32(uint32(int32(b)>>31)>>1)
}

func isNaN(b uint32) bool { return b&0x7fffffff > 0x7f800000 }

// minmax handles the operands of which one is a NaN: the other is the result.
func minmax(a, b uint32, takeA bool) uint32 {
	switch {
	case isNaN(a) && isNaN(b):
		return canonicalNaN
	case isNaN(a):
		return b
	case isNaN(b):
		return a
	case takeA:
		return a
	}
	return b
}

// extreme makes the executor of the minimum, or with flip −1, which reverses the
// order of ordinals, of the maximum.
func extreme(flip int32) execFn {
	return func(w *warp, in *instr, mask uint32) status {
		d, a, b := w.out32(in, mask), w.flushed(in, in.a, 0), w.flushed(in, in.b, 1)
		for i := range d {
			x, y := a[i], b[i]
			d[i] = minmax(x, y, ordinal(x)^flip < ordinal(y)^flip)
		}
		return w.putF32(in, d, mask)
	}
}

// exp2Steps are 2^(k/32).
var exp2Steps = func() (t [32]float64) {
	for k := range t {
		t[k] = math.Exp2(float64(k) / 32)
	}
	return t
}()

// exp2 is 2^x to about 1e-12, rounded to float32.
func exp2(x float32) float32 {
	if !(x > -150 && x < 129) {
		return float32(math.Exp2(float64(x)))
	}
	// x = n + k/32 + r with |r| ≤ 1/64; the series of 2^r ends at r⁵.
	k := math.Floor(float64(x)*32 + 0.5)
	r := (float64(x) - k*(1.0/32)) * math.Ln2
	p := 1 + r*(1+r*(1.0/2+r*(1.0/6+r*(1.0/24+r*(1.0/120)))))
	i := int(k)
	scale := math.Float64frombits(uint64(1023+i>>5) << 52)
	return float32(p * exp2Steps[i&31] * scale)
}

// floatComparisons are ordered, "ne" too: false when an operand is a NaN (PTX ISA 9.0 §9.7.6.1).
var floatComparisons = map[inst.Cmp]execFn{
	inst.EQ: compareF32(equalF32, false),
	inst.NE: compareF32(unlikeF32, false),
	inst.LT: compareF32(lessF32, false),
	inst.LE: compareF32(notMoreF32, false),
	inst.GT: compareF32(lessF32, true),
	inst.GE: compareF32(notMoreF32, true),
}

func compareF32(test func(a, b *reg32) uint32, swap bool) execFn {
	if swap {
		return func(w *warp, in *instr, mask uint32) status {
			return w.putPred(in, mask, test(&w.r[in.b], &w.r[in.a]))
		}
	}
	return func(w *warp, in *instr, mask uint32) status {
		return w.putPred(in, mask, test(&w.r[in.a], &w.r[in.b]))
	}
}

func lessF32(a, b *reg32) (v uint32) {
	for i := range a {
		v |= bit(fromBits(a[i]) < fromBits(b[i])) << i
	}
	return v
}

func notMoreF32(a, b *reg32) (v uint32) {
	for i := range a {
		v |= bit(fromBits(a[i]) <= fromBits(b[i])) << i
	}
	return v
}

func equalF32(a, b *reg32) (v uint32) {
	for i := range a {
		v |= bit(fromBits(a[i]) == fromBits(b[i])) << i
	}
	return v
}

func unlikeF32(a, b *reg32) uint32 { return lessF32(a, b) | lessF32(b, a) }
