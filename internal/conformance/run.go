package conformance

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/internal/reference"
	"github.com/s2attention/s2c/internal/tensor"
	"github.com/s2attention/s2c/launch"
	"github.com/s2attention/s2c/runtime"
	"github.com/s2attention/s2c/runtime/emu"
)

// Problem is a case's inputs.
type Problem struct {
	Case    *Case
	Subject *Subject
	Scale   float64
	Q, K, V *tensor.Tensor
}

// Problem draws the inputs from a normal distribution.
func (c *Case) Problem(s *Subject) (*Problem, error) {
	p := &Problem{Case: c, Subject: s, Scale: c.Scale}
	if p.Scale == 0 {
		p.Scale = s.Model.Scale
	}
	d := s.Model.DType
	for n, x := range []struct {
		to         **tensor.Tensor
		heads, seq int
	}{{&p.Q, s.Model.Heads, c.qLen()}, {&p.K, s.Model.KVHeads, c.KLen}, {&p.V, s.Model.KVHeads, c.KLen}} {
		t, err := tensor.Normal(c.Seed, uint64(n), d, c.batch(), x.heads, x.seq, s.Model.HeadDim)
		if err != nil {
			return nil, err
		}
		if c.ShareKV && n > 0 {
			one := len(t.Data) / c.batch()
			for b := 1; b < c.batch(); b++ {
				copy(t.Data[b*one:], t.Data[:one])
			}
		}
		*x.to = t
	}
	return p, nil
}

// Output is what a kernel wrote.
type Output struct {
	Out, LSE *tensor.Tensor
	// Stats are an emulator's.
	Stats *emu.Stats
}

// Hash names the bytes of output and log-sum-exp.
func (o *Output) Hash() string {
	h := sha256.New()
	h.Write(o.Out.Data)
	h.Write(o.LSE.Data)
	return hex.EncodeToString(h.Sum(nil))
}

// Launch runs a plan on a device, on poisoned outputs.
func (p *Problem) Launch(dev runtime.Device, plan *launch.Plan) (out *Output, err error) {
	a, err := runtime.Load(dev, plan)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, a.Unload()) }()
	l, err := p.Prepare(dev)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.Free()) }()
	if err := a.Launch(nil, l.Args); err != nil {
		return nil, err
	}
	return l.Output()
}

// Launchable is a problem in a device's memory.
type Launchable struct {
	Args runtime.Args

	dev    runtime.Device
	placed []*placed // q, k, v, o
	lse    *tensor.Tensor
	noLSE  bool
	lsePtr runtime.Ptr
}

// Prepare copies a problem to the device.
func (p *Problem) Prepare(dev runtime.Device) (l *Launchable, err error) {
	c := p.Case
	l = &Launchable{dev: dev, noLSE: c.NoLSE}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Free())
		}
	}()
	out, err := tensor.New(p.Q.DType, p.Q.Shape...)
	if err != nil {
		return l, err
	}
	if l.lse, err = tensor.New(dtype.F32, p.Q.Shape[:3]...); err != nil {
		return l, err
	}
	out.Poison()
	l.lse.Poison()
	for n, t := range []*tensor.Tensor{p.Q, p.K, p.V, out} {
		x, err := place(dev, t, c.Place, c.ShareKV && (n == 1 || n == 2), n == 3)
		if err != nil {
			return l, err
		}
		l.placed = append(l.placed, x)
	}
	l.Args = runtime.Args{
		Batch: c.batch(), QLen: c.qLen(), KLen: c.KLen, Scale: c.Scale,
		Tensors: runtime.Tensors{
			launch.Q: l.placed[0].runtimeTensor(), launch.K: l.placed[1].runtimeTensor(),
			launch.V: l.placed[2].runtimeTensor(), launch.O: l.placed[3].runtimeTensor(),
		},
	}
	if err := l.placed[3].mark(); err != nil {
		return l, err
	}
	if c.NoLSE {
		return l, nil
	}
	return l, l.prepareLSE()
}

func (l *Launchable) prepareLSE() error {
	var err error
	if l.lsePtr, err = l.dev.Alloc(int64(len(l.lse.Data))); err != nil {
		return err
	}
	l.Args.Tensors[launch.LSE].Ptr = l.lsePtr
	if err := l.dev.Upload(l.lsePtr, l.lse.Data); err != nil {
		return err
	}
	if checker, ok := l.dev.(outputChecker); ok {
		return checker.MarkOutput(l.lsePtr, int64(len(l.lse.Data)))
	}
	return nil
}

// Output waits for the launch and brings the outputs back.
func (l *Launchable) Output() (*Output, error) {
	o := &Output{Out: l.placed[3].Tensor, LSE: l.lse}
	if d, ok := l.dev.(*emu.Device); ok {
		stats := d.LastLaunch()
		o.Stats = &stats
	}
	if checker, ok := l.dev.(outputChecker); ok {
		if err := checker.CheckOutputs(); err != nil {
			return nil, err
		}
	}
	if err := l.placed[3].download(); err != nil {
		return nil, err
	}
	if l.lsePtr == 0 {
		return o, nil
	}
	return o, l.dev.Download(l.lse.Data, l.lsePtr)
}

// Free gives the device's memory back.
func (l *Launchable) Free() error {
	var errs []error
	for _, x := range l.placed {
		errs = append(errs, l.dev.Free(x.base))
	}
	if l.lsePtr != 0 {
		errs = append(errs, l.dev.Free(l.lsePtr))
	}
	l.placed, l.lsePtr = nil, 0
	return errors.Join(errs...)
}

// Compare measures how far an output is from the reference.
func (p *Problem) Compare(ctx context.Context, o *Output) (reference.Errors, error) {
	c, q, out, lse := p.Case, p.Q, o.Out, o.LSE
	if c.LastRows > 0 {
		q, out, lse = lastRows(q, c.LastRows), lastRows(out, c.LastRows), lastRows(lse, c.LastRows)
	}
	ref, err := reference.Attention(ctx, reference.Problem{
		Model: p.Subject.Model, Attends: p.Subject.Attends, Scale: p.Scale, Heads: c.Heads, Q: q, K: p.K, V: p.V,
	})
	if err != nil {
		return reference.Errors{}, err
	}
	if c.NoLSE { // there is nothing to compare
		for n, row := 0, 0; n < ref.Batch; n++ {
			for _, h := range ref.Heads {
				for r := range ref.QLen {
					lse.Set((n*p.Subject.Model.Heads+h)*ref.QLen+r, float32(ref.LSE[row]))
					row++
				}
			}
		}
	}
	return reference.Compare(out, lse, ref, p.Subject.Model.Heads)
}

// lastRows copies the last n rows of the sequence axis, the third.
func lastRows(t *tensor.Tensor, n int) *tensor.Tensor {
	shape := append([]int(nil), t.Shape...)
	seq := shape[2]
	n = min(n, seq)
	shape[2] = n
	r := &tensor.Tensor{DType: t.DType, Shape: shape}
	row := len(t.Data) / (shape[0] * shape[1] * seq)
	for at := range shape[0] * shape[1] {
		r.Data = append(r.Data, t.Data[(at*seq+seq-n)*row:(at+1)*seq*row]...)
	}
	return r
}

// Check runs a case on a device and reports what is wrong with the result.
func (c *Case) Check(ctx context.Context, dev runtime.Device, s *Subject, compiled *compiler.Compiled) (*Output, reference.Errors, error) {
	var none reference.Errors
	p, err := c.Problem(s)
	if err != nil {
		return nil, none, err
	}
	o, err := p.Launch(dev, compiled.Plan)
	if err != nil {
		return nil, none, err
	}
	e, err := p.Compare(ctx, o)
	if err != nil {
		return o, e, err
	}
	if t := reference.ToleranceOf(s.Model.DType); !e.Within(t) {
		return o, e, fmt.Errorf("output off by %.3g of %.3g, worst row (%s) by %.3g of %.3g, log-sum-exp (%s) by %.3g of %.3g",
			e.OutRel, t.OutRel, e.WorstRow, e.OutRow, t.OutRow, e.WorstLSE, e.LSE, t.LSE)
	}
	return o, e, nil
}
