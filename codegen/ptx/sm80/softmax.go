package sm80

import (
	"math"

	"github.com/s2attention/s2c/codegen/ptx"
)

const (
	log2e = math.Log2E
	// lowest starts a row's maximum: finite, so that no difference of infinities
	// arises in a row that is still fully masked.
	lowest = -1e30
)

var minusInf = ptx.FImm(float32(math.Inf(-1)))

// scores computes a tile's weights: S = Q Kᵀ, masked where the tile needs it,
// then the online softmax. It returns the fragments of P and, where a warp may
// have no part in the tile, the predicate that it skips it.
func (e *emitter) scores() (skip *ptx.Pred, p [][]ptx.R32) {
	b := e.b
	p = make([][]ptx.R32, e.k.KVTile/16)
	for i := range p {
		p[i] = b.R32s(4)
	}
	over := b.NewLabel("scores_skipped")
	present := e.presence()
	if e.members() {
		out := b.SetpEqS32(present, ptx.Imm(0))
		skip = &out
		e.clear(p)
		b.If(out).Bra(over)
	}
	s := e.queryKey()
	e.maskIfNeeded(s, present)
	e.softmax(s, p)
	b.Place(over)
	return skip, p
}

// clear gives the fragments a value for the path that skips the tile.
func (e *emitter) clear(p [][]ptx.R32) {
	for _, f := range p {
		for _, r := range f {
			e.b.MovB32To(r, ptx.Imm(0))
		}
	}
}

// presence is a bit for each chunk of the tile that exists and that this warp's
// query block attends.
func (e *emitter) presence() ptx.R32 {
	b := e.b
	if !e.members() && e.gather == 1 {
		return b.Const32(1)
	}
	bits := b.Const32(0)
	for g := range e.gather {
		in := b.SetpLtS32(e.cur.base[g], e.lengths.KLen)
		if e.members() {
			block := b.DivU32(b.SubS32(e.warpPos, e.tile.Position), ptx.Imm(e.k.Shape.Block))
			bit := b.AndB32(b.ShrU32(e.cur.member[g], block), ptx.Imm(1))
			in = b.AndPred(in, b.SetpNeS32(bit, ptx.Imm(0)))
		}
		b.OrB32To(bits, bits, b.SelpB32(ptx.Imm(1<<g), ptx.Imm(0), in))
	}
	return bits
}

// maskIfNeeded masks the scores of a diagonal, tail or partial tile. A full tile
// branches over all of it.
func (e *emitter) maskIfNeeded(s [][]ptx.F32, present ptx.R32) {
	b := e.b
	b.Comment("masks: only a tile at the diagonal, at the end or with missing chunks needs them")
	all := e.gather > 1 || e.members()
	last := e.cur.base[0]
	for g := 1; g < e.gather; g++ {
		last = b.MaxS32(last, e.cur.base[g])
	}
	last = b.AddS32(last, ptx.Imm(e.chunk-1))
	need := b.SetpGeS32(last, e.lengths.KLen)
	if e.k.Shape.Causal {
		need = b.OrPred(need, b.SetpGtS32(last, e.warpPos))
	}
	if all {
		need = b.OrPred(need, b.SetpNeS32(present, ptx.Imm(1<<e.gather-1)))
	}
	full := b.NewLabel("full_tile")
	b.Unless(need).Bra(full)
	e.mask(s, present)
	b.Place(full)
}

// mask sets the scores that do not count to −∞. A lane's columns of accumulator
// n are tokens 8n + 2·(lane mod 4) and the next, its rows lane / 4 and eight on.
func (e *emitter) mask(s [][]ptx.F32, present ptx.R32) {
	b := e.b
	var limit [2]ptx.R32 // the first token that a row must not see
	for r := range limit {
		limit[r] = e.lengths.KLen
		if e.k.Shape.Causal {
			row := b.AddS32(b.ShrU32(e.lane, ptx.Imm(2)), ptx.Imm(8*r+1))
			limit[r] = b.MinS32(b.AddS32(e.warpPos, row), e.lengths.KLen)
		}
	}
	col := b.ShlB32(b.AndB32(e.lane, ptx.Imm(3)), ptx.Imm(1))
	for g := range e.gather {
		rel := b.AddS32(e.cur.base[g], col) // the lane's first token of the chunk
		bit := b.AndB32(present, ptx.Imm(1<<g))
		in := b.SetpNeS32(bit, ptx.Imm(0))
		var room [2]ptx.R32 // columns from rel on that count
		for r := range room {
			room[r] = b.SelpB32(b.SubS32(limit[r], rel), ptx.Imm(math.MinInt32), in)
		}
		for n := range e.chunk / 8 {
			acc := s[g*e.chunk/8+n]
			for i := range 4 {
				keep := b.SetpGtS32(room[i/2], ptx.Imm(8*n+i%2))
				b.SelpF32To(acc[i], acc[i], minusInf, keep)
			}
		}
	}
}

// softmax updates the row maxima and sums, rescales the output and turns the
// scores into weights (FlashAttention-2, algorithm 1). Rows 0 and 1 of a lane
// are eight apart.
func (e *emitter) softmax(s [][]ptx.F32, p [][]ptx.R32) {
	b := e.b
	b.Comment("online softmax")
	for r := range 2 {
		most := e.rowMax(s, r)
		alpha := b.Ex2ApproxFtzF32(b.MulFtzF32(b.SubFtzF32(e.max[r], most), e.scale))
		b.MovF32To(e.max[r], most)
		offset := b.NegF32(b.MulFtzF32(most, e.scale))
		b.MulFtzF32To(e.sum[r], e.sum[r], alpha)
		for _, acc := range e.acc {
			b.MulFtzF32To(acc[2*r], acc[2*r], alpha)
			b.MulFtzF32To(acc[2*r+1], acc[2*r+1], alpha)
		}
		for _, acc := range s {
			for i := 2 * r; i < 2*r+2; i++ {
				b.FmaRnFtzF32To(acc[i], acc[i], e.scale, offset)
				b.Ex2ApproxFtzF32To(acc[i], acc[i])
				b.AddFtzF32To(e.sum[r], e.sum[r], acc[i])
			}
		}
	}
	for t := range p { // accumulators 2t and 2t+1 are the A fragment of 16 tokens
		for i := range 4 {
			acc := s[2*t+i/2]
			lo, hi := acc[i%2*2], acc[i%2*2+1]
			b.Emit(e.pack, p[t][i].Reg, hi.Reg, lo.Reg)
		}
	}
}

// rowMax is the maximum of a row so far; the four lanes of a row agree on it.
func (e *emitter) rowMax(s [][]ptx.F32, r int) ptx.F32 {
	b := e.b
	most := b.MaxF32(s[0][2*r], s[0][2*r+1])
	for _, acc := range s[1:] {
		most = b.MaxF32(most, b.MaxF32(acc[2*r], acc[2*r+1]))
	}
	for _, distance := range []int{1, 2} {
		most = b.MaxF32(most, b.ShflSyncBflyB32F32(most, ptx.Imm(distance), ptx.Imm(31), ptx.Imm(fullMask)))
	}
	return b.MaxF32(e.max[r], most)
}

// accumulate adds the tile's P V unless the warp skips it.
func (e *emitter) accumulate(skip *ptx.Pred, p [][]ptx.R32) {
	b := e.b
	if skip == nil {
		e.weightValue(p)
		return
	}
	over := b.NewLabel("values_skipped")
	b.If(*skip).Bra(over)
	e.weightValue(p)
	b.Place(over)
}

const fullMask = 0xffffffff
