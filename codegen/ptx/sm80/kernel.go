// Package sm80 emits the forward attention kernel for sm_80 and later: mma.sync
// m16n8k16 with fp32 accumulation, ldmatrix from swizzled shared memory, a
// cp.async pipeline, and the online softmax of FlashAttention-2 (arXiv
// 2307.08691) in base 2.
//
// A thread block owns one query tile: layout.Kernel.Rows rows, 16 a warp. It
// walks the key blocks of its row of the pattern with a kernel.Cursor, gathers
// them into KV tiles of KVTile tokens, and never touches the others.
package sm80

import (
	"fmt"

	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/codegen/ptx/kernel"
	"github.com/s2attention/s2c/codegen/ptx/tile"
	"github.com/s2attention/s2c/ir/layout"
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
	case k.Rows&(k.Rows-1) != 0: // copies deal out rows in equal rounds
		return fmt.Errorf("sm80: %d rows are no power of two", k.Rows)
	case k.Stages != 1 && k.Stages != 2:
		return fmt.Errorf("sm80: %d stages", k.Stages)
	}
	return kernel.Check(g, k)
}

// emitter carries the state of one kernel while it is written.
type emitter struct {
	b       *ptx.Builder
	pattern *kernel.Pattern
	*kernel.Frame
	*kernel.Softmax
	tile.MmaSync

	qTile, kvTile layout.SmemTile

	tid, smem ptx.R32
	stream    *kernel.Stream

	cur, next kernel.KVTile // the KV tile being multiplied, and the one being loaded
	k, v      stages
	absent    *ptx.Pred // this warp attends nothing of cur; nil where that cannot be

	kept *tile.Fragments // the queries, when they stay in registers
	o    tile.Acc        // the output
}

func newEmitter(k *layout.Kernel, p *kernel.Pattern) *emitter {
	e := &emitter{pattern: p, qTile: k.Memory.Region("q").Tile, kvTile: k.Memory.Region("k0").Tile}
	e.b = ptx.NewBuilder(kernel.Entry(Generator{}.Launch(k), 1))
	e.Frame = &kernel.Frame{K: k, Warp: &tile.Warp{B: e.b}}
	e.k = stages{e: e, name: "k", first: k.Memory.Region("k0").Offset}
	e.v = stages{e: e, name: "v", first: k.Memory.Region("v0").Offset}
	return e
}

func (e *emitter) emit() {
	e.prologue()
	e.loadQuery()
	e.planKV()
	e.advance()
	e.k.load(e.next)
	if e.K.Stages == 2 {
		e.v.load(e.next)
	}
	e.b.Comment("the query tile has landed when at most the KV groups are in flight")
	e.Landed(e.K.Stages)
	e.keepQuery()
	e.attend()
	e.b.Ret()
}

func (e *emitter) prologue() {
	b := e.b
	b.Comment("who this thread is")
	e.tid = b.MovU32Sreg(ptx.TidX)
	e.Lane = b.AndB32(e.tid, ptx.Imm(31))
	e.Rank = b.ShrU32(e.tid, ptx.Imm(5))
	e.smem = b.MovU32Sym(ptx.Sym(e.b.Entry().Shared))

	e.Lengths = kernel.LoadLengths(b, e.K.Positions)
	e.Open(kernel.PatternSym(e.K), b.MovU32Sreg(ptx.CtaidX))
	e.PlaceWarp()
	e.stream = e.NewStream(e.pattern, e.LastKey())
	for _, s := range []*stages{&e.k, &e.v} {
		s.buffer = b.AddS32(e.smem, ptx.Imm(s.first))
	}
	e.cur, e.next = e.NewKVTile(), e.NewKVTile()

	e.Softmax = e.NewSoftmax()
	e.Reset()
	e.MmaSync = e.Frame.MmaSync(e.K.Shape.DType)
	e.o = e.Zeros(e.K.DimPadded, tile.Row)
}

// advance finds the chunks of the next KV tile.
func (e *emitter) advance() {
	e.b.Comment("the next KV tile's key blocks")
	e.stream.Next(&e.next)
}

func (e *emitter) members() bool { return kernel.Members(e.K, e.pattern) }

// eachTile runs body for the row's KV tiles, with the one after already known.
func (e *emitter) eachTile(body func()) {
	e.b.Endless("kv_loop", "kv_done", func(done ptx.Point) {
		done.Unless(e.next.Valid)
		e.MoveTo(e.cur, e.next, e.members())
		e.advance()
		if e.K.Stages == 2 {
			e.k.turn()
			e.v.turn()
		}
		body()
	})
}

// attended finds which chunks of the KV tile concern this warp's query block, nil for
// all of them. Where there may be none p gets a value for the path without them.
func (e *emitter) attended(p tile.Fragments) (present *ptx.R32) {
	present = e.Presence(e.cur.Chunks, e.members())
	if e.members() {
		absent := e.b.SetpEqS32(*present, ptx.Imm(0))
		e.absent = &absent
		p.Clear()
	}
	return present
}

// unlessAbsent runs what a warp does with the KV tile, unless none of it is attended.
func (e *emitter) unlessAbsent(name string, body func()) {
	if e.absent == nil {
		body()
		return
	}
	e.b.Unless(*e.absent, name, body)
}

// landed waits for copies: all but those of at most so many newer groups.
func (e *emitter) landed(newer int, what string) {
	e.b.Comment("this tile's %s have landed", what)
	e.Landed(newer)
}
