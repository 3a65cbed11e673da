// Package sm90a emits the forward attention kernel for Hopper: warp-specialised,
// persistent, with TMA loads into a ring of mbarriers and wgmma on register-held
// weights.
//
// Warpgroup 0 is the producer: one warp computes the tile's key blocks with a
// kernel.Cursor and issues the copies. Every other warpgroup owns 64 query rows;
// it issues Q Kᵀ of the next tile before P V of this one, so that the softmax of
// a tile runs while the tensor cores work (FlashAttention-3, arXiv 2407.08608).
package sm90a

import (
	"fmt"

	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/codegen/ptx/kernel"
	"github.com/s2attention/s2c/codegen/ptx/tile"
	"github.com/s2attention/s2c/ir/layout"
	"github.com/s2attention/s2c/target"
)

// Emit makes the PTX module of a layout.
func (g Generator) Emit(k *layout.Kernel) (*ptx.Module, *kernel.Pattern, error) {
	if err := g.check(k); err != nil {
		return nil, nil, err
	}
	pattern, err := kernel.EncodePattern(k)
	if err != nil {
		return nil, nil, err
	}
	e := newEmitter(k, pattern)
	e.emit()
	m, err := kernel.Module(k, e.b, pattern)
	return m, pattern, err
}

func (g Generator) check(k *layout.Kernel) error {
	switch {
	case k.Target != target.SM90a:
		return fmt.Errorf("sm90a: target %v", k.Target)
	case k.Rows%tile.GroupRows != 0 || groups(k.Rows) < 1 || groups(k.Rows) > 3:
		return fmt.Errorf("sm90a: %d rows are not one to three warpgroups of %d", k.Rows, tile.GroupRows)
	case k.Gather() > 8 || k.KVTile > 256:
		return fmt.Errorf("sm90a: a KV tile of %d tokens from %d blocks, more than 256 or 8", k.KVTile, k.Gather())
	case k.Positions%tile.GroupRows != 0 && tile.GroupRows%k.Positions != 0:
		return fmt.Errorf("sm90a: %d positions a head neither fill warpgroups of %d rows nor divide one", k.Positions, tile.GroupRows)
	}
	return kernel.Check(g, k)
}

// emitter carries the state of one kernel while it is written.
type emitter struct {
	b       *ptx.Builder
	pattern *kernel.Pattern
	*kernel.Frame

	memory

	smem  ptx.R32
	items ptx.R32 // work items in all
	first ptx.R32 // this thread block's first
}

func newEmitter(k *layout.Kernel, p *kernel.Pattern) *emitter {
	e := &emitter{pattern: p, memory: memoryOf(k)}
	e.b = ptx.NewBuilder(kernel.Entry(Generator{}.Launch(k), resident))
	e.Frame = &kernel.Frame{K: k, Warp: &tile.Warp{B: e.b}}
	return e
}

func (e *emitter) members() bool { return kernel.Members(e.K, e.pattern) }

func (e *emitter) emit() {
	b := e.b
	tid := b.MovU32Sreg(ptx.TidX)
	e.smem = b.MovU32Sym(ptx.Sym(b.Entry().Shared))
	e.Lane = b.AndB32(tid, ptx.Imm(31))
	// By way of a shuffle, so that the assembler knows it to be the same in all lanes
	// and keeps descriptors in uniform registers.
	warp := e.FromFirst(b.ShrU32(tid, ptx.Imm(5)))
	e.initBarriers(tid)
	e.loadWork()
	b.Block("done", func(done ptx.Point) {
		done.If(b.SetpGeU32(e.first, e.items))
		producer, consumer, move := split(e.groups, e.K.Gather())
		b.Block("consumer", func(consumers ptx.Point) {
			consumers.If(b.SetpGeU32(warp, ptx.Imm(tile.GroupWarps)))
			if move {
				b.SetmaxnregDecSyncAlignedU32(ptx.Imm(producer))
			}
			done.If(b.SetpNeU32(warp, ptx.Imm(0)))
			e.produce()
			done.Go()
		})
		if move {
			b.SetmaxnregIncSyncAlignedU32(ptx.Imm(consumer))
		}
		e.Rank = b.SubS32(warp, ptx.Imm(tile.GroupWarps))
		e.consume()
	})
	b.Ret()
}

// loadWork finds what there is to do, and where this thread block begins.
func (e *emitter) loadWork() {
	b := e.b
	e.Lengths = kernel.LoadLengths(b, e.K.Positions)
	e.items = b.MulLoS32(b.MulLoS32(e.Lengths.Tiles, ptx.Imm(len(e.K.HeadTiles))), kernel.Param32(b, "batch"))
	e.first = b.MovU32Sreg(ptx.CtaidX)
}

// eachItem runs body for this thread block's share of the work items: one from
// each round of as many items as there are thread blocks. Every second round is
// dealt backwards, since items grow shorter within a round.
func (e *emitter) eachItem(body func(final ptx.Pred)) {
	b := e.b
	round, seat := b.Const32(0), b.MovB32(e.first)
	stride := b.MovU32Sreg(ptx.NctaidX)
	seats := b.SubS32(stride, ptx.Imm(1))
	item := b.MovB32(e.first)
	b.Repeat("item", func() ptx.Pred {
		e.Open(kernel.PatternSym(e.K), item)
		b.AddS32To(round, round, stride)
		b.SubS32To(seat, seats, seat)
		b.AddS32To(item, round, seat)
		final := b.SetpGeU32(item, e.items)
		body(final)
		return final
	})
}
