package kernel

import (
	"math"

	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/codegen/ptx/inst"
	"github.com/s2attention/s2c/ir/layout"
)

// StoreLSE writes max·scale + ln(sum), natural, fp32, [batch, heads, q_len]; a
// row that saw nothing gets −∞. The sums are those of Finish.
func (f *Frame) StoreLSE(s *Softmax, empty [2]ptx.Pred) {
	b := f.B
	b.Comment("log-sum-exp, by the first lane of a row, if wanted")
	done := b.NewLabel("no_lse")
	lse := Param64(b, "lse")
	b.If(b.SetpEqU64(lse, ptx.Imm(0))).Bra(done)
	b.If(b.SetpNeS32(b.AndB32(f.Lane, ptx.Imm(3)), ptx.Imm(0))).Bra(done)
	at := f.lseRow(lse)
	for r := range 2 {
		query, ok := f.Query(b.AddS32(f.WarpPos, b.AddS32(b.ShrU32(f.Lane, ptx.Imm(2)), ptx.Imm(8*r))))
		b.If(ok).StGlobalF32(at(query), s.logSum(s.Max[r], s.Sum[r], empty[r]))
	}
	b.Place(done)
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
func (f *Frame) StageOutput(t layout.SmemTile, base, firstRow ptx.R32, acc [][]ptx.F32, inverse [2]ptx.F32) (spoilt ptx.Pred) {
	b := f.B
	b.Comment("output rows through shared memory, each warp its own")
	zero := b.Const32(0)
	products := b.Const32(0) // of numbers and 0: NaN unless all are finite
	row := b.ShrU32(f.Lane, ptx.Imm(2))
	word := b.ShlB32(b.AndB32(f.Lane, ptx.Imm(3)), ptx.Imm(2))
	for n, frag := range acc {
		s := t.Slab(n * 8)
		tile := b.MadLoS32(firstRow, ptx.Imm(s.RowBytes()), base)
		chunk := b.Const32(int64((n*8 - s.Col) / s.ChunkCols()))
		at := b.AddS32(b.AddS32(tile, word), f.Swizzled(s, row, chunk))
		for r := range 2 {
			lo := b.MulFtzF32(frag[2*r], inverse[r])
			hi := b.MulFtzF32(frag[2*r+1], inverse[r])
			pair := b.NewR32()
			b.Emit(f.PackForm(), pair.Reg, hi.Reg, lo.Reg)
			b.StSharedB32(at.At(s.Offset+8*r*s.RowBytes()), pair)
			b.Emit(f.pairForm("fma.rn."), products.Reg, pair.Reg, zero.Reg, products.Reg)
		}
	}
	b.BarWarpSync(ptx.Imm(FullMask))
	return b.SetpNeS32(products, ptx.Imm(0))
}

// StoreOutput writes what StageOutput left, 16 bytes a lane, whole rows of a
// slab side by side.
func (f *Frame) StoreOutput(t layout.SmemTile, base, firstRow ptx.R32) {
	b := f.B
	to := f.TensorBase("o", f.WarpHead)
	stride := f.Stride("o_seq")
	for _, c := range f.PlanCopies(t, layout.WarpRows, f.Lane, inst.WarpSize) {
		tile := b.MadLoS32(firstRow, ptx.Imm(c.Slabs[0].RowBytes()), base)
		for n := range c.Rounds {
			query, ok := f.Query(b.AddS32(f.WarpPos, b.AddS32(c.Row, ptx.Imm(n*c.Rows))))
			at := b.MadLoS64(b.CvtS64S32(query), stride, to)
			at = b.MadWideU32(c.Chunk, ptx.Imm(layout.ChunkBytes), at)
			for i, s := range c.Slabs {
				data := b.R32s(4)
				b.LdSharedV4B32(data, c.To(b, tile, i, n))
				b.If(c.Valid(b, i, ok)).StGlobalV4B32(at.At(s.Col*s.Elem), data)
			}
		}
	}
}
