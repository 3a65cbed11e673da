package sm90a

import (
	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/ir/layout"
)

// memory is the map of a thread block's shared memory, in bytes. Tiles start at
// multiples of 1024, as their swizzle needs.
type memory struct {
	dim     int             // columns, whole slabs
	q       layout.SmemTile // one warpgroup's query rows
	kv      layout.SmemTile // one stage of keys or values
	stages  int
	groups  int
	qAt     int // groups × q
	kAt     int // stages × kv
	vAt     int
	oAt     int // groups × q; the query's own where memory is short
	ownO    bool
	infoAt  int // stages × infoWords
	barAt   int
	size    int
	barrier map[string]int // first barrier of each kind
}

// limit is what one thread block may take on sm_90 (227 KB).
const limit = 227 * 1024

func plan(k *layout.Kernel) memory {
	m := memory{stages: k.Stages, groups: Groups(k), barrier: map[string]int{}}
	m.dim = (k.DimPadded + slabCols - 1) / slabCols * slabCols
	m.q = layout.SmemTile{Rows: groupRows, Cols: m.dim}
	m.kv = layout.SmemTile{Rows: k.KVTile, Cols: m.dim}
	m.kAt = m.groups * m.q.Bytes()
	m.vAt = m.kAt + m.stages*m.kv.Bytes()
	m.oAt = m.vAt + m.stages*m.kv.Bytes()
	const tail = 1024
	m.ownO = m.oAt+m.groups*m.q.Bytes()+m.stages*infoWords*4+tail <= limit
	m.infoAt = m.oAt
	if m.ownO {
		m.infoAt += m.groups * m.q.Bytes()
	} else {
		m.oAt = m.qAt
	}
	m.barAt = m.infoAt + m.stages*infoWords*4
	n := 0
	for _, b := range []struct {
		name  string
		count int
	}{
		{"q_full", m.groups}, {"q_empty", m.groups},
		{"k_full", m.stages}, {"k_empty", m.stages}, {"v_full", m.stages}, {"v_empty", m.stages},
	} {
		m.barrier[b.name] = n
		n += b.count
	}
	m.size = m.barAt + n*barrierBytes
	return m
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
	for g := range e.groups {
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

// arrive signals a barrier once for this warp.
func (e *emitter) arrive(at ptx.SAddr) {
	b := e.b
	skip := b.NewLabel("arrived")
	b.If(b.SetpNeU32(e.Lane, ptx.Imm(0))).Bra(skip)
	b.MbarrierArriveSharedB64(at)
	b.Place(skip)
}

// ring is a position in the ring of stages.
type ring struct {
	e     *emitter
	kind  string // "k" or "v"
	stage ptx.R32
	phase ptx.R32 // parity of the phase in which this round's copies land
}

func (e *emitter) newRing(kind string) *ring {
	return &ring{e: e, kind: kind, stage: e.b.Const32(0), phase: e.b.Const32(0)}
}

// next moves on by one stage.
func (r *ring) next() {
	b := r.e.b
	b.AddS32To(r.stage, r.stage, ptx.Imm(1))
	wrap := b.SetpEqS32(r.stage, ptx.Imm(r.e.stages))
	b.If(wrap).MovB32To(r.stage, ptx.Imm(0))
	b.If(wrap).XorB32To(r.phase, r.phase, ptx.Imm(1))
}

// at is the address of the stage's own barrier of a kind.
func (r *ring) at(state string) ptx.SAddr {
	b, e := r.e.b, r.e
	first := e.barrierAt(r.kind+state, 0)
	return b.MadLoS32(r.stage, ptx.Imm(barrierBytes), first.Base).At(first.Off)
}

// waitFull waits for the stage's copies, waitEmpty for the readers of the round before.
func (r *ring) waitFull()  { r.e.wait(r.at("_full"), r.phase) }
func (r *ring) waitEmpty() { r.e.wait(r.at("_empty"), r.e.b.XorB32(r.phase, ptx.Imm(1))) }
func (r *ring) release()   { r.e.arrive(r.at("_empty")) }

// buffer is the address of the stage's tile.
func (r *ring) buffer() ptx.R32 {
	at := r.e.kAt
	if r.kind == "v" {
		at = r.e.vAt
	}
	b := r.e.b
	return b.AddS32(b.MadLoS32(r.stage, ptx.Imm(r.e.kv.Bytes()), r.e.smem), ptx.Imm(at))
}

// info is the address of what the stage says about its KV tile.
func (r *ring) info() ptx.R32 {
	b := r.e.b
	return b.AddS32(b.MadLoS32(r.stage, ptx.Imm(infoWords*4), r.e.smem), ptx.Imm(r.e.infoAt))
}

// Words of a stage's info.
const (
	infoLast   = 0 // 1 on a row's last KV tile
	infoBase   = 1 // first token of each chunk
	infoMember = 9 // query blocks that attend each chunk
)
