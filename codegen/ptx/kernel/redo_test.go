package kernel_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/codegen/ptx/kernel"
	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/internal/ptxtest"
	"github.com/s2attention/s2c/internal/tensor"
	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/ir/layout"
)

// redone is a kernel of one warp that goes through its sixteen rows again.
type redone struct {
	*ptxtest.Kernel
	k      *layout.Kernel
	p      *kernel.Pattern
	unpack func(uint16) float32
	pack   func(float32) uint16
}

func loadRedo(t testing.TB, k *layout.Kernel) *redone {
	x := &redone{k: k, p: encode(t, k), unpack: tensor.BF16ToFloat32, pack: tensor.BF16FromFloat32}
	if k.Shape.DType == dtype.F16 {
		x.unpack, x.pack = tensor.F16ToFloat32, tensor.F16FromFloat32
	}
	shape := ptxtest.Shape{Globals: globals(x.p), Params: []ptx.Param{
		ptxtest.F32("scale"), ptxtest.U32("q_len"), ptxtest.U32("k_len"), ptxtest.U32("batch"), ptxtest.U32("tile"), ptxtest.U32("head"), ptxtest.U32("first"),
		ptxtest.U64("table"), ptxtest.U64("lse"),
	}}
	for _, name := range []string{"q", "k", "v", "o"} {
		shape.Params = append(shape.Params, ptxtest.U64(name), ptxtest.U64(name+"_batch"), ptxtest.U64(name+"_head"), ptxtest.U64(name+"_seq"))
	}
	x.Kernel = ptxtest.Load(t, shape, func(b *ptxtest.Builder) {
		param := func(name string) ptx.R32 { return kernel.Param32(b.Builder, name) }
		f := frame(b, k)
		f.WarpHead, f.WarpPos = param("head"), param("first")
		f.Lengths = kernel.LoadLengths(b.Builder, k.Positions)
		f.Tile.Batch, f.Tile.Index = param("batch"), param("tile")
		f.Tile.Position = b.MulLoS32(f.Tile.Index, ptx.Imm(k.Positions))
		f.Head = kernel.LoadHeadTile(b.Builder, words, f.WarpHead)
		touchRows(f)
		f.Redo(f.NewSoftmax(), x.p)
	})
	return x
}

// touchRows has lane n write the first columns of row n, as they are: what other
// lanes have written of a row is not there before the warp has met.
func touchRows(f *kernel.Frame) {
	b := f.B
	query, ok := f.Query(b.AddS32(f.WarpPos, f.Lane))
	ok = b.AndPred(ok, b.SetpLtS32(f.Lane, ptx.Imm(layout.WarpRows)))
	skip := b.NewLabel("no_row")
	b.If(b.NotPred(ok)).Bra(skip)
	at := b.MadLoS64(b.CvtS64S32(query), f.Stride("o_seq"), f.TensorBase("o", f.WarpHead)).At(0)
	b.StGlobalB32(at, b.LdGlobalB32(at))
	b.Place(skip)
}

// problem is a warp's rows and all that they read, heads apart by one stride.
type problem struct {
	x                 *redone
	tile, first       int64 // query tile; the warp's first position
	head              int64
	qLen, kLen        int64
	scale             float32
	q, k, v, o        []uint16
	lse               []float32
	ld, headAt, batch int64 // elements
}

func (x *redone) draw(seed uint64) *problem {
	r := random(seed)
	p := &problem{x: x, ld: int64(x.k.Shape.HeadDim) + 8, scale: 0.3}
	p.tile = between(r, 0, 4)
	p.first = p.tile*int64(x.k.Positions) + 16*between(r, 0, int64(x.k.Positions/16-1))
	p.kLen = p.first + between(r, 12, 60)
	p.qLen = min(p.kLen, p.kLen-p.first+between(r, -5, 30))
	p.head = between(r, 0, int64(len(x.k.HeadTiles)-1))
	p.headAt = p.kLen * p.ld
	p.batch = 7 * p.headAt
	for _, a := range []*[]uint16{&p.q, &p.k, &p.v, &p.o} {
		*a = make([]uint16, p.batch)
		for i := range *a {
			(*a)[i] = x.pack(float32(r.NormFloat64()))
		}
	}
	p.lse = make([]float32, int64(2*x.k.Shape.Heads)*p.qLen)
	for i := range p.lse {
		p.lse[i] = 0.5
	}
	return p
}

// at is where a tensor has an element of a head.
func (p *problem) at(head, row, col int64) int64 { return head*p.headAt + row*p.ld + col }

func (p *problem) kvHead() int64 { return p.head / int64(p.x.k.Shape.Group()) }

// query is the query row of one of the warp's rows, or −1.
func (p *problem) query(row int64) int64 {
	if q := p.first + row - (p.kLen - p.qLen); p.first+row < p.kLen {
		return max(q, -1)
	}
	return -1
}

func (p *problem) output(row, col int64) *uint16 { return &p.o[p.at(p.head, p.query(row), col)] }

// keys are the keys that a row sees, block by block.
func (p *problem) keys(row int64) [][]int64 {
	k, pos := p.x.k, p.first+row
	member := uint32(1) << ((p.first - p.tile*int64(k.Positions)) / int64(k.Shape.Block))
	limit := p.kLen
	if k.Shape.Causal {
		limit = min(limit, pos+1)
	}
	block := int64(k.Shape.Block)
	var all [][]int64
	for _, c := range enumerate(k.HeadTiles[p.head].Pattern, k.Row(p.tile), (p.kLen+block-1)/block, member) {
		var keys []int64
		for key := c.J * block; key < min((c.J+1)*block, limit); key++ {
			keys = append(keys, key)
		}
		all = append(all, keys)
	}
	return all
}

func (p *problem) value(a []uint16, head, row, col int64) float64 {
	return float64(p.x.unpack(a[p.at(head, row, col)]))
}

// attention is a row's output and log-sum-exp in float64.
func (p *problem) attention(row int64) (out []float64, lse float64) {
	dim := int64(p.x.k.Shape.HeadDim)
	scores, most := map[int64]float64{}, math.Inf(-1)
	for _, keys := range p.keys(row) {
		for _, key := range keys {
			dot := 0.0
			for col := range dim {
				dot += p.value(p.q, p.head, p.query(row), col) * p.value(p.k, p.kvHead(), key, col)
			}
			scores[key] = dot * float64(p.scale)
			most = max(most, scores[key])
		}
	}
	sum := 0.0
	for _, s := range scores {
		sum += math.Exp(s - most)
	}
	out = make([]float64, dim)
	for key, s := range scores {
		for col := range out {
			out[col] += math.Exp(s-most) / sum * p.value(p.v, p.kvHead(), key, int64(col))
		}
	}
	return out, most + math.Log(sum)
}

// explained is whether values that the row attends make its output what it is.
func (p *problem) explained(row int64) bool {
	sums := make([]float64, p.x.k.Shape.HeadDim)
	for _, keys := range p.keys(row) {
		for _, key := range keys {
			for col := range sums {
				sums[col] += p.value(p.v, p.kvHead(), key, int64(col))
			}
		}
		alike := true
		for col, s := range sums {
			o := float64(p.x.unpack(*p.output(row, int64(col))))
			if math.IsInf(o, 0) {
				alike = alike && o == s
			}
			if math.IsNaN(o) {
				alike = alike && math.IsNaN(s)
			}
		}
		if alike {
			return true
		}
	}
	return false
}

// spoilt is whether a row's output holds something that is not finite.
func (p *problem) spoilt(row int64) bool {
	for col := range int64(p.x.k.Shape.HeadDim) {
		if !finite(p.x.k.Shape.DType, *p.output(row, col)) {
			return true
		}
	}
	return false
}

// lseAt is where a row's log-sum-exp is, in the second batch entry.
func (p *problem) lseAt(row int64) int64 {
	return (int64(p.x.k.Shape.Heads)+p.head)*p.qLen + p.query(row)
}

// compare runs the kernel: rows that are not finite, and are not explained, are the
// reference's afterwards; everything else is as it was.
func (p *problem) compare(t *testing.T, withLSE bool) (redone int) {
	t.Helper()
	o, lse := append([]uint16(nil), p.o...), append([]float32(nil), p.lse...)
	type result struct {
		out []float64
		lse float64
	}
	want := map[int64]result{} // by row
	for row := range int64(16) {
		if p.query(row) < 0 || !p.spoilt(row) {
			continue
		}
		sum := float64(p.lse[p.lseAt(row)])
		if p.explained(row) && (!withLSE || !math.IsInf(sum, 0) && !math.IsNaN(sum)) {
			continue
		}
		out, sum := p.attention(row)
		want[row] = result{out, sum}
		redone++
	}
	args := []any{p.scale, int(p.qLen), int(p.kLen), 1, int(p.tile), int(p.head), int(p.first), table(p.x.p)}
	if withLSE {
		args = append(args, ptxtest.InOut(lse))
	} else {
		args = append(args, 0)
	}
	for _, a := range []ptxtest.Buffer{ptxtest.In(p.q), ptxtest.In(p.k), ptxtest.In(p.v), ptxtest.InOut(o)} {
		// The second batch entry is the one that is there.
		args = append(args, a.Before(2*p.batch), int(p.batch), int(p.headAt), int(p.ld))
	}
	p.x.Launch(t, 1, args...)

	for row, w := range want {
		for col, v := range w.out {
			i := p.at(p.head, p.query(row), int64(col))
			if got := p.x.unpack(o[i]); !alike(got, v, 5e-3*math.Abs(v)+1e-3) {
				t.Fatalf("row %d, column %d: %v, want %v", row, col, got, v)
			}
			o[i] = p.o[i]
		}
		if i := p.lseAt(row); withLSE {
			if !alike(lse[i], w.lse, 1e-5*math.Abs(w.lse)+1e-4) {
				t.Fatalf("row %d: log-sum-exp %v, want %v", row, lse[i], w.lse)
			}
			lse[i] = p.lse[i]
		}
	}
	for i := range o {
		if o[i] != p.o[i] {
			t.Fatalf("output %d was %#x and is %#x", i, p.o[i], o[i])
		}
	}
	for i := range lse {
		if math.Float32bits(lse[i]) != math.Float32bits(p.lse[i]) {
			t.Fatalf("log-sum-exp %d was %v and is %v", i, p.lse[i], lse[i])
		}
	}
	return redone
}

// alike is whether a number is within an error of what it should be, or both are none.
func alike(got float32, want, slack float64) bool {
	return math.IsNaN(want) && got != got || within(got, want, slack)
}

// redoLayout has a stripe and a window for each head; of merged query blocks not all
// attend the stripe.
func redoLayout(dim, block, merge int, causal bool, typ dtype.Type) *layout.Kernel {
	k := plain(block, merge, 1)
	k.Shape.HeadDim, k.Shape.DType, k.Shape.Causal, k.Shape.Heads, k.Shape.KVHeads = dim, typ, causal, 6, 2
	all, every := uint32(1)<<merge-1, ir.Rows{Hi: ir.Inf, Mod: 1}
	var patterns []ir.Pattern
	for h := range int64(6) {
		p := ir.Pattern{Cells: []ir.Cell{
			{Rows: every, Lo: ir.Line{A: int64(merge)}, Hi: ir.Line{A: int64(merge), C: int64(merge - 1)}, Step: 1, Members: all},
			{Rows: every, Hi: ir.Line{A: int64(merge), C: -1}, Step: 2, Phase: ir.Line{C: h}, Members: 1},
		}}
		if h == 5 {
			p.Cells[0].Members = all &^ (all >> 1) // others see nothing, or the stripe
			p.Table = &ir.Table{Rows: 1, Crow: []int64{0, 1}, Col: []int32{0}, Members: []uint32{1}}
		}
		patterns = append(patterns, p)
	}
	return tiles(k, patterns...)
}

func redoCases(t *testing.T, run func(t *testing.T, x *redone)) {
	for _, c := range []struct {
		dim, block, merge int
		causal            bool
		typ               dtype.Type
	}{
		{64, 16, 1, true, dtype.BF16}, {128, 16, 2, true, dtype.F16}, {40, 16, 2, false, dtype.BF16}, {256, 32, 1, true, dtype.BF16}, {8, 32, 2, true, dtype.F16},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) { run(t, loadRedo(t, redoLayout(c.dim, c.block, c.merge, c.causal, c.typ))) })
	}
}

// TestRedo: rows that are not finite without a cause of their own are computed again,
// and no others.
func TestRedo(t *testing.T) {
	redoCases(t, func(t *testing.T, x *redone) {
		rows := 0
		for seed := range uint64(4) {
			p := x.draw(80 + seed)
			r := random(seed)
			for row := range int64(16) {
				if p.query(row) >= 0 && r.IntN(6) == 0 { // no matter of a row that is finite
					p.lse[p.lseAt(row)] = float32(math.NaN())
				}
				if p.query(row) >= 0 && r.IntN(3) > 0 {
					bad := oneOf(r, math.NaN(), math.Inf(1), math.Inf(-1))
					*p.output(row, between(r, 0, int64(x.k.Shape.HeadDim-1))) = x.pack(float32(bad))
				}
			}
			rows += p.compare(t, seed%2 == 0)
		}
		if rows < 8 {
			t.Errorf("%d rows were computed again: what has been tested?", rows)
		}
	})
}

// TestRedoOthers: the rows before and behind a warp's sixteen are not its own.
func TestRedoOthers(t *testing.T) {
	x := loadRedo(t, redoLayout(64, 16, 2, true, dtype.BF16))
	p := x.draw(0)
	for seed := uint64(1); p.query(0) < 1 || p.query(15) < 0 || p.query(15)+1 >= p.qLen; seed++ {
		p = x.draw(seed)
	}
	bad := x.pack(float32(math.NaN()))
	for row := int64(-1); row <= 16; row++ {
		p.o[p.at(p.head, p.query(0)+row, 1)] = bad
	}
	p.o[p.at(p.head+1, p.query(0), 1)] = bad
	if n := p.compare(t, true); n != 16 {
		t.Errorf("%d rows were computed again", n)
	}
}

// TestRedoMissing: rows before the first query and behind the last are none, whatever
// lies where they would be.
func TestRedoMissing(t *testing.T) {
	x := loadRedo(t, redoLayout(64, 16, 2, true, dtype.BF16))
	missing := 0
	for seed := range uint64(12) {
		p := x.draw(130 + seed)
		for row := range int64(16) {
			raw := p.first + row - (p.kLen - p.qLen)
			if at := p.at(p.head, raw, 1); p.query(row) < 0 && at >= 0 {
				p.o[at] = x.pack(float32(math.NaN()))
				missing++
			}
		}
		if n := p.compare(t, true); n != 0 {
			t.Errorf("%d rows were computed again", n)
		}
	}
	if missing < 8 {
		t.Errorf("%d rows are missing: what has been tested?", missing)
	}
}

// TestRedoEmpty: a row that attends nothing becomes zeros, and its log-sum-exp -Inf.
func TestRedoEmpty(t *testing.T) {
	k := redoLayout(64, 16, 1, true, dtype.F16)
	for h := range k.HeadTiles {
		k.HeadTiles[h].Pattern = ir.Pattern{}
	}
	x := loadRedo(t, k)
	p := x.draw(150)
	for row := range int64(16) {
		if p.query(row) >= 0 {
			*p.output(row, row) = x.pack(float32(math.NaN()))
		}
	}
	if n := p.compare(t, true); n < 8 {
		t.Errorf("%d rows were computed again", n)
	}
}

// TestRedoExplained: a row stays where a value that it attends is infinite or NaN in
// the very column, unless its log-sum-exp has to be computed again; it does not stay
// for values of other columns, or of keys that it does not see.
func TestRedoExplained(t *testing.T) {
	redoCases(t, func(t *testing.T, x *redone) {
		left, rows := 0, 0
		for seed := range uint64(6) {
			p := x.draw(90 + seed)
			r := random(seed)
			bad := float32(oneOf(r, math.NaN(), math.Inf(1), math.Inf(-1)))
			col := between(r, 0, int64(x.k.Shape.HeadDim-1))
			spoil := p.first + between(r, 0, 11) // a key of the diagonal
			p.v[p.at(p.kvHead(), spoil, col)] = x.pack(bad)
			for row := range int64(16) {
				if p.query(row) < 0 {
					continue
				}
				*p.output(row, col) = x.pack(bad)
				switch r.IntN(6) {
				case 0:
					*p.output(row, (col+1)%int64(x.k.Shape.HeadDim)) = x.pack(float32(math.NaN()))
				case 1:
					p.lse[p.lseAt(row)] = float32(math.NaN())
				case 2:
					*p.output(row, col) = x.pack(-bad)
				}
			}
			spoilt := 0
			for row := range int64(16) {
				if p.query(row) >= 0 && p.spoilt(row) {
					spoilt++
				}
			}
			n := p.compare(t, seed%3 > 0)
			left, rows = left+spoilt-n, rows+n
		}
		if left < 4 || rows < 4 {
			t.Errorf("%d rows were computed again, %d stayed: what has been tested?", rows, left)
		}
	})
}

// TestRedoHuge: scores beyond 2^26 in base 2 end in the values of the greatest.
func TestRedoHuge(t *testing.T) {
	redoCases(t, func(t *testing.T, x *redone) {
		for seed := range uint64(2) {
			p := x.draw(100 + seed)
			p.scale = 1e9
			for row := range int64(16) {
				if p.query(row) >= 0 {
					*p.output(row, 0) = x.pack(float32(math.NaN()))
				}
			}
			p.compare(t, true)
		}
	})
}

// TestRedoGreatest: the greatest values there are are finite, and so is any mean of
// them: an output that is not is computed again, and comes out as they are.
func TestRedoGreatest(t *testing.T) {
	for typ, greatest := range map[dtype.Type]float32{dtype.BF16: 0x1.fep127, dtype.F16: 65504} {
		x := loadRedo(t, redoLayout(64, 32, 1, true, typ))
		p := x.draw(110)
		for i := range p.v {
			p.v[i] = x.pack(greatest)
		}
		for row := range int64(16) {
			if p.query(row) < 0 {
				continue
			}
			for col := range int64(x.k.Shape.HeadDim) {
				*p.output(row, col) = x.pack(float32(math.Inf(1)))
			}
		}
		if n := p.compare(t, true); n < 8 || len(p.keys(0)) < 2 {
			t.Errorf("%d rows of %d key blocks", n, len(p.keys(0)))
		}
	}
}
