package emu

import "math/bits"

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

// barriersIn finds the mbarrier of an address for an operation by a lane.
func (w *warp) mbarrierAt(in *instr, lane int, addr uint32) *mbarrier {
	if _, ok := w.locate(in, lane, addr, 8); !ok {
		return nil
	}
	m := w.b.hopper.mbars[addr]
	if m == nil {
		w.fail(in, lane, CheckBarrier, uint64(addr), "there is no initialised mbarrier at %#x", addr)
		return nil
	}
	if w.checks(CheckRace) && !w.ordered(m.init, lane) {
		w.fail(in, lane, CheckRace, uint64(addr), "the mbarrier is initialised by thread %v with no barrier between",
			w.b.warps[m.init.agent()].thread(m.init.lane()))
		return nil
	}
	return m
}

// mbarrierAddr is the address operand of a lane.
func (w *warp) mbarrierAddr(in *instr, lane int) uint32 { return w.r[in.a][lane] + uint32(in.off) }

func mbarInit(w *warp, in *instr, l int) bool {
	addr, count, h := w.mbarrierAddr(in, l), w.r[in.b][l], &w.b.hopper
	if count == 0 || count > txLimit {
		return w.refuse(in, l, CheckBarrier, uint64(addr), "an mbarrier for %d arrivals, must be 1 to %d", count, txLimit)
	}
	off, ok := w.storeShared(in, l, addr, 8)
	if ok && len(h.mbars) >= 1<<12 {
		ok = w.refuse(in, l, CheckBarrier, uint64(addr), "more than %d mbarriers", 1<<12)
	}
	if !ok {
		return false
	}
	agent := len(w.b.warps) + h.agents
	h.agents++
	h.mbars[addr] = &mbarrier{addr: addr, agent: agent, count: int32(count), pending: int32(count), init: makeStamp(w.time, w.id, l)}
	if w.b.shared.shadow {
		w.b.shared.lines[off/lineBytes].bars |= barHalves(span(off%lineBytes, 8))
	}
	return true
}

func mbarInval(w *warp, in *instr, l int) bool {
	bar := w.mbarrierAt(in, l, w.mbarrierAddr(in, l))
	if bar == nil {
		return false
	}
	delete(w.b.hopper.mbars, bar.addr)
	if !w.b.shared.shadow {
		return true
	}
	off := int(bar.addr) - sharedBase
	ln, bytes := &w.b.shared.lines[off/lineBytes], span(off%lineBytes, 8)
	ln.bars &^= barHalves(bytes)
	if c := w.writeLine(off/lineBytes, bytes, l, true); c != nil {
		w.report(in, l, off, c, "invalidation")
		return false
	}
	ln.init &^= bytes
	return true
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

// arrive is one arrival by a lane.
func (w *warp) arriveOn(in *instr, lane int, m *mbarrier) bool {
	if m.pending == 0 {
		return w.refuse(in, lane, CheckBarrier, uint64(m.addr), "more than the %d arrivals of the phase", m.count)
	}
	m.pending--
	w.b.progress = true
	m.flip(w.b)
	return true
}

// arrivals executes an arrive for the lanes of mask, with expect bytes each.
func (w *warp) arrivals(in *instr, mask uint32, expect func(lane int) uint32) status {
	// Lanes that arrive on one mbarrier release together: each knows what it did.
	for rest := mask; rest != 0; {
		first := trailing(rest)
		addr := w.mbarrierAddr(in, first)
		var same uint32
		for l := range lanesOf(rest) {
			if w.mbarrierAddr(in, l) == addr {
				same |= 1 << l
			}
		}
		rest &^= same
		if !w.arriveTogether(in, same, addr, expect) {
			return stFault
		}
	}
	return stNext
}

// arriveTogether is the arrival of several lanes on one mbarrier. Each arrival
// releases what its own lane did, so a phase that ends halfway does not
// vouch for the lanes that are still to come.
func (w *warp) arriveTogether(in *instr, same, addr uint32, expect func(lane int) uint32) bool {
	bar := w.mbarrierAt(in, trailing(same), addr)
	if bar == nil {
		return false
	}
	var all *clock
	if bits.OnesCount32(same) <= int(bar.pending) {
		all = w.released(same)
	}
	for l := range lanesOf(same) {
		if w.mbarrierAt(in, l, addr) == nil {
			return false
		}
		c := all
		if c == nil {
			c = w.released(1 << l)
		}
		bar.clock = join(bar.clock, c)
		if in.d >= 0 {
			w.d[in.d][l] = uint64(bar.phase)<<32 | uint64(uint32(bar.pending))
		}
		if n := expect(l); n != 0 && !w.expectTx(in, l, bar, int64(n)) {
			return false
		}
		if !w.arriveOn(in, l, bar) {
			return false
		}
	}
	return true
}

func (w *warp) expectTx(in *instr, lane int, m *mbarrier, n int64) bool {
	if m.tx += n; m.tx > txLimit {
		return w.refuse(in, lane, CheckBarrier, uint64(m.addr), "a transaction count of %d bytes, at most %d", m.tx, txLimit)
	}
	return true
}

func execMbarArrive(w *warp, in *instr, mask uint32) status {
	return w.arrivals(in, mask, func(int) uint32 { return 0 })
}

func execMbarArriveExpectTx(w *warp, in *instr, mask uint32) status {
	return w.arrivals(in, mask, func(l int) uint32 { return w.r[in.b][l] })
}

// execMbarTryWait tests for the completion of the phase of a parity. It may fail
// though the phase is over, as on a GPU: under Shuffle it sometimes does.
func execMbarTryWait(w *warp, in *instr, mask uint32) status {
	var done uint32
	spurious := w.b.shuffle && w.hopper.spurious < 3 && w.b.rng.IntN(4) == 0
	held := false
	for l := range lanesOf(mask) {
		bar := w.mbarrierAt(in, l, w.mbarrierAddr(in, l))
		if bar == nil {
			return stFault
		}
		parity := w.r[in.b][l]
		if parity > 1 {
			return w.fail(in, l, CheckBarrier, uint64(bar.addr), "a phase parity of %d", parity)
		}
		if bar.phase&1 == parity {
			continue
		}
		if spurious {
			held = true
			continue
		}
		done |= 1 << l
	}
	for m := done; m != 0; {
		// Lanes that wait on one phase acquire it together.
		l := trailing(m)
		addr, parity := w.mbarrierAddr(in, l), w.r[in.b][l]
		same := uint32(0)
		for r := m; r != 0; r &= r - 1 {
			if k := trailing(r); w.mbarrierAddr(in, k) == addr && w.r[in.b][k] == parity {
				same |= 1 << k
			}
		}
		m &^= same
		bar := w.b.hopper.mbars[addr]
		w.acquire(same, bar.complete[parity])
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

func execFenceMbarInit(w *warp, in *instr, mask uint32) status {
	w.fenceMbars(mask)
	return stNext
}

// fenceMbars makes the initialisations by the lanes of mask visible to the async proxy.
func (w *warp) fenceMbars(mask uint32) {
	for _, m := range w.b.hopper.mbars {
		if m.init.agent() == w.id && mask>>m.init.lane()&1 != 0 {
			m.fenced = true
		}
	}
}

func execFenceProxyAsync(w *warp, in *instr, mask uint32) status {
	w.fence(mask)
	w.fenceMbars(mask)
	return stNext
}
