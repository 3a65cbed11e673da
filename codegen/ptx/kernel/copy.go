package kernel

import (
	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/ir/layout"
)

// CopyPlan says how threads copy a tile's slabs of one width: thread t takes
// 16-byte chunk t mod chunks of row t / chunks, and of the row that is rows·n
// further in round n.
type CopyPlan struct {
	Slabs   []layout.Slab // all of one width
	Chunks  int           // 16-byte chunks a row
	Rows    int           // rows a round
	Rounds  int
	Row     ptx.R32   // this thread's row in round 0
	Chunk   ptx.R32   // this thread's chunk
	dst     []ptx.R32 // offset in the slab in rounds 0, 1, … while the swizzle still varies
	Active  ptx.Pred  // the thread has a row at all; only where threads outnumber rows
	Partial bool
	inRange ptx.Pred // the chunk holds real columns of the last slab; only where it is padded
	padded  bool
}

// PlanCopies makes a plan for each width of a tile's slabs. who numbers the
// threads that take part; rows is the number of rows they copy.
func (f *Frame) PlanCopies(t layout.SmemTile, rows int, who ptx.R32, threads int) []CopyPlan {
	var plans []CopyPlan
	for _, s := range t.Slabs() {
		if n := len(plans); n > 0 && plans[n-1].Slabs[0].Width == s.Width {
			plans[n-1].Slabs = append(plans[n-1].Slabs, s)
			continue
		}
		plans = append(plans, f.planCopy(s, rows, who, threads))
	}
	last := &plans[len(plans)-1]
	s := last.Slabs[len(last.Slabs)-1]
	used := (f.K.Shape.HeadDim - s.Col) / s.ChunkCols() // its chunks with real columns
	if last.padded = used < last.Chunks; last.padded {
		last.inRange = f.B.SetpLtS32(last.Chunk, ptx.Imm(used))
	}
	return plans
}

func (f *Frame) planCopy(s layout.Slab, rows int, who ptx.R32, threads int) CopyPlan {
	b := f.B
	c := CopyPlan{Slabs: []layout.Slab{s}, Chunks: s.RowBytes() / layout.ChunkBytes}
	c.Rows = threads / c.Chunks
	c.Rounds = max(1, rows/c.Rows)
	c.Row = b.DivU32(who, ptx.Imm(c.Chunks))
	c.Chunk = b.AndB32(who, ptx.Imm(c.Chunks-1))
	if c.Partial = c.Rows > rows; c.Partial {
		c.Active = b.SetpLtS32(c.Row, ptx.Imm(rows))
	}
	for n := range max(1, 8/c.Rows) { // the swizzle repeats every 8 rows
		row := b.AddS32(c.Row, ptx.Imm(n*c.Rows))
		c.dst = append(c.dst, f.Swizzled(s, row, c.Chunk))
	}
	return c
}

// Valid is ok, and for the padded slab also that the chunk holds real columns.
func (c *CopyPlan) Valid(b *ptx.Builder, slab int, ok ptx.Pred) ptx.Pred {
	if c.padded && slab == len(c.Slabs)-1 {
		return b.AndPred(ok, c.inRange)
	}
	return ok
}

// Swizzled is the offset in its tile of a chunk of a row of a slab.
func (f *Frame) Swizzled(s layout.Slab, row, chunk ptx.R32) ptx.R32 {
	b := f.B
	shift, mask := s.Swizzle()
	x := b.AndB32(b.ShrU32(row, ptx.Imm(shift)), ptx.Imm(mask))
	at := b.ShlB32(b.XorB32(chunk, x), ptx.Imm(4))
	return b.MadLoS32(row, ptx.Imm(s.RowBytes()), at)
}

// To is the shared-memory address of round n in a slab of a tile.
func (c *CopyPlan) To(b *ptx.Builder, tile ptx.R32, slab, n int) ptx.SAddr {
	s, step := c.Slabs[slab], len(c.dst)
	reg := b.AddS32(tile, c.dst[n%step])
	return reg.At(s.Offset + n/step*step*c.Rows*s.RowBytes())
}
