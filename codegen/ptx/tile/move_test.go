package tile_test

import (
	"fmt"
	"testing"

	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/codegen/ptx/tile"
	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/internal/ptxtest"
	"github.com/s2attention/s2c/internal/tensor"
	"github.com/s2attention/s2c/ir/layout"
	"github.com/s2attention/s2c/target"
)

// TestMoves takes the rows of an accumulator from registers to shared memory, and
// through fragments back again, in each way that there is: every element must lie where the
// layout says, and return to where it was.
func TestMoves(t *testing.T) {
	for _, c := range []struct{ warps, columns int }{{2, 64}, {4, 32}, {4, 64}, {4, 96}, {4, 128}, {8, 64}, {8, 32}} {
		for _, how := range []string{"pairs", "matrices", "transposed"} {
			for _, d := range []dtype.Type{dtype.BF16, dtype.F16} {
				t.Run(fmt.Sprintf("%d warps/%d/%s/%s", c.warps, c.columns, how, d), func(t *testing.T) {
					t.Parallel()
					checkMove(t, c.warps, c.columns, how, d)
				})
			}
		}
	}
}

func checkMove(t *testing.T, warps, columns int, how string, d dtype.Type) {
	rows := 16 * warps
	at := layout.SmemTile{Rows: rows, Cols: columns, Type: d}
	if how == "transposed" {
		at.Rows, at.Cols = columns, rows
	}
	shape := ptxtest.Shape{
		Params: []ptx.Param{ptxtest.U64("in"), ptxtest.U64("lies"), ptxtest.U64("back")},
		Warps:  warps, Shared: at.Bytes(), Target: target.SM90a,
	}
	kernel := ptxtest.Load(t, shape, func(b *ptxtest.Builder) {
		w := newBench(b, warps)
		smem := b.Shared()
		acc := w.enter("in", columns, tile.Row)
		place := w.ShapeA(at, how == "transposed").At(smem, w.rank)
		if how == "pairs" {
			acc.Store(at, smem, b.ShlB32(w.rank, ptx.Imm(4)))
		} else {
			f := w.NewFragments(columns, d)
			f.Pack(acc)
			place.Store(f)
		}
		b.BarSync(ptx.Imm(0))
		w.dump("lies", smem, at.Bytes()/4)
		w.leaveFragments("back", place.Load(), columns)
	})
	in := randomFloats(11, rows*columns)
	lies, back := make([]uint16, rows*columns), make([]uint16, rows*columns)
	kernel.Launch(t, 1, ptxtest.In(in), ptxtest.Out(lies), ptxtest.Out(back))
	round := tensor.BF16FromFloat32
	if d == dtype.F16 {
		round = tensor.F16FromFloat32
	}
	for i, x := range in {
		row, col := element(i/(columns/2), i%(columns/2)/4, i%4)
		if how == "transposed" {
			row, col = col, row
		}
		if got := lies[at.Offset(row, col)/2]; got != round(x) {
			t.Fatalf("[%d, %d] lies as %#x, not %#x", row, col, got, round(x))
		}
		if back[i] != round(x) {
			t.Fatalf("[%d, %d] comes back as %#x, not %#x", row, col, back[i], round(x))
		}
	}
}

// dump writes words of shared memory to an array.
func (k *bench) dump(array string, from ptx.R32, words int) {
	b := k.Builder
	n := b.MovB32(b.Index)
	b.Endless("dump", "dumped", func(end ptx.Point) {
		end.If(b.SetpGeS32(n, ptx.Imm(words)))
		b.StGlobalB32(b.Word(array, n).At(0), b.LdSharedB32(b.AddS32(from, b.ShlB32(n, ptx.Imm(2))).At(0)))
		b.AddS32To(n, n, ptx.Imm(k.warps*32))
	})
}

// leaveFragments writes fragments as leave writes the accumulator that they were
// packed from.
func (k *bench) leaveFragments(array string, f tile.Fragments, columns int) {
	b := k.Builder
	at := b.Word(array, b.MulLoS32(b.Index, ptx.Imm(columns/4)))
	for step := range columns / 16 {
		for i, pair := range f.Step(step) {
			b.StGlobalB32(at.At(16*step+4*i), pair)
		}
	}
}

// TestCopies takes a tile in and out by copy plans, with rows that the tensor does not
// have, columns that it does not have, and more threads than rows: zeros arrive where
// there is nothing, and nothing is written where nothing belongs.
func TestCopies(t *testing.T) {
	for _, c := range []struct{ columns, rows, warps int }{{128, 64, 4}, {72, 32, 2}, {40, 16, 8}, {8, 16, 4}, {200, 32, 1}} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			checkCopies(t, c.columns, c.rows, c.warps)
		})
	}
}

func checkCopies(t *testing.T, columns, rows, warps int) {
	at := layout.SmemTile{Rows: rows, Cols: (columns + 15) / 16 * 16, Type: dtype.BF16}
	valid := rows - 3
	shape := ptxtest.Shape{
		Params: []ptx.Param{ptxtest.U64("in"), ptxtest.U64("lies"), ptxtest.U64("out")}, Warps: warps, Shared: at.Bytes(),
	}
	kernel := ptxtest.Load(t, shape, func(b *ptxtest.Builder) {
		w := newBench(b, warps)
		smem := b.Shared()
		plans := w.PlanCopies(at, columns, rows, b.Index, 32*warps)
		each := func(array string, body func(c *tile.CopyPlan, n int, at ptx.R64, ok ptx.Pred)) {
			for i := range plans {
				c := &plans[i]
				for n := range c.Rounds {
					row := c.Row(n)
					at := b.Word(array, b.MulLoS32(row, ptx.Imm(columns/2)))
					body(c, n, c.Chunk(at), b.SetpLtS32(row, ptx.Imm(valid)))
				}
			}
		}
		each("in", func(c *tile.CopyPlan, n int, at ptx.R64, ok ptx.Pred) { c.Load(smem, n, at, ok) })
		w.Group()
		w.Landed(0)
		w.dump("lies", smem, at.Bytes()/4)
		b.BarSync(ptx.Imm(0))
		each("out", func(c *tile.CopyPlan, n int, at ptx.R64, ok ptx.Pred) { c.Store(smem, n, at, ok) })
	})
	in, lies, out := make([]uint16, valid*columns), make([]uint16, at.Bytes()/2), make([]uint16, valid*columns)
	for i := range in {
		in[i], out[i] = uint16(i+1), 0xffff
	}
	kernel.Launch(t, 1, ptxtest.In(in), ptxtest.Out(lies), ptxtest.InOut(out))
	for row := range rows {
		for col := range at.Cols {
			want := uint16(0)
			if row < valid && col < columns {
				want = in[row*columns+col]
			}
			if got := lies[at.Offset(row, col)/2]; got != want {
				t.Fatalf("[%d, %d] is %d, not %d", row, col, got, want)
			}
		}
	}
	for i, got := range out {
		if got != in[i] {
			t.Fatalf("[%d, %d] goes out as %d, not %d", i/columns, i%columns, got, in[i])
		}
	}
}
