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
	case b < 0x33000000: // below half the least subnormal
		return sign
	}
	shift := 126 - b>>23 // 14 to 24
	m := b&0x7fffff | 0x800000
	half := uint32(1) << (shift - 1)
	v := m >> shift
	if rest := m & (half<<1 - 1); rest > half || rest == half && v&1 != 0 {
		v++
	}
	return sign | uint16(v)
}

// f16Value is the value of a half.
func f16Value(h uint16) float32 {
	sign, exp, frac := uint32(h>>15)<<31, uint32(h>>10)&0x1f, uint32(h)&0x3ff
	switch exp {
	case 0:
		v := float32(frac) * (1.0 / (1 << 24))
		return math.Float32frombits(math.Float32bits(v) | sign)
	case 31:
		return math.Float32frombits(sign | 0x7f800000 | frac<<13)
	}
	return math.Float32frombits(sign | (exp+112)<<23 | frac<<13)
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

func execFmaF16x2(w *warp, in *instr, mask uint32) status {
	return fmaPairs(w, in, mask, f16Value, f16Bits)
}

func execFmaBF16x2(w *warp, in *instr, mask uint32) status {
	return fmaPairs(w, in, mask, func(h uint16) float32 { return fromBits(uint32(h) << 16) }, bf16Bits)
}

func fmaPairs(w *warp, in *instr, mask uint32, value func(uint16) float32, round func(float32) uint16) status {
	d, a, b, c := w.out32(in, mask), &w.r[in.a], &w.r[in.b], &w.r[in.c]
	for i := range d {
		lo := fmaHalf(value(uint16(a[i])), value(uint16(b[i])), value(uint16(c[i])), round)
		hi := fmaHalf(value(uint16(a[i]>>16)), value(uint16(b[i]>>16)), value(uint16(c[i]>>16)), round)
		d[i] = hi<<16 | lo
	}
	return w.put32(in, mask)
}

func execPackBF16(w *warp, in *instr, mask uint32) status {
	d, hi, lo := w.out32(in, mask), &w.r[in.a], &w.r[in.b]
	for i := range d {
		d[i] = uint32(bf16Bits(fromBits(hi[i])))<<16 | uint32(bf16Bits(fromBits(lo[i])))
	}
	return w.put32(in, mask)
}

func execPackF16(w *warp, in *instr, mask uint32) status {
	d, hi, lo := w.out32(in, mask), &w.r[in.a], &w.r[in.b]
	for i := range d {
		d[i] = uint32(f16Bits(fromBits(hi[i])))<<16 | uint32(f16Bits(fromBits(lo[i])))
	}
	return w.put32(in, mask)
}

// conversions says how one lane is converted, by result and source type.
var conversions = map[[2]inst.Type]func(w *warp, in *instr, l int){
	{inst.U32, inst.U64}: func(w *warp, in *instr, l int) { w.r[in.d][l] = uint32(w.d[in.a][l]) },
	{inst.S32, inst.S64}: func(w *warp, in *instr, l int) { w.r[in.d][l] = uint32(w.d[in.a][l]) },
	{inst.U64, inst.U32}: func(w *warp, in *instr, l int) { w.d[in.d][l] = uint64(w.r[in.a][l]) },
	{inst.S64, inst.S32}: func(w *warp, in *instr, l int) { w.d[in.d][l] = uint64(int64(int32(w.r[in.a][l]))) },
	{inst.F32, inst.S32}: func(w *warp, in *instr, l int) { w.r[in.d][l] = math.Float32bits(float32(int32(w.r[in.a][l]))) },
	{inst.F32, inst.U32}: func(w *warp, in *instr, l int) { w.r[in.d][l] = math.Float32bits(float32(w.r[in.a][l])) },
	{inst.BF16, inst.F32}: func(w *warp, in *instr, l int) {
		w.r[in.d][l] = uint32(bf16Bits(fromBits(w.r[in.a][l])))
	},
	{inst.F16, inst.F32}: func(w *warp, in *instr, l int) {
		w.r[in.d][l] = uint32(f16Bits(fromBits(w.r[in.a][l])))
	},
	{inst.F32, inst.F16}: func(w *warp, in *instr, l int) {
		w.r[in.d][l] = math.Float32bits(f16Value(uint16(w.r[in.a][l])))
	},
	{inst.F32, inst.BF16}: func(w *warp, in *instr, l int) { w.r[in.d][l] = w.r[in.a][l] << 16 },
}

func buildCvt(_ *decoder, in *instr) error {
	convert := conversions[[2]inst.Type{in.form.Type, in.form.From}]
	if convert == nil {
		return fmt.Errorf("this conversion is not executed")
	}
	in.exec = func(w *warp, in *instr, mask uint32) status {
		for m := mask; m != 0; m &= m - 1 {
			convert(w, in, trailing(m))
		}
		return stNext
	}
	return nil
}
