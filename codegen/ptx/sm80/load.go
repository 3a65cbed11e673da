package sm80

import (
	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/codegen/ptx/kernel"
	"github.com/s2attention/s2c/ir/layout"
)

// copyPlan says how threads copy a tile's slabs of one width: thread t takes
// 16-byte chunk t mod chunks of row t / chunks, and of the row that is rows·n
// further in round n.
type copyPlan struct {
	slabs   []layout.Slab // all of one width
	chunks  int           // 16-byte chunks a row
	rows    int           // rows a round
	rounds  int
	row     ptx.R32   // this thread's row in round 0
	chunk   ptx.R32   // this thread's chunk
	dst     []ptx.R32 // offset in the slab in rounds 0, 1, … while the swizzle still varies
	active  ptx.Pred  // the thread has a row at all; only where threads outnumber rows
	partial bool
	inRange ptx.Pred // the chunk holds real columns of the last slab; only where it is padded
	padded  bool
}

// planCopies makes a plan for each width of a tile's slabs. who numbers the
// threads that take part; rows is the number of rows they copy.
func (e *emitter) planCopies(t layout.SmemTile, rows int, who ptx.R32, threads int) []copyPlan {
	var plans []copyPlan
	for _, s := range t.Slabs() {
		if n := len(plans); n > 0 && plans[n-1].slabs[0].Width == s.Width {
			plans[n-1].slabs = append(plans[n-1].slabs, s)
			continue
		}
		plans = append(plans, e.planCopy(s, rows, who, threads))
	}
	last := &plans[len(plans)-1]
	s := last.slabs[len(last.slabs)-1]
	used := (e.k.Shape.HeadDim - s.Col) / 8 // its chunks with real columns
	if last.padded = used < last.chunks; last.padded {
		last.inRange = e.b.SetpLtS32(last.chunk, ptx.Imm(used))
	}
	return plans
}

func (e *emitter) planCopy(s layout.Slab, rows int, who ptx.R32, threads int) copyPlan {
	b := e.b
	c := copyPlan{slabs: []layout.Slab{s}, chunks: s.RowBytes() / layout.ChunkBytes}
	c.rows = threads / c.chunks
	c.rounds = max(1, rows/c.rows)
	c.row = b.DivU32(who, ptx.Imm(c.chunks))
	c.chunk = b.AndB32(who, ptx.Imm(c.chunks-1))
	if c.partial = c.rows > rows; c.partial {
		c.active = b.SetpLtS32(c.row, ptx.Imm(rows))
	}
	for n := range max(1, 8/c.rows) { // the swizzle repeats every 8 rows
		row := b.AddS32(c.row, ptx.Imm(n*c.rows))
		c.dst = append(c.dst, e.swizzled(s, row, c.chunk))
	}
	return c
}

// valid is ok, and for the padded slab also that the chunk holds real columns.
func (c *copyPlan) valid(b *ptx.Builder, slab int, ok ptx.Pred) ptx.Pred {
	if c.padded && slab == len(c.slabs)-1 {
		return b.AndPred(ok, c.inRange)
	}
	return ok
}

// swizzled is the offset in its tile of a chunk of a row of a slab.
func (e *emitter) swizzled(s layout.Slab, row, chunk ptx.R32) ptx.R32 {
	b := e.b
	shift, mask := s.Swizzle()
	x := b.AndB32(b.ShrU32(row, ptx.Imm(shift)), ptx.Imm(mask))
	at := b.ShlB32(b.XorB32(chunk, x), ptx.Imm(4))
	return b.MadLoS32(row, ptx.Imm(s.RowBytes()), at)
}

// to is the shared-memory address of round n in a slab of a tile.
func (c *copyPlan) to(b *ptx.Builder, tile ptx.R32, slab, n int) ptx.SAddr {
	s, step := c.slabs[slab], len(c.dst)
	reg := b.AddS32(tile, c.dst[n%step])
	return reg.At(s.Offset + n/step*step*c.rows*s.RowBytes())
}

// tensorBase is the address of (batch entry, head) of a tensor.
func (e *emitter) tensorBase(name string, head ptx.R32) ptx.R64 {
	b := e.b
	at := b.CvtaToGlobalU64(kernel.Param64(b, name))
	at = b.MadLoS64(b.CvtU64U32(e.tile.Batch), kernel.Stride(b, name+"_batch"), at)
	return b.MadLoS64(b.CvtU64U32(head), kernel.Stride(b, name+"_head"), at)
}

// loadQuery copies the query tile; rows outside the queries become zero.
func (e *emitter) loadQuery() {
	b := e.b
	b.Comment("query tile: row r is head r / %d, position r mod %d", e.k.Positions, e.k.Positions)
	stride := kernel.Stride(b, "q_seq")
	for _, c := range e.planCopies(e.qTile, e.k.Rows, e.tid, Threads(e.k)) {
		for n := range c.rounds {
			row := b.AddS32(c.row, ptx.Imm(n*c.rows))
			slot := b.DivU32(row, ptx.Imm(e.k.Positions))
			pos := b.AddS32(e.tile.Position, b.SubS32(row, b.MulLoS32(slot, ptx.Imm(e.k.Positions))))
			query := b.SubS32(pos, e.lengths.Offset)
			ok := b.AndPred(b.SetpGeS32(query, ptx.Imm(0)), b.SetpLtS32(pos, e.lengths.KLen))
			at := e.tensorBase("q", b.AddS32(e.head.FirstHead, slot))
			at = b.MadLoS64(b.CvtS64S32(query), stride, at)
			at = b.MadWideU32(c.chunk, ptx.Imm(layout.ChunkBytes), at)
			e.copyChunks(&c, e.smem, n, at, ok)
		}
	}
	b.CpAsyncCommitGroup()
}

// copyChunks issues a round's 16-byte copies into each slab, of zeros unless ok.
func (e *emitter) copyChunks(c *copyPlan, tile ptx.R32, n int, from ptx.R64, ok ptx.Pred) {
	b := e.b
	for i, s := range c.slabs {
		bytes := b.SelpB32(ptx.Imm(layout.ChunkBytes), ptx.Imm(0), c.valid(b, i, ok))
		to := c.to(b, tile, i, n)
		guarded := b
		if c.partial {
			guarded = b.If(c.active)
		}
		guarded.CpAsyncCgSharedGlobal(to, from.At(s.Col*2), ptx.Imm(layout.ChunkBytes), bytes)
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
	e.kvPlans = e.planCopies(e.kvTile, e.k.KVTile, e.tid, Threads(e.k))
	for _, name := range []string{"k", "v"} {
		src := kvSource{stride: kernel.Stride(b, name+"_seq")}
		base := e.tensorBase(name, e.head.KVHead)
		for _, c := range e.kvPlans {
			src.base = append(src.base, b.MadWideU32(c.chunk, ptx.Imm(layout.ChunkBytes), base))
		}
		e.kv[name] = src
	}
}

// loadKV copies the keys ("k") or values ("v") of a KV tile. Tokens past the end
// and missing chunks become zero: a zero value times a zero weight stays zero.
func (e *emitter) loadKV(name string, t tokens, buf ptx.R32) {
	b := e.b
	skip := b.NewLabel("no_" + name)
	b.Unless(t.valid).Bra(skip)
	b.Comment("copy the %s tile", name)
	src := e.kv[name]
	for i := range e.kvPlans {
		c := &e.kvPlans[i]
		for n := range c.rounds {
			token := e.tokenOf(c, t, n)
			at := b.MadLoS64(b.CvtU64U32(token), src.stride, src.base[i])
			e.copyChunks(c, buf, n, at, b.SetpLtS32(token, e.lengths.KLen))
		}
	}
	b.Place(skip)
}

// tokenOf is the token that this thread's row of round n holds.
func (e *emitter) tokenOf(c *copyPlan, t tokens, n int) ptx.R32 {
	b := e.b
	first := n * c.rows
	if c.rows <= e.chunk { // the whole round lies in one chunk
		return b.AddS32(b.AddS32(t.base[first/e.chunk], c.row), ptx.Imm(first%e.chunk))
	}
	within := b.AndB32(c.row, ptx.Imm(e.chunk-1))
	which := b.DivU32(c.row, ptx.Imm(e.chunk))
	base := t.base[first/e.chunk]
	for i := 1; i < c.rows/e.chunk && first/e.chunk+i < len(t.base); i++ {
		base = b.SelpB32(t.base[first/e.chunk+i], base, b.SetpEqS32(which, ptx.Imm(i)))
	}
	return b.AddS32(base, within)
}
