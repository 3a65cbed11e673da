package sm90a

import (
	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/codegen/ptx/kernel"
)

// consumer is the state of a warpgroup that computes.
type consumer struct {
	*emitter
	*kernel.Softmax
	group  ptx.R32 // warpgroup among the consumers
	k, v   *ring
	qPhase ptx.R32

	scores [][]ptx.F32 // S by 8 tokens
	p      [][]ptx.R32 // its weights by 16 tokens
	acc    [][]ptx.F32 // O by 8 columns
	chunks kernel.Chunks
	last   ptx.Pred // the tile just scored is the row's last
}

func (e *emitter) consume() {
	b := e.b
	c := &consumer{emitter: e, k: e.newRing("k"), v: e.newRing("v"), qPhase: b.Const32(0)}
	c.group = b.ShrU32(e.Warp, ptx.Imm(2))
	c.Softmax = e.NewSoftmax()
	for range e.K.KVTile / 8 {
		c.scores = append(c.scores, c.zeros())
	}
	for range e.K.DimPadded / 8 {
		c.acc = append(c.acc, c.zeros())
	}
	for range e.K.KVTile / 16 {
		c.p = append(c.p, b.R32s(4))
	}
	c.chunks.Tokens = e.chunk
	c.last = b.MovPred(ptx.Imm(0))
	e.eachItem(c.item)
}

func (c *consumer) zeros() []ptx.F32 {
	f := c.b.F32s(4)
	for _, r := range f {
		c.b.MovF32To(r, ptx.FImm(0))
	}
	return f
}

// item computes one query tile's rows.
func (c *consumer) item() {
	b := c.b
	c.PlaceWarp()
	c.Reset()
	c.wait(c.groupBarrier("q_full"), c.qPhase)

	b.Comment("first tile: nothing to overlap with yet")
	c.scoreFirst()
	c.Weigh(c.scores) // nothing to rescale yet
	c.Pack(c.p, c.scores)
	more := b.MovPred(ptx.Imm(0)) // the first P V does not read O

	loop, tail := b.NewLabel("kv_loop"), b.NewLabel("kv_tail")
	b.NoUnroll()
	b.Place(loop)
	b.If(c.last).Bra(tail)
	c.turn(more)
	b.MovPredTo(more, ptx.Imm(1))
	b.Bra(loop)

	b.Place(tail)
	b.Comment("last tile's P V")
	if c.ownO {
		c.arrive(c.groupBarrier("q_empty"))
	}
	c.v.waitFull()
	b.WgmmaFenceSyncAligned()
	c.weightValue(more)
	b.WgmmaCommitGroupSyncAligned()
	b.WgmmaWaitGroupSyncAligned(ptx.Imm(0))
	c.v.release()
	c.v.next()
	c.finish()
	b.XorB32To(c.qPhase, c.qPhase, ptx.Imm(1))
}

func (c *consumer) groupBarrier(kind string) ptx.SAddr {
	first := c.barrierAt(kind, 0)
	return c.b.MadLoS32(c.group, ptx.Imm(barrierBytes), first.Base).At(first.Off)
}

// scoreFirst computes a row's first scores.
func (c *consumer) scoreFirst() {
	b := c.b
	c.k.waitFull()
	c.readInfo()
	b.WgmmaFenceSyncAligned()
	c.queryKey()
	b.WgmmaCommitGroupSyncAligned()
	b.WgmmaWaitGroupSyncAligned(ptx.Imm(0))
	c.k.release()
	c.k.next()
	c.mask()
}

// turn scores the next tile while P V of this one runs, and weighs it.
func (c *consumer) turn(more ptx.Pred) {
	b := c.b
	c.k.waitFull()
	c.readInfo()
	b.WgmmaFenceSyncAligned()
	c.queryKey()
	b.WgmmaCommitGroupSyncAligned()
	c.v.waitFull()
	b.WgmmaFenceSyncAligned()
	c.weightValue(more)
	b.WgmmaCommitGroupSyncAligned()
	b.WgmmaWaitGroupSyncAligned(ptx.Imm(1))
	c.k.release()
	c.k.next()
	c.mask()
	alpha := c.Weigh(c.scores)
	b.WgmmaWaitGroupSyncAligned(ptx.Imm(0))
	c.v.release()
	c.v.next()
	c.Rescale(c.acc, alpha)
	c.Pack(c.p, c.scores)
}

// readInfo reads what the producer says of the stage's tile.
func (c *consumer) readInfo() {
	b := c.b
	info := c.k.info()
	last := b.LdSharedB32(info.At(infoLast * 4))
	c.chunks.Base, c.chunks.Member = nil, nil
	for g := range c.gather {
		c.chunks.Base = append(c.chunks.Base, b.LdSharedB32(info.At((infoBase+g)*4)))
		if c.members() {
			c.chunks.Member = append(c.chunks.Member, b.LdSharedB32(info.At((infoMember+g)*4)))
		}
	}
	b.AndPredTo(c.last, b.SetpNeS32(last, ptx.Imm(0)), ptx.Imm(1))
}

func (c *consumer) mask() {
	c.MaskIfNeeded(c.scores, c.chunks, c.Presence(c.chunks, c.members()))
}

// finish normalises and writes the rows.
func (c *consumer) finish() {
	b := c.b
	inverse, empty := c.Finish()
	c.StoreLSE(c.Softmax, empty)
	base := b.AddS32(b.MadLoS32(c.group, ptx.Imm(c.q.Bytes()), c.smem), ptx.Imm(c.oAt))
	rows := b.ShlB32(b.AndB32(c.Warp, ptx.Imm(groupWarps-1)), ptx.Imm(4))
	c.StageOutput(c.q, base, rows, c.acc, inverse)
	c.StoreOutput(c.q, base, rows)
	if !c.ownO {
		b.Comment("the query's memory was read and written here; the copy engine is next")
		b.FenceProxyAsyncSharedCta()
	}
	b.BarWarpSync(ptx.Imm(kernel.FullMask)) // the staging rows are free again
	if !c.ownO {
		c.arrive(c.groupBarrier("q_empty"))
	}
}
