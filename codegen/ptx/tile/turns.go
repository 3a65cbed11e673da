package tile

import "github.com/s2attention/s2c/codegen/ptx"

// turnBarrier is the first of the named barriers on which warpgroups wait for their
// turn; barrier 0 is the thread block's.
const turnBarrier = 1

// Turns let one warpgroup after the other issue its matrix work, while the others do
// something else (FlashAttention-3, arXiv 2407.08608, §3.1). All must take the same
// number of turns. One warpgroup alone takes none.
type Turns struct {
	*Warp
	Groups int
	Group  ptx.R32 // this warpgroup
}

// Open gives the first turn to warpgroup 0.
func (t Turns) Open() {
	if t.Groups == 1 {
		return
	}
	t.B.Unless(t.B.SetpNeU32(t.Group, ptx.Imm(t.Groups-1)), "turns_open", func() {
		t.B.BarArrive(ptx.Imm(turnBarrier), ptx.Imm(2*GroupThreads))
	})
}

// Close lets warpgroup 0 collect the last arrival, so that none is left.
func (t Turns) Close() {
	if t.Groups == 1 {
		return
	}
	t.B.Unless(t.B.SetpNeU32(t.Group, ptx.Imm(0)), "turns_closed", func() {
		t.B.BarSyncCount(ptx.Imm(turnBarrier), ptx.Imm(2*GroupThreads))
	})
}

// Take waits for this warpgroup's turn.
func (t Turns) Take() {
	if t.Groups > 1 {
		t.B.BarSyncCount(t.B.AddS32(t.Group, ptx.Imm(turnBarrier)), ptx.Imm(2*GroupThreads))
	}
}

// Pass hands it to the next warpgroup.
func (t Turns) Pass() {
	if t.Groups == 1 {
		return
	}
	b := t.B
	next := b.AddS32(t.Group, ptx.Imm(turnBarrier+1))
	last := b.SetpEqU32(t.Group, ptx.Imm(t.Groups-1))
	b.BarArrive(b.SelpB32(ptx.Imm(turnBarrier), next, last), ptx.Imm(2*GroupThreads))
}
