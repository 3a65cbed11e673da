package measure

import (
	"errors"
	"fmt"

	"github.com/s2attention/s2c/internal/tensor"
	"github.com/s2attention/s2c/launch"
	"github.com/s2attention/s2c/runtime"
)

// flushBytes is what is written between timed runs so that each finds the L2
// cache cold: several times the cache of any GPU so far.
const flushBytes = 256 << 20

// Problem is one attention forward pass in device memory: random inputs, and
// outputs for any kernel of the shape.
type Problem struct {
	Batch, Seq int
	Q, K, V    *tensor.Tensor // on the host

	dev       runtime.Device
	shape     launch.Shape
	args      runtime.Args
	outBytes  int64
	lseBytes  int64
	filler    *filler
	flush     runtime.Ptr // 0 where there is no cache to flush
	held      []runtime.Ptr
	out, lse  *tensor.Tensor // read back; made on first use
	reference *sampled
}

// NewProblem draws q, k and v of a model's shape, contiguous as [batch, heads,
// seq, dim], and copies them to the device. The caller closes it.
func NewProblem(dev runtime.Device, k launch.Shape, batch, seq int, seed uint64) (p *Problem, err error) {
	p = &Problem{Batch: batch, Seq: seq, dev: dev, shape: k}
	for n, x := range []struct {
		to    **tensor.Tensor
		heads int
	}{{&p.Q, k.Heads}, {&p.K, k.KVHeads}, {&p.V, k.KVHeads}} {
		if *x.to, err = Normal(seed, uint64(n), k.DType, batch, x.heads, seq, k.HeadDim); err != nil {
			return nil, err
		}
	}
	if err := p.upload(); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// upload allocates everything and copies the inputs.
func (p *Problem) upload() (err error) {
	k := &p.shape
	p.outBytes = int64(len(p.Q.Data))
	rows := int64(p.Batch) * int64(k.Heads) * int64(p.Seq)
	p.lseBytes = 4 * rows
	p.args = runtime.Args{Batch: p.Batch, QLen: p.Seq, KLen: p.Seq}
	for _, x := range []struct {
		role  launch.Role
		from  *tensor.Tensor
		heads int
	}{{launch.Q, p.Q, k.Heads}, {launch.K, p.K, k.KVHeads}, {launch.V, p.V, k.KVHeads}, {launch.O, nil, k.Heads}} {
		bytes := p.outBytes
		if x.from != nil {
			bytes = int64(len(x.from.Data))
		}
		ptr, err := p.alloc(bytes)
		if err != nil {
			return err
		}
		p.args.Tensors[x.role] = runtime.BHSD(ptr, x.heads, p.Seq, k.HeadDim)
		if x.from == nil {
			continue
		}
		if err := p.dev.Upload(ptr, x.from.Data); err != nil {
			return err
		}
	}
	if p.args.Tensors[launch.LSE].Ptr, err = p.alloc(p.lseBytes); err != nil {
		return err
	}
	if p.dev.Kind() != "cuda" {
		return nil
	}
	if p.filler, err = newFiller(p.dev); err != nil {
		return err
	}
	p.flush, err = p.alloc(flushBytes)
	return err
}

// alloc rounds up, so that the filler may write whole 16 bytes.
func (p *Problem) alloc(bytes int64) (runtime.Ptr, error) {
	ptr, err := p.dev.Alloc(roundUp(bytes))
	if err != nil {
		return 0, fmt.Errorf("%d tokens in batch %d: %w", p.Seq, p.Batch, err)
	}
	p.held = append(p.held, ptr)
	return ptr, nil
}

// at is the address of a tensor.
func (p *Problem) at(role launch.Role) runtime.Ptr { return p.args.Tensors[role].Ptr }

func roundUp(bytes int64) int64 { return (bytes + fillBytes - 1) / fillBytes * fillBytes }

// marker is a device that knows which bytes a kernel has written.
type marker interface {
	MarkOutput(p runtime.Ptr, bytes int64) error
	CheckOutputs() error
}

// poison makes every element of the outputs a NaN, so that what a kernel leaves
// out shows.
func (p *Problem) poison() error {
	if m, ok := p.dev.(marker); ok {
		return errors.Join(m.MarkOutput(p.at(launch.O), p.outBytes), m.MarkOutput(p.at(launch.LSE), p.lseBytes))
	}
	if p.filler == nil {
		out, lse := make([]byte, p.outBytes), make([]byte, p.lseBytes)
		for _, data := range [][]byte{out, lse} {
			for n := range data {
				data[n] = 0xFF
			}
		}
		return errors.Join(p.dev.Upload(p.at(launch.O), out), p.dev.Upload(p.at(launch.LSE), lse))
	}
	const nan = 0xFFFFFFFF
	return errors.Join(
		p.filler.fill(nil, p.at(launch.O), roundUp(p.outBytes), nan),
		p.filler.fill(nil, p.at(launch.LSE), roundUp(p.lseBytes), nan))
}

// once runs a kernel on poisoned outputs, waits, and asks a device that knows
// whether everything was written.
func (p *Problem) once(a *runtime.Attention) error {
	if err := p.poison(); err != nil {
		return err
	}
	stream, err := p.dev.NewStream()
	if err != nil {
		return err
	}
	defer stream.Close()
	if err := a.Launch(stream, p.args); err != nil {
		return err
	}
	if err := stream.Wait(); err != nil {
		return err
	}
	if m, ok := p.dev.(marker); ok {
		return m.CheckOutputs()
	}
	return nil
}

// Close gives the device's memory back.
func (p *Problem) Close() error {
	var errs []error
	for _, ptr := range p.held {
		errs = append(errs, p.dev.Free(ptr))
	}
	p.held = nil
	if p.filler != nil {
		errs = append(errs, p.filler.close())
		p.filler = nil
	}
	return errors.Join(errs...)
}
