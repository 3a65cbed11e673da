package main

import (
	"errors"
	"time"

	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/internal/tensor"
	"github.com/s2attention/s2c/launch"
	"github.com/s2attention/s2c/runtime"
)

// runOnce runs a loaded kernel on inputs and brings its outputs back. Both outputs
// are full of NaNs before, so that what the kernel leaves out shows.
func runOnce(dev runtime.Device, a *runtime.Attention, in *attentionInputs, o *outcome) (out, lse *tensor.Tensor, err error) {
	k := a.Plan()
	if out, err = tensor.New(k.DType, in.batch, k.Heads, in.qLen, k.HeadDim); err != nil {
		return nil, nil, err
	}
	if lse, err = tensor.New(dtype.F32, in.batch, k.Heads, in.qLen); err != nil {
		return nil, nil, err
	}
	out.Poison()
	lse.Poison()
	mem := &memory{dev: dev}
	defer func() { err = errors.Join(err, mem.free()) }()
	args := runtime.Args{Batch: in.batch, QLen: in.qLen, KLen: in.kLen, Scale: o.Scale}
	args.Tensors = runtime.Tensors{
		launch.Q:   runtime.BHSD(mem.put(in.q), k.Heads, in.qLen, k.HeadDim),
		launch.K:   runtime.BHSD(mem.put(in.k), k.KVHeads, in.kLen, k.HeadDim),
		launch.V:   runtime.BHSD(mem.put(in.v), k.KVHeads, in.kLen, k.HeadDim),
		launch.O:   runtime.BHSD(mem.put(out), k.Heads, in.qLen, k.HeadDim),
		launch.LSE: {Ptr: mem.put(lse)},
	}
	if mem.err != nil {
		return nil, nil, mem.err
	}
	if err := markOutputs(dev, args, out, lse); err != nil {
		return nil, nil, err
	}
	if err := execTimed(dev, a, args, o); err != nil {
		return nil, nil, err
	}
	if err := outputsWritten(dev); err != nil {
		return nil, nil, err
	}
	mem.get(out, args.Tensors[launch.O].Ptr)
	mem.get(lse, args.Tensors[launch.LSE].Ptr)
	return out, lse, mem.err
}

// execTimed launches once, waits, and notes how long the device took.
func execTimed(dev runtime.Device, a *runtime.Attention, args runtime.Args, o *outcome) error {
	stream, err := dev.NewStream()
	if err != nil {
		return err
	}
	defer stream.Close()
	before, err := stream.Record()
	if err != nil {
		return err
	}
	defer before.Close()
	start := time.Now()
	if err := a.Launch(stream, args); err != nil {
		return err
	}
	after, err := stream.Record()
	if err != nil {
		return errors.Join(stream.Wait(), err)
	}
	defer after.Close()
	if err := stream.Wait(); err != nil {
		return err
	}
	o.KernelMS = milliseconds(start)
	if ms, err := after.Since(before); err == nil && dev.Kind() == "cuda" {
		o.KernelMS = ms
	}
	return nil
}

// outputChecker is a device that knows which bytes were written.
type outputChecker interface {
	MarkOutput(p runtime.Ptr, bytes int64) error
	CheckOutputs() error
}

// markOutputs tells a device that can check it what the kernel has to write.
func markOutputs(dev runtime.Device, args runtime.Args, out, lse *tensor.Tensor) error {
	checker, ok := dev.(outputChecker)
	if !ok {
		return nil
	}
	if err := checker.MarkOutput(args.Tensors[launch.O].Ptr, int64(len(out.Data))); err != nil {
		return err
	}
	return checker.MarkOutput(args.Tensors[launch.LSE].Ptr, int64(len(lse.Data)))
}

// outputsWritten asks it afterwards.
func outputsWritten(dev runtime.Device) error {
	if checker, ok := dev.(outputChecker); ok {
		return checker.CheckOutputs()
	}
	return nil
}

// memory keeps track of allocations on a device and of the first error.
type memory struct {
	dev  runtime.Device
	held []runtime.Ptr
	err  error
}

// put copies a tensor to the device.
func (m *memory) put(t *tensor.Tensor) runtime.Ptr {
	if m.err != nil {
		return 0
	}
	p, err := m.dev.Alloc(int64(len(t.Data)))
	if err != nil {
		m.err = err
		return 0
	}
	m.held = append(m.held, p)
	m.err = m.dev.Upload(p, t.Data)
	return p
}

// get copies a tensor back.
func (m *memory) get(t *tensor.Tensor, p runtime.Ptr) {
	if m.err == nil {
		m.err = m.dev.Download(t.Data, p)
	}
}

// free gives everything back.
func (m *memory) free() error {
	var errs []error
	for _, p := range m.held {
		errs = append(errs, m.dev.Free(p))
	}
	return errors.Join(errs...)
}
