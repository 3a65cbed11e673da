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
)

// A test kernel of one warpgroup: matrices come in row by row, go to shared memory
// element by element through the layout's own arithmetic, and the accumulator leaves
// as each lane has it.
type bench struct {
	*ptxtest.Builder
	*tile.Warp
	rank  ptx.R32
	warps int
}

func newBench(b *ptxtest.Builder, warps int) *bench {
	return &bench{b, &tile.Warp{B: b.Builder, Lane: b.Lane}, b.ShrU32(b.Index, ptx.Imm(5)), warps}
}

// fill puts an array of 16-bit numbers, in pairs, into a tile: word w of the array is
// what offsets[w] says.
func (k *bench) fill(array, offsets string, words int, at ptx.R32) {
	b := k.Builder
	w := b.MovB32(b.Index)
	b.Endless("fill", "filled", func(end ptx.Point) {
		end.If(b.SetpGeS32(w, ptx.Imm(words)))
		to := b.AddS32(at, b.LdGlobalB32(b.Word(offsets, w).At(0)))
		b.StSharedB32(to.At(0), b.LdGlobalB32(b.Word(array, w).At(0)))
		b.AddS32To(w, w, ptx.Imm(k.warps*32))
	})
}

// leave writes an accumulator: of each thread so many numbers.
func (k *bench) leave(array string, a tile.Acc) {
	b := k.Builder
	at := b.Word(array, b.MulLoS32(b.Index, ptx.Imm(a.Columns()/2)))
	for n := range a.Columns() / 8 {
		for i, x := range a.Fragment(n) {
			b.StGlobalF32(at.At(16*n+4*i), x)
		}
	}
}

// offsets are where the pairs of a tile's rows lie.
func offsets(t layout.SmemTile) []int32 {
	var list []int32
	for row := range t.Rows {
		for col := 0; col < t.Cols; col += 2 {
			list = append(list, int32(t.Offset(row, col)))
		}
	}
	return list
}

// element is where a thread has an element of a fragment (PTX ISA 9.7.14.5.8).
func element(thread, frag, i int) (row, col int) {
	lane := thread % 32
	return thread/32*16 + lane/4 + i/2*8, 8*frag + lane%4*2 + i%2
}

// TestOperands multiplies by each form of operand that a family has: A in shared
// memory as it is, transposed, and from registers; B as it is and transposed.
func TestOperands(t *testing.T) {
	const m, k = 64, 64
	for _, f := range families {
		for _, n := range []int{64, 128} {
			for _, rows := range []string{"plain", "transposed", "registers"} {
				for _, columns := range []string{"plain", "transposed"} {
					t.Run(fmt.Sprintf("%s/%d/%s/%s", f.name, n, rows, columns), func(t *testing.T) {
						t.Parallel()
						checkOperands(t, f.hopper, m, n, k, rows, columns)
					})
				}
			}
		}
	}
}

func checkOperands(t *testing.T, hopper bool, m, n, k int, rows, columns string) {
	d := dtype.BF16
	at := layout.SmemTile{Rows: m, Cols: k, Type: d, Hardware: hopper}
	if rows == "transposed" {
		at.Rows, at.Cols = k, m
	}
	bt := layout.SmemTile{Rows: n, Cols: k, Type: d, Hardware: hopper}
	if columns == "transposed" {
		bt.Rows, bt.Cols = k, n
	}
	shape := ptxtest.Shape{
		Params: []ptx.Param{ptxtest.U64("a"), ptxtest.U64("ao"), ptxtest.U64("b"), ptxtest.U64("bo"), ptxtest.U64("c")},
		Warps:  4, Shared: at.Bytes() + bt.Bytes(), Target: families[0].target,
	}
	if hopper {
		shape.Target = families[1].target
	}
	kernel := ptxtest.Load(t, shape, func(b *ptxtest.Builder) {
		w := newBench(b, 4)
		smem := b.Shared()
		other := b.AddS32(smem, ptx.Imm(at.Bytes()))
		w.fill("a", "ao", m*k/2, smem)
		w.fill("b", "bo", n*k/2, other)
		if hopper {
			b.FenceProxyAsyncSharedCta()
		}
		b.BarSync(ptx.Imm(0))
		acc := w.Zeros(n, tile.Row)
		w.multiply(acc, at, smem, bt, other, rows, columns == "transposed", hopper)
		w.leave("c", acc)
	})
	a, b := numbers(3, m*k), numbers(4, n*k)
	c := make([]float32, m*n)
	kernel.Launch(t, 1, ptxtest.In(a), ptxtest.In(offsets(at)), ptxtest.In(b), ptxtest.In(offsets(bt)), ptxtest.Out(c))
	value := func(list []uint16, t layout.SmemTile, transposed bool, row, depth int) float64 {
		if transposed {
			row, depth = depth, row
		}
		return float64(tensor.BF16ToFloat32(list[row*t.Cols+depth]))
	}
	for i, got := range c {
		thread, rest := i/(n/2), i%(n/2)
		row, col := element(thread, rest/4, rest%4)
		want := 0.0
		for l := range k {
			want += value(a, at, rows == "transposed", row, l) * value(b, bt, columns == "transposed", col, l)
		}
		if float64(got) != 2*want { // the product is added to itself
			t.Fatalf("[%d, %d] is %v, not %v", row, col, got, 2*want)
		}
	}
}

// multiply computes the product, and adds it once more.
func (w *bench) multiply(acc tile.Acc, at layout.SmemTile, a ptx.R32, bt layout.SmemTile, b ptx.R32, rows string, transposed, hopper bool) {
	if !hopper {
		mma, columns := w.MmaSync(dtype.BF16), w.ShapeB(bt, transposed).At(b)
		operand := w.ShapeA(at, rows == "transposed").At(a, w.rank)
		if rows == "registers" {
			kept := operand.Load()
			mma.Product(acc, kept, columns)
			mma.Mma(acc, kept, columns)
			return
		}
		mma.Product(acc, operand, columns)
		mma.Mma(acc, operand, columns)
		return
	}
	g := tile.Wgmma{Warp: w.Warp, Type: dtype.BF16}
	var operand tile.WgmmaA
	switch rows {
	case "plain":
		operand = g.Matrix(at, a, at.Cols)
	case "transposed":
		operand = g.Transposed(at, a)
	case "registers":
		operand = w.ShapeA(at, false).At(a, w.rank).Load()
	}
	columns := g.Matrix(bt, b, bt.Cols)
	if transposed {
		columns = g.Transposed(bt, b)
	}
	g.Issue(func() { g.Mma(acc, operand, columns, tile.Fresh) })
	g.Wait(0)
	g.Issue(func() { g.Mma(acc, operand, columns, tile.AddedWhere(w.Builder.MovPred(ptx.Imm(1)))) })
	g.Wait(0)
}
