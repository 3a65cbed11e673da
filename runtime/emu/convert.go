package emu

import (
	"fmt"
	"math"
	"math/big"

	"github.com/s2attention/s2c/codegen/ptx/inst"
)

// bf16Bits rounds to bfloat16, to nearest, ties to even.
func bf16Bits(f float32) uint16 {
	b := math.Float32bits(f)
	if b&0x7fffffff > 0x7f800000 {
		return 0x7fff
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// f16Bits rounds to half precision, to nearest, ties to even.
func f16Bits(f float32) uint16 {
	b := math.Float32bits(f)
	sign := uint16(b >> 16 & 0x8000)
	b &= 0x7fffffff
	switch {
	case b > 0x7f800000:
		return 0x7fff
	case b >= 0x47800000: // 65536 and up, infinity too
		return sign | 0x7c00
	case b >= 0x38800000: // normal: a carry past 65504 gives infinity, as it should
		b += 0x0fff + b>>13&1
		return sign | uint16((b-0x38000000)>>13)
	}
	// A half's last bit is where that of ½ is.
	return sign | uint16(math.Float32bits(fromBits(b)+0.5)-math.Float32bits(0.5))
}

// f16Value is the value of a half.
func f16Value(h uint16) float32 {
	b := math.Float32bits(fromBits(uint32(h&0x7fff)<<13) * 0x1p112) // the biases differ by 112
	if h&0x7c00 == 0x7c00 {
		b = 0x7f800000 | uint32(h&0x3ff)<<13
	}
	return fromBits(uint32(h>>15)<<31 | b)
}

// f16Values is f16Value for every half: matrix instructions look values up.
var f16Values = func() *[1 << 16]float32 {
	t := new([1 << 16]float32)
	for i := range t {
		t[i] = f16Value(uint16(i))
	}
	return t
}()

// fmaHalf is a·b + c of halves, given as fp32, rounded once by round. What is not
// exact goes through fp32 rounded to odd, which no later rounding mistakes for a tie.
func fmaHalf(a, b, c float32, round func(float32) uint16) uint32 {
	p := float64(a) * float64(b) // exact
	if p == 0 || p-p != 0 || c-c != 0 {
		return uint32(round(float32(p + float64(c))))
	}
	x := new(big.Float).SetPrec(600).SetFloat64(p)
	x.Add(x, new(big.Float).SetFloat64(float64(c)))
	f, accuracy := x.Float32()
	if accuracy == big.Exact {
		return uint32(round(f))
	}
	bits := math.Float32bits(f)
	if away := (accuracy == big.Above) == (f > 0); away && f != 0 {
		bits--
	}
	return uint32(round(fromBits(bits | 1)))
}

var (
	fmaF16x2  = fmaPairs(halvesF16, f16Bits)
	fmaBF16x2 = fmaPairs(halvesBF16, bf16Bits)
)

func fmaPairs(halves func(uint32) (lo, hi float32), round func(float32) uint16) loop[uint32] {
	return func(d, a, b, c *reg32) {
		for i := range d {
			aLo, aHi := halves(a[i])
			bLo, bHi := halves(b[i])
			cLo, cHi := halves(c[i])
			d[i] = fmaHalf(aHi, bHi, cHi, round)<<16 | fmaHalf(aLo, bLo, cLo, round)
		}
	}
}

func packBF16(d, hi, lo, _ *reg32) {
	for i := range d {
		d[i] = uint32(bf16Bits(fromBits(hi[i])))<<16 | uint32(bf16Bits(fromBits(lo[i])))
	}
}

func packF16(d, hi, lo, _ *reg32) {
	for i := range d {
		d[i] = uint32(f16Bits(fromBits(hi[i])))<<16 | uint32(f16Bits(fromBits(lo[i])))
	}
}

// conversions are by result and source type.
var conversions = map[[2]inst.Type]execFn{
	{inst.U32, inst.U64}: to32(func(w *warp, in *instr, d *reg32) { convert(d, &w.d[in.a], func(v uint64) uint32 { return uint32(v) }) }),
	{inst.U64, inst.U32}: to64(func(w *warp, in *instr, d *reg64) { convert(d, &w.r[in.a], func(v uint32) uint64 { return uint64(v) }) }),
	{inst.S64, inst.S32}: to64(func(w *warp, in *instr, d *reg64) {
		convert(d, &w.r[in.a], func(v uint32) uint64 { return uint64(int32(v)) })
	}),
	{inst.F32, inst.S32}: on32(func(d, a, _, _ *reg32) {
		convert(d, a, func(v uint32) uint32 { return math.Float32bits(float32(int32(v))) })
	}),
	{inst.F32, inst.U32}: on32(func(d, a, _, _ *reg32) { convert(d, a, func(v uint32) uint32 { return math.Float32bits(float32(v)) }) }),
	{inst.F32, inst.F16}: on32(func(d, a, _, _ *reg32) {
		convert(d, a, func(v uint32) uint32 { return math.Float32bits(f16Values[v&0xffff]) })
	}),
}

func convert[D, S integer](d *[32]D, a *[32]S, f func(S) D) {
	for i := range d {
		d[i] = f(a[i])
	}
}

func buildCvt(_ *decoder, in *instr) error {
	if in.exec = conversions[[2]inst.Type{in.form.Type, in.form.From}]; in.exec == nil {
		return fmt.Errorf("this conversion is not executed")
	}
	return nil
}
