package sm90a

import (
	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/codegen/ptx/kernel"
	"github.com/s2attention/s2c/ir/layout"
)

// memory is the map of a thread block's shared memory, in bytes. Tiles start at
// multiples of 1024, as their swizzle needs.
type memory struct {
	queryTile layout.SmemTile // one warpgroup's query rows
	kvTile    layout.SmemTile // one stage of keys or values
	stages    int
	groups    int
	queries   int // query buffers a warpgroup: 2 where memory allows
	kAt       int // stages × kvTile, after the query buffers: queries × groups × queryTile from 0 on
	vAt       int
	infoAt    int // stages × infoWords
	barAt     int
	size      int
	barrier   map[string]int // first barrier of each kind
}

// Boxes of the TMA copies, in elements: BoxCols columns of rows of one head.
const BoxCols = slabCols

// QueryBox is the query rows of a box: those of one head in a warpgroup.
func QueryBox(k *layout.Kernel) int { return min(groupRows, k.Positions) }

// KeyBox is the tokens of a box: those of one key block in a KV tile.
func KeyBox(k *layout.Kernel) int { return k.ChunkTokens() }

// limit is what one thread block may take on sm_90 (227 KB).
const limit = 227 * 1024

func plan(k *layout.Kernel) memory {
	m := memory{stages: k.Stages, groups: Groups(k), barrier: map[string]int{}}
	dim := (k.DimPadded + slabCols - 1) / slabCols * slabCols
	m.queryTile = layout.SmemTile{Rows: groupRows, Cols: dim, Type: k.Shape.DType}
	m.kvTile = layout.SmemTile{Rows: k.KVTile, Cols: dim, Type: k.Shape.DType}
	for m.queries = 2; ; m.queries-- {
		m.place()
		if m.size <= limit || m.queries == 1 {
			return m
		}
	}
}

// place lays the buffers out one after the other.
func (m *memory) place() {
	m.kAt = m.queries * m.groups * m.queryTile.Bytes()
	m.vAt = m.kAt + m.stages*m.kvTile.Bytes()
	m.infoAt = m.vAt + m.stages*m.kvTile.Bytes()
	m.barAt = m.infoAt + m.stages*infoWords*4
	n := 0
	for _, b := range []struct {
		name  string
		count int
	}{
		{"q_full", m.queries * m.groups}, {"q_empty", m.queries * m.groups},
		{"k_full", m.stages}, {"k_empty", m.stages}, {"v_full", m.stages}, {"v_empty", m.stages},
	} {
		m.barrier[b.name] = n
		n += b.count
	}
	m.size = m.barAt + n*barrierBytes
}

// SharedBytes is the dynamic shared memory of a layout's kernel.
func SharedBytes(k *layout.Kernel) int { return plan(k).size }

// barrierAt is the address of barrier n of a kind.
func (e *emitter) barrierAt(kind string, n int) ptx.SAddr {
	return e.smem.At(e.barAt + (e.barrier[kind]+n)*barrierBytes)
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
	r := &ring{e: e, kind: kind, slots: e.stages, width: 1, bytes: e.kvTile.Bytes()}
	switch kind {
	case "q":
		r.slots, r.width, r.first, r.bytes = e.queries, e.groups, 0, e.groups*e.queryTile.Bytes()
	case "k":
		r.first = e.kAt
	case "v":
		r.first = e.vAt
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
	return b.AddS32(b.MadLoS32(r.stage, ptx.Imm(infoWords*4), r.e.smem), ptx.Imm(r.e.infoAt))
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
