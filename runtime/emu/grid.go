package emu

import (
	"math/rand/v2"
	"sync"
)

// run executes all blocks of a launch and returns its first fault, the one of the
// lowest position in the block order.
func (d *Device) run(l *launch) error {
	total := l.grid[0] * l.grid[1] * l.grid[2]
	g := &gridRun{launch: l, total: total, stats: newStats(l.p.name)}
	if d.opts.Shuffle {
		g.order = newPermutation(uint64(total), d.opts.Seed^uint64(l.id)<<32)
	}
	var wg sync.WaitGroup
	for range min(d.opts.Workers, total) {
		wg.Go(g.work)
	}
	wg.Wait()
	d.mu.Lock()
	d.last = g.stats
	d.mu.Unlock()
	if g.fault != nil {
		return g.fault
	}
	return nil
}

// gridRun hands out the blocks of a launch to workers.
type gridRun struct {
	launch *launch
	total  int
	order  *permutation

	mu      sync.Mutex
	next    int
	done    int
	fault   *Fault
	faultAt int
	stats   Stats
	report  sync.Mutex
}

func (g *gridRun) work() {
	var b *block
	defer func() {
		if b != nil {
			g.mu.Lock()
			g.stats.add(b)
			g.mu.Unlock()
		}
	}()
	for {
		at, ok := g.take()
		if !ok {
			return
		}
		index := uint64(at)
		if g.order != nil {
			index = g.order.at(index)
		}
		var fault *Fault
		b, fault = g.block(b, uint32(index))
		g.finish(at, fault)
	}
}

// block executes one block, on the worker's block state if it has one.
func (g *gridRun) block(b *block, index uint32) (_ *block, fault *Fault) {
	defer func() {
		if r := recover(); r != nil {
			fault = &Fault{Check: CheckInternal, Kernel: g.launch.p.name, Msg: "cannot set up a block"}
		}
	}()
	if b == nil {
		b = newBlock(g.launch)
	}
	b.reset(index)
	return b, b.run()
}

// take hands out the next position. After a fault only earlier ones go on, so
// that the same fault is reported each time.
func (g *gridRun) take() (int, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.launch.dev.opts.Context.Err(); err != nil && g.fault == nil {
		g.fault, g.faultAt = &Fault{Check: CheckCancel, Kernel: g.launch.p.name, Msg: err.Error(), Cause: err}, -1
	}
	if g.fault != nil || g.next == g.total {
		return 0, false
	}
	g.next++
	return g.next - 1, true
}

func (g *gridRun) finish(at int, fault *Fault) {
	g.mu.Lock()
	if fault != nil && (g.fault == nil || at < g.faultAt) {
		g.fault, g.faultAt = fault, at
	}
	g.done++
	g.stats.Blocks++
	done := g.done
	g.mu.Unlock()
	if report := g.launch.dev.report; report != nil {
		g.report.Lock()
		report(g.launch.p.name, done, g.total)
		g.report.Unlock()
	}
}

// permutation is a random order of 0…n−1 that needs no memory: a Feistel network
// over the next power of four, walked until it lands below n.
type permutation struct {
	n    uint64
	half uint
	keys [4]uint64
}

func newPermutation(n, seed uint64) *permutation {
	p := &permutation{n: n}
	for p.half = 1; 1<<(2*p.half) < n; p.half++ {
	}
	rng := rand.New(rand.NewPCG(seed, n))
	for i := range p.keys {
		p.keys[i] = rng.Uint64()
	}
	return p
}

func (p *permutation) at(i uint64) uint64 {
	mask := uint64(1)<<p.half - 1
	for {
		l, r := i>>p.half, i&mask
		for _, k := range p.keys {
			f := (r ^ k) * 0x9e3779b97f4a7c15
			l, r = r, l^(f>>32&mask)
		}
		if i = l<<p.half | r; i < p.n {
			return i
		}
	}
}
