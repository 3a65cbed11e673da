package kernel_test

import (
	"math/rand/v2"
	"testing"

	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/codegen/ptx/kernel"
	"github.com/s2attention/s2c/codegen/ptx/tile"
	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/internal/ptxtest"
	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/ir/layout"
)

// What the tests ask of the emitters, in one place.

const words = ptx.Sym("pattern")

// globals is the module variable that holds a pattern.
func globals(p *kernel.Pattern) []ptx.Global {
	return []ptx.Global{{Name: string(words), Align: 16, Words: p.Words}}
}

// table is the argument for the parameter "table"; a kernel without one takes no
// notice of it.
func table(p *kernel.Pattern) ptxtest.Buffer {
	if p.Table == nil {
		return ptxtest.In([]byte{0})
	}
	return ptxtest.In(p.Table)
}

func encode(t testing.TB, k *layout.Kernel) *kernel.Pattern {
	t.Helper()
	p, err := kernel.EncodePattern(k)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// plain is a layout of blocks of so many tokens, without head tiles; merge query
// blocks of one head make a tile, or a query block makes split of them.
func plain(block, merge, split int) *layout.Kernel {
	return &layout.Kernel{
		Shape: ir.Shape{Heads: 4, KVHeads: 2, HeadDim: 64, Block: block, DType: dtype.BF16, Causal: true},
		Merge: merge, Split: split, Pack: 1, Positions: merge * block / split, KVTile: block, GroupSize: 1,
	}
}

// tiles gives a layout a head tile for each pattern.
func tiles(k *layout.Kernel, patterns ...ir.Pattern) *layout.Kernel {
	for h, p := range patterns {
		k.HeadTiles = append(k.HeadTiles, layout.HeadTile{Heads: []int{h}, KVHead: h / 2, Pattern: p})
	}
	return k
}

// random is a source of numbers, the same in every run.
func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

// times repeats body so often, with the number of the round.
func times(b *ptxtest.Builder, n int, body func(n ptx.R32)) {
	round := b.Const32(0)
	b.Again("times", func() ptx.Pred {
		body(round)
		b.AddS32To(round, round, ptx.Imm(1))
		return b.SetpLtS32(round, ptx.Imm(n))
	})
}

// frame is what a thread knows of itself.
func frame(b *ptxtest.Builder, k *layout.Kernel) *kernel.Frame {
	return &kernel.Frame{K: k, Warp: &tile.Warp{B: b.Builder, Lane: b.Lane}}
}

// fragments reads an accumulator of n fragments from an array that has so many for
// each index.
func fragments(b *ptxtest.Builder, array string, index ptx.R32, n int) tile.Acc {
	at := b.Word(array, b.MulLoS32(index, ptx.Imm(4*n)))
	acc := frame(b, nil).NewAcc(8*n, tile.Row)
	for i := range n {
		for j, x := range acc.Fragment(i) {
			b.MovF32To(x, b.LdGlobalF32(at.At(16*i+4*j)))
		}
	}
	return acc
}

// all is an accumulator's fragments.
func all(a tile.Acc) (list [][]ptx.F32) {
	for n := range a.Columns() / 8 {
		list = append(list, a.Fragment(n))
	}
	return list
}

// storeFragments writes fragments to such an array.
func storeFragments(b *ptxtest.Builder, array string, index ptx.R32, all ...[]ptx.F32) {
	at := b.Word(array, b.MulLoS32(index, ptx.Imm(4*len(all))))
	for i, frag := range all {
		for j, v := range frag {
			b.StGlobalF32(at.At(16*i+4*j), v)
		}
	}
}

// Where an element of an accumulator is (PTX ISA 9.7.14.5.8): lane and element of
// the fragment of eight columns, to row of 16 and column of eight.
func rowOf(lane, element int) int { return lane/4 + element/2*8 }
func colOf(lane, element int) int { return lane%4*2 + element%2 }
