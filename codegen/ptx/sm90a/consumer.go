package sm90a

import "github.com/s2attention/s2c/codegen/ptx/tile"

// The forward pass of a warpgroup's 64 rows: FlashAttention-2's algorithm 1 in
// FlashAttention-3's order (arXiv 2407.08608, algorithm 2), the names theirs.
// docs/architecture.md holds it beside this file.

// stream works through the thread block's KV tiles. A turn issues Q Kᵀ of the
// next tile, then P V of this one, and weighs the former while the latter runs;
// where the next tile opens a new item, the finished one is written in between,
// while the tensor cores already score for its successor.
func (c *consumer) stream() {
	c.b.Comment("first tile: nothing to overlap with yet")
	c.scoreAlone()
	c.openItem()
	c.weigh(false)
	c.eachTile(func() {
		if c.queries > 1 {
			c.turn()
		} else {
			c.turnOneQuery()
		}
	})
	c.b.Comment("the last tile's P V")
	c.valueAlone()
	c.finish()
}

// turn scores the next tile, of this item or the next, beside P V of this one.
func (c *consumer) turn() {
	c.b.When(c.last, "same_query", c.nextQuery)
	c.scoreBesideValue()
	c.b.When(c.last, "same_item", func() {
		c.b.Comment("the item is complete: write it, open the next")
		c.mma.Wait(0)
		c.finish()
		c.openItem()
	})
	c.weigh(true)
}

// turnOneQuery is turn where memory holds one query buffer: an item is written
// before the next one's queries can load.
func (c *consumer) turnOneQuery() {
	c.b.Choose(c.last, "item_end", func() {
		c.valueAlone()
		c.finish()
		c.nextQuery()
		c.scoreAlone()
		c.openItem()
		c.weigh(false)
	}, func() {
		c.scoreBesideValue()
		c.weigh(true)
	})
}

// scoreBesideValue issues S = Q Kᵀ of the next tile, then O += P V of this one, and
// waits for the former.
func (c *consumer) scoreBesideValue() {
	c.k.WaitFull(tile.All)
	flags := c.read(wordFlags)
	c.turns.Take()
	c.mma.Issue(c.queryKey)
	c.v.WaitFull(tile.All)
	c.mma.Issue(c.weightValue)
	c.turns.Pass()
	c.keepFlags(flags)
	c.mma.Wait(1)
}

// scoreAlone scores a tile with nothing beside it.
func (c *consumer) scoreAlone() {
	c.q.WaitFull(c.group)
	c.k.WaitFull(tile.All)
	flags := c.read(wordFlags)
	c.turns.Take()
	c.mma.Issue(c.queryKey)
	c.turns.Pass()
	c.keepFlags(flags)
	c.mma.Wait(0)
}

// valueAlone adds a tile's P V with nothing beside it.
func (c *consumer) valueAlone() {
	c.v.WaitFull(tile.All)
	c.mma.Issue(c.weightValue)
	c.mma.Wait(0)
	c.v.Pop()
}

func (c *consumer) queryKey()    { c.mma.Mma(c.s, c.query(), c.keys(), tile.Fresh) }
func (c *consumer) weightValue() { c.mma.Mma(c.o, c.p, c.values(), tile.AddedWhere(c.more)) }

// weigh turns S into P and, with a P V in flight, corrects O by the new maxima when
// that is done.
func (c *consumer) weigh(inFlight bool) {
	c.mask()
	c.k.Pop()
	correction := c.Weigh(c.s, inFlight)
	if inFlight {
		c.mma.Wait(0)
		c.v.Pop()
		c.Correct(c.o, correction)
	}
	c.p.Pack(c.s)
	c.setMore(inFlight)
}

// mask masks the scores where the stage's flags ask for it.
func (c *consumer) mask() {
	c.b.Unless(c.unflagged(flagMask), "full_tile", func() {
		chunks := c.chunks()
		c.Mask(c.s, chunks, c.Presence(chunks, c.members()))
	})
}

// finish normalises O and writes it with the log-sum-exp, through the query buffer
// that its rows came from, which is free then. What products have spoilt is computed
// again at the end.
func (c *consumer) finish() {
	rows := c.Finish(c.o)
	c.StoreLSE(c.Softmax, rows)
	base, first := c.staging()
	c.spoil(c.StageOutput(c.queryTile, base, first, c.o, rows))
	c.StoreOutput(c.queryTile, base, first)
	c.b.Comment("the copy engine writes these rows next")
	c.b.FenceProxyAsyncSharedCta()
	c.held.Release(c.group)
}
