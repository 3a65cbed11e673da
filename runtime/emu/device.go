package emu

import (
	"context"
	"errors"
	"fmt"
	"maps"
	gort "runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/s2attention/s2c/runtime"
	"github.com/s2attention/s2c/target"
)

// Options configure a device. The zero value executes with every check on one
// worker a core.
type Options struct {
	// Workers is the number of blocks executed at once; 0 is one a CPU core.
	Workers int
	// Seed decides everything that is left to chance.
	Seed uint64
	// Shuffle runs blocks and warps in random order and lets asynchronous copies
	// finish at random times; otherwise both go in order and copies finish last.
	Shuffle bool
	// Preempt switches between warps after a few instructions, not only where
	// they wait.
	Preempt bool
	// Checks is what to report; 0 is AllChecks, NoChecks the least.
	Checks Check
	// Budget is how many warp instructions one block may execute; 0 is 10⁹.
	Budget int64
	// SM is the number of multiprocessors to report; 0 is 132.
	SM int
	// Capability is the compute capability; 0 is (9, 0).
	Capability [2]int
	// Context cancels running launches.
	Context context.Context
}

// Device is an emulated GPU. It implements runtime.Device.
type Device struct {
	opts   Options
	report func(kernel string, done, total int) // see OnProgress
	checks Check
	mem    memory
	nextID atomic.Uint32

	mu      sync.Mutex
	closed  bool
	last    Stats
	streams map[*Stream]bool
	outputs []output
}

var _ runtime.Device = (*Device)(nil)

// output is a range that the kernel has to write in full.
type output struct {
	addr  uint64
	bytes int64
}

// New makes a device.
func New(o Options) *Device {
	if o.Workers <= 0 {
		o.Workers = gort.GOMAXPROCS(0)
	}
	if o.Budget <= 0 {
		o.Budget = 1e9
	}
	if o.SM <= 0 {
		o.SM = 132
	}
	if o.Capability == [2]int{} {
		o.Capability = [2]int{9, 0}
	}
	if o.Context == nil {
		o.Context = context.Background()
	}
	d := &Device{opts: o, checks: o.Checks &^ NoChecks, streams: map[*Stream]bool{}}
	if o.Checks == 0 {
		d.checks = AllChecks
	}
	return d
}

// OnProgress makes launches call f, one goroutine at a time, with the blocks done so
// far. No launch may be running.
func (d *Device) OnProgress(f func(kernel string, done, total int)) { d.report = f }

// Kind is "emu".
func (d *Device) Kind() string { return "emu" }

// Describe says what executes.
func (d *Device) Describe() string {
	if d == nil || d.streams == nil {
		return "an emulator that New did not make"
	}
	return fmt.Sprintf("PTX emulator (sm_%d%d, %d workers)", d.opts.Capability[0], d.opts.Capability[1], d.opts.Workers)
}

// ComputeCapability is what Options.Capability says.
func (d *Device) ComputeCapability() (major, minor int) {
	if d == nil {
		return 0, 0
	}
	return d.opts.Capability[0], d.opts.Capability[1]
}

// Multiprocessors is what Options.SM says.
func (d *Device) Multiprocessors() int { return d.opts.SM }

// Alloc reserves memory; its bytes have no value until somebody writes them.
// Pages are made when they are touched, so that large tensors with few rows in use are cheap.
func (d *Device) Alloc(bytes int64) (runtime.Ptr, error) {
	if err := d.open(); err != nil {
		return 0, err
	}
	a, err := d.mem.alloc(bytes)
	if err != nil {
		return 0, err
	}
	return runtime.Ptr(a.base), nil
}

// AllocAt is Alloc at a chosen address, a multiple of 16.
func (d *Device) AllocAt(at runtime.Ptr, bytes int64) error {
	if at%16 != 0 {
		return badArgs("allocation at %#x, which is no multiple of 16", at)
	}
	if err := d.open(); err != nil {
		return err
	}
	_, err := d.mem.create(ptr(at), bytes)
	return err
}

// Free gives memory back; accesses to it are out of bounds from now on. 0 is
// nothing to free.
func (d *Device) Free(p runtime.Ptr) error {
	if err := d.settled(); err != nil || p == 0 {
		return err
	}
	return d.mem.release(ptr(p))
}

// Upload copies to the device.
func (d *Device) Upload(dst runtime.Ptr, src []byte) error {
	if err := d.settled(); err != nil || len(src) == 0 {
		return err
	}
	return d.mem.write(ptr(dst), src)
}

// Download copies from the device after everything queued; bytes that nobody wrote come as 0xff.
func (d *Device) Download(dst []byte, src runtime.Ptr) error {
	if err := d.settled(); err != nil || len(dst) == 0 {
		return err
	}
	return d.mem.read(dst, ptr(src))
}

// MarkOutput says that kernels must write every byte of a range: what it holds
// now is poisoned, and CheckOutputs reports bytes that are still missing.
func (d *Device) MarkOutput(p runtime.Ptr, bytes int64) error {
	if err := d.settled(); err != nil {
		return err
	}
	if bytes <= 0 {
		return badArgs("output of %d bytes", bytes)
	}
	if err := d.mem.forget(ptr(p), bytes); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.outputs = append(d.outputs, output{ptr(p), bytes})
	return nil
}

// CheckOutputs reports the first byte of the marked outputs that was never
// written, as a *Fault, and forgets the marks.
func (d *Device) CheckOutputs() error {
	if err := d.settled(); err != nil {
		return err
	}
	d.mu.Lock()
	outputs := d.outputs
	d.outputs = nil
	kernel := d.last.Kernel
	d.mu.Unlock()
	for _, o := range outputs {
		at, found, err := d.mem.gap(o.addr, o.bytes)
		if err != nil {
			return err
		}
		if found && d.checks&CheckOutput != 0 {
			return &Fault{Check: CheckOutput, Kernel: kernel, Addr: at,
				Msg: fmt.Sprintf("byte %d of the %d of the output at %#x was never written", at-o.addr, o.bytes, o.addr)}
		}
	}
	return nil
}

// LastLaunch is what the latest launch to end has executed.
func (d *Device) LastLaunch() Stats {
	d.waitAll()
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.last
}

// Close ends the device's use. A second call does nothing.
func (d *Device) Close() error {
	if d.settled() != nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	return nil
}

// open is an ErrClosed where the device cannot be used.
func (d *Device) open() error {
	if d == nil || d.streams == nil {
		return runtime.Errorf(runtime.ErrClosed, "emu: use of a device that New did not make")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return runtime.Errorf(runtime.ErrClosed, "emu: use of the device after Close")
	}
	return nil
}

// settled is open, after everything that is queued.
func (d *Device) settled() error {
	if err := d.open(); err != nil {
		return err
	}
	d.waitAll()
	return nil
}

// badArgs is an ErrArgs.
func badArgs(format string, args ...any) error {
	return runtime.Errorf(runtime.ErrArgs, "emu: %s", fmt.Sprintf(format, args...))
}

// LoadModule parses PTX text and decodes its kernels.
func (d *Device) LoadModule(ptx string) (m runtime.Module, err error) {
	if err := d.open(); err != nil {
		return nil, err
	}
	defer func() {
		if r := recover(); r != nil {
			m, err = nil, runtime.Errorf(runtime.ErrCompile, "emu: internal error while reading PTX: %v", r)
		}
	}()
	src, err := parse(ptx)
	if err != nil {
		return nil, err
	}
	if err := d.runs(src.target); err != nil {
		return nil, err
	}
	loaded, err := d.load(src)
	if err != nil {
		return nil, err // and no module: a nil *module would pass for one
	}
	return loaded, nil
}

// runs says whether the device executes code for a target.
func (d *Device) runs(t target.Target) error {
	if have := d.opts.Capability; !t.RunsOn(have[0], have[1]) {
		return runtime.Errorf(runtime.ErrArchitecture, "emu: code for %v does not run on a device of compute capability %d.%d", t, have[0], have[1])
	}
	return nil
}

func (d *Device) load(src *source) (*module, error) {
	m := &module{dev: d, kernels: map[string]*program{}}
	globals := map[string]uint64{}
	for _, v := range src.vars {
		if v.space == "shared" {
			continue
		}
		a, err := d.mem.alloc(v.size)
		if err != nil {
			return nil, err
		}
		m.vars = append(m.vars, a.base)
		image := make([]byte, v.size) // variables without a value are zero (PTX ISA 9.0 §5.4.4)
		copy(image, v.init)
		if err := d.mem.write(a.base, image); err != nil {
			return nil, err
		}
		a.readOnly = v.space == "const"
		globals[v.name] = a.base
	}
	for _, k := range src.kernels {
		p, err := decodeKernel(src, k, globals)
		if err != nil {
			_ = m.Unload()
			return nil, err
		}
		m.kernels[k.name] = p
	}
	return m, nil
}

// module is loaded PTX.
type module struct {
	dev     *Device
	kernels map[string]*program
	vars    []uint64

	mu       sync.RWMutex // read-held while a launch is queued, so that Unload waits
	unloaded bool
}

// maxShared is the shared memory that a block may have on a device.
func (d *Device) maxShared() int64 {
	switch d.opts.Capability {
	case [2]int{8, 0}, [2]int{8, 7}:
		return 163 << 10
	case [2]int{8, 6}, [2]int{8, 9}, [2]int{12, 0}:
		return 99 << 10
	}
	return 227 << 10
}

func (m *module) Function(entry string, sharedBytes int) (runtime.Function, error) {
	if err := m.dev.open(); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.unloaded {
		return nil, runtime.Errorf(runtime.ErrClosed, "emu: kernel %s of a module after Unload", entry)
	}
	p := m.kernels[entry]
	if p == nil {
		names := strings.Join(slices.Sorted(maps.Keys(m.kernels)), ", ")
		return nil, runtime.Errorf(runtime.ErrKernel, "emu: the module has no kernel %q, it has %s", entry, names)
	}
	if total := p.dynAt + int64(sharedBytes); sharedBytes < 0 || total > m.dev.maxShared() {
		return nil, runtime.Errorf(runtime.ErrArchitecture, "emu: kernel %s with %d bytes of shared memory, a block has at most %d", entry, total, m.dev.maxShared())
	}
	return &function{m, p, int64(sharedBytes)}, nil
}

// Unload gives the module's variables back. A second call does nothing.
func (m *module) Unload() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.unloaded {
		return nil
	}
	m.unloaded = true
	if err := m.dev.settled(); err != nil {
		return err
	}
	var errs []error
	for _, base := range m.vars {
		errs = append(errs, m.dev.mem.release(base))
	}
	return errors.Join(errs...)
}

type function struct {
	m   *module
	p   *program
	dyn int64
}

// Launch queues the kernel on a stream of this device. On the default stream (nil)
// it runs at once, and Launch returns its fault.
func (f *function) Launch(s runtime.Stream, grid, block [3]int, params []byte) error {
	dev := f.m.dev
	if err := dev.open(); err != nil {
		return err
	}
	f.m.mu.RLock()
	defer f.m.mu.RUnlock()
	if f.m.unloaded {
		return runtime.Errorf(runtime.ErrClosed, "emu: launch of %s of a module after Unload", f.p.name)
	}
	l, err := f.prepare(grid, block, params)
	if err != nil {
		return err
	}
	if s == nil {
		dev.waitAll()
		return dev.run(l)
	}
	stream, ok := s.(*Stream)
	if !ok || stream == nil || stream.dev != dev {
		return badArgs("the stream belongs to another device")
	}
	return stream.queue(func() error { return dev.run(l) })
}

// prepare checks a launch as the driver would.
func (f *function) prepare(grid, block [3]int, params []byte) (*launch, error) {
	k := f.p.source
	bad := func(format string, args ...any) (*launch, error) {
		return nil, badArgs("kernel %s: %s", f.p.name, fmt.Sprintf(format, args...))
	}
	blocks, threads := int64(1), 1
	for i, limit := range [3]int{1<<31 - 1, 65535, 65535} {
		if grid[i] < 1 || grid[i] > limit {
			return bad("grid %v, axis %d must be 1 to %d", grid, i, limit)
		}
		if blocks *= int64(grid[i]); blocks > 1<<31 {
			return bad("grid %v has too many blocks to execute", grid)
		}
	}
	for i, limit := range [3]int{1024, 1024, 64} {
		if block[i] < 1 || block[i] > limit {
			return bad("block %v, axis %d must be 1 to %d", block, i, limit)
		}
		threads *= block[i]
	}
	most := k.maxntid[0] * k.maxntid[1] * k.maxntid[2]
	switch {
	case threads > 1024:
		return bad("block %v has %d threads, at most 1024", block, threads)
	case k.reqntid != [3]int{} && block != k.reqntid:
		return bad("block %v, .reqntid demands %v", block, k.reqntid)
	case k.maxntid != [3]int{} && threads > most:
		return bad("block %v has %d threads, .maxntid allows %d", block, threads, most)
	case int64(len(params)) != k.paramBytes:
		return bad("%d bytes of parameters, the kernel has %d", len(params), k.paramBytes)
	}
	return &launch{
		dev: f.m.dev, p: f.p, id: f.m.dev.nextID.Add(1), grid: grid, block: block,
		params: append([]byte(nil), params...), dyn: f.dyn, budget: f.m.dev.opts.Budget,
	}, nil
}
