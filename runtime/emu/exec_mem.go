package emu

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/s2attention/s2c/codegen/ptx/inst"
)

// allocCache remembers the page of a warp's last global access and the addresses in it.
type allocCache struct {
	a           *alloc
	p           *page
	start, size uint64
}

// locatePage checks bounds and alignment of a global access of n bytes, a power
// of two up to 16, and returns its page (nil if it was never touched and touch
// is false) and the offset in it.
func (w *warp) locatePage(in *instr, lane int, addr uint64, n int, touch bool) (*page, int) {
	if addr&uint64(n-1) != 0 {
		w.fail(in, lane, CheckAlign, addr, "global address %#x is no multiple of %d", addr, n)
	}
	c := &w.lookup
	if off := addr - c.start; c.p != nil && off < c.size && off+uint64(n) <= c.size && !c.a.freed.Load() {
		return c.p, int(off)
	}
	if c.a == nil || c.a.freed.Load() || !c.a.holds(addr, int64(n)) {
		c.p, c.a = nil, w.b.mem.find(addr, int64(n))
	}
	switch {
	case c.a != nil:
	case addr-paramWindow < uint64(paramSpace+len(w.b.launch.params)):
		w.fail(in, lane, CheckConst, addr, "the parameters cannot be accessed by this instruction")
	default:
		w.fail(in, lane, CheckBounds, addr, "%d bytes of global memory at %#x: %s", n, addr, w.b.mem.near(addr))
	}
	off := addr - c.a.base
	start := off &^ (pageBytes - 1)
	c.p, c.start, c.size = c.a.page(int64(off), touch), c.a.base+start, min(pageBytes, uint64(c.a.size)-start)
	return c.p, int(off - start)
}

// loadGlobal checks a read and returns its bytes.
func (w *warp) loadGlobal(in *instr, lane int, addr uint64, n int) []byte {
	p, off := w.locatePage(in, lane, addr, n, false)
	if p == nil {
		if w.checks(CheckUninit) {
			w.fail(in, lane, CheckUninit, addr, "read of global memory that nobody wrote")
		}
		p, off = w.locatePage(in, lane, addr, n, true)
	}
	if !p.full.Load() && w.checks(CheckUninit) {
		p.mu.Lock()
		gap := p.missing(off, n)
		p.mu.Unlock()
		if gap >= 0 {
			w.fail(in, lane, CheckUninit, addr+uint64(gap-off), "read of global memory that nobody wrote")
		}
	}
	if w.checks(CheckRace) {
		// Marks come before the look at writes, and the other way round in
		// tagWrite, so that of two workers at least one sees the other.
		p.markRead(w.b.launch.id, w.b.index, off, n)
		if p.writtenBy.Load() == w.b.launch.id {
			w.readOrdered(in, lane, p, addr, off, n)
		}
	}
	return p.data[off : off+n : off+n]
}

func (w *warp) readOrdered(in *instr, lane int, p *page, addr uint64, off, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.globalOrdered(in, lane, p, addr, off, n, "read", false)
}

// writable is locatePage for a write.
func (w *warp) writable(in *instr, lane int, addr uint64, n int) (*page, int) {
	p, off := w.locatePage(in, lane, addr, n, true)
	if w.lookup.a.readOnly {
		w.fail(in, lane, CheckConst, addr, "write to a constant")
	}
	return p, off
}

// storeGlobal checks a write and does it.
func (w *warp) storeGlobal(in *instr, lane int, addr uint64, src []byte) {
	n := len(src)
	p, off := w.writable(in, lane, addr, n)
	p.mu.Lock()
	defer p.mu.Unlock()
	w.tagWrite(in, lane, p, addr, off, n, false)
	copy(p.data[off:off+n], src)
	p.mark(off, n)
}

// tagWrite checks a write against this launch's earlier ones and notes it. The page is locked.
func (w *warp) tagWrite(in *instr, lane int, p *page, addr uint64, off, n int, atomic bool) {
	if !w.checks(CheckRace) {
		return
	}
	id := w.b.launch.id
	if p.writtenBy.Load() != id {
		if p.tags == nil {
			p.tags = make([]tag, wordsOfPage)
		} else {
			clear(p.tags)
		}
		p.more = nil
		p.writtenBy.Store(id)
	}
	w.globalOrdered(in, lane, p, addr, off, n, "write", atomic)
	mine := tag{block: w.b.index + 1, time: w.time, warp: uint8(w.id), lane: uint8(lane), atomic: atomic}
	for at := off &^ 3; at < off+n; at += 4 {
		mine.bytes = wordBytes(at, off, n)
		word := at / 4
		old := &p.tags[word]
		rest := old.bytes &^ mine.bytes
		if old.block != 0 && rest != 0 {
			if p.more == nil {
				p.more = map[int32][]tag{}
			}
			kept := *old
			kept.bytes = rest
			p.more[int32(word)] = append(p.more[int32(word)], kept)
		}
		*old = mine
	}
	if !atomic && p.readByOther(id, w.b.index, off, n) {
		w.fail(in, lane, CheckRace, addr, "write of global memory that another block reads in this launch")
	}
}

// wordBytes is the set of bytes of the word at byte at that [off, off+n) touches.
func wordBytes(at, off, n int) uint8 {
	return uint8((1<<n-1)<<(off&3)>>(at-off&^3)) & 0xf
}

// globalOrdered checks an access against the writes of this launch.
func (w *warp) globalOrdered(in *instr, lane int, p *page, addr uint64, off, n int, verb string, atomic bool) {
	for at := off &^ 3; at < off+n; at += 4 {
		word := at / 4
		bytes := wordBytes(at, off, n)
		w.tagOrdered(in, lane, p.tags[word], bytes, addr, verb, atomic)
		for _, t := range p.more[int32(word)] {
			w.tagOrdered(in, lane, t, bytes, addr, verb, atomic)
		}
	}
}

func (w *warp) tagOrdered(in *instr, lane int, t tag, bytes uint8, addr uint64, verb string, atomic bool) {
	if t.block == 0 || t.bytes&bytes == 0 || t.atomic && atomic {
		return
	}
	if strings.HasPrefix(in.form.Opcode, "ld.global.nc") {
		w.fail(in, lane, CheckRace, addr, "non-coherent read of global memory that this launch writes")
	}
	if t.block == w.b.index+1 {
		if w.ordered(makeStamp(t.time, int(t.warp), int(t.lane)), lane) {
			return
		}
		w.fail(in, lane, CheckRace, addr, "%s of global memory that thread %v of the block writes too, with no barrier between",
			verb, w.b.warps[t.warp].thread(int(t.lane)))
	}
	w.fail(in, lane, CheckRace, addr, "%s of global memory that block %v writes too in this launch",
		verb, position(int(t.block-1), w.b.launch.grid))
}

func ldParam32(w *warp, in *instr, d *reg32) {
	*d = *allLanes(binary.LittleEndian.Uint32(w.b.launch.params[in.off:]))
}

func ldParam64(w *warp, in *instr, d *reg64) {
	v := binary.LittleEndian.Uint64(w.b.launch.params[in.off:])
	for i := range d {
		d[i] = v
	}
}

var loadParam = widths(to32(ldParam32), to64(ldParam64), nil, nil)

func buildLd(d *decoder, in *instr) error {
	if in.form.Space == inst.Param {
		in.off = d.arg("a").off
		return loadParam(d, in)
	}
	return buildAccess(in, &in.vd, in.d, in.form.Operands[0], execLdShared, eachLane(ldGlobal))
}

func buildSt(_ *decoder, in *instr) error {
	return buildAccess(in, &in.va, in.b, in.form.Operands[1], eachLane(stShared), eachLane(stGlobal))
}

// buildAccess puts the registers that are moved into a list, a single one too, and the
// bytes of each and of all into imm.
func buildAccess(in *instr, regs *[]int32, single int32, o inst.Operand, shared, global execFn) error {
	if *regs == nil {
		*regs = []int32{single}
	}
	in.imm = []uint64{uint64(o.Class.Bytes()), uint64(o.Class.Bytes() * o.Count)}
	switch in.form.Space {
	case inst.Shared:
		in.exec = shared
	case inst.Global:
		in.exec = global
	default:
		return fmt.Errorf("accesses to this state space are not executed")
	}
	return nil
}

// broadcast says whether all threads of the warp access one address.
func (w *warp) broadcast(addr *reg32, mask uint32) bool {
	if mask != w.all || addr[0] != addr[31] {
		return false
	}
	for l := range lanesOf(mask) {
		if addr[l] != addr[0] {
			return false
		}
	}
	return true
}

func execLdShared(w *warp, in *instr, mask uint32) status {
	all := int(in.imm[1])
	if addr := &w.r[in.a]; w.broadcast(addr, mask) {
		off := w.loadShared(in, laneAll, addr[0]+uint32(in.off), all)
		for l := range lanesOf(mask) {
			w.spread(in, l, w.b.shared.data[off:off+all])
		}
		return stNext
	}
	for l := range lanesOf(mask) {
		off := w.loadShared(in, l, w.r[in.a][l]+uint32(in.off), all)
		w.spread(in, l, w.b.shared.data[off:off+all])
	}
	return stNext
}

func ldGlobal(w *warp, in *instr, l int) {
	w.spread(in, l, w.loadGlobal(in, l, w.d[in.a][l]+uint64(in.off), int(in.imm[1])))
}

// spread puts loaded bytes into one lane of the result registers.
func (w *warp) spread(in *instr, l int, data []byte) {
	switch in.imm[0] {
	case 2:
		w.r[in.vd[0]][l] = uint32(binary.LittleEndian.Uint16(data))
	case 4:
		for i, v := range in.vd {
			w.r[v][l] = binary.LittleEndian.Uint32(data[4*i:])
		}
	case 8:
		for i, v := range in.vd {
			w.d[v][l] = binary.LittleEndian.Uint64(data[8*i:])
		}
	}
}

// gatherBytes collects the bytes that one lane stores.
func (w *warp) gatherBytes(in *instr, l int) []byte {
	buf := &w.bytes
	switch in.imm[0] {
	case 2:
		binary.LittleEndian.PutUint16(buf[:], uint16(w.r[in.va[0]][l]))
	case 4:
		for i, v := range in.va {
			binary.LittleEndian.PutUint32(buf[4*i:], w.r[v][l])
		}
	case 8:
		for i, v := range in.va {
			binary.LittleEndian.PutUint64(buf[8*i:], w.d[v][l])
		}
	}
	return buf[:in.imm[1]]
}

func stShared(w *warp, in *instr, l int) {
	off := w.storeShared(in, l, w.r[in.a][l]+uint32(in.off), int(in.imm[1]))
	copy(w.b.shared.data[off:], w.gatherBytes(in, l))
}

func stGlobal(w *warp, in *instr, l int) {
	w.storeGlobal(in, l, w.d[in.a][l]+uint64(in.off), w.gatherBytes(in, l))
}

// atomAdd is one atomic addition a lane, in lane order.
func atomAdd(w *warp, in *instr, l int) {
	addr := w.d[in.a][l] + uint64(in.off)
	p, off := w.writable(in, l, addr, 4)
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.checks(CheckUninit) && p.missing(off, 4) >= 0 {
		w.fail(in, l, CheckUninit, addr, "atomic operation on global memory that nobody wrote")
	}
	w.tagWrite(in, l, p, addr, off, 4, true)
	word := p.data[off : off+4]
	old := binary.LittleEndian.Uint32(word)
	binary.LittleEndian.PutUint32(word, old+w.r[in.b][l])
	w.r[in.d][l] = old
	p.mark(off, 4)
}
