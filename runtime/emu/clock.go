package emu

// Vector clocks for race detection, after FastTrack (Flanagan and Freund, 2009)
// with two levels. Each warp counts time; every access is stamped with (warp,
// lane, time). A clock says which accesses happened before the thread that holds
// it: of warp v, those of all lanes before base[v], and of single lanes before
// extra[v][lane]. Clocks are immutable once shared, so that all lanes of a warp,
// and all warps behind a barrier, can point to one.

const (
	laneWarp  = 32 // the whole warp together: ldmatrix, wgmma
	laneShift = 8
	timeShift = 16
)

// stamp is (time, warp, lane) packed; 0 is no access.
type stamp uint64

func makeStamp(time uint32, warp, lane int) stamp {
	return stamp(time)<<timeShift | stamp(warp)<<laneShift | stamp(lane)
}

func (s stamp) time() uint32 { return uint32(s >> timeShift) }
func (s stamp) warp() int    { return int(s>>laneShift) & 0xff }
func (s stamp) lane() int    { return int(s) & 0xff }

type clock struct {
	base  []uint32
	extra []*[32]uint32 // nil as long as no warp has any
}

func newClock(warps int) *clock { return &clock{base: make([]uint32, warps)} }

func (c *clock) clone() *clock {
	d := &clock{base: append([]uint32(nil), c.base...)}
	if c.extra != nil {
		d.extra = append([]*[32]uint32(nil), c.extra...) // the arrays are immutable too
	}
	return d
}

// covers says whether the access happened before the holder of c.
func (c *clock) covers(s stamp) bool {
	w := s.warp()
	if s.time() < c.base[w] {
		return true
	}
	if c.extra == nil || c.extra[w] == nil {
		return false
	}
	if l := s.lane(); l < 32 {
		return s.time() < c.extra[w][l]
	}
	return false
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
	for w, t := range b.base {
		c.base[w] = max(c.base[w], t)
	}
	if b.extra != nil {
		for w, lanes := range b.extra {
			if lanes != nil {
				c.raise(w, lanes)
			}
		}
	}
	return c
}

func (c *clock) includes(b *clock) bool {
	for w, t := range b.base {
		if c.base[w] < t {
			return false
		}
	}
	if b.extra == nil {
		return true
	}
	for w, lanes := range b.extra {
		if lanes == nil {
			continue
		}
		for l, t := range lanes {
			if t > c.base[w] && (c.extra == nil || c.extra[w] == nil || c.extra[w][l] < t) {
				return false
			}
		}
	}
	return true
}

// raise lifts the lanes of one warp to at least the given times. c must be private.
func (c *clock) raise(w int, lanes *[32]uint32) {
	if c.extra == nil {
		c.extra = make([]*[32]uint32, len(c.base))
	}
	merged := *lanes
	if old := c.extra[w]; old != nil {
		for l, t := range old {
			merged[l] = max(merged[l], t)
		}
	}
	least := merged[0]
	for _, t := range merged[1:] {
		least = min(least, t)
	}
	c.base[w] = max(c.base[w], least)
	c.extra[w] = &merged
	for _, t := range merged {
		if t > c.base[w] {
			return
		}
	}
	c.extra[w] = nil
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
		for m := mask; m != 0; m &= m - 1 {
			c = join(c, w.lanes[trailing(m)])
		}
		c = c.clone()
	}
	if mask == w.all {
		c.base[w.id] = w.time
		if c.extra != nil {
			c.extra[w.id] = nil
		}
		return c
	}
	var own [32]uint32
	for m := mask; m != 0; m &= m - 1 {
		own[trailing(m)] = w.time
	}
	for l := range own {
		if w.all>>l&1 == 0 {
			own[l] = w.time // no such thread
		}
	}
	c.raise(w.id, &own)
	return c
}

// acquire lets the lanes of mask rely on c.
func (w *warp) acquire(mask uint32, c *clock) {
	if c == nil {
		return
	}
	if mask == w.all && w.lanes == nil {
		w.clock = join(w.clock, c)
		return
	}
	w.split()
	for m := mask; m != 0; m &= m - 1 {
		l := trailing(m)
		w.lanes[l] = join(w.lanes[l], c)
	}
	w.unite()
}

func (w *warp) split() {
	if w.lanes == nil {
		w.lanes = new([32]*clock)
		for l := range w.lanes {
			w.lanes[l] = w.clock
		}
	}
}

// unite goes back to one clock a warp when all its threads hold the same.
func (w *warp) unite() {
	first := w.lanes[trailing(w.all)]
	for m := w.all; m != 0; m &= m - 1 {
		if w.lanes[trailing(m)] != first {
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

// ordered says whether an earlier access happened before one by a lane now,
// or by the whole warp with laneWarp.
func (w *warp) ordered(s stamp, lane int) bool {
	if s.warp() == w.id && (s.lane() == lane || s.lane() == laneWarp) {
		return true
	}
	if w.lanes == nil {
		if w.clock.covers(s) {
			return true
		}
		// What other lanes of a partial warp know does not matter.
		return false
	}
	if lane < 32 {
		return w.lanes[lane].covers(s)
	}
	for m := w.all; m != 0; m &= m - 1 {
		l := trailing(m)
		if !(s.warp() == w.id && s.lane() == l) && !w.lanes[l].covers(s) {
			return false
		}
	}
	return true
}
