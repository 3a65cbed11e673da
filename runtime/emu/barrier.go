package emu

// barrier is one of the sixteen barriers of a block (PTX ISA 9.0 §9.7.13.1).
type barrier struct {
	expected int // threads, 0 while nobody has come
	arrived  int
	waiting  []waiter
	come     uint64 // warps that have come in this round
	clock    *clock
}

type waiter struct {
	w *warp
	g *group
}

// barrierArgs reads the barrier number and thread count, equal in all lanes.
func (w *warp) barrierArgs(in *instr, mask uint32) (id, count int) {
	first := trailing(mask)
	id = int(w.r[in.a][first])
	count = len(w.b.warps) * 32
	if in.b >= 0 {
		count = int(w.r[in.b][first])
	}
	for l := range lanesOf(mask) {
		if int(w.r[in.a][l]) != id || in.b >= 0 && int(w.r[in.b][l]) != count {
			w.fail(in, l, CheckBarrier, 0, "threads of the warp name different barriers or counts")
		}
	}
	switch {
	case id >= len(w.b.barriers):
		w.fail(in, first, CheckBarrier, 0, "barrier %d, there are 0 to 15", id)
	case count <= 0 || count%32 != 0:
		w.fail(in, first, CheckBarrier, 0, "a count of %d threads is no positive multiple of 32", count)
	case count > len(w.b.warps)*32:
		w.fail(in, first, CheckBarrier, 0, "a count of %d threads, the block has %d", count, w.b.threads)
	}
	return id, count
}

// come counts the warp in.
func (w *warp) come(in *instr, mask uint32) *barrier {
	id, count := w.barrierArgs(in, mask)
	bar := &w.b.barriers[id]
	switch {
	case bar.arrived == 0:
		bar.expected = count
	case bar.expected != count:
		w.fail(in, trailing(mask), CheckBarrier, 0, "barrier %d is in use with a count of %d, here it is %d", id, bar.expected, count)
	case bar.come>>w.id&1 != 0:
		w.fail(in, trailing(mask), CheckBarrier, 0, "the warp comes to barrier %d twice in one round", id)
	}
	bar.come |= 1 << w.id
	bar.arrived += 32
	bar.clock = join(bar.clock, w.released(mask))
	return bar
}

// complete wakes everybody if the barrier is full, and says whether it was.
func (bar *barrier) complete(b *block) bool {
	if bar.arrived < bar.expected {
		return false
	}
	for _, x := range bar.waiting {
		x.w.acquire(x.w.all, bar.clock)
		x.g.waiting = false
		x.g.pc++
	}
	waiting := bar.waiting[:0]
	*bar = barrier{waiting: waiting}
	b.progress = true
	return true
}

func execBarSync(w *warp, in *instr, mask uint32) status {
	bar := w.come(in, mask)
	c := bar.clock
	if bar.complete(w.b) {
		w.acquire(mask, c)
		return stYield
	}
	bar.waiting = append(bar.waiting, waiter{w, w.cur})
	return stWait
}

func execBarArrive(w *warp, in *instr, mask uint32) status {
	w.come(in, mask).complete(w.b)
	return stNext
}

func execBarWarpSync(w *warp, in *instr, mask uint32) status {
	mask, st := w.syncWarp(in, mask, &w.r[in.a])
	if mask != 0 {
		w.meet(mask)
	}
	return st
}
