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

// times repeats body so often, with the number of the round.
func times(b *ptxtest.Builder, n int, body func(n ptx.R32)) {
	round, loop := b.Const32(0), b.NewLabel("times")
	b.NoUnroll()
	b.Place(loop)
	body(round)
	b.AddS32To(round, round, ptx.Imm(1))
	b.If(b.SetpLtS32(round, ptx.Imm(n))).Bra(loop)
}

// fragments reads fragments of four numbers from an array that has so many for
// each index.
func fragments(b *ptxtest.Builder, array string, index ptx.R32, n int) [][]ptx.F32 {
	at := b.Word(array, b.MulLoS32(index, ptx.Imm(4*n)))
	var all [][]ptx.F32
	for i := range n {
		frag := make([]ptx.F32, 4)
		for j := range frag {
			frag[j] = b.LdGlobalF32(at.At(16*i + 4*j))
		}
		all = append(all, frag)
	}
	return all
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

// presence and mask are the two halves of masking.
func presence(f *kernel.Frame, c kernel.Chunks, members bool) *ptx.R32 { return f.Presence(c, members) }

func mask(f *kernel.Frame, scores [][]ptx.F32, c kernel.Chunks, present *ptx.R32) {
	f.MaskIfNeeded(scores, c, present)
}

// weigh turns scores into weights; matters is nil where earlier output must be
// rescaled always.
func weigh(s *kernel.Softmax, scores [][]ptx.F32, lazy bool) (alpha [2]ptx.F32, matters *ptx.Pred) {
	return s.Weigh(scores, lazy)
}

func rescale(s *kernel.Softmax, acc [][]ptx.F32, alpha [2]ptx.F32, matters *ptx.Pred) {
	s.Rescale(acc, alpha, matters)
}

func pack(s *kernel.Softmax, p [][]ptx.R32, weights [][]ptx.F32) { s.Pack(p, weights) }

func swizzled(f *kernel.Frame, s layout.Slab, row, chunk ptx.R32) ptx.R32 {
	return f.Swizzled(s, row, chunk)
}

// copyStep is one round of a copy plan for one slab.
type copyStep struct {
	to         ptx.SAddr
	row, chunk ptx.R32 // of the slab
	slab       layout.Slab
	active     ptx.Pred
	valid      func(ok ptx.Pred) ptx.Pred
}

// eachCopy walks the copies that a thread makes of a tile's first rows.
func eachCopy(f *kernel.Frame, t layout.SmemTile, rows int, who ptx.R32, threads int, tile ptx.R32, body func(copyStep)) {
	b := f.B
	for _, c := range f.PlanCopies(t, rows, who, threads) {
		active := b.MovPred(ptx.Imm(1))
		if c.Partial {
			active = c.Active
		}
		for n := range c.Rounds {
			row := b.AddS32(c.Row, ptx.Imm(n*c.Rows))
			for i, s := range c.Slabs {
				body(copyStep{c.To(b, tile, i, n), row, c.Chunk, s, active, func(ok ptx.Pred) ptx.Pred { return c.Valid(b, i, ok) }})
			}
		}
	}
}

func storeLSE(f *kernel.Frame, s *kernel.Softmax, empty [2]ptx.Pred) { f.StoreLSE(s, empty) }

// stage puts a warp's finished rows into shared memory, storeOutput takes them out.
func stage(f *kernel.Frame, t layout.SmemTile, base, first ptx.R32, acc [][]ptx.F32, inverse [2]ptx.F32) (spoilt ptx.Pred) {
	return f.StageOutput(t, base, first, acc, inverse)
}

func storeOutput(f *kernel.Frame, t layout.SmemTile, base, first ptx.R32) {
	f.StoreOutput(t, base, first)
}

// redo computes those of a warp's rows again that are not finite.
func redo(f *kernel.Frame, s *kernel.Softmax, p *kernel.Pattern) { f.Redo(s, p) }
