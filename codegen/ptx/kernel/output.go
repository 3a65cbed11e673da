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
	line := b.MadWideU32(f.Tile.Batch, ptx.Imm(f.K.Shape.Heads), b.CvtU64U32(f.WarpHead))
	base := b.CvtaToGlobalU64(lse)
	for r := range 2 {
		query, ok := f.Query(b.AddS32(f.WarpPos, b.AddS32(b.ShrU32(f.Lane, ptx.Imm(2)), ptx.Imm(8*r))))
		value := b.FmaRnFtzF32(s.Max[r], s.Scale, b.Lg2ApproxFtzF32(s.Sum[r]))
		value = b.SelpF32(minusInf, b.MulFtzF32(value, ptx.FImm(math.Ln2)), empty[r])
		index := b.MadLoS64(line, b.CvtU64U32(f.Lengths.QLen), b.CvtS64S32(query))
		at := b.AddS64(base, b.ShlB64(index, ptx.Imm(2)))
		b.If(ok).StGlobalF32(at.At(0), value)
	}
	b.Place(done)
}

// StageOutput puts this warp's finished rows into shared memory as 16-bit
// numbers: acc × inverse, in tile t at address base, from row firstRow on. Only
// this warp reads them back.
func (f *Frame) StageOutput(t layout.SmemTile, base, firstRow ptx.R32, acc [][]ptx.F32, inverse [2]ptx.F32) {
	b := f.B
	b.Comment("output rows through shared memory, each warp its own")
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
		}
	}
	b.BarWarpSync(ptx.Imm(FullMask))
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
