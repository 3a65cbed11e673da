package sm80

import (
	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/codegen/ptx/kernel"
	"github.com/s2attention/s2c/codegen/ptx/tile"
	"github.com/s2attention/s2c/ir/layout"
)

// loadQuery copies the query tile; rows outside the queries become zero.
func (e *emitter) loadQuery() {
	b := e.b
	b.Comment("query tile: row r is head r / %d, position r mod %d", e.K.Positions, e.K.Positions)
	stride := e.Stride("q_seq")
	for _, c := range e.plan(e.qTile, e.K.Rows) {
		for n := range c.Rounds {
			row := c.Row(n)
			slot := b.DivU32(row, ptx.Imm(e.K.Positions))
			pos := b.AddS32(e.Tile.Position, b.SubS32(row, b.MulLoS32(slot, ptx.Imm(e.K.Positions))))
			query, ok := e.Query(pos)
			at := e.TensorBase("q", b.AddS32(e.Head.FirstHead, slot))
			at = b.MadLoS64(b.CvtS64S32(query), stride, at)
			c.Load(e.smem, n, c.Chunk(at), ok)
		}
	}
	e.Group()
}

// plan is how the thread block's threads copy so many rows of a tile.
func (e *emitter) plan(t layout.SmemTile, rows int) []tile.CopyPlan {
	return e.PlanCopies(t, e.K.Shape.HeadDim, rows, e.tid, e.b.Entry().Threads)
}

// keepQuery loads the query fragments once, when registers allow.
func (e *emitter) keepQuery() {
	if !e.K.QInRegisters {
		return
	}
	e.b.Comment("query fragments stay in registers")
	kept := e.ShapeA(e.qTile, false).At(e.smem, e.Rank).Load()
	e.kept = &kept
}

// query is this warp's rows of Q.
func (e *emitter) query() tile.OperandA {
	if e.kept != nil {
		return e.kept
	}
	return e.ShapeA(e.qTile, false).At(e.smem, e.Rank)
}

// stages is one KV tensor's tiles in shared memory, one or two, and this thread's
// share of what it copies there.
type stages struct {
	e        *emitter
	name     string // of the tensor
	first    int    // where stage 0 lies
	buffer   ptx.R32
	other    ptx.R32 // the stage that buffer is not, while it is loaded
	shape    tile.ShapeB
	plans    []tile.CopyPlan
	sources  []ptx.R64 // this thread's chunk of token 0, by plan
	distance ptx.R64   // of two tokens
}

// planKV prepares what the main loop's copies have in common.
func (e *emitter) planKV() {
	e.b.Comment("this thread's share of a KV tile")
	plans := e.plan(e.kvTile, e.K.KVTile)
	for _, s := range []*stages{&e.k, &e.v} {
		s.plans, s.distance = plans, e.Stride(s.name+"_seq")
		base := e.TensorBase(s.name, e.Head.KVHead)
		for i := range plans {
			s.sources = append(s.sources, plans[i].Chunk(base))
		}
	}
	e.k.shape, e.v.shape = e.ShapeB(e.kvTile, false), e.ShapeB(e.kvTile, true)
}

// operand is the tile as a B operand: keys by their columns, values by their tokens.
func (s *stages) operand() tile.B { return s.shape.At(s.buffer) }

// load copies a KV tile into the stage that is computed from, loadOther into the
// other one, which swap makes the former.
func (s *stages) load(t kernel.KVTile) {
	s.copy(t, s.buffer)
	s.e.Group()
}

func (s *stages) loadOther(t kernel.KVTile) {
	s.copy(t, s.other)
	s.e.Group()
}

func (s *stages) swap() { s.e.b.MovB32To(s.buffer, s.other) }

// copy loads a KV tile. Tokens past the end and missing chunks become zero: a zero
// value times a zero weight stays zero.
func (s *stages) copy(t kernel.KVTile, to ptx.R32) {
	e, b := s.e, s.e.b
	b.When(t.Valid, "no_"+s.name, func() {
		b.Comment("copy the %s tile", s.name)
		for i := range s.plans {
			c := &s.plans[i]
			for n := range c.Rounds {
				token := e.tokenOf(c, t, n)
				at := b.MadLoS64(b.CvtU64U32(token), s.distance, s.sources[i])
				c.Load(to, n, at, b.SetpLtS32(token, e.Lengths.KLen))
			}
		}
	})
}

// turn finds the address of the stage that buffer is not.
func (s *stages) turn() {
	e, b := s.e, s.e.b
	both := b.AddS32(b.ShlB32(e.smem, ptx.Imm(1)), ptx.Imm(2*s.first+e.kvTile.Bytes()))
	s.other = b.SubS32(both, s.buffer)
}

// tokenOf is the token that this thread's row of round n holds.
func (e *emitter) tokenOf(c *tile.CopyPlan, t kernel.KVTile, n int) ptx.R32 {
	b := e.b
	first := n * c.Rows
	if c.Rows <= t.Tokens { // the whole round lies in one chunk
		return b.AddS32(b.AddS32(t.Base[first/t.Tokens], c.First()), ptx.Imm(first%t.Tokens))
	}
	within := b.AndB32(c.First(), ptx.Imm(t.Tokens-1))
	which := b.DivU32(c.First(), ptx.Imm(t.Tokens))
	base := t.Base[first/t.Tokens]
	for i := 1; i < c.Rows/t.Tokens && first/t.Tokens+i < len(t.Base); i++ {
		base = b.SelpB32(t.Base[first/t.Tokens+i], base, b.SetpEqS32(which, ptx.Imm(i)))
	}
	return b.AddS32(base, within)
}
