package sm80

import (
	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/codegen/ptx/kernel"
	"github.com/s2attention/s2c/ir/layout"
)

// loadQuery copies the query tile; rows outside the queries become zero.
func (e *emitter) loadQuery() {
	b := e.b
	b.Comment("query tile: row r is head r / %d, position r mod %d", e.K.Positions, e.K.Positions)
	stride := e.Stride("q_seq")
	for _, c := range e.PlanCopies(e.qTile, e.K.Rows, e.tid, e.b.Entry().Threads) {
		for n := range c.Rounds {
			row := b.AddS32(c.Row, ptx.Imm(n*c.Rows))
			slot := b.DivU32(row, ptx.Imm(e.K.Positions))
			pos := b.AddS32(e.Tile.Position, b.SubS32(row, b.MulLoS32(slot, ptx.Imm(e.K.Positions))))
			query, ok := e.Query(pos)
			at := e.TensorBase("q", b.AddS32(e.Head.FirstHead, slot))
			at = b.MadLoS64(b.CvtS64S32(query), stride, at)
			at = b.MadWideU32(c.Chunk, ptx.Imm(layout.ChunkBytes), at)
			e.copyChunks(&c, e.smem, n, at, ok)
		}
	}
	b.CpAsyncCommitGroup()
}

// copyChunks issues a round's 16-byte copies into each slab, of zeros unless ok.
func (e *emitter) copyChunks(c *kernel.CopyPlan, tile ptx.R32, n int, from ptx.R64, ok ptx.Pred) {
	b := e.b
	for i, s := range c.Slabs {
		bytes := b.SelpB32(ptx.Imm(layout.ChunkBytes), ptx.Imm(0), c.Valid(b, i, ok))
		to := c.To(b, tile, i, n)
		guarded := b
		if c.Partial {
			guarded = b.If(c.Active)
		}
		guarded.CpAsyncCgSharedGlobal(to, from.At(s.Col*s.Elem), ptx.Imm(layout.ChunkBytes), bytes)
	}
}

// kvSource is where a thread's share of a KV tensor starts: one address for
// each plan, and the distance of two tokens.
type kvSource struct {
	base   []ptx.R64
	stride ptx.R64
}

// planKV prepares what the main loop's copies have in common.
func (e *emitter) planKV() {
	b := e.b
	b.Comment("this thread's share of a KV tile")
	e.kvPlans = e.PlanCopies(e.kvTile, e.K.KVTile, e.tid, e.b.Entry().Threads)
	for _, name := range []string{"k", "v"} {
		src := kvSource{stride: e.Stride(name + "_seq")}
		base := e.TensorBase(name, e.Head.KVHead)
		for _, c := range e.kvPlans {
			src.base = append(src.base, b.MadWideU32(c.Chunk, ptx.Imm(layout.ChunkBytes), base))
		}
		e.kv[name] = src
	}
}

// loadKV copies the keys ("k") or values ("v") of a KV tile. Tokens past the end
// and missing chunks become zero: a zero value times a zero weight stays zero.
func (e *emitter) loadKV(name string, t kernel.KVTile, buf ptx.R32) {
	b := e.b
	skip := b.NewLabel("no_" + name)
	b.Unless(t.Valid).Bra(skip)
	b.Comment("copy the %s tile", name)
	src := e.kv[name]
	for i := range e.kvPlans {
		c := &e.kvPlans[i]
		for n := range c.Rounds {
			token := e.tokenOf(c, t, n)
			at := b.MadLoS64(b.CvtU64U32(token), src.stride, src.base[i])
			e.copyChunks(c, buf, n, at, b.SetpLtS32(token, e.Lengths.KLen))
		}
	}
	b.Place(skip)
}

// tokenOf is the token that this thread's row of round n holds.
func (e *emitter) tokenOf(c *kernel.CopyPlan, t kernel.KVTile, n int) ptx.R32 {
	b := e.b
	first := n * c.Rows
	if c.Rows <= t.Tokens { // the whole round lies in one chunk
		return b.AddS32(b.AddS32(t.Base[first/t.Tokens], c.Row), ptx.Imm(first%t.Tokens))
	}
	within := b.AndB32(c.Row, ptx.Imm(t.Tokens-1))
	which := b.DivU32(c.Row, ptx.Imm(t.Tokens))
	base := t.Base[first/t.Tokens]
	for i := 1; i < c.Rows/t.Tokens && first/t.Tokens+i < len(t.Base); i++ {
		base = b.SelpB32(t.Base[first/t.Tokens+i], base, b.SetpEqS32(which, ptx.Imm(i)))
	}
	return b.AddS32(base, within)
}
