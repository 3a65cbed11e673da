package kernel_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/codegen/ptx/kernel"
	"github.com/s2attention/s2c/internal/ptxtest"
	"github.com/s2attention/s2c/ir/layout"
)

// masks is a kernel in which each warp masks the scores of a KV tile of its own.
type masks struct {
	*ptxtest.Kernel
	k       *layout.Kernel
	members bool
}

// maskCase is what a warp's mask depends on.
type maskCase struct {
	kLen, position, warpPos int32 // length, first positions of the tile and of the warp
	base, member            []int32
}

func (c maskCase) words() []int32 {
	w := []int32{c.kLen, c.position, c.warpPos}
	return append(append(w, c.base...), c.member...)
}

// none is what a kernel stores for "all chunks", where there is nothing to be absent.
const none = -1

func loadMasks(t testing.TB, k *layout.Kernel, members bool) masks {
	shape := ptxtest.Shape{Params: []ptx.Param{ptxtest.U64("cases"), ptxtest.U64("scores"), ptxtest.U64("masked"), ptxtest.U64("present")}}
	chunks := k.Gather()
	return masks{ptxtest.Load(t, shape, func(b *ptxtest.Builder) {
		f := frame(b, k)
		at := b.Word("cases", b.MulLoS32(b.BlockIndex, ptx.Imm(3+2*chunks)))
		word := func(n int) ptx.R32 { return b.LdGlobalB32(at.At(4 * n)) }
		f.Lengths.KLen, f.Tile.Position, f.WarpPos = word(0), word(1), word(2)
		c := kernel.Chunks{Tokens: k.ChunkTokens()}
		for g := range chunks {
			c.Base, c.Member = append(c.Base, word(3+g)), append(c.Member, word(3+chunks+g))
		}
		scores := fragments(b, "scores", b.Thread, k.KVTile/8)
		present := f.Presence(c, members)
		f.MaskIfNeeded(scores, c, present)
		storeFragments(b, "masked", b.Thread, all(scores)...)
		bits := b.Const32(none)
		if present != nil {
			bits = *present
		}
		b.StGlobalB32(b.Word("present", b.Thread).At(0), bits)
	}), k, members}
}

// present is whether a chunk exists and the warp's query block attends it.
func (m masks) present(c maskCase, g int) bool {
	block := (c.warpPos - c.position) / int32(m.k.Shape.Block)
	return c.base[g] < c.kLen && (!m.members || c.member[g]>>block&1 != 0)
}

// keeps is whether a score counts.
func (m masks) keeps(c maskCase, row, col int) bool {
	g := col / m.k.ChunkTokens()
	token := c.base[g] + int32(col%m.k.ChunkTokens())
	return m.present(c, g) && token < c.kLen && (!m.k.Shape.Causal || token <= c.warpPos+int32(row))
}

func (m masks) compare(t *testing.T, cases []maskCase, score func() uint32) {
	t.Helper()
	frags := m.k.KVTile / 8
	var args []int32
	for _, c := range cases {
		args = append(args, c.words()...)
	}
	in := make([]uint32, len(cases)*lanes*frags*4)
	for i := range in {
		in[i] = score()
	}
	out, present := make([]uint32, len(in)), make([]int32, len(cases)*lanes)
	m.Launch(t, len(cases), ptxtest.In(args), ptxtest.In(in), ptxtest.Out(out), ptxtest.Out(present))
	for i := range out {
		warp, lane, n, e := i/(lanes*frags*4), i/(frags*4)%lanes, i/4%frags, i%4
		c, want := cases[warp], in[i]
		row, col := rowOf(lane, e), 8*n+colOf(lane, e)
		if !m.keeps(c, row, col) {
			want = math.Float32bits(float32(math.Inf(-1)))
		}
		if out[i] != want {
			t.Fatalf("%+v: row %d, column %d is %#x, want %#x", c, row, col, out[i], want)
		}
	}
	for i, got := range present {
		c, want := cases[i/lanes], int32(0)
		for g := range c.base {
			if m.present(c, g) {
				want |= 1 << g
			}
		}
		if !m.members && len(c.base) == 1 {
			want = none
		}
		if got != want {
			t.Fatalf("%+v: chunks %b are there, want %b", c, got, want)
		}
	}
}

// TestMask: the scores that count are as they were, and no others are left.
func TestMask(t *testing.T) {
	r := random(7)
	for _, c := range []struct {
		block, kvTile, merge int
		causal, members      bool
	}{
		{64, 64, 1, true, false}, {64, 32, 1, true, false}, {64, 64, 1, false, false}, {16, 64, 1, true, false},
		{16, 32, 1, false, false}, {16, 64, 4, true, true}, {32, 32, 2, true, true}, {32, 16, 2, false, true}, {16, 128, 2, false, true},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			k := plain(c.block, c.merge, 1)
			k.KVTile, k.Shape.Causal = c.kvTile, c.causal
			m := loadMasks(t, k, c.members)
			var cases []maskCase
			for range 24 {
				tile := between(r, 0, 3)
				x := maskCase{position: int32(tile) * int32(k.Positions)}
				x.warpPos = x.position + 16*int32(between(r, 0, int64(k.Positions/16-1)))
				x.kLen = max(1, x.warpPos+int32(between(r, -8, int64(2*c.block))))
				for range k.Gather() {
					base := int32(k.ChunkTokens()) * int32(between(r, 0, int64(x.warpPos/int32(k.ChunkTokens())+1)))
					if base >= x.kLen || r.IntN(5) == 0 {
						base = x.kLen // a missing chunk
					}
					x.base, x.member = append(x.base, base), append(x.member, int32(drawMembers(r, c.merge)))
				}
				cases = append(cases, x)
			}
			m.compare(t, cases, r.Uint32)
		})
	}
}

// TestMaskIfNeeded: a tile before the warp's first row, with all of its chunks,
// takes no selection at all; one token further it does.
func TestMaskIfNeeded(t *testing.T) {
	const selection = "selp.f32"
	r := random(8)
	one := func(block, kvTile, merge int, causal, members bool, c maskCase) int64 {
		k := plain(block, merge, 1)
		k.KVTile, k.Shape.Causal = kvTile, causal
		m := loadMasks(t, k, members)
		m.compare(t, []maskCase{c}, r.Uint32)
		return m.Executed(selection)
	}
	at := func(kLen, pos int32, base ...int32) maskCase {
		c := maskCase{kLen: kLen, position: pos, warpPos: pos, base: base}
		for range base {
			c.member = append(c.member, 3)
		}
		return c
	}
	absent := at(256, 192, 0, 64)
	absent.member[1] = 2
	for _, c := range []struct {
		name   string
		needed bool
		n      int64
	}{
		{"before the first row", false, one(64, 64, 1, true, false, at(256, 191, 128))},
		{"the first row's next token", true, one(64, 64, 1, true, false, at(256, 190, 128))},
		{"up to the end", false, one(64, 64, 1, false, false, at(192, 0, 128))},
		{"past the end", true, one(64, 64, 1, false, false, at(191, 0, 128))},
		{"the last chunk counts, wherever it is", true, one(16, 32, 1, true, false, at(256, 47, 48, 16))},
		{"two chunks before the first row", false, one(16, 32, 1, true, false, at(256, 63, 48, 16))},
		{"a missing chunk", true, one(16, 32, 1, true, false, at(64, 63, 16, 64))},
		{"all members", false, one(64, 128, 2, true, true, at(256, 192, 0, 64))},
		{"a chunk for others alone", true, one(64, 128, 2, true, true, absent)},
	} {
		if (c.n > 0) != c.needed {
			t.Errorf("%s: %d selections", c.name, c.n)
		}
	}
}
