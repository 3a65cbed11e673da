package kernel

import (
	"math"

	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/codegen/ptx/tile"
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

// AtEdge is whether some token of the chunks lies past the end, or ahead of rows from a
// position on.
func (f *Frame) AtEdge(c Chunks, position ptx.R32) ptx.Pred {
	b := f.B
	last := c.Base[0]
	for _, base := range c.Base[1:] {
		last = b.MaxS32(last, base)
	}
	last = b.AddS32(last, ptx.Imm(c.Tokens-1))
	edge := b.SetpGeS32(last, f.Lengths.KLen)
	if f.K.Shape.Causal {
		edge = b.OrPred(edge, b.SetpGtS32(last, position))
	}
	return edge
}

// MaskIfNeeded masks the scores of a diagonal, tail or partial tile. A full tile
// branches over all of it.
func (f *Frame) MaskIfNeeded(scores tile.Acc, c Chunks, present *ptx.R32) {
	b := f.B
	b.Comment("masks: only a tile at the diagonal, at the end or with missing chunks needs them")
	need := f.AtEdge(c, f.WarpPos)
	if present != nil {
		need = b.OrPred(need, b.SetpNeS32(*present, ptx.Imm(1<<len(c.Base)-1)))
	}
	b.When(need, "full_tile", func() { f.Mask(scores, c, present) })
}

// Mask sets the scores that do not count to −∞. The scores' rows are queries; a row
// sees the first of each chunk's tokens, none of a chunk that is not present. Sets of
// tokens that begin within a block would give a run its From.
func (f *Frame) Mask(scores tile.Acc, c Chunks, present *ptx.R32) {
	b := f.B
	var limit [2]ptx.R32 // the first token that a row must not see
	for r := range limit {
		limit[r] = f.Lengths.KLen
		if f.K.Shape.Causal {
			row := b.AddS32(f.Row(), ptx.Imm(8*r+1))
			limit[r] = b.MinS32(b.AddS32(f.WarpPos, row), f.Lengths.KLen)
		}
	}
	col := f.Column()
	for g, base := range c.Base {
		rel := b.AddS32(base, col) // the lane's first token of the chunk
		run := tile.Run{To: make([]ptx.R32, 2)}
		for r := range run.To {
			run.To[r] = b.SubS32(limit[r], rel)
			if present != nil {
				in := b.SetpNeS32(b.AndB32(*present, ptx.Imm(1<<g)), ptx.Imm(0))
				run.To[r] = b.SelpB32(run.To[r], ptx.Imm(math.MinInt32), in)
			}
		}
		scores.Part(g*c.Tokens, c.Tokens).Keep(run, minusInf)
	}
}
