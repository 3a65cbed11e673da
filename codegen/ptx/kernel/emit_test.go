package kernel_test

import (
	"math/rand/v2"
	"testing"

	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/codegen/ptx/kernel"
	"github.com/s2attention/s2c/codegen/ptx/ptxtest"
	"github.com/s2attention/s2c/dtype"
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

// unless branches where p does not hold.
func unless(b *ptxtest.Builder, p ptx.Pred, to ptx.Label) { b.Unless(p).Bra(to) }

// times repeats body so often, with the number of the round.
func times(b *ptxtest.Builder, n int, body func(n ptx.R32)) {
	round, loop := b.Const32(0), b.NewLabel("times")
	b.NoUnroll()
	b.Place(loop)
	body(round)
	b.AddS32To(round, round, ptx.Imm(1))
	b.If(b.SetpLtS32(round, ptx.Imm(n))).Bra(loop)
}
