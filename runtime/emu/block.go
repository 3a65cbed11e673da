package emu

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/s2attention/s2c/codegen/ptx/inst"
)

// launch is one grid being executed. Blocks share it read-only, apart from
// global memory, which locks.
type launch struct {
	dev    *Device
	p      *program
	id     uint32
	grid   [3]int
	block  [3]int
	params []byte
	dyn    int64 // bytes of dynamic shared memory
	budget int64 // instructions a block may execute
}

// block is one thread block. A worker reuses it for many.
type block struct {
	launch  *launch
	mem     *memory
	checks  Check
	index   uint32 // linear block number
	id      [3]int
	rng     *rand.Rand
	shuffle bool

	warps    []*warp
	threads  int
	shared   sharedMemory
	barriers [16]barrier
	counts   []int64 // executed instructions by pc
	stats    counters
	hopper   blockHopper
	maps     map[uint64]*tensorMap // in the parameters, by address
	progress bool                  // something happened that may let a polling warp go on
}

// newBlock prepares a worker's block for one launch.
func newBlock(l *launch) *block {
	dev := l.dev
	b := &block{
		launch: l, mem: &dev.mem, checks: dev.checks, shuffle: dev.opts.Shuffle,
		threads: l.block[0] * l.block[1] * l.block[2],
		counts:  make([]int64, len(l.p.code)),
		maps:    map[uint64]*tensorMap{},
	}
	n := (b.threads + 31) / 32
	b.shared.resize(l.p.dynAt+l.dyn, n, b.checks)
	for id := range n {
		b.warps = append(b.warps, newWarp(b, id))
	}
	return b
}

func newWarp(b *block, id int) *warp {
	p := b.launch.p
	w := &warp{
		b: b, p: p, id: id, all: fullMask,
		r: make([]reg32, p.n32), d: make([]reg64, p.n64), pr: make([]uint32, p.npred),
		def: make([]uint32, len(p.regs)),
	}
	if rest := b.threads - id*32; rest < 32 {
		w.all = 1<<rest - 1
	}
	for c, slot := range p.consts {
		switch c.class {
		case inst.ClassB64:
			w.d[slot] = [32]uint64(slices.Repeat([]uint64{c.value}, 32))
		case inst.ClassPred:
			w.pr[slot] = uint32(c.value)
		default:
			w.r[slot] = *allLanes(uint32(c.value))
		}
	}
	return w
}

// reset prepares the block for one block index.
func (b *block) reset(index uint32) {
	b.index, b.id = index, position(int(index), b.launch.grid)
	seed := b.launch.dev.opts.Seed
	b.rng = rand.New(rand.NewPCG(seed, uint64(index)*0x9e3779b97f4a7c15+uint64(b.launch.id)))
	b.shared.reset()
	b.barriers = [16]barrier{}
	b.hopper.reset(b)
	for _, w := range b.warps {
		w.reset()
	}
}

func (w *warp) reset() {
	clear(w.def)
	w.exited, w.turn, w.time = 0, 0, 1
	w.groups = append(w.groups[:0], &group{mask: w.all, joinPC: -1})
	w.clock, w.lanes = newClock(len(w.b.warps)), nil
	w.copies.reset()
	w.hopper.reset(w)
	for _, s := range w.p.sregs {
		for l := range 32 {
			if v := s.value(w, l); s.class == inst.ClassB64 {
				w.d[s.slot][l] = v
			} else {
				w.r[s.slot][l] = uint32(v)
			}
		}
	}
}

// quantum is how many instructions a warp executes before others have a turn.
const quantum = 4096

// run executes the block to its end.
func (b *block) run() (fault *Fault) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case *Fault:
			fault = r
		default:
			fault = b.internal(r)
		}
	}()
	order := slices.Clone(b.warps)
	preempt := b.launch.dev.opts.Preempt
	idle := 0
	for left := b.launch.budget; ; {
		if b.shuffle {
			b.rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		}
		alive, ran := false, false
		b.progress = false
		for _, w := range order {
			if w.done() {
				continue
			}
			alive = true
			if b.shuffle {
				b.early(w)
			}
			if w.ready() == nil {
				continue
			}
			ran = true
			q := quantum
			if preempt {
				q = 1 + b.rng.IntN(64)
			}
			left -= int64(w.run(q))
			if err := b.launch.dev.opts.Context.Err(); err != nil {
				return &Fault{Check: CheckCancel, Kernel: w.p.name, Msg: err.Error(), Cause: err}
			}
			if left < 0 {
				b.stuck(w, CheckBudget, fmt.Sprintf("the block executed %d warp instructions without ending", b.launch.budget))
			}
		}
		if !alive {
			b.end()
			return nil
		}
		if !b.idle(ran) {
			idle = 0
		} else if idle++; !ran || idle > 1 {
			if !b.complete() && (!ran || idle > 64) {
				b.deadlock()
			}
		}
	}
}

// stuck reports a defect at the place where a warp is now.
func (b *block) stuck(w *warp, check Check, msg string) {
	g := w.groups[0]
	w.fail(&w.p.code[g.pc], trailing(g.mask), check, 0, "%s", msg)
}

// deadlock names what every warp waits for.
func (b *block) deadlock() {
	msg := "no warp can go on:"
	var first *warp
	listed := 0
	for _, w := range b.warps {
		if w.done() {
			continue
		}
		if first == nil {
			first = w
		}
		if listed++; listed <= 8 {
			in := &w.p.code[w.groups[0].pc]
			msg += fmt.Sprintf(" warp %d at line %d `%s`;", w.id, in.line, w.p.text(in.line))
		}
	}
	if over := listed - 8; over > 0 {
		msg += fmt.Sprintf(" and %d more;", over)
	}
	for i := range b.barriers {
		if bar := &b.barriers[i]; bar.arrived > 0 {
			msg += fmt.Sprintf(" barrier %d has %d of %d threads;", i, bar.arrived, bar.expected)
		}
	}
	b.stuck(first, CheckDeadlock, msg[:len(msg)-1])
}

func (b *block) internal(r any) *Fault {
	f := &Fault{Check: CheckInternal, Kernel: b.launch.p.name, Block: b.id, Msg: fmt.Sprint(r)}
	for _, w := range b.warps {
		if w.cur != nil && int(w.cur.pc) < len(w.p.code) {
			in := &w.p.code[w.cur.pc]
			f.Line, f.Text = int(in.line), w.p.text(in.line)
		}
	}
	return f
}
