package tile_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/codegen/ptx/tile"
	"github.com/s2attention/s2c/internal/ptxtest"
)

// enter reads an accumulator as leave writes it.
func (k *bench) enter(array string, columns int, query tile.Axis) tile.Acc {
	b, a := k.Builder, k.NewAcc(columns, query)
	at := b.Word(array, b.MulLoS32(b.Index, ptx.Imm(columns/2)))
	for n := range columns / 8 {
		for i, x := range a.Fragment(n) {
			b.MovF32To(x, b.LdGlobalF32(at.At(16*n+4*i)))
		}
	}
	return a
}

// matrix is the 16 rows of an accumulator, from what the lanes of a warp have.
func matrix(list []float32, columns int) [16][]float32 {
	var m [16][]float32
	for r := range m {
		m[r] = make([]float32, columns)
	}
	for i, x := range list {
		row, col := element(i/(columns/2), i%(columns/2)/4, i%4)
		m[row][col] = x
	}
	return m
}

func randomFloats(seed uint64, n int) []float32 {
	r := rand.New(rand.NewPCG(seed, 7))
	list := make([]float32, n)
	for i := range list {
		list[i] = float32(r.NormFloat64())
	}
	return list
}

const accColumns = 32

// line is the elements of a query's line.
func line(m [16][]float32, query tile.Axis, n int) []float32 {
	if query == tile.Row {
		return m[n]
	}
	var column []float32
	for r := range m {
		column = append(column, m[r][n])
	}
	return column
}

var axes = map[string]struct {
	axis  tile.Axis
	lines int // of an accumulator
}{"rows": {tile.Row, 16}, "columns": {tile.Column, accColumns}}

// lineOf is which line of the accumulator a thread's n-th is.
func lineOf(query tile.Axis, thread, n int) int {
	if query == tile.Row {
		return thread%32/4 + 8*n
	}
	return n/2*8 + thread%4*2 + n%2
}

// TestLines holds maxima, exponentials, sums and factors of lines along either axis
// against plain Go.
func TestLines(t *testing.T) {
	for name, c := range axes {
		t.Run(name, func(t *testing.T) {
			lanes := 2
			if c.axis == tile.Column {
				lanes = accColumns / 4
			}
			shape := ptxtest.Shape{Params: []ptx.Param{ptxtest.U64("in"), ptxtest.U64("most"), ptxtest.U64("sum"), ptxtest.U64("out")}}
			kernel := ptxtest.Load(t, shape, func(b *ptxtest.Builder) {
				w := newBench(b, 1)
				a := w.enter("in", accColumns, c.axis)
				if a.Lines() != lanes {
					t.Fatalf("%d lines a lane, not %d", a.Lines(), lanes)
				}
				var factors []ptx.F32
				at, to := b.Word("most", b.MulLoS32(b.Index, ptx.Imm(lanes))), b.Word("sum", b.MulLoS32(b.Index, ptx.Imm(lanes)))
				for n := range lanes {
					most, sum := a.Max(n), b.MovF32(ptx.FImm(0))
					b.StGlobalF32(at.At(4*n), most)
					a.Exp2(n, b.MovF32(ptx.FImm(0.5)), b.NegF32(most), sum)
					a.Across(sum, a.Peers(), b.AddFtzF32To)
					b.StGlobalF32(to.At(4*n), sum)
					factors = append(factors, sum)
				}
				a.Scale(factors)
				w.leave("out", a)
			})
			in := randomFloats(5, 16*accColumns)
			most, sum, out := make([]float32, 32*lanes), make([]float32, 32*lanes), make([]float32, len(in))
			kernel.Launch(t, 1, ptxtest.In(in), ptxtest.Out(most), ptxtest.Out(sum), ptxtest.Out(out))
			before, after := matrix(in, accColumns), matrix(out, accColumns)
			for thread := range 32 {
				for n := range lanes {
					l := lineOf(c.axis, thread, n)
					checkLine(t, line(before, c.axis, l), line(after, c.axis, l), most[thread*lanes+n], sum[thread*lanes+n])
				}
			}
		})
	}
}

func checkLine(t *testing.T, before, after []float32, most, sum float32) {
	t.Helper()
	wantMost, wantSum := float32(math.Inf(-1)), 0.0
	for _, x := range before {
		wantMost = max(wantMost, x)
	}
	for _, x := range before {
		wantSum += math.Exp2(float64(x)/2 - float64(wantMost))
	}
	if most != wantMost || math.Abs(float64(sum)/wantSum-1) > 1e-5 {
		t.Fatalf("maximum %v, sum %v; want %v, %v", most, sum, wantMost, wantSum)
	}
	for i, x := range before {
		want := math.Exp2(float64(x)/2-float64(wantMost)) * wantSum
		if math.Abs(float64(after[i])/want-1) > 1e-5 {
			t.Fatalf("2^(%v / 2 - %v) · %v is %v, not %v", x, wantMost, sum, after[i], want)
		}
	}
}

// TestKeep holds masks against plain Go: one run of columns a row, with and without a
// beginning.
func TestKeep(t *testing.T) {
	for _, from := range []bool{false, true} {
		shape := ptxtest.Shape{Params: []ptx.Param{ptxtest.U64("in"), ptxtest.U64("from"), ptxtest.U64("to"), ptxtest.U64("out")}}
		kernel := ptxtest.Load(t, shape, func(b *ptxtest.Builder) {
			w := newBench(b, 1)
			a := w.enter("in", accColumns, tile.Row)
			// Runs count from the lane's first column, arrays from the row's.
			read := func(array string) (list []ptx.R32) {
				for r := range 2 {
					row := b.AddS32(w.Row(), ptx.Imm(8*r))
					list = append(list, b.SubS32(b.LdGlobalB32(b.Word(array, row).At(0)), w.Column()))
				}
				return list
			}
			run := tile.Run{To: read("to")}
			if from {
				run.From = read("from")
			}
			a.Part(8, 16).Keep(run, ptx.FImm(-7))
			w.leave("out", a)
		})
		r := rand.New(rand.NewPCG(9, 9))
		for range 50 {
			in, out := randomFloats(r.Uint64(), 16*accColumns), make([]float32, 16*accColumns)
			begins, ends := make([]int32, 16), make([]int32, 16)
			for row := range ends {
				begins[row], ends[row] = int32(r.IntN(20)-2), int32(r.IntN(20)-2)
			}
			begins[3], ends[3] = math.MaxInt32/2, math.MinInt32/2
			kernel.Launch(t, 1, ptxtest.In(in), ptxtest.In(begins), ptxtest.In(ends), ptxtest.Out(out))
			before, after := matrix(in, accColumns), matrix(out, accColumns)
			for row := range before {
				for col := range before[row] {
					want := before[row][col]
					at := int32(col - 8) // the part's columns
					if at >= 0 && at < 16 && (at >= ends[row] || from && at < begins[row]) {
						want = -7
					}
					if after[row][col] != want {
						t.Fatalf("[%d, %d] with a run from %d to %d is %v, not %v", row, col, begins[row], ends[row], after[row][col], want)
					}
				}
			}
		}
	}
}
