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

// use is an access to bytes of a line, by the lane that a fault names.
type use struct {
	in    *instr
	lane  int
	line  int
	bytes uint16
	verb  string
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
		w.readLine(use{in, lane & 31, off / lineBytes, span(off%lineBytes, n), "read"}, lane)
	}
	return off
}

// storeShared checks a write of n bytes and returns where they go.
func (w *warp) storeShared(in *instr, lane int, addr uint32, n int) int {
	off := w.locate(in, lane, addr, n)
	if w.b.shared.shadow {
		w.writeLine(use{in, lane, off / lineBytes, span(off%lineBytes, n), "write"}, lane, true)
	}
	return off
}

// barHalves maps bytes of a line to the halves in ln.bars.
func barHalves(bytes uint16) uint8 {
	return uint8(bit(bytes&0xff != 0) | bit(bytes&0xff00 != 0)<<1)
}

// clash reports what is wrong with the first of some bytes: why, or a check that names
// an earlier access.
func (w *warp) clash(u use, check Check, bytes uint16, why string, with access) {
	switch {
	case why != "":
	case check == CheckProxy:
		why = w.who(with) + ", without a fence.proxy.async between"
	default:
		why = w.who(with) + ", with no barrier between"
	}
	w.fail(u.in, u.lane, check, uint64(u.line*lineBytes+trailing(uint32(bytes))+sharedBase), "%s of shared memory%s", u.verb, why)
}

// free checks that no unfinished copy writes the bytes and that they hold no mbarrier.
func (w *warp) free(u use, ln *line) {
	if ln.pend&u.bytes != 0 && w.checks(CheckAsync) {
		w.clash(u, CheckAsync, ln.pend&u.bytes, " that an unfinished asynchronous copy writes", access{})
	}
	if ln.bars&barHalves(u.bytes) != 0 {
		w.clash(u, CheckBarrier, u.bytes, ": the bytes hold an mbarrier", access{})
	}
}

// readable is free for a read, of bytes that have been written.
func (w *warp) readable(u use, ln *line) {
	w.free(u, ln)
	if ln.init&u.bytes != u.bytes && w.checks(CheckUninit) {
		u.verb = "read"
		w.clash(u, CheckUninit, u.bytes&^ln.init, " that nobody wrote", access{})
	}
}

// readLine checks and records a read by a lane, laneWarp or laneAll.
func (w *warp) readLine(u use, lane int) {
	ln := &w.b.shared.lines[u.line]
	w.readable(u, ln)
	if !w.checks(CheckRace) {
		return
	}
	if ln.log == 0 && ln.write != 0 && !w.ordered(ln.write, lane) {
		w.clash(u, CheckRace, u.bytes, "", access{ln.write, lineFull, true})
	}
	w.recordRead(u, lane, makeStamp(w.time, w.id, lane))
}

// recordRead notes a read that must not follow a write in the line's log.
func (w *warp) recordRead(u use, lane int, now stamp) {
	s := &w.b.shared
	ln := &s.lines[u.line]
	if ln.log == 0 {
		last := &s.reads[u.line*s.warps+w.id]
		if u.bytes == lineFull && (ln.readers>>w.id&1 == 0 || w.ordered(*last, lane)) {
			*last = now
			ln.readers |= 1 << w.id
			return
		}
		s.detail(u.line)
	}
	s.logs[ln.log-1].add(access{now, u.bytes, false}, func(a access) bool {
		known := w.ordered(a.stamp, lane)
		if a.write && !known {
			w.clash(u, CheckRace, a.bytes&u.bytes, "", a)
		}
		return !a.write && known // whoever is ordered after this read is ordered after that one
	})
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
func (w *warp) writeLine(u use, lane int, commit bool) {
	ln := &w.b.shared.lines[u.line]
	if ln.busy != 0 && ln.pend&u.bytes == 0 && w.checks(CheckAsync) {
		w.clash(u, CheckAsync, u.bytes, ": an unfinished asynchronous operation still reads the bytes", access{})
	}
	w.free(u, ln)
	w.follows(u, lane, true)
	if commit {
		w.b.shared.recordWrite(u.line, u.bytes, makeStamp(w.time, w.id, lane))
	}
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

// follows checks that writes of the bytes, and reads if they count, are in order before
// an access now.
func (w *warp) follows(u use, lane int, reads bool) {
	s := &w.b.shared
	ln := &s.lines[u.line]
	if ln.log != 0 {
		for _, a := range s.logs[ln.log-1].entries {
			if a.bytes&u.bytes != 0 && (a.write || reads) {
				w.after(u, a, lane)
			}
		}
		return
	}
	if ln.write != 0 {
		w.after(u, access{ln.write, lineFull, true}, lane)
	}
	for m := ln.readers; reads && m != 0; m &= m - 1 {
		w.after(u, access{s.reads[u.line*s.warps+trailing(m)], lineFull, false}, lane)
	}
}

// after checks that an earlier access of the same bytes is in order before one now.
func (w *warp) after(u use, a access, lane int) {
	if check := w.unsafe(a.stamp, lane); check != 0 {
		w.clash(u, check, a.bytes&u.bytes, "", a)
	}
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
	if len(s.free) == 0 {
		if len(s.logs) < cap(s.logs) {
			s.logs = s.logs[:len(s.logs)+1] // keeps the capacity of the entries
		} else {
			s.logs = append(s.logs, lineLog{})
		}
		s.free = append(s.free, int32(len(s.logs)))
	}
	at := s.free[len(s.free)-1]
	s.free = s.free[:len(s.free)-1]
	log, ln := &s.logs[at-1], &s.lines[i]
	log.entries = log.entries[:0]
	if ln.write != 0 {
		log.entries = append(log.entries, access{ln.write, lineFull, true})
	}
	for id := range lanesOf(ln.readers) {
		log.entries = append(log.entries, access{s.reads[i*s.warps+id], lineFull, false})
	}
	ln.log, ln.write, ln.readers = at, 0, 0
}

// plain drops a line's log.
func (s *sharedMemory) plain(i int) {
	if ln := &s.lines[i]; ln.log != 0 {
		s.free = append(s.free, ln.log)
		ln.log = 0
	}
}

// who says which thread made an earlier access.
func (w *warp) who(a access) string {
	verb := "reads too"
	if a.write {
		verb = "writes too"
	}
	if a.stamp.agent() >= len(w.b.warps) {
		return fmt.Sprintf(" that a TMA copy %s", verb)
	}
	other := w.b.warps[a.stamp.agent()]
	if a.stamp.lane() >= laneWarp {
		return fmt.Sprintf(" that warp %d %s", other.id, verb)
	}
	return fmt.Sprintf(" that thread %v %s", other.thread(a.stamp.lane()), verb)
}
