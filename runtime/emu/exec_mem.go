package emu

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/s2attention/s2c/codegen/ptx/inst"
)

// allocCache remembers the page of a warp's last global access.
type allocCache struct {
	a   *alloc
	p   *page
	off int64
}

// locatePage checks bounds and alignment of a global access of n bytes, a power
// of two up to 16, and returns its page (nil if it was never touched and touch
// is false) and the offset in it.
func (w *warp) locatePage(in *instr, lane int, addr uint64, n int, touch bool) (*page, int, bool) {
	if addr&uint64(n-1) != 0 {
		w.fail(in, lane, CheckAlign, addr, "global address %#x is no multiple of %d", addr, n)
		return nil, 0, false
	}
	c := &w.lookup
	if c.a == nil || c.a.freed.Load() || !c.a.holds(addr, int64(n)) {
		c.a = w.b.mem.find(addr, int64(n))
		c.p = nil
		if c.a == nil {
			if addr-paramWindow < uint64(paramSpace+len(w.b.launch.params)) {
				w.fail(in, lane, CheckConst, addr, "the parameters cannot be accessed by this instruction")
			} else {
				w.fail(in, lane, CheckBounds, addr, "%d bytes of global memory at %#x: %s", n, addr, w.b.mem.near(addr))
			}
			return nil, 0, false
		}
	}
	off := int64(addr - c.a.base)
	if c.p == nil || c.off != off&^(pageBytes-1) {
		c.p, c.off = c.a.page(off, touch), off&^(pageBytes-1)
	} else if c.p == nil && touch {
		c.p = c.a.page(off, true)
	}
	return c.p, int(off % pageBytes), true
}

// loadGlobal checks a read and returns its bytes, nil after a fault.
func (w *warp) loadGlobal(in *instr, lane int, addr uint64, n int) []byte {
	p, off, ok := w.locatePage(in, lane, addr, n, false)
	if !ok {
		return nil
	}
	if p == nil {
		if w.checks(CheckUninit) {
			w.fail(in, lane, CheckUninit, addr, "read of global memory that nobody wrote")
			return nil
		}
		p, off, _ = w.locatePage(in, lane, addr, n, true)
	}
	if !p.full.Load() && w.checks(CheckUninit) {
		p.mu.Lock()
		gap := p.missing(off, n)
		p.mu.Unlock()
		if gap >= 0 {
			w.fail(in, lane, CheckUninit, addr+uint64(gap-off), "read of global memory that nobody wrote")
			return nil
		}
	}
	if w.checks(CheckRace) {
		// Marks come before the look at writes, and the other way round in
		// tagWrite, so that of two workers at least one sees the other.
		p.markRead(w.b.launch.id, w.b.index, off, n)
		if p.writtenBy.Load() == w.b.launch.id {
			p.mu.Lock()
			ok := w.globalOrdered(in, lane, p, addr, off, n, "read", false)
			p.mu.Unlock()
			if !ok {
				return nil
			}
		}
	}
	return p.data[off : off+n : off+n]
}

// storeGlobal checks a write and does it.
func (w *warp) storeGlobal(in *instr, lane int, addr uint64, src []byte) bool {
	n := len(src)
	p, off, ok := w.locatePage(in, lane, addr, n, true)
	if !ok {
		return false
	}
	if w.lookup.a.readOnly {
		return w.refuse(in, lane, CheckConst, addr, "write to a constant")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !w.tagWrite(in, lane, p, addr, off, n, false) {
		return false
	}
	copy(p.data[off:off+n], src)
	p.mark(off, n)
	return true
}

// tagWrite checks a write against this launch's earlier ones and notes it. The page is locked.
func (w *warp) tagWrite(in *instr, lane int, p *page, addr uint64, off, n int, atomic bool) bool {
	if !w.checks(CheckRace) {
		return true
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
	if !w.globalOrdered(in, lane, p, addr, off, n, "write", atomic) {
		return false
	}
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
		return w.refuse(in, lane, CheckRace, addr, "write of global memory that another block reads in this launch")
	}
	return true
}

// wordBytes is the set of bytes of the word at byte at that [off, off+n) touches.
func wordBytes(at, off, n int) uint8 {
	var m uint8
	for i := range 4 {
		if at+i >= off && at+i < off+n {
			m |= 1 << i
		}
	}
	return m
}

// globalOrdered checks an access against the writes of this launch.
func (w *warp) globalOrdered(in *instr, lane int, p *page, addr uint64, off, n int, verb string, atomic bool) bool {
	for at := off &^ 3; at < off+n; at += 4 {
		word := at / 4
		bytes := wordBytes(at, off, n)
		if !w.tagOrdered(in, lane, p.tags[word], bytes, addr, verb, atomic) {
			return false
		}
		for _, t := range p.more[int32(word)] {
			if !w.tagOrdered(in, lane, t, bytes, addr, verb, atomic) {
				return false
			}
		}
	}
	return true
}

func (w *warp) tagOrdered(in *instr, lane int, t tag, bytes uint8, addr uint64, verb string, atomic bool) bool {
	if t.block == 0 || t.bytes&bytes == 0 || t.atomic && atomic {
		return true
	}
	if strings.HasPrefix(in.form.Opcode, "ld.global.nc") {
		return w.refuse(in, lane, CheckRace, addr, "non-coherent read of global memory that this launch writes")
	}
	if t.block == w.b.index+1 {
		if w.ordered(makeStamp(t.time, int(t.warp), int(t.lane)), lane) {
			return true
		}
		return w.refuse(in, lane, CheckRace, addr, "%s of global memory that thread %v of the block writes too, with no barrier between",
			verb, w.b.warps[t.warp].thread(int(t.lane)))
	}
	grid, n := w.b.launch.grid, int(t.block-1)
	return w.refuse(in, lane, CheckRace, addr, "%s of global memory that block %v writes too in this launch",
		verb, [3]int{n % grid[0], n / grid[0] % grid[1], n / grid[0] / grid[1]})
}

func buildLdParam(d *decoder, in *instr) error {
	in.off = d.arg("a").off
	in.exec = execLdParam32
	if in.form.Operands[0].Class == inst.ClassB64 {
		in.exec = execLdParam64
	}
	return nil
}

func execLdParam32(w *warp, in *instr, mask uint32) status {
	v := binary.LittleEndian.Uint32(w.b.launch.params[in.off:])
	d := w.out32(in, mask)
	for i := range d {
		d[i] = v
	}
	return w.put32(in, mask)
}

func execLdParam64(w *warp, in *instr, mask uint32) status {
	v := binary.LittleEndian.Uint64(w.b.launch.params[in.off:])
	d := w.out64(in, mask)
	for i := range d {
		d[i] = v
	}
	return w.put64(in, mask)
}

// accessWidth is the bytes of one register and of the whole access.
func accessWidth(f *inst.Form) (each, all int) {
	o := f.Operands[0]
	if f.Kind == inst.St {
		o = f.Operands[1]
	}
	return o.Class.Bytes(), o.Class.Bytes() * o.Count
}

func buildLd(d *decoder, in *instr) error {
	if in.form.Space == inst.Param {
		return buildLdParam(d, in)
	}
	if in.vd == nil {
		in.vd = []int32{in.d}
	}
	each, all := accessWidth(in.form)
	in.imm = []uint64{uint64(each), uint64(all)}
	switch in.form.Space {
	case inst.Shared:
		in.exec = execLdShared
	case inst.Global:
		in.exec = execLdGlobal
	default:
		return fmt.Errorf("loads of this state space are not executed")
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
		off, ok := w.loadShared(in, laneAll, addr[0]+uint32(in.off), all)
		if !ok {
			return stFault
		}
		for l := range lanesOf(mask) {
			w.spread(in, l, w.b.shared.data[off:off+all])
		}
		return stNext
	}
	for l := range lanesOf(mask) {
		off, ok := w.loadShared(in, l, w.r[in.a][l]+uint32(in.off), all)
		if !ok {
			return stFault
		}
		w.spread(in, l, w.b.shared.data[off:off+all])
	}
	return stNext
}

func execLdGlobal(w *warp, in *instr, mask uint32) status {
	all := int(in.imm[1])
	for l := range lanesOf(mask) {
		data := w.loadGlobal(in, l, w.d[in.a][l]+uint64(in.off), all)
		if data == nil {
			return stFault
		}
		w.spread(in, l, data)
	}
	return stNext
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

func buildSt(_ *decoder, in *instr) error {
	if in.va == nil {
		in.va = []int32{in.b}
	}
	each, all := accessWidth(in.form)
	in.imm = []uint64{uint64(each), uint64(all)}
	switch in.form.Space {
	case inst.Shared:
		in.exec = execStShared
	case inst.Global:
		in.exec = execStGlobal
	default:
		return fmt.Errorf("stores to this state space are not executed")
	}
	return nil
}

// gatherBytes collects the bytes that one lane stores.
func (w *warp) gatherBytes(in *instr, l int, buf *[16]byte) []byte {
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

func execStShared(w *warp, in *instr, mask uint32) status {
	var buf [16]byte
	for l := range lanesOf(mask) {
		off, ok := w.storeShared(in, l, w.r[in.a][l]+uint32(in.off), int(in.imm[1]))
		if !ok {
			return stFault
		}
		copy(w.b.shared.data[off:], w.gatherBytes(in, l, &buf))
	}
	return stNext
}

func execStGlobal(w *warp, in *instr, mask uint32) status {
	var buf [16]byte
	for l := range lanesOf(mask) {
		if !w.storeGlobal(in, l, w.d[in.a][l]+uint64(in.off), w.gatherBytes(in, l, &buf)) {
			return stFault
		}
	}
	return stNext
}

// execAtomAdd is one atomic addition a lane, in lane order.
func execAtomAdd(w *warp, in *instr, mask uint32) status {
	for l := range lanesOf(mask) {
		addr := w.d[in.a][l] + uint64(in.off)
		p, off, ok := w.locatePage(in, l, addr, 4, true)
		if !ok {
			return stFault
		}
		if w.lookup.a.readOnly {
			return w.fail(in, l, CheckConst, addr, "write to a constant")
		}
		if !w.atomicAdd(in, l, p, addr, off) {
			return stFault
		}
	}
	return stNext
}

func (w *warp) atomicAdd(in *instr, l int, p *page, addr uint64, off int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.checks(CheckUninit) && p.missing(off, 4) >= 0 {
		return w.refuse(in, l, CheckUninit, addr, "atomic operation on global memory that nobody wrote")
	}
	if !w.tagWrite(in, l, p, addr, off, 4, true) {
		return false
	}
	word := p.data[off : off+4]
	old := binary.LittleEndian.Uint32(word)
	binary.LittleEndian.PutUint32(word, old+w.r[in.b][l])
	w.r[in.d][l] = old
	p.mark(off, 4)
	return true
}
