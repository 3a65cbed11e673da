package kernel

import (
	"math"

	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/codegen/ptx/tile"
)

// lowest starts a row's maximum where the scale does not amplify: just below
// −2¹²⁶, the least score that the kernels promise to be right for.
const lowest = -1.4e38

var minusInf = ptx.FImm(float32(math.Inf(-1)))

// Softmax is the online softmax of the two rows that a lane has of every tile, in
// base 2 (FlashAttention-2, arXiv 2307.08691, algorithm 1).
type Softmax struct {
	b     *ptx.Builder
	Scale ptx.F32   // softmax scale · log₂ e
	Max   []ptx.F32 // running row maxima, in raw score units; a row's lanes agree
	Sum   []ptx.F32 // running sums of this lane's columns
}

// NewSoftmax reads the scale; Reset starts the rows.
func (f *Frame) NewSoftmax() *Softmax {
	b := f.B
	b.Comment("softmax in base 2: scores are scaled by scale * log2(e)")
	return &Softmax{b: b, Scale: b.MulF32(ParamF32(b, "scale"), ptx.FImm(math.Log2E)), Max: b.F32s(2), Sum: b.F32s(2)}
}

// Reset starts a new row. A learned sink would start the sums.
func (s *Softmax) Reset() {
	unset := s.unset()
	for r := range s.Max {
		s.b.MovF32To(s.Max[r], unset)
		s.b.MovF32To(s.Sum[r], ptx.FImm(0))
	}
}

// unset is the maximum of a row that has seen nothing: lowest / max(1, Scale).
// It is finite, scaled or not, and so are its differences to scores, so that
// a masked score has the weight 0 whatever the row has seen.
func (s *Softmax) unset() ptx.F32 {
	b := s.b
	shrink := b.MinFtzF32(b.RcpApproxFtzF32(s.Scale), ptx.FImm(1))
	return b.MulFtzF32(shrink, ptx.FImm(lowest))
}

// growth is how far, in powers of two, a row's maximum may rise before its sums
// are rescaled: weights then reach 2^growth, which changes no relative error.
const growth = 8

// Correction is by what earlier output must be multiplied, row by row.
type Correction struct {
	Factors []ptx.F32
	Matters *ptx.Pred // whether it is anything but 1; nil for "not known"
}

// Weigh turns scores into weights in place and updates maxima and sums. A lazy
// softmax keeps the old maxima while no row of the warp has outgrown them by
// more than 2^growth. What changes scores before they are weighed, such as a soft
// cap, belongs in front of the maxima.
func (s *Softmax) Weigh(scores tile.Acc, lazy bool) Correction {
	b := s.b
	b.Comment("online softmax")
	var most, less []ptx.F32
	for r := range scores.Lines() {
		most = append(most, b.MaxF32(s.Max[r], scores.Max(r)))
		less = append(less, b.MulFtzF32(b.SubFtzF32(s.Max[r], most[r]), s.Scale))
	}
	var c Correction
	if lazy {
		any := scores.Any(b.SetpLtF32(b.MinFtzF32(less[0], less[1]), ptx.FImm(-growth)))
		c.Matters = &any
		for r := range most {
			most[r] = b.SelpF32(most[r], s.Max[r], any)
			less[r] = b.SelpF32(less[r], ptx.FImm(0), any)
		}
	}
	for r := range most {
		c.Factors = append(c.Factors, b.Ex2ApproxFtzF32(less[r]))
		b.MovF32To(s.Max[r], most[r])
		offset := b.NegF32(b.MulFtzF32(most[r], s.Scale))
		b.MulFtzF32To(s.Sum[r], s.Sum[r], c.Factors[r])
		scores.Exp2(r, s.Scale, offset, s.Sum[r])
	}
	return c
}

// Correct applies a correction to output accumulators, where it matters.
func (s *Softmax) Correct(acc tile.Acc, c Correction) {
	if c.Matters == nil {
		acc.Scale(c.Factors)
		return
	}
	s.b.When(*c.Matters, "not_rescaled", func() { acc.Scale(c.Factors) })
}

// Finished is what becomes of a tile's rows at their end.
type Finished struct {
	Inverse []ptx.F32  // normalises the output: 0 for a row that saw nothing, NaN for one whose exponents are huge
	Empty   []ptx.Pred // the row saw nothing
}

// Finish sums the rows over their lanes.
func (s *Softmax) Finish(acc tile.Acc) Finished {
	b := s.b
	b.Comment("row sums across the four lanes of a row")
	unset := s.unset()
	var f Finished
	for r := range acc.Lines() {
		acc.Across(s.Sum[r], acc.Peers(), b.AddFtzF32To)
		empty := b.SetpEqF32(s.Sum[r], ptx.FImm(0))
		inverse := b.SelpF32(ptx.FImm(0), b.RcpApproxFtzF32(s.Sum[r]), empty)
		huge := b.AndPred(s.huge(s.Max[r]), b.SetpNeF32(s.Max[r], unset))
		f.Inverse = append(f.Inverse, b.SelpF32(ptx.FImm(float32(math.NaN())), inverse, huge))
		f.Empty = append(f.Empty, empty)
	}
	return f
}

// huge is whether a maximum has an exponent beyond hugeExponent.
func (s *Softmax) huge(most ptx.F32) ptx.Pred {
	b := s.b
	exponent := b.MulFtzF32(most, s.Scale)
	return b.SetpGeF32(b.MaxFtzF32(exponent, b.NegFtzF32(exponent)), ptx.FImm(hugeExponent))
}
