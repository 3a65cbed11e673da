package emu

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"

	"github.com/s2attention/s2c/codegen/ptx/inst"
)

// blockHopper is what sm_90 adds to a block's state.
type blockHopper struct {
	mbars  map[uint32]*mbarrier
	agents int // agents of the vector clocks behind the warps

	groups  []warpgroup
	loads   []*tmaLoad // in flight, in order of issue
	cluster struct {
		arrived uint32
		phase   uint32
		clock   *clock
	}
	registers int // free registers of the multiprocessor's share
}

// warpHopper is what sm_90 adds to a warp's state.
type warpHopper struct {
	polled   bool // the last try_wait failed because the phase is not over
	spurious int  // failures in a row that need not have been

	inFlight bool     // wgmmas are unfinished
	fenced   bool     // a wgmma.fence has been executed
	dirty    []bool   // by register: used since the last wgmma.fence
	accs     []uint16 // by register: unfinished wgmmas that accumulate into it
	frags    []uint16 // by register: unfinished wgmmas that read A from it
	pending  []*wgmmaOp
	commits  int32

	stores    bulkQueue
	registers int // per thread
	waitPhase uint32
	clustered bool // has arrived at the cluster barrier
}

func (h *blockHopper) reset(b *block) {
	*h = blockHopper{
		mbars: map[uint32]*mbarrier{}, groups: make([]warpgroup, (len(b.warps)+3)/4), loads: h.loads[:0],
		registers: registerFile - len(b.warps)*32*b.launch.p.entryRegisters(b.threads),
	}
}

func (h *warpHopper) reset(w *warp) {
	dirty, accs, frags := h.dirty, h.accs, h.frags
	if w.p.hazards && dirty == nil {
		n := len(w.p.regs)
		dirty, accs, frags = make([]bool, n), make([]uint16, n), make([]uint16, n)
	}
	clear(dirty)
	clear(accs)
	clear(frags)
	*h = warpHopper{dirty: dirty, accs: accs, frags: frags, registers: w.p.entryRegisters(w.b.threads)}
}

// registerFile is the 32-bit registers of a multiprocessor.
const registerFile = 1 << 16

// entryRegisters is how many registers a thread starts with.
func (p *program) entryRegisters(threads int) int {
	if p.source.maxnreg > 0 {
		return p.source.maxnreg
	}
	dims := p.source.maxntid
	if dims == [3]int{} {
		dims = p.source.reqntid
	}
	most := max(dims[0]*dims[1]*dims[2], threads)
	return min(registerFile/(most*max(p.source.minnctapsm, 1))&^7, 255)
}

// fixedRegisters says whether the number of registers at entry is decided by
// the text: without that setmaxnreg has no effect (PTX ISA 9.0 §9.7.19.5).
func (p *program) fixedRegisters() bool {
	k := p.source
	return k.maxnreg > 0 || (k.maxntid != [3]int{} || k.reqntid != [3]int{}) && k.minnctapsm > 0
}

func buildSetMaxNReg(d *decoder, in *instr) error {
	n := in.imm[0]
	if n < 24 || n > 256 || n%8 != 0 {
		return fmt.Errorf("%d registers, must be a multiple of 8 from 24 to 256", n)
	}
	in.exec = execSetMaxNReg
	return nil
}

// execSetMaxNReg changes the registers of the warp's threads; an increase waits until
// the warp's share is free.
func execSetMaxNReg(w *warp, in *instr, mask uint32) status {
	h, n, up := &w.hopper, int(in.imm[0]), in.form.Kind == inst.SetMaxNRegInc
	need := 32 * (n - h.registers)
	if up && need < 0 {
		w.fail(in, 0, CheckInstruction, 0, "an increase to %d registers from %d", n, h.registers)
	}
	if up && need > w.b.hopper.registers {
		h.polled = true
		return stRetry
	}
	if !w.p.fixedRegisters() {
		w.fail(in, trailing(mask), CheckInstruction, 0,
			"without .maxnreg, or .maxntid and .minnctapersm, the number of registers at entry is not fixed and this has no effect")
	}
	w.together4(in, mask)
	if !up && need > 0 {
		w.fail(in, 0, CheckInstruction, 0, "a decrease to %d registers from %d", n, h.registers)
	}
	w.b.hopper.registers -= need
	h.registers = n
	w.b.progress = true
	return stNext
}

// execElect elects a lane of the member mask, always the same one; under Shuffle
// the seed decides which.
func execElect(w *warp, in *instr, mask uint32) status {
	mask, st := w.syncWarp(in, mask, &w.r[in.a])
	if mask == 0 {
		return st
	}
	leader := trailing(mask)
	if w.b.shuffle {
		n := int(w.b.launch.dev.opts.Seed*0x9e3779b97f4a7c15>>40) % bits.OnesCount32(mask)
		m := mask
		for range n {
			m &= m - 1
		}
		leader = trailing(m)
	}
	w.putPred(in, mask, 1<<leader)
	return stNext
}

// execClusterArrive and execClusterWait are the barrier of a cluster of one block.
func execClusterArrive(w *warp, in *instr, mask uint32) status {
	c := &w.b.hopper.cluster
	if w.hopper.clustered {
		w.fail(in, trailing(mask), CheckBarrier, 0, "the warp arrives twice without waiting for the cluster")
	}
	w.hopper.clustered, w.hopper.waitPhase = true, c.phase
	c.arrived |= 1 << w.id
	c.clock = join(c.clock, w.released(mask))
	if bits.OnesCount32(c.arrived) == len(w.b.warps) {
		c.phase++
		c.arrived = 0
		w.b.progress = true
	}
	return stNext
}

func execClusterWait(w *warp, in *instr, mask uint32) status {
	c := &w.b.hopper.cluster
	if !w.hopper.clustered {
		w.fail(in, trailing(mask), CheckBarrier, 0, "the warp waits for the cluster without having arrived")
	}
	if c.phase == w.hopper.waitPhase {
		w.hopper.polled = true
		return stRetry
	}
	w.hopper.clustered = false
	w.acquire(mask, c.clock)
	return stNext
}

// mapA maps an address to a block of the cluster, of which there is one.
func mapA(w *warp, in *instr, l int) {
	if rank := w.r[in.b][l]; rank != 0 {
		w.fail(in, l, CheckInstruction, 0, "block %d of a cluster of one", rank)
	}
	w.r[in.d][l] = w.r[in.a][l]
}

// idle says whether a round of all warps brought the block no further.
func (b *block) idle(ran bool) bool {
	if b.progress {
		return false
	}
	if !ran {
		return true
	}
	for _, w := range b.warps {
		if !w.done() && w.ready() != nil && !w.hopper.polled {
			return false
		}
	}
	return true
}

// earlyHopper finishes some asynchronous work of sm_90 before it has to be.
func (b *block) earlyHopper(w *warp) {
	if n := len(b.hopper.loads); n > 0 && b.rng.IntN(4) == 0 {
		b.finishLoad(b.rng.IntN(n))
	}
	if len(w.hopper.pending) > 0 && b.rng.IntN(4) == 0 {
		w.hopper.pending[0].compute(w)
	}
}

// complete finishes some pending asynchronous work; it returns false if there is none.
func (b *block) complete() bool {
	if len(b.hopper.loads) == 0 {
		return false
	}
	b.finishLoad(0)
	return true
}

// end is called when all threads have exited.
func (b *block) end() {
	var loose []*tmaLoad
	for _, m := range b.hopper.mbars {
		if m.loose != nil {
			loose = append(loose, m.loose)
		}
	}
	slices.SortFunc(loose, func(x, y *tmaLoad) int { return cmp.Compare(x.bar, y.bar) })
	if loads := append(b.hopper.loads, loose...); len(loads) > 0 && b.checks&CheckAsync != 0 {
		l := loads[0]
		l.w.fail(l.in, l.lane, CheckAsync, 0, "the block ends and nobody has waited for this copy")
	}
	for _, w := range b.warps {
		w.drain()
	}
}
