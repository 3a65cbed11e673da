package emu

import (
	"fmt"
	"math"
	"math/bits"

	"github.com/s2attention/s2c/codegen/ptx/inst"
)

// Executors compute all 32 lanes and keep those of the mask: a loop without
// branches over whole arrays is faster than a walk over the set bits. out32 gives
// the array to compute into, put32 moves the lanes of a partial mask.

func (w *warp) out32(in *instr, mask uint32) *reg32 {
	if mask == fullMask {
		return &w.r[in.d]
	}
	return &w.tmp
}

func (w *warp) put32(in *instr, mask uint32) status {
	if mask != fullMask {
		d := &w.r[in.d]
		for m := mask; m != 0; m &= m - 1 {
			l := trailing(m)
			d[l] = w.tmp[l]
		}
	}
	return stNext
}

func (w *warp) out64(in *instr, mask uint32) *reg64 {
	if mask == fullMask {
		return &w.d[in.d]
	}
	return &w.tmp6
}

func (w *warp) put64(in *instr, mask uint32) status {
	if mask != fullMask {
		d := &w.d[in.d]
		for m := mask; m != 0; m &= m - 1 {
			l := trailing(m)
			d[l] = w.tmp6[l]
		}
	}
	return stNext
}

// putPred sets the lanes of mask in a predicate.
func (w *warp) putPred(in *instr, mask, v uint32) status {
	p := &w.pr[in.d]
	*p = *p&^mask | v&mask
	return stNext
}

func execMov32(w *warp, in *instr, mask uint32) status {
	d, a := w.out32(in, mask), &w.r[in.a]
	*d = *a
	return w.put32(in, mask)
}

func execMov64(w *warp, in *instr, mask uint32) status {
	d, a := w.out64(in, mask), &w.d[in.a]
	*d = *a
	return w.put64(in, mask)
}

func execMovPred(w *warp, in *instr, mask uint32) status { return w.putPred(in, mask, w.pr[in.a]) }

func buildMovSpecial(_ *decoder, in *instr) error {
	in.exec = execMov32
	if in.form.Operands[0].Class == inst.ClassB64 {
		in.exec = execMov64
	}
	return nil
}

func buildMovSymbol(d *decoder, in *instr) error {
	v := d.arg("a").imm
	if in.form.Operands[0].Class == inst.ClassB64 {
		in.a, in.exec = d.const64(v), execMov64
		return nil
	}
	if v > math.MaxUint32 {
		return fmt.Errorf("address %#x does not fit 32 bits", v)
	}
	in.a, in.exec = d.const32(uint32(v)), execMov32
	return nil
}

func execMovPack(w *warp, in *instr, mask uint32) status {
	d, lo, hi := w.out64(in, mask), &w.r[in.va[0]], &w.r[in.va[1]]
	for i := range d {
		d[i] = uint64(lo[i]) | uint64(hi[i])<<32
	}
	return w.put64(in, mask)
}

func execMovUnpack64(w *warp, in *instr, mask uint32) status {
	lo, hi, a := &w.r[in.vd[0]], &w.r[in.vd[1]], w.d[in.a]
	for m := mask; m != 0; m &= m - 1 {
		l := trailing(m)
		lo[l], hi[l] = uint32(a[l]), uint32(a[l]>>32)
	}
	return stNext
}

func execMovUnpack32(w *warp, in *instr, mask uint32) status {
	lo, hi, a := &w.r[in.vd[0]], &w.r[in.vd[1]], w.r[in.a]
	for m := mask; m != 0; m &= m - 1 {
		l := trailing(m)
		lo[l], hi[l] = a[l]&0xffff, a[l]>>16
	}
	return stNext
}

// execCvtaParam turns an address in param space into a generic one.
func execCvtaParam(w *warp, in *instr, mask uint32) status {
	d, a := w.out64(in, mask), &w.d[in.a]
	for i := range d {
		d[i] = a[i] + paramWindow
	}
	return w.put64(in, mask)
}

func execAdd32(w *warp, in *instr, mask uint32) status {
	d, a, b := w.out32(in, mask), &w.r[in.a], &w.r[in.b]
	for i := range d {
		d[i] = a[i] + b[i]
	}
	return w.put32(in, mask)
}

func execAdd64(w *warp, in *instr, mask uint32) status {
	d, a, b := w.out64(in, mask), &w.d[in.a], &w.d[in.b]
	for i := range d {
		d[i] = a[i] + b[i]
	}
	return w.put64(in, mask)
}

func execSub32(w *warp, in *instr, mask uint32) status {
	d, a, b := w.out32(in, mask), &w.r[in.a], &w.r[in.b]
	for i := range d {
		d[i] = a[i] - b[i]
	}
	return w.put32(in, mask)
}

func execSub64(w *warp, in *instr, mask uint32) status {
	d, a, b := w.out64(in, mask), &w.d[in.a], &w.d[in.b]
	for i := range d {
		d[i] = a[i] - b[i]
	}
	return w.put64(in, mask)
}

func execMul32(w *warp, in *instr, mask uint32) status {
	d, a, b := w.out32(in, mask), &w.r[in.a], &w.r[in.b]
	for i := range d {
		d[i] = a[i] * b[i]
	}
	return w.put32(in, mask)
}

func execMul64(w *warp, in *instr, mask uint32) status {
	d, a, b := w.out64(in, mask), &w.d[in.a], &w.d[in.b]
	for i := range d {
		d[i] = a[i] * b[i]
	}
	return w.put64(in, mask)
}

// Executors of what is rare are made from a function of one lane.

func one32(op func(a uint32) uint32) execFn {
	return func(w *warp, in *instr, mask uint32) status {
		d, a := w.out32(in, mask), &w.r[in.a]
		for i := range d {
			d[i] = op(a[i])
		}
		return w.put32(in, mask)
	}
}

func two32(op func(a, b uint32) uint32) execFn {
	return func(w *warp, in *instr, mask uint32) status {
		d, a, b := w.out32(in, mask), &w.r[in.a], &w.r[in.b]
		for i := range d {
			d[i] = op(a[i], b[i])
		}
		return w.put32(in, mask)
	}
}

func two64(op func(a, b uint64) uint64) execFn {
	return func(w *warp, in *instr, mask uint32) status {
		d, a, b := w.out64(in, mask), &w.d[in.a], &w.d[in.b]
		for i := range d {
			d[i] = op(a[i], b[i])
		}
		return w.put64(in, mask)
	}
}

func mulHiU32(a, b uint32) uint32 { return uint32(uint64(a) * uint64(b) >> 32) }
func mulHiS32(a, b uint32) uint32 { return uint32(int64(int32(a)) * int64(int32(b)) >> 32) }
func minS32(a, b uint32) uint32   { return uint32(min(int32(a), int32(b))) }
func minU32(a, b uint32) uint32   { return min(a, b) }
func maxS32(a, b uint32) uint32   { return uint32(max(int32(a), int32(b))) }
func maxU32(a, b uint32) uint32   { return max(a, b) }
func minS64(a, b uint64) uint64   { return uint64(min(int64(a), int64(b))) }
func minU64(a, b uint64) uint64   { return min(a, b) }
func maxS64(a, b uint64) uint64   { return uint64(max(int64(a), int64(b))) }
func maxU64(a, b uint64) uint64   { return max(a, b) }
func and64(a, b uint64) uint64    { return a & b }
func or64(a, b uint64) uint64     { return a | b }
func xor64(a, b uint64) uint64    { return a ^ b }
func not32(a uint32) uint32       { return ^a }
func neg32(a uint32) uint32       { return -a }
func popc32(a uint32) uint32      { return uint32(bits.OnesCount32(a)) }
func clz32(a uint32) uint32       { return uint32(bits.LeadingZeros32(a)) }

func abs32(a uint32) uint32 {
	s := uint32(int32(a) >> 31)
	return (a ^ s) - s
}

func execMulWide[T int32 | uint32](w *warp, in *instr, mask uint32) status {
	d, a, b := w.out64(in, mask), &w.r[in.a], &w.r[in.b]
	for i := range d {
		d[i] = uint64(int64(T(a[i])) * int64(T(b[i])))
	}
	return w.put64(in, mask)
}

func execMad32(w *warp, in *instr, mask uint32) status {
	d, a, b, c := w.out32(in, mask), &w.r[in.a], &w.r[in.b], &w.r[in.c]
	for i := range d {
		d[i] = a[i]*b[i] + c[i]
	}
	return w.put32(in, mask)
}

func execMad64(w *warp, in *instr, mask uint32) status {
	d, a, b, c := w.out64(in, mask), &w.d[in.a], &w.d[in.b], &w.d[in.c]
	for i := range d {
		d[i] = a[i]*b[i] + c[i]
	}
	return w.put64(in, mask)
}

func execMadWide[T int32 | uint32](w *warp, in *instr, mask uint32) status {
	d, a, b, c := w.out64(in, mask), &w.r[in.a], &w.r[in.b], &w.d[in.c]
	for i := range d {
		d[i] = uint64(int64(T(a[i]))*int64(T(b[i]))) + c[i]
	}
	return w.put64(in, mask)
}

func divU32(a, b uint32) uint32 { return a / b }
func remU32(a, b uint32) uint32 { return a % b }
func divS32(a, b uint32) uint32 { return uint32(int32(a) / int32(b)) }
func remS32(a, b uint32) uint32 { return uint32(int32(a) % int32(b)) }
func divU64(a, b uint64) uint64 { return a / b }
func remU64(a, b uint64) uint64 { return a % b }
func divS64(a, b uint64) uint64 { return uint64(int64(a) / int64(b)) }
func remS64(a, b uint64) uint64 { return uint64(int64(a) % int64(b)) }

// divide32 reports a zero divisor; unchecked it gives all ones, as machines do
// where the ISA leaves the value open.
func divide32(op func(a, b uint32) uint32) execFn {
	return func(w *warp, in *instr, mask uint32) status {
		d, a, b := &w.r[in.d], &w.r[in.a], &w.r[in.b]
		for m := mask; m != 0; m &= m - 1 {
			l := trailing(m)
			switch {
			case b[l] != 0:
				d[l] = op(a[l], b[l])
			case w.checks(CheckDivide):
				return w.fail(in, l, CheckDivide, 0, "%d divided by zero", a[l])
			default:
				d[l] = math.MaxUint32
			}
		}
		return stNext
	}
}

func divide64(op func(a, b uint64) uint64) execFn {
	return func(w *warp, in *instr, mask uint32) status {
		d, a, b := &w.d[in.d], &w.d[in.a], &w.d[in.b]
		for m := mask; m != 0; m &= m - 1 {
			l := trailing(m)
			switch {
			case b[l] != 0:
				d[l] = op(a[l], b[l])
			case w.checks(CheckDivide):
				return w.fail(in, l, CheckDivide, 0, "%d divided by zero", a[l])
			default:
				d[l] = math.MaxUint64
			}
		}
		return stNext
	}
}

func execAnd32(w *warp, in *instr, mask uint32) status {
	d, a, b := w.out32(in, mask), &w.r[in.a], &w.r[in.b]
	for i := range d {
		d[i] = a[i] & b[i]
	}
	return w.put32(in, mask)
}

func execOr32(w *warp, in *instr, mask uint32) status {
	d, a, b := w.out32(in, mask), &w.r[in.a], &w.r[in.b]
	for i := range d {
		d[i] = a[i] | b[i]
	}
	return w.put32(in, mask)
}

func execXor32(w *warp, in *instr, mask uint32) status {
	d, a, b := w.out32(in, mask), &w.r[in.a], &w.r[in.b]
	for i := range d {
		d[i] = a[i] ^ b[i]
	}
	return w.put32(in, mask)
}

func execNot64(w *warp, in *instr, mask uint32) status {
	d, a := w.out64(in, mask), &w.d[in.a]
	for i := range d {
		d[i] = ^a[i]
	}
	return w.put64(in, mask)
}

func execAndPred(w *warp, in *instr, mask uint32) status {
	return w.putPred(in, mask, w.pr[in.a]&w.pr[in.b])
}

func execOrPred(w *warp, in *instr, mask uint32) status {
	return w.putPred(in, mask, w.pr[in.a]|w.pr[in.b])
}

func execXorPred(w *warp, in *instr, mask uint32) status {
	return w.putPred(in, mask, w.pr[in.a]^w.pr[in.b])
}

func execNotPred(w *warp, in *instr, mask uint32) status { return w.putPred(in, mask, ^w.pr[in.a]) }

// Shift amounts beyond the width count as the width (PTX ISA 9.0 §9.7.8.8),
// which is what Go's shifts do.

func execShl32(w *warp, in *instr, mask uint32) status {
	d, a, b := w.out32(in, mask), &w.r[in.a], &w.r[in.b]
	for i := range d {
		d[i] = a[i] << b[i]
	}
	return w.put32(in, mask)
}

func execShl64(w *warp, in *instr, mask uint32) status {
	d, a, b := w.out64(in, mask), &w.d[in.a], &w.r[in.b]
	for i := range d {
		d[i] = a[i] << b[i]
	}
	return w.put64(in, mask)
}

func execShr32[T int32 | uint32](w *warp, in *instr, mask uint32) status {
	d, a, b := w.out32(in, mask), &w.r[in.a], &w.r[in.b]
	for i := range d {
		d[i] = uint32(T(a[i]) >> b[i])
	}
	return w.put32(in, mask)
}

func execShr64[T int64 | uint64](w *warp, in *instr, mask uint32) status {
	d, a, b := w.out64(in, mask), &w.d[in.a], &w.r[in.b]
	for i := range d {
		d[i] = uint64(T(a[i]) >> b[i])
	}
	return w.put64(in, mask)
}

// execPrmt picks four bytes of b:a by the nibbles of c; bit 3 of a nibble
// spreads the byte's sign (PTX ISA 9.0 §9.7.9.7).
func execPrmt(w *warp, in *instr, mask uint32) status {
	d, a, b, c := w.out32(in, mask), &w.r[in.a], &w.r[in.b], &w.r[in.c]
	for i := range d {
		both := uint64(a[i]) | uint64(b[i])<<32
		var v uint32
		for k := range 4 {
			sel := c[i] >> (4 * k) & 0xf
			x := uint32(both>>(8*(sel&7))) & 0xff
			if sel&8 != 0 {
				x = uint32(int32(int8(x))>>7) & 0xff
			}
			v |= x << (8 * k)
		}
		d[i] = v
	}
	return w.put32(in, mask)
}

func execSelp32(w *warp, in *instr, mask uint32) status {
	d, a, b, p := w.out32(in, mask), &w.r[in.a], &w.r[in.b], w.pr[in.c]
	for i := range d {
		s := -(p >> i & 1)
		d[i] = a[i]&s | b[i]&^s
	}
	return w.put32(in, mask)
}

func execSelp64(w *warp, in *instr, mask uint32) status {
	d, a, b, p := w.out64(in, mask), &w.d[in.a], &w.d[in.b], w.pr[in.c]
	for i := range d {
		s := -uint64(p >> i & 1)
		d[i] = a[i]&s | b[i]&^s
	}
	return w.put64(in, mask)
}

// bit is 1 for true.
func bit(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}
