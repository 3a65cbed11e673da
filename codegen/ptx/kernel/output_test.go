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
	"github.com/s2attention/s2c/ir/layout"
)

// outputs is a kernel that finishes a tile of accumulators as the attention kernels
// do: through shared memory into the output, and the log-sum-exp beside it.
type outputs struct {
	*ptxtest.Kernel
	k    *layout.Kernel
	tile layout.SmemTile
}

// place says where a tile lies in the problem and in memory; strides are in elements.
type place struct {
	batch, firstHead, position  int64
	qLen, kLen                  int64
	batchStride, headStride, ld int64
}

func outputLayout(dim, block, pack int, typ dtype.Type) *layout.Kernel {
	k := plain(block, 1, 1)
	k.Shape.HeadDim, k.Shape.DType, k.Shape.Heads = dim, typ, 12
	k.DimPadded = layout.PaddedDim(k.Shape)
	k.Pack, k.Rows = pack, pack*k.Positions
	k.Warps = k.Rows / layout.WarpRows
	return k
}

func loadOutputs(t testing.TB, k *layout.Kernel) *outputs {
	x := &outputs{k: k, tile: layout.SmemTile{Rows: k.Rows, Cols: k.DimPadded, Type: k.Shape.DType}}
	const before = 1024 // of other things in shared memory
	shape := ptxtest.Shape{
		Params: []ptx.Param{
			ptxtest.F32("scale"), ptxtest.U32("q_len"), ptxtest.U32("k_len"), ptxtest.U32("batch"), ptxtest.U32("first_head"), ptxtest.U32("position"),
			ptxtest.U64("o"), ptxtest.U64("o_batch"), ptxtest.U64("o_head"), ptxtest.U64("o_seq"), ptxtest.U64("lse"),
			ptxtest.U64("acc"), ptxtest.U64("rows"), ptxtest.U64("staged"), ptxtest.U64("spoilt"),
		},
		Warps: k.Warps, Shared: before + x.tile.Bytes(),
	}
	x.Kernel = ptxtest.Load(t, shape, func(b *ptxtest.Builder) {
		param := func(name string) ptx.R32 { return kernel.Param32(b.Builder, name) }
		f := frame(b, k)
		f.Rank = b.ShrU32(b.Index, ptx.Imm(5))
		f.Lengths = kernel.LoadLengths(b.Builder, k.Positions)
		f.Tile.Batch, f.Tile.Position, f.Head.FirstHead = param("batch"), param("position"), param("first_head")
		f.PlaceWarp()
		s := f.NewSoftmax()
		first := f.FirstRow()
		var done kernel.Finished
		for r := range 2 {
			row := b.AddS32(first, b.AddS32(b.ShrU32(b.Lane, ptx.Imm(2)), ptx.Imm(8*r)))
			state := fragments(b, "rows", row, 1).Fragment(0)
			b.MovF32To(s.Max[r], state[0])
			b.MovF32To(s.Sum[r], state[1])
			done.Inverse, done.Empty = append(done.Inverse, state[2]), append(done.Empty, b.SetpEqF32(state[3], ptx.FImm(1)))
		}
		base := b.AddS32(b.Shared(), ptx.Imm(before))
		f.StoreLSE(s, done)
		spoilt := f.StageOutput(x.tile, base, first, fragments(b, "acc", b.Index, k.DimPadded/8), done)
		b.StGlobalB32(b.Word("spoilt", b.Index).At(0), b.Flag(spoilt))
		f.StoreOutput(x.tile, base, first)
		b.BarSync(ptx.Imm(0))
		for at := 0; at < x.tile.Bytes(); at += 4 * lanes * k.Warps {
			word := b.LdSharedB32(b.AddS32(base, b.ShlB32(b.Index, ptx.Imm(2))).At(at))
			b.StGlobalB32(b.Word("staged", b.Index).At(at), word)
		}
	})
	return x
}

// rowState is what is known of a row when its tile is done.
type rowState struct{ Max, Sum, Inverse, Empty float32 }

// compare finishes a tile of accumulators acc[row][column] and checks all of the
// memory around it.
func (x *outputs) compare(t *testing.T, at place, scale float32, acc [][]float32, rows []rowState) {
	t.Helper()
	const untouched = 0x7777
	k := x.k
	in := make([]float32, k.Warps*lanes*k.DimPadded/8*4)
	for i := range in {
		thread, n, e := i/(k.DimPadded/2), i/4%(k.DimPadded/8), i%4
		in[i] = acc[thread/lanes*16+rowOf(thread%lanes, e)][8*n+colOf(thread%lanes, e)]
	}
	query0 := at.position - (at.kLen - at.qLen)
	o := make([]uint16, int64(k.Pack-1)*at.headStride+int64(k.Positions)*at.ld)
	// Of a long problem only the tile's own rows are there.
	firstRow, lseRows := int64(0), int64(k.Pack)*at.qLen
	if at.qLen > 1<<20 {
		firstRow, lseRows = query0, int64(k.Positions)
	}
	lse := make([]float32, lseRows)
	for i := range o {
		o[i] = untouched
	}
	for i := range lse {
		lse[i] = untouched
	}
	lseBefore := (at.batch*int64(k.Shape.Heads)+at.firstHead)*at.qLen + firstRow
	staged, spoilt := make([]uint16, x.tile.Bytes()/2), make([]int32, k.Warps*lanes)
	wantO, wantLSE := append([]uint16(nil), o...), append([]float32(nil), lse...)
	x.Launch(t, 1, scale, int(at.qLen), int(at.kLen), int(at.batch), int(at.firstHead), int(at.position),
		ptxtest.InOut(o).Before(2*(at.batch*at.batchStride+at.firstHead*at.headStride+query0*at.ld)),
		int(at.batchStride), int(at.headStride), int(at.ld), ptxtest.InOut(lse).Before(4*lseBefore),
		ptxtest.In(in), ptxtest.In(rows), ptxtest.Out(staged), ptxtest.Out(spoilt))

	round := map[dtype.Type]func(float32) uint16{dtype.BF16: tensor.BF16FromFloat32, dtype.F16: tensor.F16FromFloat32}[k.Shape.DType]
	for row := range acc {
		head, query := int64(row/k.Positions), query0+int64(row%k.Positions)
		exists := query >= 0 && query < at.qLen
		for col, v := range acc[row] {
			bits := round(v * rows[row].Inverse)
			if got := staged[x.tile.Offset(row, col)/2]; got != bits && !(nan(k.Shape.DType, got) && nan(k.Shape.DType, bits)) {
				t.Fatalf("%+v: row %d, column %d is staged as %#x, want %#x", at, row, col, got, bits)
			}
			if exists && col < k.Shape.HeadDim {
				wantO[head*at.headStride+int64(row%k.Positions)*at.ld+int64(col)] = bits
			}
		}
		if exists {
			n := head*at.qLen + query - firstRow
			s := rows[row]
			wantLSE[n] = float32((float64(s.Max)*float64(scale*math.Log2E) + math.Log2(float64(s.Sum))) * math.Ln2)
			if s.Empty == 1 {
				wantLSE[n] = float32(math.Inf(-1))
			}
		}
	}
	for i := range o {
		if o[i] != wantO[i] && !(nan(k.Shape.DType, o[i]) && nan(k.Shape.DType, wantO[i])) {
			t.Fatalf("%+v: output %d is %#x, want %#x", at, i, o[i], wantO[i])
		}
	}
	for i := range lse {
		if lse[i] != wantLSE[i] && !near(lse[i], float64(wantLSE[i]), 1e-5) {
			t.Fatalf("%+v: log-sum-exp %d is %v, want %v", at, i, lse[i], wantLSE[i])
		}
	}
	for thread, got := range spoilt {
		want := int32(0)
		for i := range k.DimPadded / 2 {
			row, col := thread/lanes*16+rowOf(thread%lanes, i%4), i/4*8+colOf(thread%lanes, i%4)
			if !finite(k.Shape.DType, round(acc[row][col]*rows[row].Inverse)) {
				want = 1
			}
		}
		if got != want {
			t.Fatalf("thread %d: spoilt is %d, want %d", thread, got, want)
		}
	}
}

// infinities are the bits of an infinity.
var infinities = map[dtype.Type]uint16{dtype.BF16: 0x7f80, dtype.F16: 0x7c00}

func finite(typ dtype.Type, bits uint16) bool { return bits&0x7fff < infinities[typ] }
func nan(typ dtype.Type, bits uint16) bool    { return bits&0x7fff > infinities[typ] }

// drawRows is accumulators and what is known of their rows.
func (x *outputs) drawRows(seed uint64) (acc [][]float32, rows []rowState) {
	r := random(seed)
	for range x.k.Rows {
		row := make([]float32, x.k.DimPadded)
		for i := range row {
			row[i] = float32(r.NormFloat64())
		}
		acc = append(acc, row)
		s := rowState{Max: float32(r.NormFloat64() * 9), Sum: 1 + 50*r.Float32(), Inverse: r.Float32()}
		if r.IntN(5) == 0 {
			s = rowState{Max: -1e38, Empty: 1}
		}
		rows = append(rows, s)
	}
	return acc, rows
}

// TestOutput: each row of a finished tile lands where its tensor has it, rows and
// columns that do not exist are left alone.
func TestOutput(t *testing.T) {
	for n, c := range []struct {
		dim, block, pack int
		typ              dtype.Type
	}{
		{64, 32, 2, dtype.BF16}, {96, 16, 2, dtype.F16}, {40, 64, 1, dtype.BF16}, {8, 32, 1, dtype.F16}, {256, 16, 1, dtype.BF16}, {120, 16, 3, dtype.BF16},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			k := outputLayout(c.dim, c.block, c.pack, c.typ)
			x := loadOutputs(t, k)
			ld := int64(c.dim + 8)
			positions := int64(k.Positions)
			for _, at := range []place{
				{batch: 0, firstHead: 0, position: 0, qLen: positions, kLen: positions},
				{batch: 3, firstHead: 2, position: 2 * positions, qLen: 3*positions - 5, kLen: 3*positions - 3},
				{batch: 1, firstHead: 4, position: positions, qLen: 7, kLen: positions + 11},
			} {
				at.ld, at.headStride, at.batchStride = ld, 4*positions*ld+16, 1<<36
				acc, rows := x.drawRows(uint64(40 + n))
				x.compare(t, at, 0.125, acc, rows)
			}
		})
	}
}

// TestOutputFar: addresses past 2^31 and 2^32 bytes in every direction.
func TestOutputFar(t *testing.T) {
	x := loadOutputs(t, outputLayout(64, 32, 1, dtype.BF16))
	acc, rows := x.drawRows(50)
	for _, at := range []place{
		{position: 1 << 30, qLen: 1<<30 + 29, kLen: 1<<30 + 29, ld: 64},
		{position: 1<<31 - 64, qLen: 1<<31 - 40, kLen: 1<<31 - 36, ld: 128},
		{position: 1 << 12, qLen: 30, kLen: 1<<12 + 30, ld: 1 << 14, headStride: 1<<40 + 8},
		{position: 0, qLen: 32, kLen: 32, ld: 1 << 14, headStride: -1<<40 - 8},
	} {
		at.batch, at.firstHead, at.batchStride = 65535, 11, 1<<34+24
		x.compare(t, at, 2, acc, rows)
	}
}

// TestOutputSpoilt: a lane says so where any of its numbers is not finite once it is
// rounded to the output's type, and no other lane does.
func TestOutputSpoilt(t *testing.T) {
	for _, typ := range []dtype.Type{dtype.BF16, dtype.F16} {
		x := loadOutputs(t, outputLayout(48, 32, 1, typ))
		at := place{qLen: 32, kLen: 32, ld: 48, headStride: 48 * 32, batchStride: 1 << 20}
		inf, nan := float32(math.Inf(1)), float32(math.NaN())
		for n, c := range []struct {
			row, col int
			v        float32
		}{{0, 0, nan}, {8, 1, inf}, {31, 47, -inf}, {17, 40, 65519}, {17, 40, 65520}, {5, 9, 3.3961775e38}, {5, 9, -3.3895314e38}, {3, 2, 0x1p-140}} {
			acc, rows := x.drawRows(uint64(60 + n))
			acc[c.row][c.col], rows[c.row].Inverse = c.v, 1
			x.compare(t, at, 1, acc, rows)
		}
		acc, rows := x.drawRows(70)
		rows[20].Inverse = nan
		x.compare(t, at, 1, acc, rows)
	}
}

// TestOutputWithoutLSE: a log-sum-exp that nobody wants is not written.
func TestOutputWithoutLSE(t *testing.T) {
	k := outputLayout(64, 16, 1, dtype.BF16)
	x := loadOutputs(t, k)
	n := k.Rows * k.DimPadded
	o := make([]uint16, n)
	x.Launch(t, 1, float32(1), 16, 16, 0, 0, 0, ptxtest.Out(o), n, n, 64, 0,
		ptxtest.In(make([]float32, n)), ptxtest.In(make([]rowState, 16)), ptxtest.Out(make([]uint16, n)), ptxtest.Out(make([]int32, lanes)))
}
