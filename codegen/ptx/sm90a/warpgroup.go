package sm90a

import (
	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/codegen/ptx/kernel"
	"github.com/s2attention/s2c/codegen/ptx/tile"
)

// consumer is the state of a warpgroup that computes. It follows the stream of
// KV tiles in the ring, whatever item they belong to.
type consumer struct {
	*emitter
	*kernel.Softmax
	mma     tile.Wgmma
	turns   tile.Turns
	group   ptx.R32 // warpgroup among the consumers
	q, k, v *tile.Ring
	held    *tile.Ring // the query buffer of the item whose rows are in o

	s    tile.Acc       // scores of a KV tile
	p    tile.Fragments // their weights
	o    tile.Acc       // output
	more ptx.Pred       // o holds something to add to

	flags  ptx.R32  // of the tile scored last
	last   ptx.Pred // that tile ends its item
	reader ptx.Pred // the lane reads what a stage says about its tile
	slot   ptx.R32  // this warp's head within the tile
	inTile ptx.R32  // position of its first row within the tile

	spoilt ptx.Pred // a row that the lane has written is not finite
}

// consume is what a consumer does: the thread block's items, and what has to be
// computed again.
func (e *emitter) consume() {
	c := e.newConsumer()
	c.turns.Open()
	c.stream()
	c.turns.Close()
	c.redo()
}

func (e *emitter) newConsumer() *consumer {
	b := e.b
	c := &consumer{
		emitter: e, mma: tile.Wgmma{Warp: e.Frame.Warp, Type: e.K.Shape.DType},
		q: e.Ring(e.querySlots()), k: e.Ring(e.keySlots()), v: e.Ring(e.valueSlots()),
	}
	c.held = c.q.Mark()
	c.group = b.ShrU32(e.Rank, ptx.Imm(2))
	c.turns = tile.Turns{Warp: e.Frame.Warp, Groups: e.groups, Group: c.group}
	first := e.FirstRow()
	c.slot = b.DivU32(first, ptx.Imm(e.K.Positions))
	c.inTile = b.SubS32(first, b.MulLoS32(c.slot, ptx.Imm(e.K.Positions)))
	c.Softmax = e.NewSoftmax()
	c.s = e.Zeros(e.K.KVTile, tile.Row)
	c.o = e.Zeros(e.K.DimPadded, tile.Row)
	c.p = e.NewFragments(e.K.KVTile, e.K.Shape.DType)
	c.flags, c.more, c.last = b.NewR32(), b.MovPred(ptx.Imm(0)), b.MovPred(ptx.Imm(0))
	c.spoilt, c.reader = b.MovPred(ptx.Imm(0)), b.SetpEqU32(c.Lane, ptx.Imm(0))
	e.WarpHead, e.WarpPos, e.Tile.Position, e.Tile.Batch = b.NewR32(), b.NewR32(), b.NewR32(), b.NewR32()
	return c
}

// eachTile runs body until the tile scored last is the thread block's last.
func (c *consumer) eachTile(body func()) {
	c.b.Endless("kv_loop", "kv_end", func(end ptx.Point) {
		end.If(c.flagged(flagFinal))
		c.b.AndPredTo(c.last, c.flagged(flagLast), ptx.Imm(1))
		body()
	})
}

// flagged is whether the flags of the tile scored last have one, unflagged whether
// they have not.
func (c *consumer) flagged(flag ptx.Imm) ptx.Pred {
	return c.b.SetpNeS32(c.b.AndB32(c.flags, flag), ptx.Imm(0))
}

func (c *consumer) unflagged(flag ptx.Imm) ptx.Pred {
	return c.b.SetpEqS32(c.b.AndB32(c.flags, flag), ptx.Imm(0))
}

// keepFlags gives the flags that lane 0 has read to the warp.
func (c *consumer) keepFlags(v ptx.R32) { c.b.MovB32To(c.flags, c.FromFirst(v)) }

// The operands: this warpgroup's rows of Q, the stage's keys by their columns, its
// values by their tokens.
func (c *consumer) query() tile.Matrix {
	base := c.b.MadLoS32(c.group, ptx.Imm(c.queryTile.Bytes()), c.q.Buffer())
	return c.mma.Matrix(c.queryTile, base, c.K.DimPadded)
}
func (c *consumer) keys() tile.Matrix   { return c.mma.Matrix(c.kvTile, c.k.Buffer(), c.K.DimPadded) }
func (c *consumer) values() tile.Matrix { return c.mma.Transposed(c.kvTile, c.v.Buffer()) }

// setMore notes whether the next P V adds to O: not behind an item's last tile, and
// not where an item begins.
func (c *consumer) setMore(inFlight bool) {
	c.b.XorPredTo(c.more, c.last, ptx.Imm(1))
	if !inFlight {
		c.b.MovPredTo(c.more, ptx.Imm(0))
	}
}

// openItem turns to the item of the tile just scored.
func (c *consumer) openItem() {
	c.readItem()
	c.held.Set(c.q)
	c.Reset()
}

// nextQuery turns to the next item's query buffer.
func (c *consumer) nextQuery() {
	c.q.Next()
	c.q.WaitFull(c.group)
}

// staging is where this warp's output rows go: a tile's address, and the first row.
func (c *consumer) staging() (base, first ptx.R32) {
	b := c.b
	base = b.MadLoS32(c.group, ptx.Imm(c.queryTile.Bytes()), c.held.Buffer())
	return base, b.ShlB32(b.AndB32(c.Rank, ptx.Imm(tile.GroupWarps-1)), ptx.Imm(4))
}

// spoil notes that a row which the lane has written is not finite.
func (c *consumer) spoil(p ptx.Pred) { c.b.OrPredTo(c.spoilt, c.spoilt, p) }

// redo computes again what its products have spoilt, when nothing else is left to
// do for the warp.
func (c *consumer) redo() {
	c.b.When(c.Any(c.spoilt), "redo_done", func() {
		c.loadWork() // again: its registers must not outlive the main loop
		c.eachItem(func(ptx.Pred) {
			c.PlaceWarp()
			c.Redo(c.Softmax, c.pattern)
		})
	})
}
