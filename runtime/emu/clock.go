package emu

import "slices"

// Vector clocks for race detection, after FastTrack (Flanagan and Freund, 2009)
// with two levels. Each warp counts time; every access is stamped with (warp,
// lane, time). A clock says which accesses happened before the thread that holds
// it: of warp v, those of all lanes before base[v], and of single lanes before
// extra[v][lane]. Clocks are immutable once shared, so that all lanes of a warp,
// and all warps behind a barrier, can point to one.
//
// Beside the warps, each mbarrier is an agent with the index behind them; its time
// is its phase, and the accesses it stamps are the TMA copies that complete on it.

const (
	laneWarp   = 32   // the whole warp together: ldmatrix, wgmma
	laneAll    = 33   // every lane of the warp for itself, at one address
	laneAsync  = 0x80 // flag: through the async proxy
	agentShift = 8
	timeShift  = 24
)

// stamp is (time, agent, lane) packed; 0 is no access.
type stamp uint64

func makeStamp(time uint32, agent, lane int) stamp {
	return stamp(time)<<timeShift | stamp(agent)<<agentShift | stamp(lane)
}

func (s stamp) time() uint32 { return uint32(s >> timeShift) }
func (s stamp) agent() int   { return int(s>>agentShift) & 0xffff }
func (s stamp) lane() int    { return int(s) & 0x7f }
func (s stamp) async() bool  { return s&laneAsync != 0 }

type clock struct {
	base  []uint32
	extra []*[32]uint32 // by warp, or nil as long as no warp has any

	// fenced covers the accesses through the generic proxy that a
	// fence.proxy.async has made visible to the async proxy.
	fenced *clock
}

func newClock(warps int) *clock { return &clock{base: make([]uint32, warps)} }

func (c *clock) clone() *clock {
	d := &clock{base: append([]uint32(nil), c.base...), fenced: c.fenced}
	if c.extra != nil {
		d.extra = append([]*[32]uint32(nil), c.extra...) // the arrays are immutable too
	}
	return d
}

// covers says whether the access happened before the holder of c, none with nil.
func (c *clock) covers(s stamp) bool {
	a := s.agent()
	if c != nil && a < len(c.base) && s.time() < c.base[a] {
		return true
	}
	return c != nil && c.extra != nil && c.coversLane(s)
}

func (c *clock) coversLane(s stamp) bool {
	a, l := s.agent(), s.lane()
	return a < len(c.extra) && c.extra[a] != nil && l < 32 && s.time() < c.extra[a][l]
}

// join returns the least clock that covers what a and b cover; it may return either.
func join(a, b *clock) *clock {
	switch {
	case a == b || b == nil:
		return a
	case a == nil:
		return b
	case a.includes(b):
		return a
	case b.includes(a):
		return b
	}
	c := a.clone()
	c.fenced = join(a.fenced, b.fenced)
	for agent, t := range b.base {
		c.raiseAgent(agent, t)
	}
	for w := range b.extra {
		c.raise(w, b.extra[w])
	}
	return c
}

func (c *clock) includes(b *clock) bool {
	for a, t := range b.base {
		if t != 0 && (a >= len(c.base) || c.base[a] < t) {
			return false
		}
	}
	if b.fenced != nil && b.fenced != c.fenced && (c.fenced == nil || !c.fenced.includes(b.fenced)) {
		return false
	}
	for w, lanes := range b.extra {
		for l := 0; lanes != nil && l < 32; l++ {
			if t := lanes[l]; t > c.base[w] && (w >= len(c.extra) || c.extra[w] == nil || c.extra[w][l] < t) {
				return false
			}
		}
	}
	return true
}

// raiseAgent lifts one agent. c must be private.
func (c *clock) raiseAgent(agent int, t uint32) {
	for agent >= len(c.base) {
		c.base = append(c.base, 0)
	}
	c.base[agent] = max(c.base[agent], t)
}

// raise lifts the lanes of one warp to at least the given times, if any. c must be private.
func (c *clock) raise(w int, lanes *[32]uint32) {
	if lanes == nil {
		return
	}
	for w >= len(c.extra) {
		c.extra = append(c.extra, nil)
	}
	merged := *lanes
	if old := c.extra[w]; old != nil {
		for l, t := range old {
			merged[l] = max(merged[l], t)
		}
	}
	c.base[w] = max(c.base[w], slices.Min(merged[:]))
	if c.extra[w] = &merged; slices.Max(merged[:]) <= c.base[w] {
		c.extra[w] = nil
	}
}

// clockOf is the clock of one lane.
func (w *warp) clockOf(lane int) *clock {
	if w.lanes != nil {
		return w.lanes[lane]
	}
	return w.clock
}

// released is what a thread that observes a release by the lanes of mask may
// rely on. The accesses of those lanes up to now are in it, later ones are not.
func (w *warp) released(mask uint32) *clock {
	var c *clock
	w.time++
	if w.lanes == nil {
		c = w.clock.clone()
	} else {
		for l := range lanesOf(mask) {
			c = join(c, w.lanes[l])
		}
		c = c.clone()
	}
	if mask == w.all {
		c.base[w.id] = w.time
		if w.id < len(c.extra) {
			c.extra[w.id] = nil
		}
		return c
	}
	var own [32]uint32
	for l := range own {
		if (mask|^w.all)>>l&1 != 0 { // threads that do not exist stand in no way
			own[l] = w.time
		}
	}
	c.raise(w.id, &own)
	return c
}

// acquire lets the lanes of mask rely on c.
func (w *warp) acquire(mask uint32, c *clock) {
	if c != nil {
		w.change(mask, func(old *clock) *clock { return join(old, c) })
	}
}

// change gives the lanes of mask other clocks; lanes with one clock get one again.
func (w *warp) change(mask uint32, f func(old *clock) *clock) {
	if mask == w.all && w.lanes == nil {
		w.clock = f(w.clock)
		return
	}
	if w.lanes == nil {
		w.lanes = new([32]*clock)
		for l := range w.lanes {
			w.lanes[l] = w.clock
		}
	}
	var from, to *clock
	for l := range lanesOf(mask) {
		if w.lanes[l] != from {
			from, to = w.lanes[l], f(w.lanes[l])
		}
		w.lanes[l] = to
	}
	w.unite()
}

// unite goes back to one clock a warp when all its threads hold the same.
func (w *warp) unite() {
	first := w.lanes[trailing(w.all)]
	for l := range lanesOf(w.all) {
		if w.lanes[l] != first {
			return
		}
	}
	w.clock, w.lanes = first, nil
}

// meet orders the accesses of the lanes of mask before their next ones: bar.warp.sync.
func (w *warp) meet(mask uint32) {
	c := w.released(mask)
	if mask == w.all {
		w.clock, w.lanes = c, nil
		return
	}
	w.acquire(mask, c)
}

// fence makes what the lanes of mask have done and rely on visible to the async
// proxy: fence.proxy.async (PTX ISA 9.0 §9.7.13.4).
func (w *warp) fence(mask uint32) {
	seen := w.released(mask)
	now := &clock{base: seen.base, extra: seen.extra}
	w.change(mask, func(old *clock) *clock {
		c := old.clone()
		c.fenced = join(old.fenced, now)
		return c
	})
}

// ordered says whether an earlier access happened before one by a lane now,
// or by the whole warp with laneWarp.
func (w *warp) ordered(s stamp, lane int) bool {
	own := s.agent() == w.id
	if own && (s.lane() == lane || s.lane() == laneWarp) {
		return true
	}
	if w.lanes == nil || lane < 32 {
		return w.clockOf(lane & 31).covers(s)
	}
	for l := range lanesOf(w.all) {
		if !(own && s.lane() == l) && !w.lanes[l].covers(s) {
			return false
		}
	}
	return true
}

// visible says whether an access that happened before is also visible to the
// async proxy, for an access through it by a lane or by the whole warp.
func (w *warp) visible(s stamp, lane int) bool {
	if s.async() {
		return true
	}
	if w.lanes == nil || lane < 32 {
		return w.clockOf(lane & 31).fenced.covers(s)
	}
	for l := range lanesOf(w.all) {
		if !w.lanes[l].fenced.covers(s) {
			return false
		}
	}
	return true
}
