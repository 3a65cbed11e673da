package runtime

import (
	"bytes"
	"errors"
	"math"

	"github.com/s2attention/s2c/launch"
)

// Order is how the rows of a problem's tensors follow each other.
type Order uint8

const (
	HeadsFirst Order = iota // [batch, heads, seq, dim]
	RowsFirst               // [batch, seq, heads, dim], as a transformer's projections leave it
)

// Problem is the tensors of one operation, contiguous in the memory of a device:
// they are allocated, filled, poisoned, computed and read back here, and nowhere
// else. It is for one goroutine at a time.
type Problem struct {
	// Args are what a launch takes: lengths as they were given, addresses as they
	// were allocated. The scale may be set, and an optional output given up.
	Args Args

	dev     Device
	writes  []launch.Role
	sizes   [launch.Roles]int64 // bytes
	scratch int64               // bytes at Args.Workspace
	held    []Ptr
	marked  bool // the device still looks for what was not written
}

// NewProblem allocates every tensor of an operation on a model of some shape, for
// the lengths of args. Lengths that no launch can have, and an operation that is
// unknown, are an ErrArgs. Tensors that together take more than a [MemoryTeller] has
// free are an ErrOutOfMemory, and nothing is allocated; what another device says of its
// memory is the same as from Device.Alloc. Free gives the memory back.
func NewProblem(dev Device, op launch.Op, shape launch.Shape, args Args, order Order) (*Problem, error) {
	if dev == nil {
		return nil, Errorf(ErrArgs, "a problem of %s needs a device", op)
	}
	c, err := problemCall(op, shape, args)
	if err != nil {
		return nil, err
	}
	p := &Problem{Args: args, dev: dev, writes: launch.Operations[op].Writes}
	if err := p.fits(c); err != nil {
		return nil, err
	}
	for _, o := range operandsOf(&c.a.plan) {
		if err := p.place(&o, c, order); err != nil {
			return nil, errors.Join(err, p.Free())
		}
	}
	return p, nil
}

// problemCall is a launch that has lengths and nothing else.
func problemCall(op launch.Op, shape launch.Shape, args Args) (*call, error) {
	if _, ok := launch.Operations[op]; !ok {
		return nil, Errorf(ErrArgs, "a problem of %q, which is no known operation", op)
	}
	c := &call{a: &Attention{plan: launch.Plan{Op: op, Shape: shape}}, Args: args}
	if reason := c.lengths(); reason != "" {
		return nil, Errorf(ErrArgs, "a problem of %s: %s", op, reason)
	}
	return c, nil
}

// TensorBytes is what each tensor takes that [NewProblem] would allocate, by role; the
// sum of all fits 64 bits. Lengths and operations that it refuses are an ErrArgs.
func TensorBytes(op launch.Op, shape launch.Shape, args Args) (sizes [launch.Roles]int64, err error) {
	c, err := problemCall(op, shape, args)
	if err != nil {
		return sizes, err
	}
	sum := int64(0)
	for _, o := range operandsOf(&c.a.plan) {
		size := o.bytes
		for i := range o.Axes {
			n := o.counts[i](c)
			if n > 0 && size > (math.MaxInt64-sum)/n {
				return sizes, Errorf(ErrArgs, "a problem of %s of batch %d takes more than 2⁶³ bytes", op, c.Batch)
			}
			size *= n
		}
		sizes[o.role] = size
		sum += size
	}
	return sizes, nil
}

// fits finds the sizes of the tensors, and asks the device whether it has room.
func (p *Problem) fits(c *call) (err error) {
	if p.sizes, err = TensorBytes(c.a.plan.Op, c.a.plan.Shape, c.Args); err != nil {
		return err
	}
	teller, ok := p.dev.(MemoryTeller)
	if !ok {
		return nil
	}
	free, total, err := teller.MemInfo()
	if err != nil {
		return err
	}
	sum := int64(0)
	for _, size := range p.sizes {
		sum += size
	}
	if sum > free {
		return Errorf(ErrOutOfMemory, "the tensors take %d bytes; %s has %d free of %d", sum, p.dev.Describe(), free, total)
	}
	return nil
}

// place allocates one tensor.
func (p *Problem) place(o *operand, c *call, order Order) error {
	length := map[launch.Axis]int{}
	for i, e := range o.Axes {
		length[e.Axis] = int(o.counts[i](c))
	}
	at, err := p.alloc(p.sizes[o.role])
	if err != nil {
		return err
	}
	heads, seq, dim := length[launch.AxisHead], length[launch.AxisSeq], length[launch.AxisDim]
	t := &p.Args.Tensors[o.role]
	switch {
	case o.Packed:
		*t = Tensor{Ptr: at}
	case order == RowsFirst:
		*t = BSHD(at, seq, heads, dim)
	default:
		*t = BHSD(at, heads, seq, dim)
	}
	return nil
}

func (p *Problem) alloc(size int64) (Ptr, error) {
	at, err := p.dev.Alloc(size)
	if err == nil {
		p.held = append(p.held, at)
	}
	return at, err
}

// Bytes is the size of a tensor, 0 of one that the operation does not have.
func (p *Problem) Bytes(role launch.Role) int64 {
	if p == nil || role >= launch.Roles {
		return 0
	}
	return p.sizes[role]
}

// Put fills a tensor, in the problem's order; other than all of it is an ErrArgs.
func (p *Problem) Put(role launch.Role, data []byte) error {
	if err := p.whole(role, len(data)); err != nil {
		return err
	}
	return p.dev.Upload(p.Args.Tensors[role].Ptr, data)
}

// Get reads a tensor, in the problem's order, after all work queued so far; other
// than all of it is an ErrArgs.
func (p *Problem) Get(role launch.Role, data []byte) error {
	if err := p.whole(role, len(data)); err != nil {
		return err
	}
	return p.dev.Download(data, p.Args.Tensors[role].Ptr)
}

func (p *Problem) whole(role launch.Role, n int) error {
	if err := p.open(); err != nil {
		return err
	}
	switch {
	case p.Bytes(role) == 0:
		return Errorf(ErrArgs, "the problem has no tensor %d", role)
	case int64(n) != p.sizes[role]:
		return Errorf(ErrArgs, "%s: %d bytes for a tensor of %d", launch.Tensors[role].Name, n, p.sizes[role])
	}
	return nil
}

func (p *Problem) open() error {
	if p == nil || len(p.held) == 0 {
		return Errorf(ErrClosed, "use of a problem after Free, or of none")
	}
	return nil
}

// poisoned is one piece of an output that was not written: NaNs in every type.
var poisoned = bytes.Repeat([]byte{0xff}, 1<<20)

// Poison makes every element of the outputs a NaN, so that what a kernel leaves out
// shows. An [OutputChecker] watches them from now on.
func (p *Problem) Poison() error {
	if err := p.open(); err != nil {
		return err
	}
	checker, _ := p.dev.(OutputChecker)
	for _, role := range p.writes {
		at, size := p.Args.Tensors[role].Ptr, p.sizes[role]
		if at == 0 {
			continue // given up
		}
		if checker != nil {
			p.marked = true
			if err := checker.MarkOutput(at, size); err != nil {
				return err
			}
			continue
		}
		for off := int64(0); off < size; off += int64(len(poisoned)) {
			piece := poisoned[:min(size-off, int64(len(poisoned)))]
			if err := p.dev.Upload(at+Ptr(off), piece); err != nil {
				return err
			}
		}
	}
	return nil
}

// Launch queues a plan with the problem's arguments on a stream, see
// Attention.Launch, and allocates the workspace that it takes first.
func (p *Problem) Launch(a *Attention, s Stream) error {
	if err := p.open(); err != nil {
		return err
	}
	size, err := a.WorkspaceBytes(p.Args)
	if err != nil {
		return err
	}
	if size > p.scratch {
		if p.Args.Workspace, err = p.alloc(size); err != nil {
			return err
		}
		p.scratch = size
	}
	return a.Launch(s, p.Args)
}

// Check is an ErrFault where an [OutputChecker] finds that kernels left a byte of
// the poisoned outputs out.
func (p *Problem) Check() error {
	if err := p.open(); err != nil {
		return err
	}
	if !p.marked {
		return nil
	}
	p.marked = false
	return p.dev.(OutputChecker).CheckOutputs()
}

// Run computes a plan to its end: it poisons the outputs, launches on a stream of
// its own, waits, and checks.
func (p *Problem) Run(a *Attention) (err error) {
	if err := p.Poison(); err != nil {
		return err
	}
	s, err := p.dev.NewStream()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := p.Launch(a, s); err != nil {
		return err
	}
	if err := s.Wait(); err != nil {
		return err
	}
	return p.Check()
}

// Free gives the device's memory back. A second call does nothing.
func (p *Problem) Free() error {
	if p == nil {
		return nil
	}
	if p.marked {
		_ = p.Check() // to forget the marks: what was launched has failed already
	}
	var errs []error
	for _, at := range p.held {
		errs = append(errs, p.dev.Free(at))
	}
	p.held, p.scratch, p.Args.Workspace = nil, 0, 0
	return errors.Join(errs...)
}
