package emu

import (
	"iter"
	"math/bits"
)

// mbarrier objects (PTX ISA 9.0 §9.7.13.15). Their eight bytes are opaque: the
// state lives here, and the line's shadow keeps ordinary accesses away.
type mbarrier struct {
	addr     uint32
	agent    int // its index among the agents of the vector clocks
	count    int32
	pending  int32
	tx       int64
	phase    uint32 // phases completed
	init     stamp
	fenced   bool      // the initialisation is visible to the async proxy
	clock    *clock    // released by the arrivals of the current phase
	complete [2]*clock // of the last completed phase of each parity
	copies   bool      // the current phase has a TMA copy
	loose    *tmaLoad  // the last copy that is done and that nobody has waited for
}

// txLimit bounds the transaction count (PTX ISA 9.0 §9.7.13.15.2).
const txLimit = 1<<20 - 1

// mbarrierAt finds the mbarrier of an address for an operation by a lane.
func (w *warp) mbarrierAt(in *instr, lane int, addr uint32) *mbarrier {
	w.locate(in, lane, addr, 8)
	m := w.b.hopper.mbars[addr]
	if m == nil {
		w.fail(in, lane, CheckBarrier, uint64(addr), "there is no initialised mbarrier at %#x", addr)
	}
	if w.checks(CheckRace) && !w.ordered(m.init, lane) {
		w.fail(in, lane, CheckRace, uint64(addr), "the mbarrier is initialised by thread %v with no barrier between",
			w.b.warps[m.init.agent()].thread(m.init.lane()))
	}
	return m
}

// mbarrierAddr is the address operand of a lane.
func (w *warp) mbarrierAddr(in *instr, lane int) uint32 { return w.r[in.a][lane] + uint32(in.off) }

func mbarInit(w *warp, in *instr, l int) {
	addr, count, h := w.mbarrierAddr(in, l), w.r[in.b][l], &w.b.hopper
	if count == 0 || count > txLimit {
		w.fail(in, l, CheckBarrier, uint64(addr), "an mbarrier for %d arrivals, must be 1 to %d", count, txLimit)
	}
	off := w.storeShared(in, l, addr, 8)
	if len(h.mbars) >= 1<<12 {
		w.fail(in, l, CheckBarrier, uint64(addr), "more than %d mbarriers", 1<<12)
	}
	agent := len(w.b.warps) + h.agents
	h.agents++
	h.mbars[addr] = &mbarrier{addr: addr, agent: agent, count: int32(count), pending: int32(count), init: makeStamp(w.time, w.id, l)}
	if w.b.shared.shadow {
		w.b.shared.lines[off/lineBytes].bars |= barHalves(span(off%lineBytes, 8))
	}
}

func mbarInval(w *warp, in *instr, l int) {
	bar := w.mbarrierAt(in, l, w.mbarrierAddr(in, l))
	delete(w.b.hopper.mbars, bar.addr)
	if !w.b.shared.shadow {
		return
	}
	off := int(bar.addr) - sharedBase
	ln, bytes := &w.b.shared.lines[off/lineBytes], span(off%lineBytes, 8)
	ln.bars &^= barHalves(bytes)
	w.writeLine(use{in, l, off / lineBytes, bytes, "invalidation"}, l, true)
	ln.init &^= bytes
}

// flip ends the phase when nothing is outstanding.
func (m *mbarrier) flip(b *block) {
	if m.pending != 0 || m.tx != 0 {
		return
	}
	c := m.clock
	if m.copies {
		c = c.clone()
		c.raiseAgent(m.agent, m.phase+2)
	}
	m.complete[m.phase&1] = c
	m.phase++
	m.pending, m.clock, m.copies = m.count, nil, false
	b.progress = true
}

// alike splits a mask into sets of lanes that have the same key.
func alike(mask uint32, key func(l int) uint64) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for mask != 0 {
			same, first := uint32(0), key(trailing(mask))
			for l := range lanesOf(mask) {
				same |= bit(key(l) == first) << l
			}
			if mask &^= same; !yield(same) {
				return
			}
		}
	}
}

// arrivals makes the executor of an arrive, with so many bytes to expect by each lane.
func arrivals(expect func(w *warp, in *instr, l int) uint32) execFn {
	return func(w *warp, in *instr, mask uint32) status {
		// Lanes that arrive on one mbarrier release together: each knows what it did.
		for same := range alike(mask, func(l int) uint64 { return uint64(w.mbarrierAddr(in, l)) }) {
			w.arriveTogether(in, same, expect)
		}
		return stNext
	}
}

// arriveTogether is the arrival of several lanes on one mbarrier. Each arrival
// releases what its own lane did, so a phase that ends halfway does not
// vouch for the lanes that are still to come.
func (w *warp) arriveTogether(in *instr, same uint32, expect func(w *warp, in *instr, l int) uint32) {
	addr := w.mbarrierAddr(in, trailing(same))
	bar := w.mbarrierAt(in, trailing(same), addr)
	var all *clock
	if bits.OnesCount32(same) <= int(bar.pending) {
		all = w.released(same)
	}
	for l := range lanesOf(same) {
		w.mbarrierAt(in, l, addr)
		c := all
		if c == nil {
			c = w.released(1 << l)
		}
		bar.clock = join(bar.clock, c)
		w.d[in.d][l] = uint64(bar.phase)<<32 | uint64(uint32(bar.pending))
		if bar.tx += int64(expect(w, in, l)); bar.tx > txLimit {
			w.fail(in, l, CheckBarrier, uint64(addr), "a transaction count of %d bytes, at most %d", bar.tx, txLimit)
		}
		if bar.pending == 0 {
			w.fail(in, l, CheckBarrier, uint64(addr), "more than the %d arrivals of the phase", bar.count)
		}
		bar.pending--
		w.b.progress = true
		bar.flip(w.b)
	}
}

func noBytes(*warp, *instr, int) uint32         { return 0 }
func theBytes(w *warp, in *instr, l int) uint32 { return w.r[in.b][l] }

// execMbarTryWait tests for the completion of the phase of a parity. It may fail
// though the phase is over, as on a GPU: under Shuffle it sometimes does.
func execMbarTryWait(w *warp, in *instr, mask uint32) status {
	var done uint32
	spurious := w.b.shuffle && w.hopper.spurious < 3 && w.b.rng.IntN(4) == 0
	held := false
	for l := range lanesOf(mask) {
		bar := w.mbarrierAt(in, l, w.mbarrierAddr(in, l))
		parity := w.r[in.b][l]
		if parity > 1 {
			w.fail(in, l, CheckBarrier, uint64(bar.addr), "a phase parity of %d", parity)
		}
		over := bar.phase&1 != parity
		held = held || over && spurious
		done |= bit(over && !spurious) << l
	}
	// Lanes that wait on one phase acquire it together.
	for same := range alike(done, func(l int) uint64 { return uint64(w.mbarrierAddr(in, l))<<1 | uint64(w.r[in.b][l]) }) {
		l := trailing(same)
		bar := w.b.hopper.mbars[w.mbarrierAddr(in, l)]
		w.acquire(same, bar.complete[w.r[in.b][l]])
		if bar.loose != nil && bar.loose.phase < bar.phase {
			bar.loose = nil
		}
	}
	w.putPred(in, mask, done)
	if done == mask {
		w.hopper.spurious = 0
		return stNext
	}
	if held {
		w.hopper.spurious++
		w.b.progress = true
	} else {
		w.hopper.polled = true
	}
	return stPoll
}

// execFenceMbarInit makes the initialisations by the lanes of mask visible to the async proxy.
func execFenceMbarInit(w *warp, _ *instr, mask uint32) status {
	for _, m := range w.b.hopper.mbars {
		if m.init.agent() == w.id && mask>>m.init.lane()&1 != 0 {
			m.fenced = true
		}
	}
	return stNext
}

func execFenceProxyAsync(w *warp, in *instr, mask uint32) status {
	w.fence(mask)
	return execFenceMbarInit(w, in, mask)
}
