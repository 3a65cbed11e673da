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
	mem       *runtime.Problem
	filler    *filler
	flush     runtime.Ptr    // 0 where there is no cache to flush
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
	p.mem, err = runtime.NewProblem(p.dev, launch.Forward, p.shape, runtime.Args{Batch: p.Batch, QLen: p.Seq, KLen: p.Seq}, runtime.HeadsFirst)
	if err != nil {
		return fmt.Errorf("%d tokens in batch %d: %w", p.Seq, p.Batch, err)
	}
	if err := errors.Join(p.mem.Put(launch.Q, p.Q.Data), p.mem.Put(launch.K, p.K.Data), p.mem.Put(launch.V, p.V.Data)); err != nil {
		return err
	}
	if p.dev.Kind() != "cuda" {
		return nil
	}
	if p.filler, err = newFiller(p.dev); err != nil {
		return err
	}
	p.flush, err = p.dev.Alloc(flushBytes)
	return err
}

// Close gives the device's memory back.
func (p *Problem) Close() error {
	errs := []error{p.mem.Free()}
	if p.flush != 0 {
		errs = append(errs, p.dev.Free(p.flush))
		p.flush = 0
	}
	if p.filler != nil {
		errs = append(errs, p.filler.close())
		p.filler = nil
	}
	return errors.Join(errs...)
}
