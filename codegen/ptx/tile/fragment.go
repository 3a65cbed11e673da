package tile

import (
	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/dtype"
)

// Fragments are a warp's 16 rows of a product's A operand, four registers of pairs
// for each 16 columns (PTX ISA 9.0 §9.7.14.5.8; wgmma with A in registers takes
// the same, §9.7.15.5.1.1).
type Fragments struct {
	*Warp
	Type dtype.Type
	regs [][]ptx.R32
}

// NewFragments makes the registers of so many columns.
func (w *Warp) NewFragments(columns int, t dtype.Type) Fragments {
	f := Fragments{Warp: w, Type: t, regs: make([][]ptx.R32, columns/16)}
	for n := range f.regs {
		f.regs[n] = w.B.R32s(4)
	}
	return f
}

// Clear gives the fragments a value where nothing else does.
func (f Fragments) Clear() {
	for _, step := range f.regs {
		for _, r := range step {
			f.B.MovB32To(r, ptx.Imm(0))
		}
	}
}

// Pack rounds an accumulator to the fragments' type: what was a product becomes an
// operand of the next, without leaving its lane.
func (f Fragments) Pack(a Acc) {
	for t, step := range f.regs {
		for i, r := range step {
			x := a.frags[2*t+i/2]
			f.pack(r, x[i%2*2], x[i%2*2+1], f.Type)
		}
	}
}

// pack rounds two numbers into a pair, the first in its low half.
func (w *Warp) pack(pair ptx.R32, lo, hi ptx.F32, t dtype.Type) {
	w.B.Emit(PairForm("cvt.rn.", t)+".f32", pair.Reg, hi.Reg, lo.Reg)
}

// Pack is two numbers as a pair of a type, the first in its low half.
func (w *Warp) Pack(lo, hi ptx.F32, t dtype.Type) ptx.R32 {
	pair := w.B.NewR32()
	w.pack(pair, lo, hi, t)
	return pair
}

// PairForm is an instruction on pairs of a type.
func PairForm(name string, t dtype.Type) string { return name + string(t) + "x2" }

// Step is the registers of the n-th 16 columns.
func (f Fragments) Step(n int) []ptx.R32 { return f.regs[n] }
