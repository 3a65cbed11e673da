package emu

import (
	"fmt"

	"github.com/s2attention/s2c/codegen/ptx/inst"
)

// comparison is a pair of loops, one testing "less", one "equal"; the other four
// comparisons swap the operands or invert the result.
type comparison struct {
	less, equal func(w *warp, a, b int32) uint32
}

var comparisons = map[inst.Type]comparison{
	inst.S32: {less32[int32], equal32},
	inst.U32: {less32[uint32], equal32},
	inst.S64: {less64[int64], equal64},
	inst.U64: {less64[uint64], equal64},
}

func less32[T int32 | uint32](w *warp, ra, rb int32) (v uint32) {
	a, b := &w.r[ra], &w.r[rb]
	for i := range a {
		v |= bit(T(a[i]) < T(b[i])) << i
	}
	return v
}

func equal32(w *warp, ra, rb int32) (v uint32) {
	a, b := &w.r[ra], &w.r[rb]
	for i := range a {
		v |= bit(a[i] == b[i]) << i
	}
	return v
}

func less64[T int64 | uint64](w *warp, ra, rb int32) (v uint32) {
	a, b := &w.d[ra], &w.d[rb]
	for i := range a {
		v |= bit(T(a[i]) < T(b[i])) << i
	}
	return v
}

func equal64(w *warp, ra, rb int32) (v uint32) {
	a, b := &w.d[ra], &w.d[rb]
	for i := range a {
		v |= bit(a[i] == b[i]) << i
	}
	return v
}

func buildSetp(_ *decoder, in *instr) error {
	if in.form.Type == inst.F32 {
		in.exec = floatComparisons[in.form.Cmp]
		return nil
	}
	c, ok := comparisons[in.form.Type]
	if !ok {
		return fmt.Errorf("this type is not executed")
	}
	test, swap, flip := c.less, false, uint32(0)
	switch in.form.Cmp {
	case inst.EQ:
		test = c.equal
	case inst.NE:
		test, flip = c.equal, fullMask
	case inst.LT:
	case inst.GE:
		flip = fullMask
	case inst.GT:
		swap = true
	case inst.LE:
		swap, flip = true, fullMask
	default:
		return fmt.Errorf("this comparison is not executed")
	}
	if swap {
		in.a, in.b = in.b, in.a
	}
	in.exec = func(w *warp, in *instr, mask uint32) status {
		return w.putPred(in, mask, test(w, in.a, in.b)^flip)
	}
	return nil
}
