package kernel_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/codegen/ptx/kernel"
	"github.com/s2attention/s2c/internal/ptxtest"
	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/ir/layout"
)

// streams is a kernel in which thread block h streams the KV tiles of head tile h,
// a query tile a lane, and stores of each whether it is valid, then chunk by chunk
// the first token and the members.
type streams struct {
	*ptxtest.Kernel
	k     *layout.Kernel
	p     *kernel.Pattern
	steps int
}

func (w *streams) wordsAStep() int { return 1 + 2*w.k.Gather() }

func loadStreams(t testing.TB, k *layout.Kernel, steps int) *streams {
	w := &streams{k: k, p: encode(t, k), steps: steps}
	shape := ptxtest.Shape{
		Params: []ptx.Param{
			ptxtest.U64("table"), ptxtest.U32("q_len"), ptxtest.U32("k_len"), ptxtest.U64("tiles"), ptxtest.U64("out"), ptxtest.U64("last"), ptxtest.U64("first"),
		},
		Globals: globals(w.p),
	}
	w.Kernel = ptxtest.Load(t, shape, func(b *ptxtest.Builder) {
		f := frame(b, k)
		f.Lengths = kernel.LoadLengths(b.Builder, k.Positions)
		f.Head = kernel.LoadHeadTile(b.Builder, words, b.BlockIndex)
		f.Tile.Index = b.LdGlobalB32(b.Word("tiles", b.Thread).At(0))
		f.Tile.Position = b.MulLoS32(f.Tile.Index, ptx.Imm(k.Positions))
		last := f.LastKey()
		b.StGlobalB32(b.Word("last", b.Thread).At(0), last)
		s := f.NewStream(w.p, last)
		tile := f.NewKVTile()
		for g := range tile.Base {
			b.StGlobalV4B32(b.Word("first", b.MulLoS32(b.Thread, ptx.Imm(4*k.Gather()))).At(16*g),
				[]ptx.R32{b.Flag(tile.Valid), tile.Base[g], tile.Member[g], b.Const32(int64(tile.Tokens))})
		}
		times(b, steps, func(n ptx.R32) {
			s.Next(&tile)
			at := b.MadLoS32(b.Thread, ptx.Imm(steps), n)
			to := b.Word("out", b.MulLoS32(at, ptx.Imm(w.wordsAStep())))
			b.StGlobalB32(to.At(0), b.Flag(tile.Valid))
			for g := range tile.Base {
				b.StGlobalB32(to.At(4+8*g), tile.Base[g])
				b.StGlobalB32(to.At(8+8*g), tile.Member[g])
			}
		})
	})
	return w
}

// expect is what a lane's stream has to store: the layout's steps, and then nothing.
func (w *streams) expect(head int, tile, kLen, qLen int64) []int32 {
	var all []int32
	members := w.k.Merge > 1 && w.p.Members
	chunk := func(base, members int32) { all = append(all, base, members) }
	for _, s := range w.k.Steps(head, tile, kLen, qLen) {
		all = append(all, 1)
		for g := range w.k.Gather() {
			switch {
			case g >= len(s.Blocks):
				chunk(int32(kLen), 0) // missing
			case members:
				chunk(int32(s.Blocks[g]*int64(w.k.Shape.Block))+int32(s.Part*w.k.KVTile), int32(s.Members[g]))
			default:
				chunk(int32(s.Blocks[g]*int64(w.k.Shape.Block))+int32(s.Part*w.k.KVTile), 0)
			}
		}
	}
	for len(all) < w.steps*w.wordsAStep() {
		all = append(all, 0)
		for range w.k.Gather() {
			chunk(int32(kLen), 0)
		}
	}
	return all
}

func (w *streams) compare(t *testing.T, index []int32, qLen, kLen int64) {
	t.Helper()
	blocks, size := len(w.k.HeadTiles), w.steps*w.wordsAStep()
	out, last := make([]int32, blocks*lanes*size), make([]int32, blocks*lanes)
	first := make([][4]int32, blocks*lanes*w.k.Gather())
	w.Launch(t, blocks, table(w.p), int(qLen), int(kLen), ptxtest.In(index), ptxtest.Out(out), ptxtest.Out(last), ptxtest.Out(first))
	for _, got := range first {
		if want := [4]int32{3: int32(w.k.ChunkTokens())}; got != want {
			t.Fatalf("a new tile has %v, want %v", got, want)
		}
	}
	for i, tile := range index {
		got, want := out[i*size:(i+1)*size], w.expect(i/lanes, int64(tile), kLen, qLen)
		if !slices.Equal(got, want) {
			t.Fatalf("tile %d, %d of %d tokens of %+v:\n got %v\nwant %v", tile, qLen, kLen, w.k.HeadTiles[i/lanes].Pattern, got, want)
		}
		if want := int32((kLen - 1) / int64(w.k.Shape.Block)); last[i] != want {
			t.Fatalf("the last key block of %d tokens is %d, want %d", kLen, last[i], want)
		}
	}
}

// tilesOf draws query tiles of a problem, one a lane and head tile; the first and
// the last are among them.
func tilesOf(w *layout.Kernel, qLen, kLen int64, draw func(least, most int64) int64) []int32 {
	first, last := w.FirstTile(kLen, qLen), w.Tiles(kLen)-1
	var all []int32
	for range w.HeadTiles {
		all = append(all, int32(first), int32(last))
		for range lanes - 2 {
			all = append(all, int32(draw(first, last)))
		}
	}
	return all
}

// TestStream: KV tiles of random patterns are the layout's steps, whatever a step
// is of a key block and however many query blocks share it.
func TestStream(t *testing.T) {
	r := random(6)
	for _, c := range []struct{ block, kvTile, merge, split int }{
		{16, 16, 1, 1}, {16, 64, 1, 1}, {64, 32, 1, 1}, {128, 32, 1, 2}, {64, 64, 1, 4},
		{16, 16, 2, 1}, {16, 128, 4, 1}, {64, 16, 2, 1}, {16, 32, 32, 1},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			for n := range 3 {
				k := plain(c.block, c.merge, c.split)
				k.KVTile = c.kvTile
				var patterns []ir.Pattern
				for range 3 {
					patterns = append(patterns, drawPattern(r, c.merge, n > 0, int64(5*n)))
				}
				if n == 0 { // every query block attends everything: no members to keep
					for _, p := range patterns {
						for i := range p.Cells {
							p.Cells[i].Members = uint32(1)<<c.merge - 1
						}
					}
				}
				tiles(k, patterns...)
				problem := func() (qLen, kLen int64) {
					kLen = between(r, 1, int64(min(40*c.block, 25*k.Positions)))
					qLen = between(r, 1, kLen)
					if block := int64(c.block); r.IntN(2) == 0 { // query blocks begin and end where the problem does
						kLen = (kLen + block - 1) / block * block
						qLen = (qLen + block - 1) / block * block
					}
					return qLen, kLen
				}
				w := loadStreams(t, k, 3+longest(k, int64(40*c.block)))
				for range 5 {
					qLen, kLen := problem()
					w.compare(t, tilesOf(k, qLen, kLen, func(a, b int64) int64 { return between(r, a, b) }), qLen, kLen)
				}
			}
		})
	}
}

// longest is the most steps that a query tile of any head takes.
func longest(k *layout.Kernel, kLen int64) int {
	most := 0
	for h := range k.HeadTiles {
		for tile := range k.Tiles(kLen) {
			most = max(most, len(k.Steps(h, tile, kLen, kLen)))
		}
	}
	return most
}
