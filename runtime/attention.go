package runtime

import (
	"cmp"
	"sync"

	"github.com/s2attention/s2c/launch"
)

// Attention is a plan loaded on a device, ready to launch from any number of
// goroutines.
type Attention struct {
	dev      Device
	plan     launch.Plan
	module   Module
	table    Ptr
	operands []operand // what a launch must give
	steps    []step    // parallel to plan.Kernels
	maps     mapCache
	calls    sync.Pool // of *call

	mu       sync.RWMutex // held for reading while a launch uses module and table
	unloaded bool
}

// step is one kernel of the plan, ready to be launched.
type step struct {
	kernel *launch.Kernel
	fn     Function
	fields []field
	size   int // bytes of the parameter block
}

// Load compiles the plan's kernels on the device and uploads its table. It fails
// with an ErrArchitecture where the plan's target is not the device's, and with
// what Device.LoadModule and Device.Alloc say.
func Load(dev Device, p *launch.Plan) (*Attention, error) {
	if dev == nil || p == nil {
		return nil, Errorf(ErrKernel, "Load needs a device and a plan, not nil")
	}
	if err := CheckPlan(p); err != nil {
		return nil, err
	}
	if major, minor := dev.ComputeCapability(); !p.Target.RunsOn(major, minor) {
		return nil, Errorf(ErrArchitecture, "a kernel for %v %s, but %s has %d.%d; compile for another target with --arch",
			p.Target, p.Target.Needs(), dev.Describe(), major, minor)
	}
	a := &Attention{dev: dev, plan: *p}
	a.bind()
	if err := a.load(); err != nil {
		a.Unload() // the first error says why
		return nil, err
	}
	return a, nil
}

func (a *Attention) load() (err error) {
	p := &a.plan
	if a.module, err = a.dev.LoadModule(p.PTX); err != nil {
		return err
	}
	for i := range a.steps {
		s := &a.steps[i]
		if s.fn, err = a.module.Function(s.kernel.Entry, s.kernel.SharedBytes); err != nil {
			return err
		}
	}
	if len(p.Table) == 0 {
		return nil
	}
	if a.table, err = a.dev.Alloc(int64(len(p.Table))); err != nil {
		return err
	}
	return a.dev.Upload(a.table, p.Table)
}

// bind finds where each value comes from and goes; a checked plan has all.
func (a *Attention) bind() {
	a.operands = operandsOf(&a.plan)
	for i := range a.plan.Kernels {
		s := step{kernel: &a.plan.Kernels[i]}
		for n := range s.kernel.Params {
			p := &s.kernel.Params[n]
			f, _ := bind(&a.plan, p)
			s.fields = append(s.fields, f)
			s.size = p.Offset + launch.Types[p.Type].Bytes
		}
		a.steps = append(a.steps, s)
	}
	a.calls.New = a.newCall
}

// Plan is the plan that was loaded; not to be changed.
func (a *Attention) Plan() *launch.Plan { return &a.plan }

// JITLog is what the device's compiler said while it loaded the kernels, in the
// form of `ptxas -v`; empty where the device keeps none.
func (a *Attention) JITLog() string {
	if l, ok := a.module.(Logger); ok {
		return l.JITLog()
	}
	return ""
}

// Launch checks the arguments and queues the plan's kernels on a stream, one
// after the other; nil is the default stream. What the kernels cannot serve is
// an ErrArgs, and nothing is queued. Launch neither waits nor allocates, save
// for tensor maps that it sees for the first time.
func (a *Attention) Launch(s Stream, args Args) error {
	c, err := a.begin(args)
	if err != nil {
		return err
	}
	defer c.end()
	if err := c.prepare(); err != nil {
		return err
	}
	for i := range a.steps {
		k := &a.steps[i]
		if err := k.fn.Launch(s, [3]int{c.grids[i], 1, 1}, [3]int{k.kernel.BlockThreads, 1, 1}, c.blocks[i]); err != nil {
			return err
		}
	}
	return nil
}

// WorkspaceBytes is what Args.Workspace must hold for a launch with these
// lengths; 0: it needs none.
func (a *Attention) WorkspaceBytes(args Args) (int64, error) {
	c, err := a.begin(args)
	if err != nil {
		return 0, err
	}
	defer c.end()
	if reason := c.lengths(); reason != "" {
		return 0, c.bad(reason)
	}
	return c.layWorkspaces()
}

// begin is a call that keeps the plan loaded until its end.
func (a *Attention) begin(args Args) (*call, error) {
	if a == nil || a.dev == nil {
		return nil, Errorf(ErrClosed, "launch of a plan that was not loaded")
	}
	a.mu.RLock()
	if a.unloaded {
		a.mu.RUnlock()
		return nil, Errorf(ErrClosed, "launch of %s after Unload", a.plan.Name())
	}
	c := a.calls.Get().(*call)
	if c.Args != args {
		c.Args, c.prepared = args, false
	}
	return c, nil
}

func (c *call) end() {
	defer c.a.mu.RUnlock()
	c.a.calls.Put(c)
}

// Unload frees the module and the table. Streams with launches of it must have
// been waited for. A second call does nothing.
func (a *Attention) Unload() error {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.unloaded {
		return nil
	}
	a.unloaded = true
	var err error
	if a.module != nil {
		err = a.module.Unload()
	}
	if a.table != 0 {
		err = cmp.Or(err, a.dev.Free(a.table))
	}
	return err
}

func (a *Attention) isUnloaded() bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.unloaded
}
