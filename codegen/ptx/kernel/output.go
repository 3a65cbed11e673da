package kernel

import (
	"math"

	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/codegen/ptx/inst"
	"github.com/s2attention/s2c/codegen/ptx/tile"
	"github.com/s2attention/s2c/ir/layout"
)

// StoreLSE writes max·scale + ln(sum), natural, fp32, [batch, heads, q_len]; a
// row that saw nothing gets −∞.
func (f *Frame) StoreLSE(s *Softmax, done Finished) {
	b := f.B
	b.Comment("log-sum-exp, by the first lane of a row, if wanted")
	b.Block("no_lse", func(end ptx.Point) {
		lse := Param64(b, "lse")
		end.If(b.SetpEqU64(lse, ptx.Imm(0)))
		end.If(f.NotFirstOfRow())
		at := f.lseRow(lse)
		for r := range done.Empty {
			query, ok := f.Query(b.AddS32(f.WarpPos, b.AddS32(f.Row(), ptx.Imm(8*r))))
			b.If(ok).StGlobalF32(at(query), s.logSum(s.Max[r], s.Sum[r], done.Empty[r]))
		}
	})
}

// lseRow gives the address of a query's log-sum-exp in the output lse.
func (f *Frame) lseRow(lse ptx.R64) func(query ptx.R32) ptx.Addr {
	b := f.B
	line := b.MadWideU32(f.Tile.Batch, ptx.Imm(f.K.Shape.Heads), b.CvtU64U32(f.WarpHead))
	base := b.CvtaToGlobalU64(lse)
	return func(query ptx.R32) ptx.Addr {
		index := b.MadLoS64(line, b.CvtU64U32(f.Lengths.QLen), b.CvtS64S32(query))
		return b.AddS64(base, b.ShlB64(index, ptx.Imm(2))).At(0)
	}
}

// logSum is the natural log-sum-exp of a row by its maximum and its sum: the
// reference that the weights were taken by, and what they sum to.
func (s *Softmax) logSum(most, sum ptx.F32, empty ptx.Pred) ptx.F32 {
	b := s.b
	value := b.AddFtzF32(b.MulFtzF32(most, s.Scale), b.Lg2ApproxFtzF32(sum))
	return b.SelpF32(minusInf, b.MulFtzF32(value, ptx.FImm(math.Ln2)), empty)
}

// StageOutput puts this warp's finished rows into shared memory as 16-bit
// numbers: acc × inverse, in tile t at address base, from row firstRow on. Only
// this warp reads them back. It returns whether a number of this lane is not finite.
func (f *Frame) StageOutput(t layout.SmemTile, base, firstRow ptx.R32, acc tile.Acc, done Finished) (spoilt ptx.Pred) {
	b := f.B
	b.Comment("output rows through shared memory, each warp its own")
	zero := b.Const32(0)
	products := b.Const32(0) // of numbers and 0: NaN unless all are finite
	fma := tile.PairForm("fma.rn.", f.K.Shape.DType)
	acc.EachPair(t, base, firstRow, func(r int, lo, hi ptx.F32, at ptx.SAddr) {
		pair := f.Pack(b.MulFtzF32(lo, done.Inverse[r]), b.MulFtzF32(hi, done.Inverse[r]), f.K.Shape.DType)
		b.StSharedB32(at, pair)
		b.Emit(fma, products.Reg, pair.Reg, zero.Reg, products.Reg)
	})
	f.Sync()
	return b.SetpNeS32(products, ptx.Imm(0))
}

// StoreOutput writes what StageOutput left, 16 bytes a lane, whole rows of a
// slab side by side.
func (f *Frame) StoreOutput(t layout.SmemTile, base, firstRow ptx.R32) {
	b := f.B
	to := f.TensorBase("o", f.WarpHead)
	stride := f.Stride("o_seq")
	for _, c := range f.PlanCopies(t, f.K.Shape.HeadDim, layout.WarpRows, f.Lane, inst.WarpSize) {
		rows := b.MadLoS32(firstRow, ptx.Imm(c.Slabs[0].RowBytes()), base)
		for n := range c.Rounds {
			query, ok := f.Query(b.AddS32(f.WarpPos, c.Row(n)))
			at := b.MadLoS64(b.CvtS64S32(query), stride, to)
			c.Store(rows, n, c.Chunk(at), ok)
		}
	}
}
