package emu

import "fmt"

// cp.async (PTX ISA 9.0 §9.7.9.25.3): a copy reads its source when it is issued
// and writes shared memory when a wait covers its group or, under Shuffle, at any
// time before. Its bytes may not be touched until the wait.

// laneCopy is the copy of one instruction: 16 bytes a lane.
type laneCopy struct {
	mask  uint32
	moved bool      // the bytes are in shared memory, the wait is still to come
	group [32]int32 // of each lane, -1 before the commit
	dst   [32]int32
	data  [32][16]byte
}

// copyQueue holds a warp's unfinished copies in program order. Groups are a
// matter of each thread, but threads of a warp that issue copies while diverged
// commit and wait diverged too, so every lane has its own counts.
type copyQueue struct {
	list    []*laneCopy
	free    []*laneCopy
	commits [32]int32 // of each lane so far
}

func (q *copyQueue) reset() {
	q.free = append(q.free, q.list...)
	q.list, q.commits = q.list[:0], [32]int32{}
}

func (q *copyQueue) add(mask uint32) *laneCopy {
	if len(q.free) == 0 {
		q.free = append(q.free, new(laneCopy))
	}
	c := q.free[len(q.free)-1]
	q.free = q.free[:len(q.free)-1]
	q.list = append(q.list, c)
	c.mask, c.moved = mask, false
	for l := range c.group {
		c.group[l] = -1
	}
	return c
}

func buildCpAsync(d *decoder, in *instr) error {
	if in.imm[0] != 16 {
		return fmt.Errorf("a copy of %d bytes, only 16 are executed with .cg", in.imm[0])
	}
	in.imm = []uint64{16, uint64(d.arg("d").off), uint64(d.arg("s").off)}
	in.exec = execCpAsync
	return nil
}

// execCpAsync has the destination in a, the source in b and its valid bytes in c.
func execCpAsync(w *warp, in *instr, mask uint32) status {
	c := w.copies.add(mask)
	for l := range lanesOf(mask) {
		off := w.locate(in, l, w.r[in.a][l]+uint32(in.imm[1]), 16)
		w.issueCopy(in, l, off)
		valid := w.r[in.c][l]
		if valid > 16 {
			w.fail(in, l, CheckInstruction, 0, "source size %d exceeds the 16 bytes of the copy", valid)
		}
		if c.data[l] = [16]byte{}; valid > 0 {
			w.copySource(in, l, w.d[in.b][l]+in.imm[2], c.data[l][:valid])
		}
		c.dst[l] = int32(off)
		w.b.stats.asyncRead += int64(valid)
		w.b.stats.asyncWritten += 16
	}
	return stNext
}

// copySource reads the valid bytes of a source, which is aligned to the whole copy.
func (w *warp) copySource(in *instr, l int, addr uint64, dst []byte) {
	if addr%16 != 0 {
		w.fail(in, l, CheckAlign, addr, "global address %#x is no multiple of 16", addr)
	}
	w.loadRange(in, l, addr, dst)
}

// issueCopy checks that nobody else uses the destination and reserves it.
func (w *warp) issueCopy(in *instr, l, off int) {
	if s := &w.b.shared; s.shadow {
		w.writeLine(use{in, l, off / lineBytes, lineFull, "asynchronous write"}, l, false)
		s.lines[off/lineBytes].pend = lineFull
	}
}

// move writes a copy's bytes to shared memory.
func (c *laneCopy) move(s *sharedMemory) {
	for l := range lanesOf(c.mask) {
		if !c.moved {
			*(*[16]byte)(s.data[c.dst[l]:]) = c.data[l]
		}
	}
	c.moved = true
}

// early finishes some of a warp's copies before anybody waits for them.
func (b *block) early(w *warp) {
	for _, c := range w.copies.list {
		if !c.moved && b.rng.IntN(8) == 0 {
			c.move(&b.shared)
		}
	}
	b.earlyHopper(w)
}

func execCpAsyncCommit(w *warp, in *instr, mask uint32) status {
	q := &w.copies
	for i := len(q.list) - 1; i >= 0; i-- {
		c := q.list[i]
		left := c.mask & mask
		if left == mask && c.group[trailing(left)] >= 0 {
			break // older copies of these lanes are committed already
		}
		for l := range lanesOf(left) {
			if c.group[l] < 0 {
				c.group[l] = q.commits[l]
			}
		}
	}
	for l := range lanesOf(mask) {
		q.commits[l]++
	}
	return stNext
}

func execCpAsyncWait(w *warp, in *instr, mask uint32) status {
	return w.retire(mask, groupsOf(in), false)
}

func execCpAsyncWaitAll(w *warp, _ *instr, mask uint32) status { return w.retire(mask, 0, true) }

// groupsOf is how many groups a wait leaves unfinished.
func groupsOf(in *instr) int32 { return int32(min(in.imm[0], 1<<20)) }

// retire finishes the copies of the lanes of mask, but for those in each lane's
// last pending groups; all takes uncommitted copies too.
func (w *warp) retire(mask uint32, pending int32, all bool) status {
	q := &w.copies
	kept := q.list[:0]
	for _, c := range q.list {
		var done uint32
		for l := range lanesOf(c.mask & mask) {
			if g := c.group[l]; all || g >= 0 && g < q.commits[l]-pending {
				done |= 1 << l
			}
		}
		w.land(c, done)
		if c.mask &^= done; c.mask == 0 {
			q.free = append(q.free, c)
		} else {
			kept = append(kept, c)
		}
	}
	q.list = kept
	return stNext
}

// land makes finished copies ordinary writes of their threads.
func (w *warp) land(c *laneCopy, done uint32) {
	s := &w.b.shared
	for l := range lanesOf(done) {
		if !c.moved {
			*(*[16]byte)(s.data[c.dst[l]:]) = c.data[l]
		}
		if s.shadow {
			i := int(c.dst[l]) / lineBytes
			s.lines[i].pend = 0
			s.recordWrite(i, lineFull, makeStamp(w.time, w.id, l))
		}
	}
}
