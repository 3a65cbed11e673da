package tile

import (
	"fmt"
	"testing"

	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/codegen/ptx/inst"
	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/internal/ptxtest"
	"github.com/s2attention/s2c/ir/layout"
)

// tile16 is a tile of 16-bit elements that software swizzles.
func tile16(rows, cols int) layout.SmemTile {
	return layout.SmemTile{Rows: rows, Cols: cols, Type: dtype.BF16}
}

// TestSwizzled: the emitted arithmetic puts each chunk where the layout says.
func TestSwizzled(t *testing.T) {
	for _, cols := range []int{64, 96, 112, 16, 80, 48} {
		tile := tile16(32, cols)
		slabs := tile.Slabs()
		shape := ptxtest.Shape{Params: []ptx.Param{ptxtest.U64("offsets")}}
		kern := ptxtest.Load(t, shape, func(b *ptxtest.Builder) {
			w := &Warp{B: b.Builder, Lane: b.Lane}
			for i, s := range slabs {
				for chunk := range s.RowBytes() / layout.ChunkBytes {
					at := w.Swizzled(s, b.Lane, b.Const32(int64(chunk)))
					b.StGlobalB32(b.Word("offsets", b.Lane).At(4*inst.WarpSize*(8*i+chunk)), at)
				}
			}
		})
		offsets := make([][8][inst.WarpSize]int32, len(slabs))
		kern.Launch(t, 1, ptxtest.InOut(offsets))
		for i, s := range slabs {
			for chunk := range s.RowBytes() / layout.ChunkBytes {
				for row, got := range offsets[i][chunk] {
					if want := tile.Offset(row, s.Col+chunk*s.ChunkCols()) - s.Offset; int(got) != want {
						t.Fatalf("%d columns, slab %d: row %d, chunk %d at %d, want %d", cols, i, row, chunk, got, want)
					}
				}
			}
		}
	}
}

// copied is what a thread does in a round for a slab: where the chunk goes, which row
// and columns it is of, and whether it is copied, and with data.
type copied struct{ To, Row, Col, Active, Valid, Unasked int32 }

const copiedWords = 6

// TestPlanCopies: all threads together copy each chunk of a tile once, to where the
// layout puts it, and the columns that pad the head dimension without data.
func TestPlanCopies(t *testing.T) {
	for _, c := range []struct{ dim, rows, tileRows, threads int }{
		{128, 64, 64, 128}, {64, 64, 64, 128}, {96, 64, 64, 128}, {112, 32, 32, 64}, {256, 32, 32, 256}, {256, 16, 64, 32},
		{72, 64, 64, 128}, {40, 32, 32, 128}, {8, 16, 16, 128}, {16, 16, 16, 64}, {200, 128, 128, 256}, {104, 16, 128, 32}, {120, 16, 32, 32},
		{48, 16, 16, 256}, {8, 16, 16, 32},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) { comparePlan(t, c.dim, c.rows, c.tileRows, c.threads) })
	}
}

func comparePlan(t *testing.T, dim, rows, tileRows, threads int) {
	const base = 4096
	tile := tile16(tileRows, (dim+15)/16*16)
	var each int // copies of a thread
	shape := ptxtest.Shape{Params: []ptx.Param{ptxtest.U64("out")}, Warps: threads / inst.WarpSize}
	kern := ptxtest.Load(t, shape, func(b *ptxtest.Builder) {
		w := &Warp{B: b.Builder, Lane: b.Lane}
		yes, no := b.MovPred(ptx.Imm(1)), b.MovPred(ptx.Imm(0))
		w.eachCopy(tile, dim, rows, b.Index, threads, b.Const32(base), func(x copyStep) {
			at := b.Word("out", b.MulLoS32(b.Index, ptx.Imm(copiedWords))).At(4 * copiedWords * threads * each)
			each++
			to := b.AddS32(x.to.Base, ptx.Imm(x.to.Off))
			col := b.AddS32(b.MulLoS32(x.chunk, ptx.Imm(layout.ChunkBytes/2)), ptx.Imm(x.slab.Col))
			for i, v := range []ptx.R32{to, x.row, col, b.Flag(x.active), b.Flag(x.valid(yes)), b.Flag(x.valid(no))} {
				b.StGlobalB32(b.AddS64(at.Base, ptx.Imm(at.Off)).At(4*i), v)
			}
		})
	})
	out := make([]copied, each*threads)
	kern.Launch(t, 1, ptxtest.Out(out))
	seen := map[[2]int32]bool{}
	for _, x := range out {
		if x.Active == 0 {
			if x.Row < int32(rows) {
				t.Fatalf("%+v is left out", x)
			}
			continue
		}
		at := [2]int32{x.Row, x.Col}
		if seen[at] || x.Row >= int32(rows) || x.Col >= int32(tile.Cols) {
			t.Fatalf("%+v: copied twice, or outside of the tile", x)
		}
		seen[at] = true
		if want := base + tile.Offset(int(x.Row), int(x.Col)); x.To != int32(want) {
			t.Fatalf("%+v: want it at %d", x, want)
		}
		if (x.Valid != 0) != (x.Col < int32(dim)) || x.Unasked != 0 {
			t.Fatalf("%+v of %d columns: data or none", x, dim)
		}
	}
	if want := rows * tile.Cols / 8; len(seen) != want {
		t.Fatalf("%d chunks are copied, want %d", len(seen), want)
	}
}

// copyStep is one round of a copy plan for one slab.
type copyStep struct {
	to         ptx.SAddr
	row, chunk ptx.R32 // of the slab
	slab       layout.Slab
	active     ptx.Pred
	valid      func(ok ptx.Pred) ptx.Pred
}

// eachCopy walks the copies that a thread makes of a tile's first rows.
func (w *Warp) eachCopy(t layout.SmemTile, columns, rows int, who ptx.R32, threads int, tile ptx.R32, body func(copyStep)) {
	for _, c := range w.PlanCopies(t, columns, rows, who, threads) {
		active := w.B.MovPred(ptx.Imm(1))
		if c.partial {
			active = c.active
		}
		for n := range c.Rounds {
			row := c.Row(n)
			for i, s := range c.Slabs {
				body(copyStep{c.shared(tile, i, n), row, c.chunk, s, active, func(ok ptx.Pred) ptx.Pred { return c.valid(i, ok) }})
			}
		}
	}
}
