package sm90a

import (
	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/codegen/ptx/kernel"
)

// consumer is the state of a warpgroup that computes. It follows the stream of
// KV tiles in the ring, whatever item they belong to.
type consumer struct {
	*emitter
	*kernel.Softmax
	group   ptx.R32 // warpgroup among the consumers
	q, k, v *ring
	held    *ring // the query buffer of the item whose rows are in acc

	scores [][]ptx.F32 // S by 8 tokens
	p      [][]ptx.R32 // its weights by 16 tokens
	acc    [][]ptx.F32 // O by 8 columns
	more   ptx.Pred    // O holds something to add to

	flags  ptx.R32  // of the tile scored last
	last   ptx.Pred // that tile ends its item
	reader ptx.Pred // the lane reads what a stage says about its tile
	slot   ptx.R32  // this warp's head within the tile
	inTile ptx.R32  // position of its first row within the tile

	spoilt ptx.Pred // a row that the lane has written is not finite
}

func (e *emitter) consume(done ptx.Label) {
	b := e.b
	c := &consumer{emitter: e, q: e.newRing("q"), k: e.newRing("k"), v: e.newRing("v")}
	held := *c.q
	c.held = &held
	held.stage = b.NewR32()
	c.group = b.ShrU32(e.Warp, ptx.Imm(2))
	first := b.ShlB32(e.Warp, ptx.Imm(4))
	c.slot = b.DivU32(first, ptx.Imm(e.K.Positions))
	c.inTile = b.SubS32(first, b.MulLoS32(c.slot, ptx.Imm(e.K.Positions)))
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
	c.flags, c.more, c.last = b.NewR32(), b.MovPred(ptx.Imm(0)), b.MovPred(ptx.Imm(0))
	c.spoilt, c.reader = b.MovPred(ptx.Imm(0)), b.SetpEqU32(c.Lane, ptx.Imm(0))
	e.WarpHead, e.WarpPos, e.Tile.Position, e.Tile.Batch = b.NewR32(), b.NewR32(), b.NewR32(), b.NewR32()
	c.openTurns()
	c.stream()
	c.closeTurns()
	c.redo(done)
}

func (c *consumer) zeros() []ptx.F32 {
	f := c.b.F32s(4)
	for _, r := range f {
		c.b.MovF32To(r, ptx.FImm(0))
	}
	return f
}

// stream works through the thread block's KV tiles. A turn issues Q Kᵀ of the
// next tile, then P V of this one, and weighs the former while the latter runs;
// where the next tile opens a new item, the finished one is written in between,
// while the tensor cores already score for its successor.
func (c *consumer) stream() {
	b := c.b
	b.Comment("first tile: nothing to overlap with yet")
	c.scoreAlone()
	c.openItem()
	c.weigh(false)

	loop, end := b.NewLabel("kv_loop"), b.NewLabel("kv_end")
	b.NoUnroll()
	b.Place(loop)
	b.If(b.SetpNeS32(b.AndB32(c.flags, ptx.Imm(flagFinal)), ptx.Imm(0))).Bra(end)
	b.AndPredTo(c.last, b.SetpNeS32(b.AndB32(c.flags, ptx.Imm(flagLast)), ptx.Imm(0)), ptx.Imm(1))
	if c.queries > 1 {
		c.turn()
	} else {
		c.turnOneQuery()
	}
	b.Bra(loop)

	b.Place(end)
	b.Comment("the last tile's P V")
	c.valueAlone()
	c.finish()
}

// turn scores the next tile, of this item or the next, beside P V of this one.
func (c *consumer) turn() {
	b := c.b
	same, scored := b.NewLabel("same_query"), b.NewLabel("same_item")
	b.Unless(c.last).Bra(same)
	c.nextQuery()
	b.Place(same)
	c.scoreBesideValue()

	b.Unless(c.last).Bra(scored)
	b.Comment("the item is complete: write it, open the next")
	b.WgmmaWaitGroupSyncAligned(ptx.Imm(0))
	c.finish()
	c.openItem()
	b.Place(scored)
	c.weigh(true)
}

// turnOneQuery is turn where memory holds one query buffer: an item is written
// before the next one's queries can load.
func (c *consumer) turnOneQuery() {
	b := c.b
	within, done := b.NewLabel("same_item"), b.NewLabel("turned")
	b.Unless(c.last).Bra(within)
	c.valueAlone()
	c.finish()
	c.nextQuery()
	c.scoreAlone()
	c.openItem()
	c.weigh(false)
	b.Bra(done)
	b.Place(within)
	c.scoreBesideValue()
	c.weigh(true)
	b.Place(done)
}

// scoreBesideValue issues Q Kᵀ of the next tile, then P V of this one, and waits
// for the former.
func (c *consumer) scoreBesideValue() {
	b := c.b
	c.k.waitFull(all)
	flags := c.readWord(infoFlags)
	c.takeTurn()
	b.WgmmaFenceSyncAligned()
	c.queryKey()
	b.WgmmaCommitGroupSyncAligned()
	c.v.waitFull(all)
	b.WgmmaFenceSyncAligned()
	c.weightValue()
	b.WgmmaCommitGroupSyncAligned()
	c.passTurn()
	b.MovB32To(c.flags, c.tell(flags))
	b.WgmmaWaitGroupSyncAligned(ptx.Imm(1))
}

// scoreAlone scores a tile with nothing beside it.
func (c *consumer) scoreAlone() {
	b := c.b
	c.q.waitFull(c.group)
	c.k.waitFull(all)
	flags := c.readWord(infoFlags)
	c.takeTurn()
	b.WgmmaFenceSyncAligned()
	c.queryKey()
	b.WgmmaCommitGroupSyncAligned()
	c.passTurn()
	b.MovB32To(c.flags, c.tell(flags))
	b.WgmmaWaitGroupSyncAligned(ptx.Imm(0))
}

// valueAlone adds a tile's P V with nothing beside it.
func (c *consumer) valueAlone() {
	b := c.b
	c.v.waitFull(all)
	b.WgmmaFenceSyncAligned()
	c.weightValue()
	b.WgmmaCommitGroupSyncAligned()
	b.WgmmaWaitGroupSyncAligned(ptx.Imm(0))
	c.v.release(all)
	c.v.next()
}

// weigh turns the scores into weights and, with a P V in flight, brings the
// output up to the new maxima when that is done.
func (c *consumer) weigh(inFlight bool) {
	b := c.b
	c.mask()
	c.k.release(all)
	c.k.next()
	alpha, matters := c.Weigh(c.scores, inFlight)
	if inFlight {
		b.WgmmaWaitGroupSyncAligned(ptx.Imm(0))
		c.v.release(all)
		c.v.next()
		c.Rescale(c.acc, alpha, matters)
	}
	c.Pack(c.p, c.scores)
	b.XorPredTo(c.more, c.last, ptx.Imm(1))
	if !inFlight {
		b.MovPredTo(c.more, ptx.Imm(0))
	}
}

// readWord reads a word of the key stage's info in lane 0, whose arrival lets go of
// the stage and is ordered behind its own reads; tell gives it to the warp. What
// waits for scores has the flags read before, and told while the products run.
func (c *consumer) readWord(n int) ptx.R32 {
	b := c.b
	v := b.Const32(0)
	b.If(c.reader).LdSharedB32To(v, c.k.info().At(n*4))
	return v
}

func (c *consumer) tell(v ptx.R32) ptx.R32 {
	return c.b.ShflSyncIdxB32(v, ptx.Imm(0), ptx.Imm(31), ptx.Imm(kernel.FullMask))
}

// word reads and tells at once.
func (c *consumer) word(n int) ptx.R32 { return c.tell(c.readWord(n)) }

// mask masks the scores where the stage's flags ask for it.
func (c *consumer) mask() {
	b := c.b
	full := b.NewLabel("full_tile")
	b.If(b.SetpEqS32(b.AndB32(c.flags, ptx.Imm(flagMask)), ptx.Imm(0))).Bra(full)
	chunks := kernel.Chunks{Tokens: c.K.ChunkTokens()}
	for g := range c.K.Gather() {
		chunks.Base = append(chunks.Base, c.word(infoBase+g))
		if c.members() {
			chunks.Member = append(chunks.Member, c.word(infoMember+g))
		}
	}
	c.Mask(c.scores, chunks, c.Presence(chunks, c.members()))
	b.Place(full)
}

// openItem reads which rows the tile just scored belongs to.
func (c *consumer) openItem() {
	b := c.b
	b.AddS32To(c.WarpHead, c.word(infoHead), c.slot)
	b.MovB32To(c.Tile.Position, c.word(infoPos))
	b.AddS32To(c.WarpPos, c.Tile.Position, c.inTile)
	b.MovB32To(c.Tile.Batch, c.word(infoBatch))
	b.MovB32To(c.held.stage, c.q.stage)
	c.Reset()
}

// nextQuery turns to the next item's query buffer.
func (c *consumer) nextQuery() {
	c.q.next()
	c.q.waitFull(c.group)
}

// finish normalises the item's rows and writes them through the query buffer
// that they came from, which is free then.
func (c *consumer) finish() {
	b := c.b
	inverse, empty := c.Finish()
	c.StoreLSE(c.Softmax, empty)
	base := b.MadLoS32(c.group, ptx.Imm(c.queryTile.Bytes()), c.held.buffer())
	rows := b.ShlB32(b.AndB32(c.Warp, ptx.Imm(groupWarps-1)), ptx.Imm(4))
	b.OrPredTo(c.spoilt, c.spoilt, c.StageOutput(c.queryTile, base, rows, c.acc, inverse))
	c.StoreOutput(c.queryTile, base, rows)
	b.Comment("the copy engine writes these rows next")
	b.FenceProxyAsyncSharedCta()
	c.held.release(c.group)
}

// redo computes again what its products have spoilt, when nothing else is left to
// do for the warp.
func (c *consumer) redo(done ptx.Label) {
	b := c.b
	b.Unless(b.VoteSyncAnyPred(c.spoilt, ptx.Imm(kernel.FullMask))).Bra(done)
	c.loadWork() // again: its registers must not outlive the main loop
	c.eachItem(func(ptx.Pred) {
		c.PlaceWarp()
		c.Redo(c.Softmax, c.pattern)
	})
}

// turnBarrier is the named barrier on which a warpgroup waits for its turn at
// the tensor cores; barrier 0 is the thread block's.
const turnBarrier = 1

// Turns: one warpgroup issues its matrix work while the others
// are in their softmax (FlashAttention-3, §3.1). Every warpgroup takes the same
// number of turns, for all of them walk the same KV tiles.
func (c *consumer) turns() bool { return c.groups > 1 }

// openTurns gives the first turn to warpgroup 0.
func (c *consumer) openTurns() {
	if !c.turns() {
		return
	}
	b := c.b
	skip := b.NewLabel("turns_open")
	b.If(b.SetpNeU32(c.group, ptx.Imm(c.groups-1))).Bra(skip)
	b.BarArrive(ptx.Imm(turnBarrier), ptx.Imm(2*groupThreads))
	b.Place(skip)
}

// closeTurns lets warpgroup 0 collect the last arrival, so that none is left.
func (c *consumer) closeTurns() {
	if !c.turns() {
		return
	}
	b := c.b
	skip := b.NewLabel("turns_closed")
	b.If(b.SetpNeU32(c.group, ptx.Imm(0))).Bra(skip)
	b.BarSyncCount(ptx.Imm(turnBarrier), ptx.Imm(2*groupThreads))
	b.Place(skip)
}

func (c *consumer) takeTurn() {
	if c.turns() {
		c.b.BarSyncCount(c.b.AddS32(c.group, ptx.Imm(turnBarrier)), ptx.Imm(2*groupThreads))
	}
}

// passTurn hands the tensor cores to the next warpgroup.
func (c *consumer) passTurn() {
	if !c.turns() {
		return
	}
	b := c.b
	next := b.AddS32(c.group, ptx.Imm(turnBarrier+1))
	last := b.SetpEqU32(c.group, ptx.Imm(c.groups-1))
	b.BarArrive(b.SelpB32(ptx.Imm(turnBarrier), next, last), ptx.Imm(2*groupThreads))
}
