package sm80

import (
	"math"

	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/codegen/ptx/inst"
	"github.com/s2attention/s2c/codegen/ptx/kernel"
	"github.com/s2attention/s2c/ir/layout"
)

// epilogue divides by the row sums and writes the output, through this warp's
// own rows of the query tile, and the log-sum-exp. A row that saw nothing gives
// 0 and −∞.
func (e *emitter) epilogue() {
	b := e.b
	b.Comment("row sums across the four lanes of a row")
	var inverse [2]ptx.F32
	var empty [2]ptx.Pred
	for r := range 2 {
		for _, distance := range []int{1, 2} {
			other := b.ShflSyncBflyB32F32(e.sum[r], ptx.Imm(distance), ptx.Imm(31), ptx.Imm(fullMask))
			b.AddFtzF32To(e.sum[r], e.sum[r], other)
		}
		empty[r] = b.SetpEqF32(e.sum[r], ptx.FImm(0))
		inverse[r] = b.SelpF32(ptx.FImm(0), b.RcpApproxFtzF32(e.sum[r]), empty[r])
	}
	e.storeLSE(empty)
	e.stageOutput(inverse)
	e.storeOutput()
}

// storeLSE writes max·scale + ln(sum), natural, fp32, [batch, heads, q_len].
func (e *emitter) storeLSE(empty [2]ptx.Pred) {
	b := e.b
	b.Comment("log-sum-exp, by the first lane of a row, if wanted")
	done := b.NewLabel("no_lse")
	lse := kernel.Param64(b, "lse")
	b.If(b.SetpEqU64(lse, ptx.Imm(0))).Bra(done)
	b.If(b.SetpNeS32(b.AndB32(e.lane, ptx.Imm(3)), ptx.Imm(0))).Bra(done)
	heads := ptx.Imm(e.k.Shape.Heads)
	line := b.MadWideU32(e.tile.Batch, heads, b.CvtU64U32(e.warpHead))
	base := b.CvtaToGlobalU64(lse)
	for r := range 2 {
		pos := b.AddS32(e.warpPos, b.AddS32(b.ShrU32(e.lane, ptx.Imm(2)), ptx.Imm(8*r)))
		query := b.SubS32(pos, e.lengths.Offset)
		value := b.FmaRnFtzF32(e.max[r], e.scale, b.Lg2ApproxFtzF32(e.sum[r]))
		value = b.SelpF32(minusInf, b.MulFtzF32(value, ptx.FImm(math.Ln2)), empty[r])
		index := b.MadLoS64(line, b.CvtU64U32(e.lengths.QLen), b.CvtS64S32(query))
		at := b.AddS64(base, b.ShlB64(index, ptx.Imm(2)))
		ok := b.AndPred(b.SetpGeS32(query, ptx.Imm(0)), b.SetpLtS32(pos, e.lengths.KLen))
		b.If(ok).StGlobalF32(at.At(0), value)
	}
	b.Place(done)
}

// stageOutput puts the finished rows into shared memory as 16-bit numbers.
func (e *emitter) stageOutput(inverse [2]ptx.F32) {
	b := e.b
	b.Comment("output rows through this warp's rows of the query tile")
	row := b.ShrU32(e.lane, ptx.Imm(2))
	word := b.ShlB32(b.AndB32(e.lane, ptx.Imm(3)), ptx.Imm(2))
	for n, acc := range e.acc {
		s := e.qTile.Slab(n * 8)
		tile := b.MadLoS32(e.warp, ptx.Imm(rowsPerWarp*s.RowBytes()), e.smem)
		chunk := b.Const32(int64((n*8 - s.Col) / 8))
		at := b.AddS32(b.AddS32(tile, word), e.swizzled(s, row, chunk))
		for r := range 2 {
			lo := b.MulFtzF32(acc[2*r], inverse[r])
			hi := b.MulFtzF32(acc[2*r+1], inverse[r])
			pair := b.NewR32()
			b.Emit(e.pack, pair.Reg, hi.Reg, lo.Reg)
			b.StSharedB32(at.At(s.Offset+8*r*s.RowBytes()), pair)
		}
	}
	b.BarWarpSync(ptx.Imm(fullMask))
}

// storeOutput writes 16 bytes a lane, whole rows of a slab side by side.
func (e *emitter) storeOutput() {
	b := e.b
	base := e.tensorBase("o", e.warpHead)
	stride := kernel.Stride(b, "o_seq")
	for _, c := range e.planCopies(e.qTile, rowsPerWarp, e.lane, inst.WarpSize) {
		tile := b.MadLoS32(e.warp, ptx.Imm(rowsPerWarp*c.slabs[0].RowBytes()), e.smem)
		for n := range c.rounds {
			pos := b.AddS32(e.warpPos, b.AddS32(c.row, ptx.Imm(n*c.rows)))
			query := b.SubS32(pos, e.lengths.Offset)
			ok := b.AndPred(b.SetpGeS32(query, ptx.Imm(0)), b.SetpLtS32(pos, e.lengths.KLen))
			at := b.MadLoS64(b.CvtS64S32(query), stride, base)
			at = b.MadWideU32(c.chunk, ptx.Imm(layout.ChunkBytes), at)
			for i, s := range c.slabs {
				data := b.R32s(4)
				b.LdSharedV4B32(data, c.to(b, tile, i, n))
				b.If(c.valid(b, i, ok)).StGlobalV4B32(at.At(s.Col*2), data)
			}
		}
	}
}
