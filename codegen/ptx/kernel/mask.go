package kernel

import (
	"math"

	"github.com/s2attention/s2c/codegen/ptx"
)

// Chunks says where the parts of a KV tile come from: Tokens at a time from one
// key block each.
type Chunks struct {
	Tokens int
	Base   []ptx.R32 // first token of each chunk; a missing chunk lies past the end
	Member []ptx.R32 // query blocks that attend each chunk, where that varies
}

// Presence is a bit for each chunk that exists and that this warp's query block
// attends; nil stands for "all".
func (f *Frame) Presence(c Chunks, members bool) *ptx.R32 {
	b := f.B
	if !members && len(c.Base) == 1 {
		return nil
	}
	bits := b.Const32(0)
	for g, base := range c.Base {
		in := b.SetpLtS32(base, f.Lengths.KLen)
		if members {
			bit := b.AndB32(b.ShrU32(c.Member[g], f.warpBlock()), ptx.Imm(1))
			in = b.AndPred(in, b.SetpNeS32(bit, ptx.Imm(0)))
		}
		b.OrB32To(bits, bits, b.SelpB32(ptx.Imm(1<<g), ptx.Imm(0), in))
	}
	return &bits
}

// MaskIfNeeded masks the scores of a diagonal, tail or partial tile. A full tile
// branches over all of it.
func (f *Frame) MaskIfNeeded(scores [][]ptx.F32, c Chunks, present *ptx.R32) {
	b := f.B
	b.Comment("masks: only a tile at the diagonal, at the end or with missing chunks needs them")
	last := c.Base[0]
	for _, base := range c.Base[1:] {
		last = b.MaxS32(last, base)
	}
	last = b.AddS32(last, ptx.Imm(c.Tokens-1))
	need := b.SetpGeS32(last, f.Lengths.KLen)
	if f.K.Shape.Causal {
		need = b.OrPred(need, b.SetpGtS32(last, f.WarpPos))
	}
	if present != nil {
		need = b.OrPred(need, b.SetpNeS32(*present, ptx.Imm(1<<len(c.Base)-1)))
	}
	full := b.NewLabel("full_tile")
	b.Unless(need).Bra(full)
	f.Mask(scores, c, present)
	b.Place(full)
}

// Mask sets the scores that do not count to −∞. A lane's columns of fragment n
// are tokens 8n + 2·(lane mod 4) and the next, its rows lane / 4 and eight on.
func (f *Frame) Mask(scores [][]ptx.F32, c Chunks, present *ptx.R32) {
	b := f.B
	var limit [2]ptx.R32 // the first token that a row must not see
	for r := range limit {
		limit[r] = f.Lengths.KLen
		if f.K.Shape.Causal {
			row := b.AddS32(b.ShrU32(f.Lane, ptx.Imm(2)), ptx.Imm(8*r+1))
			limit[r] = b.MinS32(b.AddS32(f.WarpPos, row), f.Lengths.KLen)
		}
	}
	col := b.ShlB32(b.AndB32(f.Lane, ptx.Imm(3)), ptx.Imm(1))
	for g, base := range c.Base {
		rel := b.AddS32(base, col) // the lane's first token of the chunk
		var room [2]ptx.R32        // columns from rel on that count
		for r := range room {
			room[r] = b.SubS32(limit[r], rel)
			if present != nil {
				in := b.SetpNeS32(b.AndB32(*present, ptx.Imm(1<<g)), ptx.Imm(0))
				room[r] = b.SelpB32(room[r], ptx.Imm(math.MinInt32), in)
			}
		}
		for n := range c.Tokens / 8 {
			frag := scores[g*c.Tokens/8+n]
			for i := range frag {
				keep := b.SetpGtS32(room[i/2], ptx.Imm(8*n+i%2))
				b.SelpF32To(frag[i], frag[i], minusInf, keep)
			}
		}
	}
}
