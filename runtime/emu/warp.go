package emu

import (
	"fmt"
	"iter"
	"math/bits"

	"github.com/s2attention/s2c/codegen/ptx/inst"
)

// status is what an executor tells the warp's loop.
type status uint8

const (
	stNext  status = iota // go on with the next instruction
	stYield               // the same after other warps had a turn
	stPoll                // the same, and other lanes of the warp have a turn
	stJump                // the group's pc has been set
	stWait                // stay here until somebody wakes the group, then go on behind it
	stRetry               // stay here, other warps first, then execute again
	stGone                // the group has no lanes left
)

type reg32 = [32]uint32
type reg64 = [32]uint64

const fullMask = 1<<32 - 1

func trailing(m uint32) int { return bits.TrailingZeros32(m) & 31 }

// lanesOf goes through the lanes of a mask in order.
func lanesOf(mask uint32) iter.Seq[int] {
	return func(yield func(int) bool) {
		for m := mask; m != 0 && yield(trailing(m)); m &= m - 1 {
		}
	}
}

// group is a set of lanes of one warp that execute together.
type group struct {
	pc      int32
	mask    uint32
	joinPC  int32 // join.pc, or -1
	join    *joint
	waiting bool   // for a barrier, or for lanes of the warp
	sync    uint32 // member mask of the warp synchronisation it waits at
}

// joint is the point where the lanes of a diverged branch meet again.
type joint struct {
	pc      int32
	live    uint32 // lanes that will come
	arrived uint32
	parent  *joint
}

// warp is 32 lanes, their registers and where they are.
type warp struct {
	b      *block
	p      *program
	id     int
	all    uint32 // lanes that exist
	exited uint32
	groups []*group
	cur    *group
	turn   int

	r     []reg32
	d     []reg64
	pr    []uint32
	def   []uint32 // lanes in which each register has a value
	tmp   reg32
	tmp6  reg64
	flush [4]reg32 // operands with subnormals flushed, and a result before it is
	tile  tileScratch
	bytes [16]byte // that a lane stores

	// Race detection, see clock.go.
	time  uint32
	clock *clock
	lanes *[32]*clock // nil while all lanes hold the same clock

	lookup allocCache
	copies copyQueue
	hopper warpHopper
}

// done says that every thread has exited.
func (w *warp) done() bool { return len(w.groups) == 0 }

// ready picks the next group that can run: the one that ran last while it can,
// so that lanes reach their joint before others overtake them.
func (w *warp) ready() *group {
	n := len(w.groups)
	for i := range n {
		if g := w.groups[(w.turn+i)%n]; !g.waiting {
			w.turn = (w.turn + i) % n
			return g
		}
	}
	return nil
}

// run executes up to quantum instructions of one group and returns how many.
func (w *warp) run(quantum int) int {
	g := w.ready()
	w.cur = g
	w.hopper.polled = false
	code, counts := w.p.code, w.b.counts
	for n := range quantum {
		if g.pc == g.joinPC {
			if g = w.arrive(g); g == nil {
				return n + 1
			}
			w.cur = g
			continue
		}
		in := &code[g.pc]
		mask := g.mask
		if in.guard >= 0 {
			if w.def[in.gid]&mask != mask {
				w.undefined(in, in.gid, mask)
			}
			if mask &= w.pr[in.guard] ^ in.flip; mask == 0 {
				g.pc++
				continue
			}
		}
		for _, r := range in.reads {
			if w.def[r]&mask != mask {
				w.undefined(in, r, mask)
			}
		}
		if in.aligned && mask != w.all {
			w.divergent(in, mask)
		}
		if in.hazard {
			if w.hopper.inFlight {
				w.settled(in, mask)
			}
			w.soil(in)
		}
		counts[g.pc]++
		st := in.exec(w, in, mask)
		if st <= stPoll {
			for _, r := range in.writes {
				w.def[r] |= mask
			}
			g.pc++
		}
		switch st {
		case stNext, stJump:
			continue
		case stWait:
			g.waiting = true
		case stRetry:
			counts[in.pc]--
			w.turn++
		case stPoll:
			w.turn++
		}
		return n + 1
	}
	// Lanes that spin must not starve the rest of their warp.
	if len(w.groups) > 1 {
		w.turn++
	}
	return quantum
}

// diverge sends the lanes of taken to target and the others on behind the branch.
func (w *warp) diverge(in *instr, taken uint32) {
	g := w.cur
	j := g.join
	if in.join >= 0 && in.join != g.joinPC {
		j = &joint{pc: in.join, live: g.mask, parent: g.join}
	}
	other := &group{pc: in.target, mask: taken, join: j, joinPC: g.joinPC}
	g.mask &^= taken
	g.join = j
	if j != nil {
		g.joinPC, other.joinPC = j.pc, j.pc
	}
	g.pc++
	w.groups = append(w.groups, other)
}

// arrive parks a group at its joint. The last one to come goes on with all lanes.
func (w *warp) arrive(g *group) *group {
	j := g.join
	j.arrived |= g.mask
	w.remove(g)
	return w.release(j)
}

// release continues behind a joint once all of its live lanes have arrived.
func (w *warp) release(j *joint) *group {
	if j == nil || j.live == 0 || j.arrived != j.live {
		return nil
	}
	g := &group{pc: j.pc, mask: j.live, join: j.parent, joinPC: -1}
	if j.parent != nil {
		g.joinPC = j.parent.pc
	}
	w.groups = append(w.groups, g)
	w.turn = len(w.groups) - 1
	return g
}

func (w *warp) remove(g *group) {
	for i, x := range w.groups {
		if x == g {
			w.groups = append(w.groups[:i], w.groups[i+1:]...)
			break
		}
	}
	w.turn = 0
}

// exit ends the threads of mask in the current group.
func (w *warp) exit(mask uint32) status {
	g := w.cur
	w.exited |= mask
	g.mask &^= mask
	for j := g.join; j != nil; j = j.parent {
		j.live &^= mask
		w.release(j)
	}
	st := stJump
	if g.mask == 0 {
		w.remove(g)
		st = stGone
	} else {
		g.pc++
	}
	w.recheckSync()
	return st
}

// fail ends the block with a fault at an instruction: block.run recovers it.
func (w *warp) fail(in *instr, lane int, check Check, addr uint64, format string, args ...any) {
	panic(&Fault{
		Check: check, Kernel: w.p.name, Line: int(in.line), Text: w.p.text(in.line),
		Block: w.b.id, Thread: w.thread(lane), Addr: addr, Msg: fmt.Sprintf(format, args...),
	})
}

func (w *warp) checks(c Check) bool { return w.b.checks&c != 0 }

// thread is %tid of a lane.
func (w *warp) thread(lane int) [3]int { return position(w.id*32+lane, w.b.launch.block) }

// position is where the n-th thread or block is.
func position(n int, dims [3]int) [3]int {
	return [3]int{n % dims[0], n / dims[0] % dims[1], n / dims[0] / dims[1]}
}

// undefined reports a register without a value, if that is checked.
func (w *warp) undefined(in *instr, r int32, mask uint32) {
	if w.checks(CheckRegister) {
		w.fail(in, trailing(mask&^w.def[r]), CheckRegister, 0, "register %s has no value", w.p.regs[r].name)
	}
}

func (w *warp) divergent(in *instr, mask uint32) {
	lane := trailing(w.all &^ mask)
	if w.exited>>lane&1 != 0 {
		w.fail(in, lane, CheckDivergence, 0, "%d of %d threads of the warp have exited before this .aligned instruction",
			bits.OnesCount32(w.exited), bits.OnesCount32(w.all))
	}
	w.fail(in, lane, CheckDivergence, 0, "%d of %d threads of the warp execute this .aligned instruction (mask %#08x)",
		bits.OnesCount32(mask), bits.OnesCount32(w.all), mask)
}

// whole refuses warp-wide instructions in a warp of fewer than 32 threads.
func (w *warp) whole(in *instr, mask uint32) {
	if mask != fullMask {
		w.fail(in, trailing(mask), CheckDivergence, 0, "the warp has %d threads, this instruction needs 32", bits.OnesCount32(mask))
	}
}

// syncWarp brings the lanes of a member mask together. It returns the lanes that
// execute now; with none, the group waits and st says so.
func (w *warp) syncWarp(in *instr, mask uint32, members *reg32) (uint32, status) {
	first := trailing(mask)
	want := members[first]
	for l := range lanesOf(mask) {
		if members[l] != want {
			w.fail(in, l, CheckDivergence, 0, "threads of the warp name different member masks %#08x and %#08x", want, members[l])
		}
		if want>>l&1 == 0 {
			w.fail(in, l, CheckDivergence, 0, "the member mask %#08x lacks the executing lane %d", want, l)
		}
	}
	need := want & w.all
	if need == mask {
		return mask, stNext
	}
	if in.guard >= 0 && mask != w.cur.mask {
		// The guard splits the group: the lanes that do execute wait on their own.
		w.fail(in, trailing(w.cur.mask&^mask), CheckDivergence, 0,
			"the guard keeps lanes of the member mask %#08x away", want)
	}
	w.cur.sync = need
	if w.gather(in, need, first) {
		return 0, stJump
	}
	return 0, stWait
}

// gather joins the groups that wait with the same member mask into one that
// executes the instruction again, once all its live members have come.
func (w *warp) gather(in *instr, need uint32, lane int) bool {
	live := need &^ w.exited
	var come uint32
	for _, g := range w.groups {
		if g.sync == need && (g.waiting || g == w.cur) {
			code := &w.p.code[g.pc]
			if code.form.Kind != in.form.Kind || (g.pc != w.cur.pc && in.form.Kind != inst.BarWarpSync) {
				w.fail(code, trailing(g.mask), CheckDivergence, 0,
					"threads of the member mask %#08x wait here and at line %d", need, in.line)
			}
			come |= g.mask
		}
	}
	if come != live {
		return false
	}
	if live != need {
		w.fail(in, lane, CheckDivergence, 0, "lanes %#08x of the member mask have exited", need&^live)
	}
	// The synchronisation is executed for several groups at once.
	cur := w.cur
	in.exec(w, in, need)
	for _, r := range in.writes {
		w.def[r] |= need
	}
	for _, g := range w.groups {
		if g.sync == need && (g.waiting || g == cur) {
			g.pc++
			g.sync, g.waiting = 0, false
		}
	}
	return true
}

// recheckSync lets groups go on that waited for lanes which have exited now.
func (w *warp) recheckSync() {
	for _, g := range w.groups {
		if g.waiting && g.sync != 0 && g.sync&w.exited != 0 {
			in := &w.p.code[g.pc]
			w.fail(in, trailing(g.mask), CheckDivergence, 0, "lanes %#08x of the member mask have exited", g.sync&w.exited)
		}
	}
}
