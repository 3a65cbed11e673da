package tile

import (
	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/ir/layout"
)

// CopyPlan says how threads copy a tile's slabs of one width: thread t takes
// 16-byte chunk t mod chunks of row t / chunks, and of the row that is rows·n
// further in round n.
type CopyPlan struct {
	*Warp
	Slabs   []layout.Slab // all of one width
	Rows    int           // rows a round
	Rounds  int
	row     ptx.R32   // this thread's row in round 0
	chunk   ptx.R32   // this thread's chunk
	dst     []ptx.R32 // offset in the slab in rounds 0, 1, … while the swizzle still varies
	active  ptx.Pred  // the thread has a row at all; only where threads outnumber rows
	partial bool
	inRange ptx.Pred // the chunk holds real columns of the last slab; only where it is padded
	padded  bool
}

// PlanCopies makes a plan for each width of a tile's slabs. columns are those that
// tensors have, who numbers the threads that take part, rows are those they copy.
func (w *Warp) PlanCopies(t layout.SmemTile, columns, rows int, who ptx.R32, threads int) []CopyPlan {
	var plans []CopyPlan
	for _, s := range t.Slabs() {
		if n := len(plans); n > 0 && plans[n-1].Slabs[0].Width == s.Width {
			plans[n-1].Slabs = append(plans[n-1].Slabs, s)
			continue
		}
		plans = append(plans, w.planCopy(s, rows, who, threads))
	}
	last := &plans[len(plans)-1]
	s := last.Slabs[len(last.Slabs)-1]
	used := (columns - s.Col) / s.ChunkCols() // its chunks with real columns
	if last.padded = used < last.chunks(); last.padded {
		last.inRange = w.B.SetpLtS32(last.chunk, ptx.Imm(used))
	}
	return plans
}

func (w *Warp) planCopy(s layout.Slab, rows int, who ptx.R32, threads int) CopyPlan {
	b := w.B
	c := CopyPlan{Warp: w, Slabs: []layout.Slab{s}}
	c.Rows = threads / c.chunks()
	c.Rounds = max(1, rows/c.Rows)
	c.row = b.DivU32(who, ptx.Imm(c.chunks()))
	c.chunk = b.AndB32(who, ptx.Imm(c.chunks()-1))
	if c.partial = c.Rows > rows; c.partial {
		c.active = b.SetpLtS32(c.row, ptx.Imm(rows))
	}
	for n := range max(1, 8/c.Rows) { // the swizzle repeats every 8 rows
		row := b.AddS32(c.row, ptx.Imm(n*c.Rows))
		c.dst = append(c.dst, w.Swizzled(s, row, c.chunk))
	}
	return c
}

// chunks is the 16-byte chunks of a row.
func (c *CopyPlan) chunks() int { return c.Slabs[0].RowBytes() / layout.ChunkBytes }

// First is the row of the plan's first round that this thread copies.
func (c *CopyPlan) First() ptx.R32 { return c.row }

// Row is the row of round n that this thread copies.
func (c *CopyPlan) Row(n int) ptx.R32 { return c.B.AddS32(c.row, ptx.Imm(n*c.Rows)) }

// Chunk is the address of this thread's chunk of the row at an address.
func (c *CopyPlan) Chunk(row ptx.R64) ptx.R64 {
	return c.B.MadWideU32(c.chunk, ptx.Imm(layout.ChunkBytes), row)
}

// valid is ok, and for the padded slab also that the chunk holds real columns.
func (c *CopyPlan) valid(slab int, ok ptx.Pred) ptx.Pred {
	if c.padded && slab == len(c.Slabs)-1 {
		return c.B.AndPred(ok, c.inRange)
	}
	return ok
}

// shared is the shared-memory address of round n in a slab of a tile.
func (c *CopyPlan) shared(tile ptx.R32, slab, n int) ptx.SAddr {
	s, step := c.Slabs[slab], len(c.dst)
	reg := c.B.AddS32(tile, c.dst[n%step])
	return reg.At(s.Offset + n/step*step*c.Rows*s.RowBytes())
}

// Load starts the copies of round n into a tile from this thread's chunk of the row
// at an address, slab by slab; zeros arrive where not ok, and in columns that
// tensors do not have.
func (c *CopyPlan) Load(tile ptx.R32, n int, from ptx.R64, ok ptx.Pred) {
	b := c.B
	for i, s := range c.Slabs {
		bytes := b.SelpB32(ptx.Imm(layout.ChunkBytes), ptx.Imm(0), c.valid(i, ok))
		to := c.shared(tile, i, n)
		guarded := b
		if c.partial {
			guarded = b.If(c.active)
		}
		guarded.CpAsyncCgSharedGlobal(to, from.At(s.Col*s.Elem), ptx.Imm(layout.ChunkBytes), bytes)
	}
}

// Store writes round n of a tile to this thread's chunk of the row at an address,
// slab by slab, where ok.
func (c *CopyPlan) Store(tile ptx.R32, n int, to ptx.R64, ok ptx.Pred) {
	b := c.B
	store := func() {
		for i, s := range c.Slabs {
			data := b.R32s(4)
			b.LdSharedV4B32(data, c.shared(tile, i, n))
			b.If(c.valid(i, ok)).StGlobalV4B32(to.At(s.Col*s.Elem), data)
		}
	}
	if c.partial {
		b.When(c.active, "stored", store)
		return
	}
	store()
}

// Group ends a group of copies; Landed waits until at most so many newer groups are
// in flight and the thread block sees what all its threads have copied. It also ends
// all reads of the buffer that is loaded next.
func (w *Warp) Group() { w.B.CpAsyncCommitGroup() }

func (w *Warp) Landed(newer int) {
	w.B.CpAsyncWaitGroup(ptx.Imm(newer))
	w.B.BarSync(ptx.Imm(0))
}
