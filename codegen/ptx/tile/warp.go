// Package tile is the language that kernels are written in: accumulators and
// operand fragments in registers, tiles in shared memory, the products of both
// families, copies, rings, masks and row statistics. It knows matrices and lanes; what
// is attention is in the packages that use it.
//
// The order in which a function emits is part of it: rewriting one must not change a
// kernel's normal form.
package tile

import (
	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/ir/layout"
)

// FullMask names all lanes of a warp.
const FullMask = 0xffffffff

// Rows is the rows of an accumulator that a warp holds.
const Rows = layout.WarpRows

// Warp is the 32 lanes that hold a product's rows together.
type Warp struct {
	B    *ptx.Builder
	Lane ptx.R32
}

// Row is the first of the two rows that this lane has of every accumulator; the
// other is eight below.
func (w *Warp) Row() ptx.R32 { return w.B.ShrU32(w.Lane, ptx.Imm(2)) }

// quarter is which of the four lanes of a row this is.
func (w *Warp) quarter() ptx.R32 { return w.B.AndB32(w.Lane, ptx.Imm(3)) }

// Column is the first of the two columns that this lane has of every fragment.
func (w *Warp) Column() ptx.R32 { return w.B.ShlB32(w.quarter(), ptx.Imm(1)) }

// NotFirstOfRow is whether another lane speaks for this lane's row.
func (w *Warp) NotFirstOfRow() ptx.Pred { return w.B.SetpNeS32(w.quarter(), ptx.Imm(0)) }

// Any is whether p holds in some lane, All in every lane.
func (w *Warp) Any(p ptx.Pred) ptx.Pred { return w.B.VoteSyncAnyPred(p, ptx.Imm(FullMask)) }
func (w *Warp) All(p ptx.Pred) ptx.Pred { return w.B.VoteSyncAllPred(p, ptx.Imm(FullMask)) }

// Sync makes what the warp's lanes have stored visible to one another.
func (w *Warp) Sync() { w.B.BarWarpSync(ptx.Imm(FullMask)) }

// FromFirst is lane 0's value in all lanes.
func (w *Warp) FromFirst(v ptx.R32) ptx.R32 {
	return w.B.ShflSyncIdxB32(v, ptx.Imm(0), ptx.Imm(31), ptx.Imm(FullMask))
}

// exchange is the value of the lane whose number differs in one bit.
func (w *Warp) exchange(v ptx.F32, distance int) ptx.F32 {
	return w.B.ShflSyncBflyB32F32(v, ptx.Imm(distance), ptx.Imm(31), ptx.Imm(FullMask))
}

// Across combines v, in place, with the lanes at each distance in turn.
func (w *Warp) Across(v ptx.F32, distances []int, combine func(d, a ptx.F32, b ptx.SrcF32)) {
	for _, distance := range distances {
		combine(v, v, w.exchange(v, distance))
	}
}
