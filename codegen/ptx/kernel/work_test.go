package kernel_test

import (
	"fmt"
	"testing"

	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/codegen/ptx/kernel"
	"github.com/s2attention/s2c/internal/ptxtest"
	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/ir/layout"
)

// item is what a work item is decoded to.
type item struct{ Batch, HeadTile, Index, Position, Row int32 }

const itemWords = 5

// sizes are a problem's.
type sizes struct{ batch, qLen, kLen int }

// order is the work in the order that the kernels promise: batch entries, groups
// of head tiles, query tiles from the last to the first, head tiles. A group is as
// many as share L2 at 131072 tokens, and as many times that as the context is
// shorter.
func order(k *layout.Kernel, s sizes) []item {
	heads := len(k.HeadTiles)
	group := max(k.GroupSize, 1)
	for n := 2; n <= heads && n*s.kLen <= 131072; n++ {
		group = n * max(k.GroupSize, 1)
	}
	group = min(group, heads)
	var all []item
	for batch := range s.batch {
		for first := 0; first < heads; first += group {
			for pos := s.kLen - 1; pos/k.Positions >= (s.kLen-s.qLen)/k.Positions && pos >= 0; pos -= k.Positions {
				for h := first; h < min(first+group, heads); h++ {
					n := pos / k.Positions
					all = append(all, item{int32(batch), int32(h), int32(n), int32(n * k.Positions), int32(n / k.Split)})
				}
			}
		}
	}
	return all
}

// decodeWork decodes all items of some problems, and holds them against the order.
func decodeWork(t *testing.T, k *layout.Kernel, problems ...sizes) {
	t.Helper()
	shape := ptxtest.Shape{Params: []ptx.Param{ptxtest.U32("q_len"), ptxtest.U32("k_len"), ptxtest.U64("items"), ptxtest.U64("lengths")}}
	kern := ptxtest.Load(t, shape, func(b *ptxtest.Builder) {
		l := kernel.LoadLengths(b.Builder, k.Positions)
		w := kernel.DecodeWork(b.Builder, b.Thread, k, l)
		row := kernel.PatternRow(b.Builder, k, w)
		at := b.Word("items", b.MulLoS32(b.Thread, ptx.Imm(itemWords)))
		for i, v := range []ptx.R32{w.Batch, w.HeadTile, w.Index, w.Position, row} {
			b.StGlobalB32(at.At(4*i), v)
		}
		for i, v := range []ptx.R32{l.QLen, l.KLen, l.Offset, l.FirstTile, l.Tiles} {
			b.StGlobalB32(b.Word("lengths", b.MulLoS32(b.Thread, ptx.Imm(5))).At(4*i), v)
		}
	})
	for _, s := range problems {
		want := order(k, s)
		blocks := (len(want) + lanes - 1) / lanes
		got, lengths := make([]item, blocks*lanes), make([][5]int32, blocks*lanes)
		kern.Launch(t, blocks, s.qLen, s.kLen, ptxtest.Out(got), ptxtest.Out(lengths))
		what := fmt.Sprintf("%d head tiles in groups of %d, %d positions: %+v", len(k.HeadTiles), k.GroupSize, k.Positions, s)
		seen := map[item]bool{}
		for n, i := range got[:len(want)] {
			if i != want[n] {
				t.Fatalf("%s: item %d is %+v, want %+v", what, n, i, want[n])
			}
			if seen[i] {
				t.Fatalf("%s: %+v comes twice", what, i)
			}
			seen[i] = true
		}
		first, end := k.FirstTile(int64(s.kLen), int64(s.qLen)), k.Tiles(int64(s.kLen))
		if n := s.batch * len(k.HeadTiles) * int(end-first); len(seen) != n {
			t.Fatalf("%s: %d items, want %d", what, len(seen), n)
		}
		if l := [5]int32{int32(s.qLen), int32(s.kLen), int32(s.kLen - s.qLen), int32(first), int32(end - first)}; lengths[0] != l {
			t.Fatalf("%s: lengths %v, want %v", what, lengths[0], l)
		}
	}
}

// heads gives a layout so many head tiles.
func heads(k *layout.Kernel, n, group int) *layout.Kernel {
	k.GroupSize = group
	return tiles(k, make([]ir.Pattern, n)...)
}

// TestDecodeWork: every tile of random problems comes once, in the promised order.
func TestDecodeWork(t *testing.T) {
	r := random(5)
	for range 25 {
		block := int(oneOf(r, 16, 64, 128))
		k := plain(block, int(oneOf(r, 1, 2, 4)), 1)
		if r.IntN(3) == 0 {
			k = plain(block, 1, int(oneOf(r, 1, 2, 4)))
		}
		n := int(between(r, 1, 33))
		group := int(between(r, 0, int64(n)))
		var problems []sizes
		for range 4 {
			s := sizes{batch: int(between(r, 1, 3)), kLen: int(oneOf(r, between(r, 1, 4096), between(r, 8000, 140000)))}
			s.qLen = min(s.kLen, int(between(r, 1, int64(12*k.Positions))))
			problems = append(problems, s)
		}
		decodeWork(t, heads(k, n, group), problems...)
	}
}

// TestDecodeWorkRagged: the last group is narrower than the others. Phi-3-small at
// 40K has groups of 12 over 32 head tiles.
func TestDecodeWorkRagged(t *testing.T) {
	decodeWork(t, heads(plain(64, 1, 1), 32, 4),
		sizes{1, 1000, 40960}, sizes{2, 64, 40960}, sizes{1, 1, 40960}, sizes{1, 200, 65536}, sizes{1, 200, 65537}, sizes{2, 700, 131072 / 5}, sizes{1, 300, 131072/3 + 1})
	decodeWork(t, heads(plain(64, 2, 1), 7, 2), sizes{3, 300, 70000}, sizes{2, 1000, 131072}, sizes{2, 1000, 200000})
}

// TestDecodeWorkLong: the last tile of the longest context.
func TestDecodeWorkLong(t *testing.T) {
	decodeWork(t, heads(plain(128, 1, 1), 2, 1), sizes{2, 300, 1<<31 - 1}, sizes{1, 1, 1<<31 - 128})
	decodeWork(t, heads(plain(16, 1, 1), 3, 2), sizes{1, 40, 1<<31 - 1})
}
