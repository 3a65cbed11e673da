package emu

import (
	"math"
	"math/big"
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

// onF32 makes the executor of a loop over float32: with .ftz, subnormals are flushed
// before it and after it.
func onF32(f loop[uint32]) execFn { return floats(f, false) }

// fused is onF32 for what rounds a product.
func fused(f loop[uint32]) execFn { return floats(f, true) }

//go:noinline
func floats(f loop[uint32], fused bool) execFn {
	plain := on32(f)
	return func(w *warp, in *instr, mask uint32) status {
		if !in.form.Ftz {
			return plain(w, in, mask)
		}
		d, s := w.out32(in, mask), &w.flush
		for i, slot := range [3]int32{in.a, in.b, in.c} {
			if slot >= 0 {
				tiles.flush(&s[i], &w.r[slot])
			}
		}
		f(&s[3], &s[0], &s[1], &s[2])
		if tiles.flush(d, &s[3]) && fused {
			flushTiny(in, d, s)
		}
		return w.put32(in, mask)
	}
}

// flushTiny flushes the least normal numbers that a·b + c was rounded up to: the GPU
// asks whether it was below the normal numbers before.
func flushTiny(in *instr, d *reg32, s *[4]reg32) {
	if in.c < 0 {
		s[2] = reg32{}
	}
	for i := range d {
		if d[i]&^signBit == leastNormal && tiny(fromBits(s[0][i]), fromBits(s[1][i]), fromBits(s[2][i])) {
			d[i] &= signBit
		}
	}
}

// flushGo makes subnormals zeros of their sign: .ftz. It says whether some result is
// the least normal number.
func flushGo(d, a *reg32) (least bool) {
	for i, v := range a {
		if v&0x7f800000 == 0 {
			v &= signBit
		}
		d[i] = v
		least = least || v&^signBit == leastNormal
	}
	return least
}

// Sums and products are fused multiply-adds, which round once: a·1 + b, b·−1 + a, a·b − 0.
var (
	ones       = allLanes(math.Float32bits(1))
	minusOnes  = allLanes(math.Float32bits(-1))
	minusZeros = allLanes(signBit)
)

func allLanes(v uint32) *reg32 {
	var r reg32
	for l := range r {
		r[l] = v
	}
	return &r
}

func addF32(d, a, b, _ *reg32) { tiles.fma(d, a, ones, b) }
func subF32(d, a, b, _ *reg32) { tiles.fma(d, b, minusOnes, a) }
func mulF32(d, a, b, _ *reg32) { tiles.fma(d, a, b, minusZeros) }
func fmaF32(d, a, b, c *reg32) { tiles.fma(d, a, b, c) }

const signBit = 1 << 31

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

func fmaGo(d, a, b, c *reg32) {
	for i := range d {
		d[i] = toBits(fma32(fromBits(a[i]), fromBits(b[i]), fromBits(c[i])))
	}
}

// lanesF32 makes the loop of a function of one number.
//
//go:noinline
func lanesF32(op func(x float32) float32) loop[uint32] {
	return func(d, a, _, _ *reg32) {
		for i := range d {
			d[i] = toBits(op(fromBits(a[i])))
		}
	}
}

// negF32 is the canonical NaN for every NaN, as on the GPU: no sign is flipped.
func negF32(x float32) float32 { return -x }
func rcpF32(x float32) float32 { return float32(1 / float64(x)) }
func lg2F32(x float32) float32 { return float32(math.Log2(float64(x))) }

// ordinal maps floats that are no NaN to integers of the same order, −0 below +0,
// and back.
func ordinal(b uint32) uint32 { return b ^ uint32(int32(b)>>31)>>1 }

func isNaN(b uint32) bool { return b&^signBit > 0x7f800000 }

func minF32(d, a, b, _ *reg32) { tiles.extreme(d, a, b, 0) }
func maxF32(d, a, b, _ *reg32) { tiles.extreme(d, a, b, fullMask) }

// extremeGo is the minimum, or with all bits of flip set, which reverses the order of
// ordinals, the maximum. Of a number and a NaN the number is the result.
func extremeGo(d, a, b *reg32, flip uint32) {
	for i := range d {
		x, y := a[i], b[i]
		switch {
		case isNaN(x) && isNaN(y):
			x = canonicalNaN
		case isNaN(x) || !isNaN(y) && int32(ordinal(y)^flip) < int32(ordinal(x)^flip):
			x = y
		}
		d[i] = x
	}
}

// exp2Steps are 2^(k/32).
var exp2Steps = func() (t [32]float64) {
	for k := range t {
		t[k] = math.Exp2(float64(k) / 32)
	}
	return t
}()

func exp2F32(d, a, _, _ *reg32) { tiles.exp2(d, a) }

func exp2Go(d, a *reg32) { lanesF32(exp2)(d, a, nil, nil) }

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
