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

func (w *warp) out32(in *instr, mask uint32) *reg32 { return out(w.r, &w.tmp, in, mask) }
func (w *warp) out64(in *instr, mask uint32) *reg64 { return out(w.d, &w.tmp6, in, mask) }

func (w *warp) put32(in *instr, mask uint32) status { return put(w.r, &w.tmp, in, mask) }
func (w *warp) put64(in *instr, mask uint32) status { return put(w.d, &w.tmp6, in, mask) }

func out[T any](file [][32]T, tmp *[32]T, in *instr, mask uint32) *[32]T {
	if mask == fullMask {
		return &file[in.d]
	}
	return tmp
}

func put[T any](file [][32]T, tmp *[32]T, in *instr, mask uint32) status {
	if mask != fullMask {
		d := &file[in.d]
		for l := range lanesOf(mask) {
			d[l] = tmp[l]
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

// at is an operand in a register file, nil for one that the instruction lacks.
func at[T any](file [][32]T, slot int32) *[32]T {
	if slot < 0 {
		return nil
	}
	return &file[slot]
}

// integer is a type of the register files.
type integer interface{ uint32 | uint64 }

// loop computes all lanes of a result; operands that an instruction lacks are nil.
type loop[T integer] func(d, a, b, c *[32]T)

// What makes executors is not inlined: the compiler inlines nothing into the copies of
// a closure that it would make.

//go:noinline
func on32(f loop[uint32]) execFn {
	return func(w *warp, in *instr, mask uint32) status {
		f(w.out32(in, mask), at(w.r, in.a), at(w.r, in.b), at(w.r, in.c))
		return w.put32(in, mask)
	}
}

//go:noinline
func on64(f loop[uint64]) execFn {
	return func(w *warp, in *instr, mask uint32) status {
		f(w.out64(in, mask), at(w.d, in.a), at(w.d, in.b), at(w.d, in.c))
		return w.put64(in, mask)
	}
}

// to32 and to64 make executors whose operands are not all of the result's width.
//
//go:noinline
func to32(f func(w *warp, in *instr, d *reg32)) execFn {
	return func(w *warp, in *instr, mask uint32) status {
		f(w, in, w.out32(in, mask))
		return w.put32(in, mask)
	}
}

//go:noinline
func to64(f func(w *warp, in *instr, d *reg64)) execFn {
	return func(w *warp, in *instr, mask uint32) status {
		f(w, in, w.out64(in, mask))
		return w.put64(in, mask)
	}
}

// onPred makes the executor of a predicate from predicates.
//
//go:noinline
func onPred(f func(a, b uint32) uint32) execFn {
	return func(w *warp, in *instr, mask uint32) status {
		return w.putPred(in, mask, f(w.pr[in.a], w.pr[max(in.b, 0)]))
	}
}

func same[T any](a, _ T) T              { return a }
func and[T integer](a, b T) T           { return a & b }
func or[T integer](a, b T) T            { return a | b }
func xor[T integer](a, b T) T           { return a ^ b }
func not[T integer](a, _ T) T           { return ^a }
func move[T integer](d, a, _, _ *[32]T) { *d = *a }

// The loops look at their operands first, not in every lane, for nil.

func add[T integer](d, a, b, _ *[32]T) {
	_, _, _ = *d, *a, *b
	for i := range d {
		d[i] = a[i] + b[i]
	}
}

func sub[T integer](d, a, b, _ *[32]T) {
	_, _, _ = *d, *a, *b
	for i := range d {
		d[i] = a[i] - b[i]
	}
}

func mul[T integer](d, a, b, _ *[32]T) {
	_, _, _ = *d, *a, *b
	for i := range d {
		d[i] = a[i] * b[i]
	}
}

func mad[T integer](d, a, b, c *[32]T) {
	_, _, _, _ = *d, *a, *b, *c
	for i := range d {
		d[i] = a[i]*b[i] + c[i]
	}
}

// Shift amounts beyond the width count as the width (PTX ISA 9.0 §9.7.8.8),
// which is what Go's shifts do.

func shl[T integer](d, a *[32]T, b *reg32) {
	_, _, _ = *d, *a, *b
	for i := range d {
		d[i] = a[i] << b[i]
	}
}

func shr[S int32 | int64 | uint32 | uint64, T integer](d, a *[32]T, b *reg32) {
	_, _, _ = *d, *a, *b
	for i := range d {
		d[i] = T(S(a[i]) >> b[i])
	}
}

//go:noinline
func shift32(f func(d, a, b *reg32)) execFn {
	return on32(func(d, a, b, _ *reg32) { f(d, a, b) })
}

//go:noinline
func shift64(f func(d, a *reg64, b *reg32)) execFn {
	return to64(func(w *warp, in *instr, d *reg64) { f(d, &w.d[in.a], &w.r[in.b]) })
}

// byLane makes the loop of what is rare from a function of one lane.
func byLane[T integer](op func(a, b T) T) loop[T] {
	return func(d, a, b, _ *[32]T) {
		if b == nil {
			b = a
		}
		for i := range d {
			d[i] = op(a[i], b[i])
		}
	}
}

func least[S int32 | int64 | uint32 | uint64, T integer](a, b T) T { return T(min(S(a), S(b))) }
func most[S int32 | int64 | uint32 | uint64, T integer](a, b T) T  { return T(max(S(a), S(b))) }

func mulHi(a, b uint32) uint32 { return uint32(uint64(a) * uint64(b) >> 32) }
func neg(a, _ uint32) uint32   { return -a }
func abs(a, _ uint32) uint32   { return uint32(max(int32(a), -int32(a))) }
func popc(a, _ uint32) uint32  { return uint32(bits.OnesCount32(a)) }
func clz(a, _ uint32) uint32   { return uint32(bits.LeadingZeros32(a)) }

func mulWide[S int32 | uint32](w *warp, in *instr, d *reg64) {
	a, b := &w.r[in.a], &w.r[in.b]
	for i := range d {
		d[i] = uint64(int64(S(a[i])) * int64(S(b[i])))
	}
}

func madWide[S int32 | uint32](w *warp, in *instr, d *reg64) {
	a, b, c := &w.r[in.a], &w.r[in.b], &w.d[in.c]
	for i := range d {
		d[i] = uint64(int64(S(a[i]))*int64(S(b[i]))) + c[i]
	}
}

func div[S int32 | int64 | uint32 | uint64, T integer](a, b T) T { return T(S(a) / S(b)) }
func rem[S int32 | int64 | uint32 | uint64, T integer](a, b T) T { return T(S(a) % S(b)) }

//go:noinline
func divide32(op func(a, b uint32) uint32) execFn {
	return func(w *warp, in *instr, mask uint32) status { return divide(w, w.r, in, mask, op) }
}

//go:noinline
func divide64(op func(a, b uint64) uint64) execFn {
	return func(w *warp, in *instr, mask uint32) status { return divide(w, w.d, in, mask, op) }
}

// divide reports a zero divisor; unchecked it gives all ones, as machines do
// where the ISA leaves the value open.
func divide[T integer](w *warp, file [][32]T, in *instr, mask uint32, op func(a, b T) T) status {
	d, a, b := &file[in.d], &file[in.a], &file[in.b]
	for l := range lanesOf(mask) {
		switch {
		case b[l] != 0:
			d[l] = op(a[l], b[l])
		case w.checks(CheckDivide):
			w.fail(in, l, CheckDivide, 0, "%d divided by zero", a[l])
		default:
			d[l] = ^T(0)
		}
	}
	return stNext
}

// prmt picks four bytes of b:a by the nibbles of c; bit 3 of a nibble
// spreads the byte's sign (PTX ISA 9.0 §9.7.9.7).
func prmt(d, a, b, c *reg32) {
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
}

func selp[T integer](d, a, b *[32]T, p uint32) {
	_, _, _ = *d, *a, *b
	for i := range d {
		s := -T(p >> i & 1)
		d[i] = a[i]&s | b[i]&^s
	}
}

func selp32(w *warp, in *instr, d *reg32) { selp(d, &w.r[in.a], &w.r[in.b], w.pr[in.c]) }
func selp64(w *warp, in *instr, d *reg64) { selp(d, &w.d[in.a], &w.d[in.b], w.pr[in.c]) }

// bit is 1 for true.
func bit(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

func buildMovSpecial(_ *decoder, in *instr) error {
	in.exec = on32(move[uint32])
	if in.form.Operands[0].Class == inst.ClassB64 {
		in.exec = on64(move[uint64])
	}
	return nil
}

func buildMovSymbol(d *decoder, in *instr) error {
	v := d.arg("a").imm
	wide := in.form.Operands[0].Class == inst.ClassB64
	if !wide && v > math.MaxUint32 {
		return fmt.Errorf("address %#x does not fit 32 bits", v)
	}
	if in.a = d.const32(uint32(v)); wide {
		in.a = d.const64(v)
	}
	return buildMovSpecial(d, in)
}

func movPack(w *warp, in *instr, d *reg64) {
	lo, hi := &w.r[in.va[0]], &w.r[in.va[1]]
	for i := range d {
		d[i] = uint64(lo[i]) | uint64(hi[i])<<32
	}
}

func movUnpack32(w *warp, in *instr, l int) {
	v := w.r[in.a][l]
	w.r[in.vd[0]][l], w.r[in.vd[1]][l] = v&0xffff, v>>16
}

func movUnpack64(w *warp, in *instr, l int) {
	v := w.d[in.a][l]
	w.r[in.vd[0]][l], w.r[in.vd[1]][l] = uint32(v), uint32(v>>32)
}

// cvtaParam turns an address in param space into a generic one.
func cvtaParam(w *warp, in *instr, d *reg64) {
	for i, a := range &w.d[in.a] {
		d[i] = a + paramWindow
	}
}

// relation makes the executor of a comparison: of "less" or "equal" in all lanes, with
// operands swapped or the result inverted for the other four.
//
//go:noinline
func relation[T integer](file func(w *warp) [][32]T, test func(a, b *[32]T) uint32, swap bool, flip uint32) execFn {
	return func(w *warp, in *instr, mask uint32) status {
		f, a, b := file(w), in.a, in.b
		if swap {
			a, b = b, a
		}
		return w.putPred(in, mask, test(&f[a], &f[b])^flip)
	}
}

func file32(w *warp) []reg32 { return w.r }
func file64(w *warp) []reg64 { return w.d }

func relations[T integer](file func(w *warp) [][32]T, less, equal func(a, b *[32]T) uint32) map[inst.Cmp]execFn {
	return map[inst.Cmp]execFn{
		inst.EQ: relation(file, equal, false, 0), inst.NE: relation(file, equal, false, fullMask),
		inst.LT: relation(file, less, false, 0), inst.GE: relation(file, less, false, fullMask),
		inst.GT: relation(file, less, true, 0), inst.LE: relation(file, less, true, fullMask),
	}
}

var comparisons = map[inst.Type]map[inst.Cmp]execFn{
	inst.S32: relations(file32, less[int32, uint32], equal[uint32]),
	inst.U32: relations(file32, less[uint32, uint32], equal[uint32]),
	inst.S64: relations(file64, less[int64, uint64], equal[uint64]),
	inst.U64: relations(file64, less[uint64, uint64], equal[uint64]),
	// Ordered, "ne" too: false when an operand is a NaN (PTX ISA 9.0 §9.7.6.1).
	inst.F32: {
		inst.EQ: relation(file32, equalF32, false, 0), inst.NE: relation(file32, unlikeF32, false, 0),
		inst.LT: relation(file32, lessF32, false, 0), inst.LE: relation(file32, notMoreF32, false, 0),
		inst.GT: relation(file32, lessF32, true, 0), inst.GE: relation(file32, notMoreF32, true, 0),
	},
}

func less[S int32 | int64 | uint32 | uint64, T integer](a, b *[32]T) (v uint32) {
	_, _ = *a, *b
	for i := range a {
		v |= bit(S(a[i]) < S(b[i])) << i
	}
	return v
}

func equal[T integer](a, b *[32]T) (v uint32) {
	_, _ = *a, *b
	for i := range a {
		v |= bit(a[i] == b[i]) << i
	}
	return v
}

func buildSetp(_ *decoder, in *instr) error {
	if in.exec = comparisons[in.form.Type][in.form.Cmp]; in.exec == nil {
		return fmt.Errorf("this comparison is not executed")
	}
	return nil
}
