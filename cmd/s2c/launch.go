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
	args := runtime.Args{Batch: in.batch, QLen: in.qLen, KLen: in.kLen, Scale: o.Scale}
	p, err := runtime.NewProblem(dev, launch.Forward, k.Shape, args, runtime.HeadsFirst)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, p.Free()) }()
	if err := errors.Join(p.Put(launch.Q, in.q.Data), p.Put(launch.K, in.k.Data), p.Put(launch.V, in.v.Data), p.Poison()); err != nil {
		return nil, nil, err
	}
	if err := execTimed(dev, a, p, o); err != nil {
		return nil, nil, err
	}
	return out, lse, errors.Join(p.Check(), p.Get(launch.O, out.Data), p.Get(launch.LSE, lse.Data))
}

// execTimed launches once, waits, and notes how long the device took.
func execTimed(dev runtime.Device, a *runtime.Attention, p *runtime.Problem, o *outcome) error {
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
	if err := p.Launch(a, stream); err != nil {
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
