package conformance

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/internal/measure"
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

// Problem draws the inputs from a normal distribution; what no query attends is NaN.
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
		t, err := c.draw()(c.Seed, uint64(n), d, c.batch(), x.heads, x.seq, s.Model.HeadDim)
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
	p.poison()
	return p, nil
}

// draw is the generator of the inputs. Huge ones come from the one that fills a
// gigabyte in a second.
func (c *Case) draw() func(seed, stream uint64, d dtype.Type, shape ...int) (*tensor.Tensor, error) {
	if c.Huge {
		return measure.Normal
	}
	return tensor.Normal
}

// Output is what a kernel wrote.
type Output struct {
	Out, LSE *tensor.Tensor
	Millis   float64 // from the launch to its end, by the device's clock
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
	return p.LaunchLoaded(dev, a)
}

// LaunchLoaded runs a kernel that the device has loaded, on poisoned outputs.
func (p *Problem) LaunchLoaded(dev runtime.Device, a *runtime.Attention) (out *Output, err error) {
	l, err := p.Prepare(dev)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.Free()) }()
	ms, err := l.launch(a)
	if err != nil {
		return nil, err
	}
	if out, err = l.Output(); err != nil {
		return nil, err
	}
	out.Millis = ms
	return out, nil
}

// Launchable is a problem in a device's memory.
type Launchable struct {
	Args runtime.Args

	dev    runtime.Device
	placed []*placed // q, k, v, o
	lse    *tensor.Tensor
	noLSE  bool
	lsePtr runtime.Ptr
	marked bool // the device still knows which bytes the kernel has to write
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
	l.marked = true
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
	if checker, ok := l.dev.(runtime.OutputChecker); ok {
		return checker.MarkOutput(l.lsePtr, int64(len(l.lse.Data)))
	}
	return nil
}

// launch runs a kernel to its end and says how many milliseconds it took.
func (l *Launchable) launch(a *runtime.Attention) (ms float64, err error) {
	s, err := l.dev.NewStream()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	from, err := s.Record()
	if err != nil {
		return 0, err
	}
	defer from.Close()
	if err := a.Launch(s, l.Args); err != nil {
		return 0, err
	}
	to, err := s.Record()
	if err != nil {
		return 0, err
	}
	defer to.Close()
	if err := s.Wait(); err != nil {
		return 0, err
	}
	return to.Since(from)
}

// Output waits for the launch and brings the outputs back.
func (l *Launchable) Output() (*Output, error) {
	o := &Output{Out: l.placed[3].Tensor, LSE: l.lse}
	if d, ok := l.dev.(*emu.Device); ok {
		stats := d.LastLaunch()
		o.Stats = &stats
	}
	if checker, ok := l.dev.(runtime.OutputChecker); ok {
		l.marked = false
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
	if checker, ok := l.dev.(runtime.OutputChecker); ok && l.marked {
		_ = checker.CheckOutputs() // to forget the marks; the launch has failed already
	}
	var errs []error
	for _, x := range l.placed {
		errs = append(errs, l.dev.Free(x.base))
	}
	if l.lsePtr != 0 {
		errs = append(errs, l.dev.Free(l.lsePtr))
	}
	l.placed, l.lsePtr, l.marked = nil, 0, false
	return errors.Join(errs...)
}

// Expect computes what the case compares, in float64. It does not depend on the
// target.
func (p *Problem) Expect(ctx context.Context) (*reference.Result, error) {
	return reference.Attention(ctx, reference.Problem{
		Model: p.Subject.Model, Attends: p.Subject.Attends, Scale: p.Scale, Heads: p.Case.Heads,
		Q: p.Case.compared(p.Q), K: p.K, V: p.V,
	})
}

// Compare measures how far an output is from what is expected, and reports what
// exceeds the tolerance.
func (p *Problem) Compare(o *Output, want *reference.Result) (reference.Errors, error) {
	model := p.Subject.Model
	lse := p.Case.compared(o.LSE)
	if p.Case.NoLSE { // there is nothing to compare
		lse = sums(want, model.Heads)
	}
	e, err := reference.Compare(p.Case.compared(o.Out), lse, want, model.Heads)
	if err != nil {
		return e, err
	}
	if t := reference.ToleranceOf(model.DType); !e.Within(t) {
		return e, fmt.Errorf("output off by %.3g of %.3g, worst row (%s) by %.3g of %.3g, log-sum-exp (%s) by %.3g of %.3g",
			e.OutRel, t.OutRel, e.WorstRow, e.OutRow, t.OutRow, e.WorstLSE, e.LSE, t.LSE)
	}
	return e, nil
}

// sums is the reference's log-sum-exp as a kernel would have written it.
func sums(r *reference.Result, heads int) *tensor.Tensor {
	t := &tensor.Tensor{DType: dtype.F32, Shape: []int{r.Batch, heads, r.QLen}, Data: make([]byte, 4*r.Batch*heads*r.QLen)}
	for n, row := 0, 0; n < r.Batch; n++ {
		for _, h := range r.Heads {
			for q := range r.QLen {
				t.Set((n*heads+h)*r.QLen+q, float32(r.LSE[row]))
				row++
			}
		}
	}
	return t
}

// compared is the rows of a tensor that the case compares.
func (c *Case) compared(t *tensor.Tensor) *tensor.Tensor {
	if c.LastRows == 0 {
		return t
	}
	return lastRows(t, c.LastRows)
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
	p, err := c.Problem(s)
	if err != nil {
		return nil, reference.Errors{}, err
	}
	o, err := p.Launch(dev, compiled.Plan)
	if err != nil {
		return nil, reference.Errors{}, err
	}
	if n := o.Redone(compiled.Plan.PTX); n > 0 {
		return o, reference.Errors{}, fmt.Errorf("the main path leaves %d rows that are computed again", n)
	}
	want, err := p.Expect(ctx)
	if err != nil {
		return o, reference.Errors{}, err
	}
	e, err := p.Compare(o, want)
	return o, e, err
}
