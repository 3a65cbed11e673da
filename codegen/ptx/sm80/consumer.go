package sm80

import "github.com/s2attention/s2c/codegen/ptx/tile"

// The forward pass of one row of KV tiles, FlashAttention-2's algorithm 1: the names
// are the paper's. docs/architecture.md holds it beside this file.

// attend works through the row's KV tiles. With two stages the next keys load during
// Q Kᵀ and softmax, the next values during P V. With one stage the values load during
// Q Kᵀ, the next keys during softmax and P V.
func (e *emitter) attend() {
	e.eachTile(func() {
		if e.K.Stages == 2 {
			e.landed(1, "keys")
			e.k.loadOther(e.next)
			p := e.score()
			e.landed(1, "values")
			e.v.loadOther(e.next)
			e.accumulate(p)
			e.k.swap()
			e.v.swap()
			return
		}
		e.landed(0, "keys")
		e.v.load(e.cur)
		p := e.score()
		e.landed(0, "values")
		e.k.load(e.next)
		e.accumulate(p)
	})
	e.finish()
}

// score computes the tile's weights P: S = Q Kᵀ, masked where the tile needs it, then
// the online softmax, which corrects O.
func (e *emitter) score() tile.Fragments {
	p := e.NewFragments(e.K.KVTile, e.K.Shape.DType)
	present := e.attended(p)
	e.unlessAbsent("scores_skipped", func() {
		e.b.Comment("S = Q K^T")
		s := e.NewAcc(e.K.KVTile, tile.Row)
		e.Product(s, e.query(), e.k.operand())
		e.MaskIfNeeded(s, e.cur.Chunks, present)
		e.Correct(e.o, e.Weigh(s, true))
		p.Pack(s)
	})
	return p
}

// accumulate adds the tile's P V to O.
func (e *emitter) accumulate(p tile.Fragments) {
	e.unlessAbsent("values_skipped", func() {
		e.b.Comment("O += P V")
		e.Mma(e.o, p, e.v.operand())
	})
}

// finish normalises O and writes it with the log-sum-exp; a row that products have
// spoilt is computed again. The queries are in registers or done with: their memory
// takes the output.
func (e *emitter) finish() {
	rows := e.Softmax.Finish(e.o)
	e.StoreLSE(e.Softmax, rows)
	first := e.FirstRow()
	spoilt := e.StageOutput(e.qTile, e.smem, first, e.o, rows)
	e.StoreOutput(e.qTile, e.smem, first)
	e.b.When(e.Any(spoilt), "done", func() { e.Redo(e.Softmax, e.pattern) })
}
