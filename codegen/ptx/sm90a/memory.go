package sm90a

import (
	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/codegen/ptx/kernel"
	"github.com/s2attention/s2c/ir/layout"
)

// memory is what emission often asks the map of shared memory for.
type memory struct {
	queryTile layout.SmemTile // one warpgroup's query rows
	kvTile    layout.SmemTile // one stage of keys or values
	stages    int
	groups    int
	queries   int // query buffers a warpgroup
}

func memoryOf(k *layout.Kernel) memory {
	m := memory{queryTile: k.Memory.Region("q0").Tile, kvTile: k.Memory.Region("k0").Tile, stages: k.Stages, groups: groups(k.Rows)}
	m.queries = k.Memory.Count("q") / m.groups
	return m
}

// queryBox is the query rows of a TMA box: those of one head in a warpgroup.
func queryBox(k *layout.Kernel) int { return min(groupRows, k.Positions) }

// barrierAt is the address of barrier n of a kind.
func (e *emitter) barrierAt(kind string, n int) ptx.SAddr {
	return e.smem.At(e.K.Memory.Region(kind).Offset + n*barrierBytes)
}

// initBarriers prepares the barriers: a full one is signalled by its copies, an
// empty one by each warp that reads the slot (PTX ISA §9.7.13.15).
func (e *emitter) initBarriers(tid ptx.R32) {
	b := e.b
	b.Comment("barriers: full by the copies, empty by every reading warp")
	skip := b.NewLabel("barriers_ready")
	b.If(b.SetpNeU32(tid, ptx.Imm(0))).Bra(skip)
	for g := range e.queries * e.groups {
		b.MbarrierInitSharedB64(e.barrierAt("q_full", g), ptx.Imm(1))
		b.MbarrierInitSharedB64(e.barrierAt("q_empty", g), ptx.Imm(groupWarps))
	}
	for s := range e.stages {
		for _, kind := range []string{"k", "v"} {
			b.MbarrierInitSharedB64(e.barrierAt(kind+"_full", s), ptx.Imm(1))
			b.MbarrierInitSharedB64(e.barrierAt(kind+"_empty", s), ptx.Imm(groupWarps*e.groups))
		}
	}
	b.FenceMbarrierInitReleaseCluster()
	b.Place(skip)
	b.BarSync(ptx.Imm(0))
}

// wait spins until the phase of a barrier with the given parity is complete.
func (e *emitter) wait(at ptx.SAddr, parity ptx.Src32) {
	b := e.b
	spin, done := b.NewLabel("wait"), b.NewLabel("ready")
	b.Place(spin)
	b.If(b.MbarrierTryWaitParitySharedB64(at, parity)).Bra(done)
	b.Bra(spin)
	b.Place(done)
}

// arrive signals a barrier once for this warp, for what all its lanes have done.
func (e *emitter) arrive(at ptx.SAddr) {
	b := e.b
	b.BarWarpSync(ptx.Imm(kernel.FullMask))
	skip := b.NewLabel("arrived")
	b.If(b.SetpNeU32(e.Lane, ptx.Imm(0))).Bra(skip)
	b.MbarrierArriveSharedB64(at)
	b.Place(skip)
}

// ring is a position in a ring of slots: stages of keys or values, buffers of
// queries.
type ring struct {
	e     *emitter
	kind  string // "q", "k" or "v"
	slots int
	width int // barriers a slot: one, or one for each warpgroup
	first int // bytes of slot 0
	bytes int // bytes a slot
	stage ptx.R32
	phase ptx.R32 // parity of the phase in which this round's copies land
}

func (e *emitter) newRing(kind string) *ring {
	r := &ring{e: e, kind: kind, slots: e.stages, width: 1, first: e.K.Memory.Region(kind + "0").Offset, bytes: e.kvTile.Bytes()}
	if kind == "q" {
		r.slots, r.width, r.bytes = e.queries, e.groups, e.groups*e.queryTile.Bytes()
	}
	r.stage, r.phase = e.b.Const32(0), e.b.Const32(0)
	return r
}

// next moves on by one slot.
func (r *ring) next() {
	b := r.e.b
	if r.slots > 1 {
		b.AddS32To(r.stage, r.stage, ptx.Imm(1))
		wrap := b.SetpEqS32(r.stage, ptx.Imm(r.slots))
		b.If(wrap).MovB32To(r.stage, ptx.Imm(0))
		b.If(wrap).XorB32To(r.phase, r.phase, ptx.Imm(1))
		return
	}
	b.XorB32To(r.phase, r.phase, ptx.Imm(1))
}

// at is the address of the slot's barrier of a kind, for the n-th warpgroup
// where each has its own.
func (r *ring) at(state string, n ptx.Src32) ptx.SAddr {
	b, e := r.e.b, r.e
	first := e.barrierAt(r.kind+state, 0)
	slot := r.stage
	if r.width > 1 {
		slot = b.MadLoS32(r.stage, ptx.Imm(r.width), n)
	}
	return b.MadLoS32(slot, ptx.Imm(barrierBytes), first.Base).At(first.Off)
}

// waitFull waits for the slot's copies, waitEmpty for the readers of the round before.
func (r *ring) waitFull(n ptx.Src32) { r.e.wait(r.at("_full", n), r.phase) }
func (r *ring) waitEmpty(n ptx.Src32) {
	r.e.wait(r.at("_empty", n), r.e.b.XorB32(r.phase, ptx.Imm(1)))
}
func (r *ring) release(n ptx.Src32) { r.e.arrive(r.at("_empty", n)) }

// all stands for the warpgroup where a slot has one barrier for all of them.
var all = ptx.Imm(0)

// buffer is the address of the slot's tile.
func (r *ring) buffer() ptx.R32 {
	b := r.e.b
	return b.AddS32(b.MadLoS32(r.stage, ptx.Imm(r.bytes), r.e.smem), ptx.Imm(r.first))
}

// info is the address of what the stage says about its KV tile.
func (r *ring) info() ptx.R32 {
	b := r.e.b
	return b.AddS32(b.MadLoS32(r.stage, ptx.Imm(infoWords*4), r.e.smem), ptx.Imm(r.e.K.Memory.Region("info").Offset))
}

// Words of a stage's info.
const (
	infoFlags  = 0
	infoBase   = 1 // first token of each chunk
	infoMember = 9 // query blocks that attend each chunk
	infoHead   = 17
	infoPos    = 18 // the query tile's first position
	infoBatch  = 19
)

// Bits of a stage's flags.
const (
	flagMask  = 1 // some score of the tile may not count
	flagLast  = 2 // the tile is its item's last
	flagFinal = 4 // and the item is the thread block's last
)
