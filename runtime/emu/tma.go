package emu

import "github.com/s2attention/s2c/codegen/ptx/inst"

// TMA tensor copies (PTX ISA 9.0 §9.7.9.25.5). A load fills its box at some time
// after its issue, at the latest when nothing else can go on, and then counts
// its bytes on the mbarrier. A store reads its box when a wait covers its group.

// Alignment of a box: in shared memory (§9.7.9.25.5.2), and in global memory, by its
// coordinates (§5.5.3.1).
const (
	tmaAlign       = 128
	tmaGlobalAlign = 16
)

// tmaLoad is a load in flight.
type tmaLoad struct {
	w     *warp
	in    *instr
	lane  int
	bar   uint32
	phase uint32
	lines []int32
	data  []byte // the box, line by line
}

func buildTma(d *decoder, in *instr) error {
	in.imm = nil
	if in.form.Kind == inst.TmaLoad {
		in.imm = []uint64{uint64(d.arg("dst").off), uint64(d.arg("tmap").off), uint64(d.arg("mbar").off)}
		in.exec = eachLane(tmaLoadLane)
		return nil
	}
	// A store has the map in a and its source in b.
	in.imm = []uint64{uint64(d.arg("src").off), uint64(d.arg("tmap").off)}
	in.exec = eachLane(tmaStoreLane)
	return nil
}

// box checks what loads and stores have in common and returns where in shared
// memory the lines of the box are, in the box's order.
func (w *warp) box(in *instr, l int, m *tensorMap, addr uint32, at [5]int64) []int32 {
	n, off, inner := m.sharedBytes(), int64(addr)-sharedBase, at[0]*m.elem()
	switch {
	case len(m.dims) != in.form.Vec:
		w.fail(in, l, CheckTensorMap, 0, "a tensor of rank %d in a copy of rank %d", len(m.dims), in.form.Vec)
	case addr%tmaAlign != 0:
		w.fail(in, l, CheckAlign, uint64(addr), "the box at %#x is not aligned to %d bytes", addr, tmaAlign)
	case inner%tmaGlobalAlign != 0: // base and strides are multiples of 16 bytes
		w.fail(in, l, CheckAlign, m.start(at), "the box starts at element %d of its rows, byte %d: "+
			"its address in global memory is no multiple of %d bytes, an illegal instruction (PTX ISA 9.0 §5.5.3.1)",
			at[0], inner, tmaGlobalAlign)
	case off < 0 || off+int64(n) > int64(len(w.b.shared.data)):
		w.fail(in, l, CheckBounds, uint64(addr), "a box of %d bytes at %#x, the block has shared memory %#x to %#x",
			n, addr, sharedBase, sharedBase+len(w.b.shared.data))
	}
	return m.lines(addr)
}

// lines are the 16-byte lines of a box at addr of shared memory, in the box's order.
func (m *tensorMap) lines(addr uint32) []int32 {
	list := make([]int32, 0, m.bytes()/lineBytes)
	inner, pitch := uint32(m.rowBytes()), uint32(m.pitch())
	for row := addr; row < addr+uint32(m.sharedBytes()); row += pitch {
		for at := row; at < row+inner; at += lineBytes {
			list = append(list, int32(swizzled(at, m.swizzle, 0)-sharedBase)/lineBytes)
		}
	}
	return list
}

// start is the address in global memory of a box's first element, inside the tensor or not.
func (m *tensorMap) start(at [5]int64) uint64 {
	addr := m.base
	for d, stride := range m.strides {
		addr += uint64(at[d]) * stride
	}
	return addr
}

// coordinates are the signed element coordinates of a lane.
func (w *warp) coordinates(in *instr, l int) (at [5]int64) {
	for i, r := range in.va {
		at[i] = int64(int32(w.r[r][l]))
	}
	return at
}

// rows calls f for the part of every inner row of a box at an element that lies inside
// the tensor, if any: its address and its place in the data of the box.
func (m *tensorMap) rows(at [5]int64, data []byte, f func(addr uint64, part []byte)) {
	lo, hi := m.elem()*max(0, -at[0]), m.elem()*min(m.box[0], m.dims[0]-at[0])
	for row := 0; row*m.rowBytes() < len(data); row++ {
		addr, inside, rest := m.base+uint64(at[0]*m.elem()), lo < hi, int64(row)
		for d := 1; d < len(m.dims); d++ {
			x := at[d] + rest%m.box[d]
			rest /= m.box[d]
			inside = inside && x >= 0 && x < m.dims[d]
			addr += uint64(x) * m.strides[d]
		}
		if inside {
			f(addr+uint64(lo), data[row*m.rowBytes():][lo:hi])
		}
	}
}

func tmaLoadLane(w *warp, in *instr, l int) {
	tm := w.tensorMapAt(in, l, w.d[in.b][l]+in.imm[1])
	dst := w.r[in.a][l] + uint32(in.imm[0])
	at := w.coordinates(in, l)
	lines := w.box(in, l, tm, dst, at)
	bar := w.mbarrierAt(in, l, w.r[in.c][l]+uint32(in.imm[2]))
	if !bar.fenced && w.checks(CheckProxy) {
		w.fail(in, l, CheckProxy, uint64(bar.addr),
			"no fence.mbarrier_init or fence.proxy.async follows the initialisation of the mbarrier")
	}
	if s := &w.b.shared; s.shadow {
		for _, i := range lines {
			w.writeLine(use{in, l, int(i), lineFull, "asynchronous write"}, l|laneAsync, false)
		}
		for _, i := range lines {
			s.lines[i].pend = lineFull
		}
	}
	load := &tmaLoad{w: w, in: in, lane: l, bar: bar.addr, phase: bar.phase, lines: lines, data: make([]byte, tm.bytes())}
	tm.rows(at, load.data, func(addr uint64, part []byte) {
		w.b.stats.asyncRead += int64(len(part))
		w.loadRange(in, l, addr, part)
	})
	w.b.stats.asyncWritten += int64(len(load.data))
	w.b.hopper.loads = append(w.b.hopper.loads, load)
}

// finishLoad lets the i-th load in flight arrive.
func (b *block) finishLoad(i int) {
	l := b.hopper.loads[i]
	b.hopper.loads = append(b.hopper.loads[:i], b.hopper.loads[i+1:]...)
	b.progress = true
	bar := b.hopper.mbars[l.bar]
	if bar == nil {
		l.w.fail(l.in, l.lane, CheckBarrier, uint64(l.bar), "the mbarrier was invalidated before the copy was done")
	}
	if bar.phase != l.phase {
		l.w.fail(l.in, l.lane, CheckBarrier, uint64(l.bar),
			"the phase of the mbarrier in which the copy was issued ended without its %d bytes: no expect_tx covers them", len(l.data))
	}
	s := &b.shared
	now := makeStamp(bar.phase+1, bar.agent, laneAsync)
	for n, i := range l.lines {
		copy(s.data[i*lineBytes:], l.data[n*lineBytes:(n+1)*lineBytes])
		if s.shadow {
			s.lines[i].pend = 0
			s.recordWrite(int(i), lineFull, now)
		}
	}
	bar.copies, bar.loose = true, l
	bar.tx -= int64(len(l.data))
	bar.flip(b)
}

// bulkStore is a store whose box is still to be read.
type bulkStore struct {
	in    *instr
	lane  int
	group int32 // -1 before the commit
	tm    *tensorMap
	at    [5]int64
	lines []int32
}

// bulkQueue holds a warp's stores; groups count for each thread.
type bulkQueue struct {
	list    []*bulkStore
	commits [32]int32
}

func tmaStoreLane(w *warp, in *instr, l int) {
	tm := w.tensorMapAt(in, l, w.d[in.a][l]+in.imm[1])
	at := w.coordinates(in, l)
	lines := w.box(in, l, tm, w.r[in.b][l]+uint32(in.imm[0]), at)
	w.readsAsync(in, l, l, lines)
	for d := range tm.dims {
		if at[d] < 0 {
			w.fail(in, l, CheckTensorMap, 0, "a store starts at the negative coordinate %d", at[d])
		}
	}
	w.b.shared.hold(lines, 1)
	w.hopper.stores.list = append(w.hopper.stores.list, &bulkStore{in, l, -1, tm, at, lines})
}

func execBulkCommit(w *warp, in *instr, mask uint32) status {
	q := &w.hopper.stores
	for _, s := range q.list {
		if s.group < 0 && mask>>s.lane&1 != 0 {
			s.group = q.commits[s.lane]
		}
	}
	for l := range lanesOf(mask) {
		q.commits[l]++
	}
	return stNext
}

// execBulkWait ends the stores but for each thread's last groups. A store is
// read and written at once: nobody can tell the two apart within a launch.
func execBulkWait(w *warp, in *instr, mask uint32) status {
	q := &w.hopper.stores
	kept := q.list[:0]
	for _, s := range q.list {
		if mask>>s.lane&1 == 0 || s.group < 0 || s.group >= q.commits[s.lane]-groupsOf(in) {
			kept = append(kept, s)
			continue
		}
		w.finishStore(s)
	}
	q.list = kept
	return stNext
}

func (w *warp) finishStore(s *bulkStore) {
	data := make([]byte, s.tm.bytes())
	for n, i := range s.lines {
		copy(data[n*lineBytes:(n+1)*lineBytes], w.b.shared.data[i*lineBytes:])
	}
	w.b.shared.hold(s.lines, -1)
	w.haveRead(s.in, s.lines, s.lane)
	s.tm.rows(s.at, data, func(addr uint64, part []byte) { w.storeRange(s.in, s.lane, addr, part) })
}

// drain reports what a warp has left unfinished at the end of its block.
func (w *warp) drain() {
	checked := w.checks(CheckAsync)
	for _, s := range w.hopper.stores.list {
		if checked {
			w.fail(s.in, s.lane, CheckAsync, 0, "the block ends while this store reads its shared memory")
		}
		w.finishStore(s)
	}
	if list := w.hopper.pending; checked && len(list) > 0 {
		w.fail(list[0].in, 0, CheckAsync, 0, "the block ends before this wgmma")
	}
}

// piece is the largest aligned power of two at an address, up to 16 and up to n.
func piece(addr uint64, n int) int {
	size := 16
	for addr%uint64(size) != 0 || size > n {
		size /= 2
	}
	return size
}

// loadRange reads global memory of any alignment.
func (w *warp) loadRange(in *instr, l int, addr uint64, dst []byte) {
	for len(dst) > 0 {
		n := piece(addr, len(dst))
		copy(dst, w.loadGlobal(in, l, addr, n))
		dst, addr = dst[n:], addr+uint64(n)
	}
}

// storeRange writes global memory of any alignment.
func (w *warp) storeRange(in *instr, l int, addr uint64, src []byte) {
	for len(src) > 0 {
		n := piece(addr, len(src))
		w.storeGlobal(in, l, addr, src[:n])
		src, addr = src[n:], addr+uint64(n)
	}
}

// prefetchMap checks the tensor map that it prefetches, at an address in
// param space (§9.7.9.15).
func prefetchMap(w *warp, in *instr, l int) {
	w.tensorMapAt(in, l, w.d[in.a][l]+uint64(in.off)+paramWindow)
}
