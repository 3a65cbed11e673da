package emu

import (
	"fmt"
	"slices"
)

// wgmma (PTX ISA 9.0 §9.7.15): four warps multiply 64 rows, 16 a warp, by a B that
// all of them read from shared memory. An operation reads its operands and writes its
// accumulators when a wait_group covers it or, under Shuffle, at any time before.

// warpgroup keeps the four warps of a warpgroup to the same sequence of operations.
type warpgroup struct {
	entries []*groupOp
	first   int    // number of entries dropped before entries[0]
	at      [4]int // operations of each warp so far
}

// groupOp is one operation of a warpgroup.
type groupOp struct {
	in    *instr
	seen  int // warps that have come
	ended int // warps for which it is over

	// Of a wgmma:
	a, b   uint64 // descriptors
	scaleD bool
	lines  []int32 // 16-byte lines of B
	tiles  []tileB // B, once the first warp has read it
}

// groupOp checks that the warps of a warpgroup execute the same operations in
// the same order (PTX ISA 9.0 §9.7.15.5.2, §9.7.19.5).
func (w *warp) groupOp(in *instr, mask uint32) *groupOp {
	first := w.id &^ 3
	if first+4 > len(w.b.warps) {
		w.fail(in, trailing(mask), CheckDivergence, 0, "the warpgroup has %d warps, this instruction needs four", len(w.b.warps)-first)
	}
	g := &w.b.hopper.groups[w.id/4]
	i := g.at[w.id&3] - g.first
	if i == len(g.entries) {
		g.entries = append(g.entries, &groupOp{in: in})
	}
	op := g.entries[i]
	if op.in != in {
		w.fail(in, trailing(mask), CheckDivergence, 0, "another warp of the warpgroup executes line %d in its place", op.in.line)
	}
	g.at[w.id&3]++
	if op.seen++; op.seen == 4 { // whoever still needs it holds a pointer
		for len(g.entries) > 0 && g.entries[0].seen == 4 {
			g.entries = g.entries[1:]
			g.first++
		}
	}
	return op
}

// together4 is groupOp for all operations but wgmma.
func (w *warp) together4(in *instr, mask uint32) {
	w.whole(in, mask)
	w.groupOp(in, mask)
}

// wgmmaOp is an operation as one warp sees it.
type wgmmaOp struct {
	in    *instr
	op    *groupOp
	group int32   // commit group, -1 before the commit
	lines []int32 // of this warp's part of A
	done  bool    // computed
}

// descriptor is a decoded matrix descriptor (§9.7.15.5.1.2.2).
type descriptor struct {
	start, leading, stride uint32
	base                   uint32
	swizzle                uint32 // bytes, 16 for none
}

func decodeDescriptor(v uint64) descriptor {
	return descriptor{
		start: uint32(v&0x3fff) << 4, leading: uint32(v>>16&0x3fff) << 4, stride: uint32(v>>32&0x3fff) << 4,
		base: uint32(v >> 49 & 7), swizzle: [4]uint32{16, 128, 64, 32}[v>>62],
	}
}

// swizzled moves 16-byte chunks within 128 bytes by the row that the address bits name.
func swizzled(addr, span, base uint32) uint32 {
	return addr ^ (addr>>7-base)&(span/16-1)<<4
}

// chunk is the address of eight consecutive elements: with the K dimension
// contiguous, elements 8·half… of row i; with the other contiguous, elements 8·i…
// of the k-th column.
func (d *descriptor) chunk(i, k int, mnMajor bool) uint32 {
	x, y := uint32(i), uint32(k)
	var addr uint32
	switch {
	case !mnMajor && d.swizzle == 16:
		addr = x/8*d.stride + x%8*16 + y*d.leading
	case !mnMajor:
		addr = x/8*d.stride + x%8*d.swizzle + y*16
	case d.swizzle == 16:
		addr = x*d.stride + y%8*16 + y/8*d.leading
	default:
		per := d.swizzle / 16
		addr = x%per*16 + x/per*d.leading + y%8*d.swizzle + y/8*d.stride
	}
	return swizzled(d.start+addr, d.swizzle, d.base)
}

// chunks lists the lines of rows [from, to) of a matrix 16 deep, in the order in
// which eightRows reads them.
func (w *warp) chunks(in *instr, d descriptor, from, to int, mnMajor bool) []int32 {
	outer, inner := to-from, 2
	if mnMajor {
		from, outer, inner = from/8, (to-from)/8, 16
	}
	lines := make([]int32, 0, outer*inner)
	for i := range outer {
		for k := range inner {
			lines = append(lines, int32(w.locate(in, 0, d.chunk(from+i, k, mnMajor), 16)/lineBytes))
		}
	}
	return lines
}

// eightRows reads eight rows of an operand from shared memory: K 0 to 7 and K 8 to 15.
func eightRows(data []byte, lines []int32, i int, mnMajor bool, lo, hi *reg32) {
	if mnMajor {
		transposed(data, lines, 16*i, lo)
		transposed(data, lines, 16*i+8, hi)
		return
	}
	fragment(data, lines, 16*i, 2, lo)
	fragment(data, lines, 16*i+1, 2, hi)
}

func buildWgmma(d *decoder, in *instr) error {
	for i, n := range in.imm[:2] {
		if n != 1 && int64(n) != -1 {
			return fmt.Errorf("the scale of %c is %d, must be 1 or -1", "AB"[i], int64(n))
		}
	}
	for _, n := range in.imm[2:] {
		if n > 1 {
			return fmt.Errorf("a transpose immediate of %d, must be 0 or 1", n)
		}
	}
	acc := d.arg("d")
	in.reads, in.writes = in.reads[len(acc.ids):], nil // issueWgmma looks at the accumulators itself
	w := &wgmmaRegs{d: acc.ids, scaleD: d.arg("scaleD").slots[0], b: d.arg("b").slots[0], a: -1}
	for i, id := range acc.ids {
		if slices.Contains(acc.ids[:i], id) {
			return fmt.Errorf("an accumulator register occurs twice")
		}
	}
	transB := 2
	if a := d.arg("a"); len(a.slots) == 4 {
		w.va, w.aIDs = a.slots, a.ids
	} else {
		w.a, transB = a.slots[0], 3
		w.transA = in.imm[2] == 1
	}
	w.transB = in.imm[transB] == 1
	w.negate = in.imm[0] != in.imm[1]
	w.format = formats[in.form.From]
	in.exec = func(wp *warp, in *instr, mask uint32) status { return wp.issueWgmma(in, w, mask) }
	in.wgmma = w
	return nil
}

// wgmmaRegs is what a wgmma instruction names.
type wgmmaRegs struct {
	d              []int32 // register numbers of the accumulators; their slots are instr.vd
	va, aIDs       []int32 // A in registers: slots and numbers
	a, b, scaleD   int32   // descriptors (a is -1 for A in registers) and predicate
	transA, transB bool
	negate         bool
	format         int
}

// uniform64 reads a 64-bit register that must be the same in all lanes.
func (w *warp) uniform64(in *instr, slot int32, what string) uint64 {
	v := &w.d[slot]
	for l := range v {
		if v[l] != v[0] {
			w.fail(in, l, CheckInstruction, 0, "%s differs between threads: %#x and %#x", what, v[0], v[l])
		}
	}
	return v[0]
}

func (w *warp) issueWgmma(in *instr, regs *wgmmaRegs, mask uint32) status {
	w.whole(in, mask)
	w.registersFree(in, regs)
	op := w.groupOp(in, mask)
	b := w.uniform64(in, regs.b, "the descriptor of B")
	var a uint64
	if regs.a >= 0 {
		a = w.uniform64(in, regs.a, "the descriptor of A")
	}
	scale := w.pr[regs.scaleD]
	if scale != 0 && scale != fullMask {
		w.fail(in, trailing(^scale), CheckInstruction, 0, "scale-d differs between threads")
	}
	if scale != 0 {
		for _, r := range regs.d {
			if w.def[r] != fullMask {
				w.undefined(in, r, fullMask)
			}
		}
	}
	n := in.form.Shape[1]
	mine := &wgmmaOp{in: in, op: op, group: -1}
	first := op.seen == 1
	if first {
		op.a, op.b, op.scaleD = a, b, scale != 0
		op.lines = w.chunks(in, decodeDescriptor(b), 0, n, regs.transB)
	} else if op.a != a || op.b != b || op.scaleD != (scale != 0) {
		w.fail(in, 0, CheckInstruction, 0, "another warp of the warpgroup has other descriptors or another scale-d")
	}
	if regs.a >= 0 {
		row := w.id & 3 * 16
		mine.lines = w.chunks(in, decodeDescriptor(a), row, row+16, regs.transA)
	}
	w.readsAsync(in, 0, laneWarp, op.lines)
	w.readsAsync(in, 0, laneWarp, mine.lines)
	if first {
		w.b.shared.hold(op.lines, 1)
	}
	w.b.shared.hold(mine.lines, 1)
	for _, r := range regs.d {
		w.def[r] = fullMask
		w.hopper.accs[r]++
	}
	for _, r := range regs.aIDs {
		w.hopper.frags[r]++
	}
	w.hopper.pending = append(w.hopper.pending, mine)
	w.hopper.inFlight = true
	return stNext
}

// registersFree checks that ordinary accesses to the registers are fenced, and that no
// unfinished operation stands in the way; only wgmmas of one shape may follow each
// other on the same accumulators (§9.7.15.7.1).
func (w *warp) registersFree(in *instr, regs *wgmmaRegs) {
	if !w.checks(CheckAsync) {
		return
	}
	h := &w.hopper
	if !h.fenced {
		w.fail(in, 0, CheckAsync, 0, "no wgmma.fence comes before the first wgmma")
	}
	for _, list := range [2][]int32{regs.d, regs.aIDs} {
		for _, r := range list {
			if h.dirty[r] {
				w.fail(in, 0, CheckAsync, 0, "register %s was used by an ordinary instruction after the last wgmma.fence", w.p.regs[r].name)
			}
		}
	}
	for _, r := range regs.aIDs {
		if h.accs[r] != 0 {
			w.fail(in, 0, CheckAsync, 0, "register %s of A is the accumulator of an unfinished wgmma", w.p.regs[r].name)
		}
	}
	for _, r := range regs.d {
		if h.frags[r] != 0 {
			w.fail(in, 0, CheckAsync, 0, "accumulator %s holds A of an unfinished wgmma", w.p.regs[r].name)
		}
		if h.accs[r] == 0 {
			continue
		}
		for _, op := range h.pending {
			if op.in.form.Shape != in.form.Shape && slices.Contains(op.in.wgmma.d, r) {
				w.fail(in, 0, CheckAsync, 0, "accumulator %s is in use by an unfinished wgmma of another shape", w.p.regs[r].name)
			}
		}
	}
}

// settled checks an ordinary instruction against unfinished wgmmas.
func (w *warp) settled(in *instr, mask uint32) {
	if !w.checks(CheckAsync) {
		return
	}
	for _, list := range [2][]int32{in.reads, in.writes} {
		for _, r := range list {
			if w.hopper.accs[r] != 0 || w.hopper.frags[r] != 0 {
				w.fail(in, trailing(mask), CheckAsync, 0, "register %s is in use by a wgmma that no wait_group has covered", w.p.regs[r].name)
			}
		}
	}
}

// soil notes the use of registers of a wgmma by an ordinary instruction.
func (w *warp) soil(in *instr) {
	for _, r := range in.reads {
		w.hopper.dirty[r] = true
	}
	for _, r := range in.writes {
		w.hopper.dirty[r] = true
	}
}

// readsAsync checks reads through the async proxy by a lane or the whole warp.
func (w *warp) readsAsync(in *instr, lane, who int, lines []int32) {
	s := &w.b.shared
	if !s.shadow {
		return
	}
	for _, i := range lines {
		ln := &s.lines[i]
		if ln.pend == 0 && ln.log == 0 && ln.bars == 0 && ln.init == lineFull && ln.write != 0 &&
			w.ordered(ln.write, who) && w.visible(ln.write, who) {
			continue
		}
		u := use{in, lane, int(i), lineFull, "asynchronous read"}
		w.readable(u, ln)
		w.follows(u, who|laneAsync, false)
	}
}

// hold marks lines as being read, with by = 1; −1 ends that.
func (s *sharedMemory) hold(lines []int32, by int16) {
	if s.shadow {
		for _, i := range lines {
			s.lines[i].busy += by
		}
	}
}

// haveRead records finished reads through the async proxy.
func (w *warp) haveRead(in *instr, lines []int32, who int) {
	s := &w.b.shared
	if !s.shadow || !w.checks(CheckRace) {
		return
	}
	for _, i := range lines {
		w.recordRead(use{in, who & 31, int(i), lineFull, "asynchronous read"}, who, makeStamp(w.time, w.id, who|laneAsync))
	}
}

// compute multiplies, once.
func (o *wgmmaOp) compute(w *warp) {
	if o.done {
		return
	}
	o.done = true
	regs, data := o.in.wgmma, w.b.shared.data
	r := &w.tile.regs
	from := [4]*reg32{&r[0], &r[1], &r[2], &r[3]}
	if regs.a >= 0 {
		eightRows(data, o.lines, 0, regs.transA, &r[0], &r[2])
		eightRows(data, o.lines, 1, regs.transA, &r[1], &r[3])
	} else {
		for i, slot := range regs.va {
			from[i] = &w.r[slot]
		}
	}
	a := &w.tile.a
	tiles.fragA[regs.format](a, from[0], from[1], from[2], from[3])
	if regs.negate {
		for i := range a {
			for k := range a[i] {
				a[i][k] = -a[i][k]
			}
		}
	}
	if o.op.tiles == nil {
		o.op.tiles = make([]tileB, o.in.form.Shape[1]/8)
		for t := range o.op.tiles {
			eightRows(data, o.op.lines, t, regs.transB, &r[0], &r[1])
			tiles.fragB[regs.format](&o.op.tiles[t], &r[0], &r[1])
		}
	}
	for t := range o.op.tiles {
		acc := o.in.vd[4*t : 4*t+4]
		if !o.op.scaleD {
			for _, slot := range acc {
				w.r[slot] = reg32{}
			}
		}
		w.multiply(acc, acc, a, &o.op.tiles[t])
	}
}

func execWgmmaFence(w *warp, in *instr, mask uint32) status {
	w.together4(in, mask)
	w.hopper.fenced = true
	clear(w.hopper.dirty)
	return stNext
}

func execWgmmaCommit(w *warp, in *instr, mask uint32) status {
	w.together4(in, mask)
	for _, op := range w.hopper.pending {
		if op.group < 0 {
			op.group = w.hopper.commits
		}
	}
	w.hopper.commits++
	return stNext
}

func execWgmmaWait(w *warp, in *instr, mask uint32) status {
	w.together4(in, mask)
	h := &w.hopper
	n := 0
	for _, op := range h.pending {
		if op.group < 0 || op.group >= h.commits-groupsOf(in) {
			break
		}
		w.finishWgmma(op)
		n++
	}
	h.pending = append(h.pending[:0], h.pending[n:]...)
	h.inFlight = len(h.pending) > 0
	return stNext
}

func (w *warp) finishWgmma(op *wgmmaOp) {
	op.compute(w)
	regs := op.in.wgmma
	for _, r := range regs.d {
		w.hopper.accs[r]--
	}
	for _, r := range regs.aIDs {
		w.hopper.frags[r]--
	}
	w.haveRead(op.in, op.op.lines, laneWarp)
	w.haveRead(op.in, op.lines, laneWarp)
	w.b.shared.hold(op.lines, -1)
	if op.op.ended++; op.op.ended == 4 {
		w.b.shared.hold(op.op.lines, -1)
		op.op.tiles = nil
	}
}
