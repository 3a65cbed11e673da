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
	"github.com/s2attention/s2c/ir/layout"
	"github.com/s2attention/s2c/launch"
	"github.com/s2attention/s2c/target"
)

const (
	groupThreads = 128 // threads of a warpgroup
	groupWarps   = 4
	groupRows    = 64 // the m of wgmma
	slabCols     = 64 // columns of a slab: 128 bytes, the widest swizzle
	slabRowBytes = 128
	barrierBytes = 8
	infoWords    = 32 // words a stage says about its KV tile
)

// Params is the kernel's parameter list, with the boxes that it copies: slabs of
// the query rows of one head, of the tokens of one key block.
func Params(k *layout.Kernel) []launch.Param {
	box := func(tensor string, rows int) launch.Param {
		return launch.MapOf(tensor, launch.MapRule{
			Axes: []launch.Axis{launch.AxisDim, launch.AxisSeq, launch.AxisHead, launch.AxisBatch},
			Box:  []uint32{BoxCols, uint32(rows), 1, 1}, Swizzle: slabRowBytes,
		})
	}
	return launch.Place(launch.ForwardParams, []launch.Param{
		box("q", QueryBox(k)), box("k", KeyBox(k)), box("v", KeyBox(k)),
	})
}

// Emit makes the PTX module of a layout. The pattern's tables, if any, come
// back beside it.
func Emit(k *layout.Kernel) (*ptx.Module, *kernel.Pattern, error) {
	if err := check(k); err != nil {
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

// Groups is the number of consumer warpgroups.
func Groups(k *layout.Kernel) int { return k.Rows / groupRows }

// Threads is the size of a thread block.
func Threads(k *layout.Kernel) int { return (Groups(k) + 1) * groupThreads }

func check(k *layout.Kernel) error {
	switch {
	case k.Target != target.SM90a:
		return fmt.Errorf("sm90a: target %v", k.Target)
	case k.Rows%groupRows != 0 || Groups(k) < 1 || Groups(k) > 3:
		return fmt.Errorf("sm90a: %d rows are not one to three warpgroups of %d", k.Rows, groupRows)
	case k.Gather() > 8 || k.KVTile > 256:
		return fmt.Errorf("sm90a: a KV tile of %d tokens from %d blocks, more than 256 or 8", k.KVTile, k.Gather())
	case k.Positions%groupRows != 0 && groupRows%k.Positions != 0:
		return fmt.Errorf("sm90a: %d positions a head neither fill warpgroups of %d rows nor divide one", k.Positions, groupRows)
	case k.Stages < 1:
		return fmt.Errorf("sm90a: %d stages", k.Stages)
	}
	return kernel.CheckGeometry(k)
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
	e := &emitter{pattern: p, memory: plan(k)}
	e.b = ptx.NewBuilder(&ptx.Entry{
		Name: k.Entry, Params: kernel.Declare(Params(k)), Threads: Threads(k), MinCTAs: Resident, Shared: "smem_" + k.Entry,
	})
	e.Frame = &kernel.Frame{K: k, B: e.b}
	return e
}

func (e *emitter) members() bool { return kernel.Members(e.K, e.pattern) }

// coreRegisters is the registers of a multiprocessor.
const coreRegisters = 64 << 10

// producerRegisters is what the producer keeps, by the blocks that it gathers
// for a tile: it holds where each of them starts, and the next tile's, too. The
// consumers share the rest.
func producerRegisters(gather int) int {
	switch {
	case gather > 4:
		return 56
	case gather > 2:
		return 40
	}
	return 24
}

// maxRegisters is the most that a consumer asks for.
const maxRegisters = 240

// Resident is the thread blocks a multiprocessor that a kernel is built for: the
// grid is persistent, and one block takes all registers.
const Resident = 1

// split is the registers a thread keeps after setmaxnreg (PTX ISA §9.7.19.5): the
// block enters with an equal share for every thread, the producer warpgroup
// gives up its own. Nothing moves where a thread enters with all it can use.
func (e *emitter) split() (producer, consumer ptx.Imm, move bool) {
	entry := coreRegisters / (Resident * Threads(e.K)) / 8 * 8
	if entry >= maxRegisters {
		return 0, 0, false
	}
	give := producerRegisters(e.K.Gather())
	if e.groups == 3 { // 512 threads enter with 128: 32 + 3 x 160
		give = 32
	}
	share := entry + (entry-give)/e.groups
	return ptx.Imm(give), ptx.Imm(min(share/8*8, maxRegisters)), true
}

func (e *emitter) emit() {
	b := e.b
	tid := b.MovU32Sreg(ptx.TidX)
	e.smem = b.MovU32Sym(ptx.Sym(b.Entry().Shared))
	e.Lane = b.AndB32(tid, ptx.Imm(31))
	warp := b.ShrU32(tid, ptx.Imm(5))
	e.initBarriers(tid)

	e.Lengths = kernel.LoadLengths(b, e.K.Positions)
	e.items = b.MulLoS32(b.MulLoS32(e.Lengths.Tiles, ptx.Imm(len(e.K.HeadTiles))), kernel.Param32(b, "batch"))
	e.first = b.MovU32Sreg(ptx.CtaidX)
	done := b.NewLabel("done")
	b.If(b.SetpGeU32(e.first, e.items)).Bra(done)

	producer, consumer, move := e.split()
	consume := b.NewLabel("consumer")
	b.If(b.SetpGeU32(warp, ptx.Imm(groupWarps))).Bra(consume)
	if move {
		b.SetmaxnregDecSyncAlignedU32(producer)
	}
	b.If(b.SetpNeU32(warp, ptx.Imm(0))).Bra(done)
	e.produce()
	b.Bra(done)

	b.Place(consume)
	if move {
		b.SetmaxnregIncSyncAlignedU32(consumer)
	}
	e.Warp = b.SubS32(warp, ptx.Imm(groupWarps))
	e.consume()
	b.Place(done)
	b.Ret()
}
