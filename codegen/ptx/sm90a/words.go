package sm90a

import (
	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/codegen/ptx/kernel"
	"github.com/s2attention/s2c/codegen/ptx/tile"
)

// What a stage of the keys' ring says about its KV tile, a word each.
const (
	wordFlags    = 0
	wordBase     = 1 // first token of each chunk
	wordMembers  = 9 // query blocks that attend each chunk
	wordHead     = 17
	wordPosition = 18 // the query tile's first position
	wordBatch    = 19

	stageWords = 32
)

// Bits of a stage's flags.
const (
	flagMask  = 1 // some score of the tile may not count
	flagLast  = 2 // the tile is its item's last
	flagFinal = 4 // and the item is the thread block's last
)

// words is the address of the keys' stage's words.
func (e *emitter) words(k *tile.Ring) ptx.R32 {
	return k.Beside(e.K.Memory.Region("info").Offset, stageWords*4)
}

// tell writes what the consumers must know of the tile. The arrival on the
// stage's full barrier, by the same thread, publishes it.
func (p *producer) tell() {
	b := p.b
	flags := b.SelpB32(ptx.Imm(flagMask), ptx.Imm(0), p.needsMask())
	last := b.SelpB32(ptx.Imm(flagLast|flagFinal), ptx.Imm(flagLast), p.final)
	b.OrB32To(flags, flags, b.SelpB32(ptx.Imm(0), last, p.next.Valid))
	words := p.words(p.k)
	word := func(n int, v ptx.R32) { b.If(p.issuer).StSharedB32(words.At(n*4), v) }
	word(wordFlags, flags)
	word(wordHead, p.Head.FirstHead)
	word(wordPosition, p.Tile.Position)
	word(wordBatch, p.Tile.Batch)
	for g := range p.K.Gather() {
		word(wordBase+g, p.cur.Base[g])
		if p.members() {
			word(wordMembers+g, p.cur.Member[g])
		}
	}
}

// needsMask says whether the tile touches the diagonal or the end, lacks a
// chunk, or has one that not all query blocks attend.
func (p *producer) needsMask() ptx.Pred {
	b := p.b
	need := p.AtEdge(p.cur.Chunks, p.Tile.Position)
	if p.members() {
		every := p.cur.Member[0]
		for _, m := range p.cur.Member[1:] {
			every = b.AndB32(every, m)
		}
		need = b.OrPred(need, b.SetpNeS32(every, ptx.Imm(1<<p.K.Merge-1)))
	}
	return need
}

// read reads a word of the stage in lane 0, whose arrival lets go of the stage and is
// ordered behind its own reads; FromFirst gives it to the warp. What waits for scores
// has the flags read before, and told while the products run.
func (c *consumer) read(n int) ptx.R32 {
	b := c.b
	v := b.Const32(0)
	b.If(c.reader).LdSharedB32To(v, c.words(c.k).At(n*4))
	return v
}

// word reads and tells at once.
func (c *consumer) word(n int) ptx.R32 { return c.FromFirst(c.read(n)) }

// chunks reads where the stage's chunks come from.
func (c *consumer) chunks() kernel.Chunks {
	chunks := kernel.Chunks{Tokens: c.K.ChunkTokens()}
	for g := range c.K.Gather() {
		chunks.Base = append(chunks.Base, c.word(wordBase+g))
		if c.members() {
			chunks.Member = append(chunks.Member, c.word(wordMembers+g))
		}
	}
	return chunks
}

// readItem reads which rows the tile just scored belongs to.
func (c *consumer) readItem() {
	b := c.b
	b.AddS32To(c.WarpHead, c.word(wordHead), c.slot)
	b.MovB32To(c.Tile.Position, c.word(wordPosition))
	b.AddS32To(c.WarpPos, c.Tile.Position, c.inTile)
	b.MovB32To(c.Tile.Batch, c.word(wordBatch))
}
