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

	qTile, kvTile layout.SmemTile

	mma string // the instruction of the dtype

	tid, smem ptx.R32
	stream    *kernel.Stream

	cur, next kernel.KVTile // the KV tile being multiplied, and the one being loaded
	kBuf      ptx.R32
	vBuf      ptx.R32
	kvPlans   []kernel.CopyPlan
	kv        map[string]kvSource
	keyLanes  lanes
	valLanes  lanes

	qFrag [][]ptx.R32 // query fragments by k-step, when they stay in registers
	acc   [][]ptx.F32 // output accumulators by 8 columns
	zero  []ptx.F32
}

func newEmitter(k *layout.Kernel, p *kernel.Pattern) *emitter {
	e := &emitter{
		pattern: p, kv: map[string]kvSource{},
		qTile: k.Memory.Region("q").Tile, kvTile: k.Memory.Region("k0").Tile,
	}
	e.b = ptx.NewBuilder(kernel.Entry(Generator{}.Launch(k), 1))
	e.Frame = &kernel.Frame{K: k, B: e.b}
	e.mma = fmt.Sprintf("mma.sync.aligned.m16n8k16.row.col.f32.%s.%[1]s.f32", k.Shape.DType)
	return e
}

// Where the first stage of keys and of values lies.
func (e *emitter) kOff() int { return e.K.Memory.Region("k0").Offset }
func (e *emitter) vOff() int { return e.K.Memory.Region("v0").Offset }

func (e *emitter) emit() {
	e.prologue()
	e.loadQuery()
	e.planKV()
	e.keyLanes = e.laneOffsets(e.kvTile, bOperand)
	e.valLanes = e.laneOffsets(e.kvTile, bOperandT)
	e.advance()
	e.loadKV("k", e.next, e.kBuf)
	e.b.CpAsyncCommitGroup()
	if e.K.Stages == 2 {
		e.loadKV("v", e.next, e.vBuf)
		e.b.CpAsyncCommitGroup()
	}
	e.b.Comment("the query tile has landed when at most the KV groups are in flight")
	e.b.CpAsyncWaitGroup(ptx.Imm(e.K.Stages))
	e.b.BarSync(ptx.Imm(0))
	e.keepQuery()
	e.mainLoop()
	inverse, empty := e.Finish()
	e.StoreLSE(e.Softmax, empty)
	// The queries are in registers or done with: their memory takes the output.
	rows := e.b.ShlB32(e.Warp, ptx.Imm(4))
	spoilt := e.StageOutput(e.qTile, e.smem, rows, e.acc, inverse)
	e.StoreOutput(e.qTile, e.smem, rows)
	done := e.b.NewLabel("done")
	e.b.Unless(e.b.VoteSyncAnyPred(spoilt, ptx.Imm(kernel.FullMask))).Bra(done)
	e.Redo(e.Softmax, e.pattern)
	e.b.Place(done)
	e.b.Ret()
}

func (e *emitter) prologue() {
	b := e.b
	b.Comment("who this thread is")
	e.tid = b.MovU32Sreg(ptx.TidX)
	e.Lane = b.AndB32(e.tid, ptx.Imm(31))
	e.Warp = b.ShrU32(e.tid, ptx.Imm(5))
	e.smem = b.MovU32Sym(ptx.Sym(e.b.Entry().Shared))

	e.Lengths = kernel.LoadLengths(b, e.K.Positions)
	e.Open(kernel.PatternSym(e.K), b.MovU32Sreg(ptx.CtaidX))
	e.PlaceWarp()
	e.stream = e.NewStream(e.pattern, e.LastKey())
	e.kBuf = b.AddS32(e.smem, ptx.Imm(e.kOff()))
	e.vBuf = b.AddS32(e.smem, ptx.Imm(e.vOff()))
	e.cur, e.next = e.NewKVTile(), e.NewKVTile()

	e.Softmax = e.NewSoftmax()
	e.Reset()
	e.zero = []ptx.F32{b.MovF32(ptx.FImm(0)), b.MovF32(ptx.FImm(0)), b.MovF32(ptx.FImm(0)), b.MovF32(ptx.FImm(0))}
	for range e.K.DimPadded / 8 {
		acc := b.F32s(4)
		for _, a := range acc {
			b.MovF32To(a, ptx.FImm(0))
		}
		e.acc = append(e.acc, acc)
	}
}

// advance finds the chunks of the next KV tile.
func (e *emitter) advance() {
	e.b.Comment("the next KV tile's key blocks")
	e.stream.Next(&e.next)
}

func (e *emitter) members() bool { return kernel.Members(e.K, e.pattern) }

func (e *emitter) moveTokens(to, from kernel.KVTile) {
	b := e.b
	b.AndPredTo(to.Valid, from.Valid, ptx.Imm(1))
	for g := range to.Base {
		b.MovB32To(to.Base[g], from.Base[g])
		if e.members() {
			b.MovB32To(to.Member[g], from.Member[g])
		}
	}
}

// mainLoop multiplies one KV tile a turn. With two stages the next keys load
// during QKᵀ and softmax, the next values during PV. With one stage the values
// load during QKᵀ, the next keys during softmax and PV.
func (e *emitter) mainLoop() {
	b := e.b
	loop, done := b.NewLabel("kv_loop"), b.NewLabel("kv_done")
	b.NoUnroll()
	b.Place(loop)
	b.Unless(e.next.Valid).Bra(done)
	e.moveTokens(e.cur, e.next)
	e.advance()
	if e.K.Stages == 2 {
		e.turnTwoStages()
	} else {
		e.turnOneStage()
	}
	b.Bra(loop)
	b.Place(done)
}

func (e *emitter) turnTwoStages() {
	b := e.b
	kNext := e.otherStage(e.kBuf, e.kOff())
	vNext := e.otherStage(e.vBuf, e.vOff())
	e.landed(1, "keys")
	e.loadKV("k", e.next, kNext)
	b.CpAsyncCommitGroup()
	skip, p := e.scores()
	e.landed(1, "values")
	e.loadKV("v", e.next, vNext)
	b.CpAsyncCommitGroup()
	e.accumulate(skip, p)
	b.MovB32To(e.kBuf, kNext)
	b.MovB32To(e.vBuf, vNext)
}

func (e *emitter) turnOneStage() {
	b := e.b
	e.landed(0, "keys")
	e.loadKV("v", e.cur, e.vBuf)
	b.CpAsyncCommitGroup()
	skip, p := e.scores()
	e.landed(0, "values")
	e.loadKV("k", e.next, e.kBuf)
	b.CpAsyncCommitGroup()
	e.accumulate(skip, p)
}

// landed waits until at most n newer groups are in flight and every thread's
// share is visible to the block; it also ends all reads of the buffer that is
// loaded next.
func (e *emitter) landed(n int, what string) {
	e.b.Comment("this tile's %s have landed", what)
	e.b.CpAsyncWaitGroup(ptx.Imm(n))
	e.b.BarSync(ptx.Imm(0))
}

// otherStage is the address of the buffer that buf is not.
func (e *emitter) otherStage(buf ptx.R32, off int) ptx.R32 {
	b := e.b
	both := b.AddS32(b.ShlB32(e.smem, ptx.Imm(1)), ptx.Imm(2*off+e.kvTile.Bytes()))
	return b.SubS32(both, buf)
}
