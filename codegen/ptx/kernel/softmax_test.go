package kernel_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/codegen/ptx/tile"
	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/internal/ptxtest"
	"github.com/s2attention/s2c/internal/tensor"
)

// softmaxes is a kernel in which each warp weighs KV tiles of two fragments one
// after the other. Its output is one accumulator: the weights of the first fragment
// summed over the tiles, rescaled as the output of a kernel is.
type softmaxes struct {
	*ptxtest.Kernel
	tiles int
	lazy  bool
}

const softmaxFrags = 2

func loadSoftmax(t testing.TB, tiles int, lazy bool) softmaxes {
	shape := ptxtest.Shape{Params: []ptx.Param{
		ptxtest.F32("scale"), ptxtest.U64("scores"), ptxtest.U64("weights"), ptxtest.U64("states"),
		ptxtest.U64("matters"), ptxtest.U64("acc"), ptxtest.U64("end"),
	}}
	return softmaxes{ptxtest.Load(t, shape, func(b *ptxtest.Builder) {
		f := frame(b, plain(16, 1, 1))
		s := f.NewSoftmax()
		s.Reset()
		acc := f.Zeros(8, tile.Row)
		times(b, tiles, func(n ptx.R32) {
			at := b.MadLoS32(b.Thread, ptx.Imm(tiles), n)
			scores := fragments(b, "scores", at, softmaxFrags)
			correction := s.Weigh(scores, lazy)
			matters := correction.Matters
			s.Correct(acc, correction)
			for i, a := range acc.Fragment(0) {
				b.AddF32To(a, a, scores.Fragment(0)[i])
			}
			storeFragments(b, "weights", at, all(scores)...)
			storeFragments(b, "states", at, []ptx.F32{s.Max[0], s.Max[1], s.Sum[0], s.Sum[1]})
			flag := b.Const32(none)
			if matters != nil {
				flag = b.Flag(*matters)
			}
			b.StGlobalB32(b.Word("matters", at).At(0), flag)
			storeFragments(b, "acc", at, acc.Fragment(0))
		})
		done := s.Finish(acc)
		var flags [2]ptx.F32
		for r := range done.Empty {
			flags[r] = b.SelpF32(b.MovF32(ptx.FImm(1)), ptx.FImm(0), done.Empty[r])
		}
		storeFragments(b, "end", b.Thread,
			[]ptx.F32{done.Inverse[0], done.Inverse[1], flags[0], flags[1]}, []ptx.F32{s.Max[0], s.Max[1], s.Sum[0], s.Sum[1]})
	}), tiles, lazy}
}

// softmaxRun is what a launch has left, a lane after the other, tile by tile.
type softmaxRun struct {
	scores, weights [][softmaxFrags][4]float32
	states          [][2][2]float32 // maxima and sums of the lane's two rows
	matters         []int32
	acc             [][4]float32
	end             [][2][2][2]float32 // (inverse, empty), (maximum, sum)
	scale           float32            // in base 2
}

func (s softmaxes) run(t *testing.T, scale float32, scores [][softmaxFrags][4]float32) *softmaxRun {
	n := len(scores)
	x := &softmaxRun{
		scores: scores, weights: make([][softmaxFrags][4]float32, n), states: make([][2][2]float32, n), matters: make([]int32, n),
		acc: make([][4]float32, n), end: make([][2][2][2]float32, n/s.tiles), scale: scale * math.Log2E,
	}
	s.Launch(t, n/s.tiles/lanes, scale, ptxtest.In(scores), ptxtest.Out(x.weights), ptxtest.Out(x.states),
		ptxtest.Out(x.matters), ptxtest.Out(x.acc), ptxtest.Out(x.end))
	return x
}

// near is whether a is within a relative error of want, or both are too small for
// a normal number.
func near(a float32, want, relative float64) bool { return within(a, want, relative*math.Abs(want)) }

// within is the same with an absolute error; nothing but itself is near an infinity.
func within(a float32, want, absolute float64) bool {
	if math.IsInf(want, 0) {
		return float64(a) == want
	}
	return math.Abs(float64(a)-want) <= absolute+0x1p-125
}

// compare holds every row of a warp against float64: after each tile, and at the end.
func (s softmaxes) compare(t *testing.T, x *softmaxRun, warp int) {
	t.Helper()
	at := func(lane, tile int) int { return (warp*lanes+lane)*s.tiles + tile }
	var most [16]float32 // the maxima that the warp should have
	for row := range most {
		most[row] = float32(math.Min(1, 1/float64(x.scale)) * -1.4e38)
		if got := x.states[at(row%8*4, 0)][0][row/8]; !(got >= most[row]*1.0001) {
			t.Fatalf("row %d starts from %v", row, got)
		}
	}
	for tile := range s.tiles {
		// What a row has seen raises its maximum; a lazy warp follows once one
		// of its rows has gone far.
		next, far := most, false
		for row := range next {
			for lane := row % 8 * 4; lane < row%8*4+4; lane++ {
				for _, frag := range x.scores[at(lane, tile)] {
					for _, v := range frag[2*(row/8) : 2*(row/8)+2] {
						if v > next[row] {
							next[row] = v
						}
					}
				}
			}
			far = far || float32(float32(most[row]-next[row])*x.scale) < -8
		}
		matters := int32(none)
		if s.lazy {
			matters = 0
		}
		if s.lazy && far {
			matters = 1
		}
		if matters != 0 {
			most = next
		}
		for lane := range lanes {
			i := at(lane, tile)
			if x.matters[i] != matters {
				t.Fatalf("tile %d, lane %d: a rescaling matters: %d, want %d", tile, lane, x.matters[i], matters)
			}
			for r := range 2 {
				m := most[lane/4+8*r]
				if got := x.states[i][0][r]; got != m && !(m < -1e30 && near(got, float64(m), 1e-6)) {
					t.Fatalf("tile %d, lane %d: maximum %v, want %v", tile, lane, got, m)
				}
			}
			s.compareWeights(t, x, warp, lane, tile, most)
		}
	}
	for lane := range lanes {
		for r := range 2 {
			s.compareEnd(t, x, warp, lane, r, most[lane/4+8*r])
		}
	}
}

// weight is 2^((score − most) · scale), and how far what is made of it over some
// tiles may be off: an exponent is a difference of two numbers of 24 bits, and so is
// that of each factor on the way.
func (x *softmaxRun) weight(score, most float32) (w, slack float64) {
	exponent := (float64(score) - float64(most)) * float64(x.scale)
	if w = math.Exp2(exponent); w == 0 {
		return 0, 0
	}
	return w, w * (2e-6 + 0x1p-24*(6*math.Abs(float64(most)*float64(x.scale))-exponent))
}

// total is a sum of weights.
type total struct{ sum, slack float64 }

func (s *total) add(x *softmaxRun, most float32, scores ...float32) {
	for _, v := range scores {
		w, slack := x.weight(v, most)
		s.sum, s.slack = s.sum+w, s.slack+slack
	}
}

// compareWeights checks a lane's weights of a tile, its sums of all tiles so far, and
// its accumulator.
func (s softmaxes) compareWeights(t *testing.T, x *softmaxRun, warp, lane, tile int, most [16]float32) {
	t.Helper()
	first := (warp*lanes + lane) * s.tiles
	for e := range 4 {
		m := most[rowOf(lane, e)]
		for n, frag := range x.scores[first+tile] {
			want, slack := x.weight(frag[e], m)
			if got := x.weights[first+tile][n][e]; !within(got, want, slack) {
				t.Fatalf("tile %d, lane %d: weight of %v is %v, want %v by maximum %v", tile, lane, frag[e], got, want, m)
			}
		}
		var acc total
		for _, frags := range x.scores[first : first+tile+1] {
			acc.add(x, m, frags[0][e])
		}
		if got := x.acc[first+tile][e]; !within(got, acc.sum, acc.slack) {
			t.Fatalf("tile %d, lane %d: accumulator %d is %v, want %v", tile, lane, e, got, acc.sum)
		}
	}
	for r := range 2 {
		var sum total
		for _, frags := range x.scores[first : first+tile+1] {
			for _, frag := range frags {
				sum.add(x, most[lane/4+8*r], frag[2*r:2*r+2]...)
			}
		}
		if got := x.states[first+tile][1][r]; !within(got, sum.sum, sum.slack) {
			t.Fatalf("tile %d, lane %d: sum %v, want %v", tile, lane, got, sum.sum)
		}
	}
}

// compareEnd checks what Finish gives of a row.
func (s softmaxes) compareEnd(t *testing.T, x *softmaxRun, warp, lane, r int, most float32) {
	t.Helper()
	var row total
	for other := lane &^ 3; other < lane&^3+4; other++ {
		first := (warp*lanes + other) * s.tiles
		for _, frags := range x.scores[first : first+s.tiles] {
			for _, frag := range frags {
				row.add(x, most, frag[2*r:2*r+2]...)
			}
		}
	}
	end := x.end[warp*lanes+lane]
	inverse, empty := end[0][0][r], end[0][1][r] == 1
	if got := end[1][1][r]; !within(got, row.sum, row.slack) {
		t.Fatalf("lane %d: the row's sum is %v, want %v", lane, got, row.sum)
	}
	right := inverse == 0
	if row.sum > 0 {
		right = near(inverse, 1/row.sum, 1e-6+row.slack/row.sum)
	}
	if !right || empty != (row.sum == 0) {
		t.Fatalf("lane %d: inverse %v, empty %v of a sum of %v by maximum %v", lane, inverse, empty, row.sum, most)
	}
}

// drawScores is a warp's scores of tiles: rows that rise slowly and fast, fall, are
// masked in part, and see nothing at all.
func drawScores(seed uint64, warps, tiles int, scale float32) [][softmaxFrags][4]float32 {
	r := random(seed)
	all := make([][softmaxFrags][4]float32, warps*lanes*tiles)
	for warp := range warps {
		var rise, hidden [16]float64
		for row := range rise {
			rise[row] = float64(oneOf(r, -20, -1, 0, 1, 2, 7))
			hidden[row] = oneOf(r, 0, 0, 0.5, 1)
			if warp%2 == 0 { // no row of these warps outgrows its maximum by much
				rise[row] = min(rise[row], 1)
			}
		}
		for i := warp * lanes * tiles; i < (warp+1)*lanes*tiles; i++ {
			lane, tile := i/tiles%lanes, i%tiles
			for n := range all[i] {
				for e := range 4 {
					row := rowOf(lane, e)
					exponent := rise[row]*float64(tile) + 3*r.Float64()
					all[i][n][e] = float32(exponent / (float64(scale) * math.Log2E))
					if r.Float64() < hidden[row] || hidden[row] == 0.5 && tile == 0 {
						all[i][n][e] = float32(math.Inf(-1))
					}
				}
			}
		}
	}
	return all
}

// TestSoftmax: maxima, weights, sums, rescaled output and normalising factors.
func TestSoftmax(t *testing.T) {
	const tiles, warps = 5, 4
	for _, lazy := range []bool{false, true} {
		s := loadSoftmax(t, tiles, lazy)
		for n, scale := range []float32{0.088388346, 1, 25, 1e-9} {
			t.Run(fmt.Sprintf("lazy=%v,scale=%v", lazy, scale), func(t *testing.T) {
				x := s.run(t, scale, drawScores(uint64(20+n), warps, tiles, scale))
				for warp := range warps {
					s.compare(t, x, warp)
				}
			})
		}
	}
}

// constantRows is scores of one warp that are the same in all of a row but for what
// row and tile decide.
func constantRows(tiles int, score func(row, tile int) float32) [][softmaxFrags][4]float32 {
	all := make([][softmaxFrags][4]float32, lanes*tiles)
	for i := range all {
		for n := range all[i] {
			for e := range 4 {
				all[i][n][e] = score(rowOf(i/tiles, e), i%tiles)
			}
		}
	}
	return all
}

// TestSoftmaxLazy: a warp keeps its maxima up to a growth of 2^8 and no further,
// and follows in all rows once one has passed that.
func TestSoftmaxLazy(t *testing.T) {
	const scale = 0.6931472 // 1 in base 2, or a unit in the last place of it
	const product = "mul.ftz.f32"
	s := loadSoftmax(t, 3, true)
	var products []int64
	for _, c := range []struct {
		rise    float32
		matters int32
	}{{7.99, 0}, {8, 0}, {8.01, 1}} {
		x := s.run(t, scale, constantRows(3, func(row, tile int) float32 {
			if row == 11 && tile > 0 {
				return c.rise
			}
			return float32(tile) / 8
		}))
		if x.scale != 1 {
			t.Fatalf("scale %v in base 2", x.scale)
		}
		s.compare(t, x, 0)
		if x.matters[0] != 1 || x.matters[1] != c.matters || x.matters[2] != 0 {
			t.Errorf("a rise of %v: rescaled %v", c.rise, x.matters[:3])
		}
		products = append(products, s.Executed(product))
	}
	if products[1] != products[0] || products[2] != products[0]+4 { // the accumulators of one tile
		t.Errorf("products: %v: a tile is rescaled that need not be", products)
	}
}

// TestSoftmaxHuge: exponents from 2^26 on make a row NaN, those below do not; what
// is not a number stays none. A row without a key is empty, whatever the scale.
func TestSoftmaxHuge(t *testing.T) {
	const scale = 0.6931472
	s := loadSoftmax(t, 2, false)
	inf := float32(math.Inf(1))
	rows := [16]float32{1 << 26, 1<<26 - 4, -1 << 26, 4 - 1<<26, 1e38, -1e38, -inf, 0, 3e38, -3e38, 0x1p-126, -0x1p-126, 1 << 25, 1<<26 + 8, 1, -1}
	x := s.run(t, scale, constantRows(2, func(row, _ int) float32 { return rows[row] }))
	for lane := range lanes {
		for r := range 2 {
			row := lane/4 + 8*r
			inverse, empty := x.end[lane][0][0][r], x.end[lane][0][1][r]
			most := float64(rows[row])
			switch {
			case most < -1.4e38: // masked, or below the least score that counts
				if inverse != 0 || empty != 1 {
					t.Errorf("row of %v: inverse %v, empty %v", rows[row], inverse, empty)
				}
			case math.Abs(most) >= 1<<26:
				if inverse == inverse || empty != 0 {
					t.Errorf("row of %v: inverse %v, empty %v", rows[row], inverse, empty)
				}
			default:
				if !near(inverse, 1.0/32, 1e-5) || empty != 0 {
					t.Errorf("row of %v: inverse %v, empty %v", rows[row], inverse, empty)
				}
			}
		}
	}
	for _, bad := range []float32{inf, float32(math.NaN())} {
		x := s.run(t, scale, constantRows(2, func(row, tile int) float32 {
			if row == 3 && tile == 1 {
				return bad
			}
			return 1
		}))
		for lane := range lanes {
			for r := range 2 {
				inverse, isBad := x.end[lane][0][0][r], lane/4+8*r == 3
				if (inverse != inverse) != isBad {
					t.Errorf("%v in row 3: inverse %v of row %d", bad, inverse, lane/4+8*r)
				}
			}
		}
	}
	for _, scale := range []float32{1e-30, 0.1, 1, 1000, 1e30} {
		x := s.run(t, scale, constantRows(2, func(int, int) float32 { return -inf }))
		for lane := range lanes {
			if end := x.end[lane]; end[0] != [2][2]float32{{0, 0}, {1, 1}} || end[1][1] != [2]float32{} {
				t.Fatalf("scale %v: rows that saw nothing end as %v", scale, end)
			}
		}
	}
}

// TestPack: two accumulators of eight tokens are the A fragment of sixteen (PTX ISA
// 9.7.14.5.8), rounded.
func TestPack(t *testing.T) {
	const steps = 3
	for typ, round := range map[dtype.Type]func(float32) uint16{dtype.BF16: tensor.BF16FromFloat32, dtype.F16: tensor.F16FromFloat32} {
		k := plain(16, 1, 1)
		k.Shape.DType = typ
		shape := ptxtest.Shape{Params: []ptx.Param{ptxtest.F32("scale"), ptxtest.U64("weights"), ptxtest.U64("packed")}}
		kern := ptxtest.Load(t, shape, func(b *ptxtest.Builder) {
			p := frame(b, k).NewFragments(16*steps, typ)
			p.Pack(fragments(b, "weights", b.Thread, 2*steps))
			for i := range steps {
				b.StGlobalV4B32(b.Word("packed", b.MulLoS32(b.Thread, ptx.Imm(4*steps))).At(16*i), p.Step(i))
			}
		})
		r := random(10)
		var tile [16][16 * steps]float32
		for row := range tile {
			for col := range tile[row] {
				tile[row][col] = r.Float32()
			}
		}
		var in [lanes][2 * steps][4]float32
		for lane := range in {
			for n := range in[lane] {
				for e := range 4 {
					in[lane][n][e] = tile[rowOf(lane, e)][8*n+colOf(lane, e)]
				}
			}
		}
		var out [lanes][steps][4][2]uint16
		kern.Launch(t, 1, float32(1), ptxtest.In(in[:]), ptxtest.Out(out[:]))
		for lane := range out {
			for step := range steps {
				for i := range 4 {
					for half := range 2 {
						row, col := lane/4+i%2*8, 16*step+lane%4*2+half+i/2*8
						if got, want := out[lane][step][i][half], round(tile[row][col]); got != want {
							t.Fatalf("%s: lane %d, step %d, register %d, half %d: %#x, want %#x", typ, lane, step, i, half, got, want)
						}
					}
				}
			}
		}
	}
}
