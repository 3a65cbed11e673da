package measure

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"

	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/internal/reference"
	"github.com/s2attention/s2c/internal/tensor"
	"github.com/s2attention/s2c/launch"
	"github.com/s2attention/s2c/runtime"
)

// Source is what the reference judges by: a layer as its file states it.
type Source struct {
	Program *dsl.Program
	Layer   int
	Scale   float64
}

// Verdict is what a check found.
type Verdict struct {
	OK        bool
	Reason    string   // why not OK
	Notes     []string // what else is to be known of it, such as rows that are not judged
	Errors    reference.Errors
	Tolerance reference.Tolerance
	// Heads and Rows of each sequence were compared with the reference; every
	// element of the output was looked at for being finite.
	Heads, Rows int
}

const (
	// wholeWork is the multiply-adds up to which the reference computes everything.
	wholeWork = 1 << 28
	// sampleHeads and sampleBlocks are what it computes beyond: the first, the
	// last and some between.
	sampleHeads, sampleBlocks = 4, 4
)

// sampled is a reference result, kept for every kernel of the problem.
type sampled struct {
	source Source
	result *reference.Result
}

// Check runs a kernel once on poisoned outputs and judges what it wrote: sampled
// heads and query blocks must agree with the float64 reference, and where the
// inputs promise it, all of the output must be finite. The output stays for
// [Problem.Repeats].
func (p *Problem) Check(ctx context.Context, a *runtime.Attention, src Source) (*Verdict, error) {
	p.mem.Args.Scale = src.Scale
	if err := p.mem.Run(a); err != nil {
		return nil, err
	}
	if err := p.download(); err != nil {
		return nil, err
	}
	ref, err := p.expected(ctx, src)
	if err != nil {
		return nil, err
	}
	v := &Verdict{Tolerance: reference.ToleranceOf(src.Program.Model.DType), Heads: len(ref.Heads), Rows: p.Seq}
	if ref.Rows != nil {
		v.Rows = len(ref.Rows)
	}
	if v.Errors, err = reference.Compare(p.out, p.lse, ref, p.shape.Heads); err != nil {
		return nil, err
	}
	v.Reason, v.Notes = v.Errors.Reason(v.Tolerance), v.Errors.Notes()
	if reason := p.notFinite(); reason != "" {
		if excuse := p.excuse(src.Scale); excuse == "" {
			v.Reason = reason
		} else if ref.Rows != nil {
			v.Notes = append(v.Notes, excuse+": only the rows compared with the reference are judged")
		}
	}
	v.OK = v.Reason == ""
	return v, nil
}

// Repeats runs the kernel that Check has seen once more and reports whether
// every bit of the output is the same. A forward kernel adds in a fixed order:
// where it does not repeat, it races.
func (p *Problem) Repeats(a *runtime.Attention) (bool, error) {
	out, lse := p.out, p.lse
	p.out, p.lse = nil, nil
	if err := p.mem.Run(a); err != nil {
		return false, err
	}
	if err := p.download(); err != nil {
		return false, err
	}
	return slices.Equal(out.Data, p.out.Data) && slices.Equal(lse.Data, p.lse.Data), nil
}

// download reads the outputs back.
func (p *Problem) download() (err error) {
	k := &p.shape
	if p.out == nil {
		if p.out, err = tensor.New(k.DType, p.Batch, k.Heads, p.Seq, k.HeadDim); err != nil {
			return err
		}
		if p.lse, err = tensor.New(dtype.F32, p.Batch, k.Heads, p.Seq); err != nil {
			return err
		}
	}
	return errors.Join(p.mem.Get(launch.O, p.out.Data), p.mem.Get(launch.LSE, p.lse.Data))
}

// expected is the reference on sampled heads and rows, computed once.
func (p *Problem) expected(ctx context.Context, src Source) (*reference.Result, error) {
	if p.reference != nil && p.reference.source == src {
		return p.reference.result, nil
	}
	heads, rows := sample(p.shape, p.Batch, p.Seq)
	r, err := reference.Attention(ctx, reference.Problem{
		Model: src.Program.Model, Attends: reference.Source(src.Program, src.Layer), Scale: src.Scale,
		Heads: heads, Rows: rows, Q: p.Q, K: p.K, V: p.V,
	})
	if err != nil {
		return nil, err
	}
	p.reference = &sampled{src, r}
	return r, nil
}

// Sampled is how many heads of each sequence, and how many rows of each, a check
// compares with the reference.
func Sampled(k launch.Shape, batch, seq int) (heads, rows int) {
	h, r := sample(k, batch, seq)
	if r == nil {
		return k.Heads, seq
	}
	return len(h), len(r)
}

// sample picks query heads and whole query blocks; nil means all of them.
func sample(k launch.Shape, batch, seq int) (heads, rows []int) {
	if float64(seq)*float64(seq)*float64(batch)*float64(k.Heads*k.HeadDim) <= wholeWork {
		return nil, nil
	}
	source := rand.New(rand.NewPCG(uint64(seq), uint64(batch)))
	for _, b := range pick(source, (seq+k.Block-1)/k.Block, sampleBlocks) {
		for row := b * k.Block; row < min((b+1)*k.Block, seq); row++ {
			rows = append(rows, row)
		}
	}
	return pick(source, k.Heads, sampleHeads), rows
}

// pick is up to count different numbers below n, ascending: the first, the last
// and random ones.
func pick(source *rand.Rand, n, count int) []int {
	list := []int{0}
	if n > 1 {
		list = append(list, n-1)
	}
	for len(list) < min(n, count) {
		if at := source.IntN(n); !slices.Contains(list, at) {
			list = append(list, at)
		}
	}
	slices.Sort(list)
	return list
}

// exponent is the exponent bits of a 16-bit type.
func exponent(d dtype.Type) uint64 {
	if d == dtype.F16 {
		return 0x7C00
	}
	return 0x7F80
}

// excuse says why outputs may be not finite; "" where the inputs promise that they
// are. What the reference computed is judged in any case.
func (p *Problem) excuse(scale float64) string {
	q, k, v := greatest(p.Q), greatest(p.K), greatest(p.V)
	if !(max(q, k, v) <= math.MaxFloat32) {
		return "the inputs hold values that are not finite"
	}
	if !reference.Promised(float64(p.shape.HeadDim)*q*k, scale) {
		return "scores may be beyond 2^126"
	}
	return ""
}

// greatest is the greatest magnitude in a tensor of 16-bit floats, a NaN being
// greater than any: magnitudes have the order of their bits.
func greatest(t *tensor.Tensor) float64 {
	const sign = 0x8000
	var most atomic.Int64
	parallel(len(t.Data), 2*chunk, func(from, end int) {
		var top uint16
		for at := from; at+2 <= end; at += 2 {
			top = max(top, binary.LittleEndian.Uint16(t.Data[at:])&^sign)
		}
		raise(&most, int64(top))
	})
	if t.DType == dtype.F16 {
		return float64(tensor.F16ToFloat32(uint16(most.Load())))
	}
	return float64(tensor.BF16ToFloat32(uint16(most.Load())))
}

// raise sets a to v where v is greater.
func raise(a *atomic.Int64, v int64) {
	for {
		old := a.Load()
		if v <= old || a.CompareAndSwap(old, v) {
			return
		}
	}
}

// notFinite names the first row whose output holds an infinity or a NaN, which
// the poison is; "" where there is none.
func (p *Problem) notFinite() string {
	mask := exponent(p.out.DType)
	lowest := mask & -mask
	// In each 16-bit lane, mask + lowest carries into the sign bit exactly when all
	// exponent bits are set.
	const lanes, signs = 0x0001_0001_0001_0001, 0x8000_8000_8000_8000
	first := atomic.Int64{}
	first.Store(math.MaxInt64)
	parallel(len(p.out.Data), 2*chunk, func(from, end int) {
		for at := from; at+8 <= end; at += 8 {
			d := p.out.Data[at : at+8 : at+8]
			word := uint64(d[0]) | uint64(d[1])<<8 | uint64(d[2])<<16 | uint64(d[3])<<24 |
				uint64(d[4])<<32 | uint64(d[5])<<40 | uint64(d[6])<<48 | uint64(d[7])<<56
			if (word&(mask*lanes)+lowest*lanes)&signs != 0 {
				lower(&first, int64(at))
				return
			}
		}
	})
	if at := first.Load(); at != math.MaxInt64 {
		return "the output is not finite at " + p.row(int(at)/2/p.shape.HeadDim) + ": not written, or wrong"
	}
	for n := range p.lse.Len() {
		bits := uint32(p.lse.Data[4*n]) | uint32(p.lse.Data[4*n+1])<<8 | uint32(p.lse.Data[4*n+2])<<16 | uint32(p.lse.Data[4*n+3])<<24
		if f := math.Float32frombits(bits); f != f {
			return "the log-sum-exp is no number at " + p.row(n) + ": not written, or wrong"
		}
	}
	return ""
}

// lower sets a to v where v is less.
func lower(a *atomic.Int64, v int64) {
	for {
		old := a.Load()
		if v >= old || a.CompareAndSwap(old, v) {
			return
		}
	}
}

// row names a row of the output by its number.
func (p *Problem) row(n int) string {
	return reference.Row{Batch: n / p.Seq / p.shape.Heads, Head: n / p.Seq % p.shape.Heads, Query: n % p.Seq}.String()
}
