package tile

import "github.com/s2attention/s2c/codegen/ptx"

// BarrierBytes is the size of an mbarrier (PTX ISA 9.0 §9.7.13.15).
const BarrierBytes = 8

// Barriers are mbarriers side by side in shared memory.
type Barriers struct {
	*Warp
	first ptx.SAddr
}

// Barriers are those from an address on.
func (w *Warp) Barriers(first ptx.SAddr) Barriers { return Barriers{w, first} }

// init prepares barrier n for so many arrivals a phase.
func (k Barriers) init(n, arrivals int) {
	k.B.MbarrierInitSharedB64(k.first.Base.At(k.first.Off+n*BarrierBytes), ptx.Imm(arrivals))
}

func (k Barriers) at(n ptx.R32) ptx.SAddr {
	return k.B.MadLoS32(n, ptx.Imm(BarrierBytes), k.first.Base).At(k.first.Off)
}

// wait spins until the phase with the given parity is complete.
func (w *Warp) wait(at ptx.SAddr, parity ptx.Src32) {
	b := w.B
	b.Block("ready", func(done ptx.Point) {
		b.Loop("wait", func(spin ptx.Point) {
			done.If(b.MbarrierTryWaitParitySharedB64(at, parity))
			spin.Go()
		})
	})
}

// arrive signals a barrier once for this warp, for what all its lanes have done.
func (w *Warp) arrive(at ptx.SAddr) {
	w.Sync()
	w.B.Unless(w.B.SetpNeU32(w.Lane, ptx.Imm(0)), "arrived", func() { w.B.MbarrierArriveSharedB64(at) })
}

// Slots are buffers that copies fill and warps let go of in turn: a full barrier a
// slot for the former, an empty one for the latter; or one a warpgroup, where each
// has its own part of the slot.
type Slots struct {
	Full, Empty Barriers
	Count       int     // slots
	Parts       int     // barriers of each kind a slot
	Base        ptx.R32 // start of shared memory
	First       int     // bytes from there to slot 0
	Bytes       int     // bytes a slot
}

// Prepare prepares the barriers of a part of a slot, the parts of all slots counted: a
// full one is signalled by its copies, an empty one by so many arrivals.
func (s Slots) Prepare(n, readers int) {
	s.Full.init(n, 1)
	s.Empty.init(n, readers)
}

// Ring is a position in slots.
type Ring struct {
	*Warp
	Slots
	slot  ptx.R32
	phase ptx.R32 // parity of the phase in which this round's copies land
}

// Ring begins with the first slot.
func (w *Warp) Ring(s Slots) *Ring {
	return &Ring{Warp: w, Slots: s, slot: w.B.Const32(0), phase: w.B.Const32(0)}
}

// Mark is a second position, to be moved by Set.
func (r *Ring) Mark() *Ring {
	m := *r
	m.slot = r.B.NewR32()
	return &m
}

// Set moves a mark to where the ring is.
func (m *Ring) Set(r *Ring) { m.B.MovB32To(m.slot, r.slot) }

// Next moves on by one slot.
func (r *Ring) Next() {
	b := r.B
	if r.Count > 1 {
		b.AddS32To(r.slot, r.slot, ptx.Imm(1))
		wrap := b.SetpEqS32(r.slot, ptx.Imm(r.Count))
		b.If(wrap).MovB32To(r.slot, ptx.Imm(0))
		b.If(wrap).XorB32To(r.phase, r.phase, ptx.Imm(1))
		return
	}
	b.XorB32To(r.phase, r.phase, ptx.Imm(1))
}

// All stands for the part where a slot has one barrier for all of it.
var All = ptx.Imm(0)

// barrier is the slot's barrier of a kind, for a part.
func (r *Ring) barrier(of Barriers, part ptx.Src32) ptx.SAddr {
	slot := r.slot
	if r.Parts > 1 {
		slot = r.B.MadLoS32(r.slot, ptx.Imm(r.Parts), part)
	}
	return of.at(slot)
}

// WaitFull waits for the slot's copies, WaitEmpty for the readers of the round before.
func (r *Ring) WaitFull(part ptx.Src32) { r.wait(r.barrier(r.Full, part), r.phase) }
func (r *Ring) WaitEmpty(part ptx.Src32) {
	r.wait(r.barrier(r.Empty, part), r.B.XorB32(r.phase, ptx.Imm(1)))
}

// Release lets go of the slot for this warp.
func (r *Ring) Release(part ptx.Src32) { r.arrive(r.barrier(r.Empty, part)) }

// Pop lets go of the slot and moves on.
func (r *Ring) Pop() {
	r.Release(All)
	r.Next()
}

// Buffer is the address of the slot's tile.
func (r *Ring) Buffer() ptx.R32 { return r.B.AddS32(r.beside(r.Bytes), ptx.Imm(r.First)) }

// beside is the slot's place among things of so many bytes a slot, from the start
// of shared memory.
func (r *Ring) beside(bytes int) ptx.R32 { return r.B.MadLoS32(r.slot, ptx.Imm(bytes), r.Base) }

// Beside is the address of what else there is a slot: so many bytes, slot 0's at first.
func (r *Ring) Beside(first, bytes int) ptx.R32 {
	return r.B.AddS32(r.beside(bytes), ptx.Imm(first))
}

// TensorMap is the generic address of a tensor map among the parameters.
func (w *Warp) TensorMap(name string) ptx.R64 {
	return w.B.CvtaParamU64(w.B.MovU64Sym(ptx.Sym(name)))
}

// Landing is a part of a slot that is being filled.
type Landing struct {
	ring *Ring
	full ptx.SAddr
}

// Fill runs body, in the lane where issuer holds, to copy so many bytes into a part
// of the slot by the copy engine; the part is full when they have arrived.
func (r *Ring) Fill(part ptx.Src32, issuer ptx.Pred, bytes int, body func(Landing)) {
	full := r.barrier(r.Full, part)
	r.B.When(issuer, "loaded", func() {
		r.B.MbarrierArriveExpectTxSharedB64(full, ptx.Imm(bytes))
		body(Landing{r, full})
	})
}

// Boxes are copies of boxes of one tensor to somewhere in shared memory.
type Boxes struct {
	*Warp
	tensor ptx.R64
	to     ptx.R32
	full   ptx.R32
}

// From is the tensor that boxes come from, and the address that they go to.
func (l Landing) From(tensorMap ptx.R64, to ptx.R32) Boxes {
	return Boxes{l.ring.Warp, tensorMap, to, l.ring.B.AddS32(l.full.Base, ptx.Imm(l.full.Off))}
}

// Copy starts the copy of the box at (column, row, head, batch entry), to so many
// bytes from where the boxes go. What lies outside of the tensor arrives as zeros
// and counts.
func (c Boxes) Copy(offset int, at ...ptx.Src32) {
	to := c.B.AddS32(c.to, ptx.Imm(offset))
	c.B.CpAsyncBulkTensor4dSharedClusterGlobalMbarrierCompleteTxBytes(to.At(0), c.tensor.At(0), at, c.full.At(0))
}
