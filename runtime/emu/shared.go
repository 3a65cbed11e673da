package emu

import "fmt"

// sharedBase is where a block's shared memory starts in the shared window; the
// bytes below belong to the system, as on a GPU.
const sharedBase = 1024

const (
	lineBytes = 16
	lineFull  = 1<<lineBytes - 1
)

// sharedMemory is the shared memory of a block and what is known of its bytes.
// The shadow works in lines of 16 bytes, the unit of ldmatrix and cp.async. A
// line whose accesses all covered the whole of it has a stamp for its last write
// and one per warp for the last read; any other line has a log.
type sharedMemory struct {
	data   []byte
	lines  []line
	reads  []stamp // the last read of each line by each warp, valid where line.readers says so
	warps  int
	logs   []lineLog
	free   []int32
	shadow bool
}

type line struct {
	write   stamp
	log     int32  // index into logs, plus 1; 0 without a log
	readers uint32 // warps that have read since the last write
	init    uint16 // bytes that hold a value
	pend    uint16 // bytes that an unfinished asynchronous copy will write
	busy    int16  // unfinished asynchronous reads
	bars    uint8  // halves that hold an mbarrier
}

// lineLog lists the accesses to the bytes of one line that a later access may race with.
type lineLog struct{ entries []access }

type access struct {
	stamp stamp
	bytes uint16
	write bool
}

func (s *sharedMemory) resize(bytes int64, warps int, checks Check) {
	s.shadow = checks&AllChecks != 0
	s.data = make([]byte, bytes)
	if !s.shadow {
		return
	}
	n := (bytes + lineBytes - 1) / lineBytes
	s.lines = make([]line, n)
	s.reads, s.warps = make([]stamp, int(n)*warps), warps
}

// reset forgets everything; the bytes get a value that is no sensible number.
func (s *sharedMemory) reset() {
	poison(s.data)
	clear(s.lines)
	s.logs, s.free = s.logs[:0], s.free[:0]
}

// conflict is what is wrong with an access.
type conflict struct {
	check Check
	byte  int // in the line
	with  access
	why   string // instead of a message made from the rest
}

func raceWith(bytes uint16, a access) *conflict {
	return &conflict{check: CheckRace, byte: trailing(uint32(a.bytes & bytes)), with: a}
}

// span returns the bytes of a line that [off, off+n) touches, off within the line.
func span(off, n int) uint16 {
	return uint16((1<<n - 1) << off)
}

// locate checks the bounds and the alignment of an access to shared memory.
func (w *warp) locate(in *instr, lane int, addr uint32, n int) int {
	off := int64(addr) - sharedBase
	if off < 0 || off+int64(n) > int64(len(w.b.shared.data)) {
		w.fail(in, lane&31, CheckBounds, uint64(addr), "%d bytes of shared memory at %#x, the block has %#x to %#x",
			n, addr, sharedBase, sharedBase+len(w.b.shared.data))
	}
	if int(addr)&(n-1) != 0 {
		w.fail(in, lane&31, CheckAlign, uint64(addr), "shared address %#x is no multiple of %d", addr, n)
	}
	return int(off)
}

// loadShared checks a read of n bytes, a power of two up to 16, by one lane or by
// the whole warp (laneWarp), and returns where they are.
func (w *warp) loadShared(in *instr, lane int, addr uint32, n int) int {
	off := w.locate(in, lane, addr, n)
	if w.b.shared.shadow {
		w.report(in, lane, off, w.readLine(off/lineBytes, span(off%lineBytes, n), lane), "read")
	}
	return off
}

// storeShared checks a write of n bytes and returns where they go.
func (w *warp) storeShared(in *instr, lane int, addr uint32, n int) int {
	off := w.locate(in, lane, addr, n)
	if w.b.shared.shadow {
		w.report(in, lane, off, w.writeLine(off/lineBytes, span(off%lineBytes, n), lane, true), "write")
	}
	return off
}

// barHalves maps bytes of a line to the halves in ln.bars.
func barHalves(bytes uint16) uint8 {
	return uint8(bit(bytes&0xff != 0) | bit(bytes&0xff00 != 0)<<1)
}

func (ln *line) holdsBarrier(bytes uint16) (*conflict, bool) {
	if ln.bars&barHalves(bytes) == 0 {
		return nil, false
	}
	return &conflict{check: CheckBarrier, byte: trailing(uint32(bytes)), why: "the bytes hold an mbarrier"}, true
}

// readLine checks and records a read.
func (w *warp) readLine(i int, bytes uint16, lane int) *conflict {
	s := &w.b.shared
	ln := &s.lines[i]
	if ln.pend&bytes != 0 && w.checks(CheckAsync) {
		return &conflict{check: CheckAsync, byte: trailing(uint32(ln.pend & bytes))}
	}
	if c, bad := ln.holdsBarrier(bytes); bad {
		return c
	}
	if ln.init&bytes != bytes && w.checks(CheckUninit) {
		return &conflict{check: CheckUninit, byte: trailing(uint32(bytes &^ ln.init))}
	}
	if !w.checks(CheckRace) {
		return nil
	}
	if ln.log == 0 && ln.write != 0 && !w.ordered(ln.write, lane) {
		return raceWith(bytes, access{ln.write, lineFull, true})
	}
	return w.recordRead(i, bytes, lane, makeStamp(w.time, w.id, lane))
}

// recordRead notes a read, or finds a write in the line's log that it must not follow.
func (w *warp) recordRead(i int, bytes uint16, lane int, now stamp) (c *conflict) {
	s := &w.b.shared
	ln := &s.lines[i]
	if ln.log == 0 {
		last := &s.reads[i*s.warps+w.id]
		if bytes == lineFull && (ln.readers>>w.id&1 == 0 || w.ordered(*last, lane)) {
			*last = now
			ln.readers |= 1 << w.id
			return nil
		}
		s.detail(i)
	}
	s.logs[ln.log-1].add(access{now, bytes, false}, func(a access) bool {
		known := w.ordered(a.stamp, lane)
		if a.write && !known && c == nil {
			c = raceWith(bytes, a)
		}
		return !a.write && known // whoever is ordered after this read is ordered after that one
	})
	return c
}

// add notes an access, which supersedes earlier ones in the bytes that they share.
func (log *lineLog) add(x access, supersedes func(a access) bool) {
	kept := log.entries[:0]
	merged := false
	for _, a := range log.entries {
		if a.bytes&x.bytes != 0 && supersedes(a) {
			a.bytes &^= x.bytes
		}
		if a.write == x.write && a.stamp == x.stamp {
			a.bytes |= x.bytes
			merged = true
		}
		if a.bytes != 0 {
			kept = append(kept, a)
		}
	}
	if !merged {
		kept = append(kept, x)
	}
	log.entries = kept
}

// writeLine checks a write, and records it when commit is set: an asynchronous
// write is checked when it is issued and recorded when it is done. The lane may
// carry laneAsync.
func (w *warp) writeLine(i int, bytes uint16, lane int, commit bool) *conflict {
	ln := &w.b.shared.lines[i]
	if w.checks(CheckAsync) {
		if ln.pend&bytes != 0 {
			return &conflict{check: CheckAsync, byte: trailing(uint32(ln.pend & bytes))}
		}
		if ln.busy != 0 {
			return &conflict{check: CheckAsync, byte: trailing(uint32(bytes)),
				why: "an unfinished asynchronous operation still reads the bytes"}
		}
	}
	if c, bad := ln.holdsBarrier(bytes); bad {
		return c
	}
	if c := w.race(i, bytes, lane); c != nil {
		return c
	}
	if commit {
		w.b.shared.recordWrite(i, bytes, makeStamp(w.time, w.id, lane))
	}
	return nil
}

// unsafe says what keeps a write now from following an earlier access: 0, CheckRace or,
// for a write through the async proxy, CheckProxy.
func (w *warp) unsafe(s stamp, lane int) Check {
	switch {
	case !w.ordered(s, lane&^laneAsync):
		return CheckRace & w.b.checks
	case lane&laneAsync != 0 && !w.visible(s, lane&^laneAsync):
		return CheckProxy & w.b.checks
	}
	return 0
}

// race looks for an access to the bytes that a write now must not follow.
func (w *warp) race(i int, bytes uint16, lane int) *conflict {
	s := &w.b.shared
	ln := &s.lines[i]
	clash := func(a access) *conflict {
		if a.bytes&bytes != 0 && a.stamp != 0 {
			if check := w.unsafe(a.stamp, lane); check != 0 {
				return &conflict{check: check, byte: trailing(uint32(a.bytes & bytes)), with: a}
			}
		}
		return nil
	}
	if ln.log != 0 {
		for _, a := range s.logs[ln.log-1].entries {
			if c := clash(a); c != nil {
				return c
			}
		}
		return nil
	}
	if c := clash(access{ln.write, lineFull, true}); c != nil {
		return c
	}
	for id := range lanesOf(ln.readers) {
		if c := clash(access{s.reads[i*s.warps+id], lineFull, false}); c != nil {
			return c
		}
	}
	return nil
}

// recordWrite notes a write that race has found in order.
func (s *sharedMemory) recordWrite(i int, bytes uint16, now stamp) {
	ln := &s.lines[i]
	ln.init |= bytes
	if bytes == lineFull {
		s.plain(i)
		ln.write, ln.readers = now, 0
		return
	}
	if ln.log == 0 {
		s.detail(i)
	}
	s.logs[ln.log-1].add(access{now, bytes, true}, func(access) bool { return true })
}

// detail gives a line a log with what its stamps say.
func (s *sharedMemory) detail(i int) {
	ln := &s.lines[i]
	if n := len(s.free); n > 0 {
		ln.log = s.free[n-1]
		s.free = s.free[:n-1]
	} else {
		if len(s.logs) < cap(s.logs) {
			s.logs = s.logs[:len(s.logs)+1] // keeps the capacity of the entries
		} else {
			s.logs = append(s.logs, lineLog{})
		}
		ln.log = int32(len(s.logs))
	}
	log := &s.logs[ln.log-1]
	log.entries = log.entries[:0]
	if ln.write != 0 {
		log.entries = append(log.entries, access{ln.write, lineFull, true})
	}
	for id := range lanesOf(ln.readers) {
		log.entries = append(log.entries, access{s.reads[i*s.warps+id], lineFull, false})
	}
	ln.write, ln.readers = 0, 0
}

// plain drops a line's log.
func (s *sharedMemory) plain(i int) {
	if ln := &s.lines[i]; ln.log != 0 {
		s.free = append(s.free, ln.log)
		ln.log = 0
	}
}

// report turns a conflict, if there is one, into a fault.
func (w *warp) report(in *instr, lane, off int, c *conflict, verb string) {
	if c != nil {
		w.conflict(in, lane, off, c, verb)
	}
}

func (w *warp) conflict(in *instr, lane, off int, c *conflict, verb string) {
	addr := uint64(off&^(lineBytes-1) + c.byte + sharedBase)
	msg := ""
	switch {
	case c.why != "":
		msg = fmt.Sprintf("%s of shared memory: %s", verb, c.why)
	case c.check == CheckAsync:
		msg = fmt.Sprintf("%s of shared memory that an unfinished asynchronous copy writes", verb)
	case c.check == CheckUninit:
		msg = "read of shared memory that nobody wrote"
	case c.check == CheckProxy:
		msg = fmt.Sprintf("%s of shared memory that %s, without a fence.proxy.async between", verb, w.who(c.with))
	default:
		msg = fmt.Sprintf("%s of shared memory that %s, with no barrier between", verb, w.who(c.with))
	}
	w.fail(in, lane&31, c.check, addr, "%s", msg)
}

// who says which thread made an earlier access.
func (w *warp) who(a access) string {
	verb := "reads"
	if a.write {
		verb = "writes"
	}
	if a.stamp.agent() >= len(w.b.warps) {
		return fmt.Sprintf("a TMA copy %s too", verb)
	}
	other := w.b.warps[a.stamp.agent()]
	if a.stamp.lane() >= laneWarp {
		return fmt.Sprintf("warp %d %s too", other.id, verb)
	}
	return fmt.Sprintf("thread %v %s too", other.thread(a.stamp.lane()), verb)
}
