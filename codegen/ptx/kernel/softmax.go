package kernel

import (
	"math"

	"github.com/s2attention/s2c/codegen/ptx"
)

// lowest starts a row's maximum where the scale does not amplify: just below
// −2¹²⁶, the least score that the kernels promise to be right for.
const lowest = -1.4e38

var minusInf = ptx.FImm(float32(math.Inf(-1)))

// Softmax is the online softmax of two rows a lane, eight apart, in base 2
// (FlashAttention-2, arXiv 2307.08691, algorithm 1). Accumulators come as
// fragments of eight columns: two of the first row, two of the second (PTX ISA
// §9.7.14.5.8 and §9.7.15.5.1.1).
type Softmax struct {
	b     *ptx.Builder
	Scale ptx.F32    // softmax scale · log₂ e
	Max   [2]ptx.F32 // running row maxima, in raw score units; a row's lanes agree
	Sum   [2]ptx.F32 // running sums of this lane's columns
	pack  string     // instruction that packs two weights
}

// NewSoftmax reads the scale; Reset starts the rows.
func (f *Frame) NewSoftmax() *Softmax {
	b := f.B
	b.Comment("softmax in base 2: scores are scaled by scale * log2(e)")
	s := &Softmax{b: b, Scale: b.MulF32(ParamF32(b, "scale"), ptx.FImm(math.Log2E)), pack: f.PackForm()}
	for r := range 2 {
		s.Max[r], s.Sum[r] = b.NewF32(), b.NewF32()
	}
	return s
}

// PackForm is the instruction that packs two fp32 into a pair of the dtype.
func (f *Frame) PackForm() string { return f.pairForm("cvt.rn.") + ".f32" }

// pairForm is an instruction on pairs of the dtype.
func (f *Frame) pairForm(name string) string { return name + string(f.K.Shape.DType) + "x2" }

// Reset starts a new row.
func (s *Softmax) Reset() {
	unset := s.unset()
	for r := range 2 {
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

// Weigh turns scores into weights in place and updates maxima and sums. It
// returns the factors by which earlier output must be multiplied. A lazy
// softmax keeps the old maxima while no row of the warp has outgrown them by
// more than 2^growth; rescale then says whether the factors matter at all.
func (s *Softmax) Weigh(scores [][]ptx.F32, lazy bool) (alpha [2]ptx.F32, rescale *ptx.Pred) {
	b := s.b
	b.Comment("online softmax")
	var most, less [2]ptx.F32
	for r := range 2 {
		most[r] = s.rowMax(scores, r)
		less[r] = b.MulFtzF32(b.SubFtzF32(s.Max[r], most[r]), s.Scale)
	}
	if lazy {
		grown := b.SetpLtF32(b.MinFtzF32(less[0], less[1]), ptx.FImm(-growth))
		any := b.VoteSyncAnyPred(grown, ptx.Imm(FullMask))
		rescale = &any
		for r := range 2 {
			most[r] = b.SelpF32(most[r], s.Max[r], any)
			less[r] = b.SelpF32(less[r], ptx.FImm(0), any)
		}
	}
	for r := range 2 {
		alpha[r] = b.Ex2ApproxFtzF32(less[r])
		b.MovF32To(s.Max[r], most[r])
		offset := b.NegF32(b.MulFtzF32(most[r], s.Scale))
		b.MulFtzF32To(s.Sum[r], s.Sum[r], alpha[r])
		for _, frag := range scores {
			for i := 2 * r; i < 2*r+2; i++ {
				b.FmaRnFtzF32To(frag[i], frag[i], s.Scale, offset)
				b.Ex2ApproxFtzF32To(frag[i], frag[i])
				b.AddFtzF32To(s.Sum[r], s.Sum[r], frag[i])
			}
		}
	}
	return alpha, rescale
}

// rowMax is the maximum of a row so far.
func (s *Softmax) rowMax(scores [][]ptx.F32, r int) ptx.F32 {
	b := s.b
	most := b.MaxF32(scores[0][2*r], scores[0][2*r+1])
	for _, frag := range scores[1:] {
		most = b.MaxF32(most, b.MaxF32(frag[2*r], frag[2*r+1]))
	}
	for _, distance := range []int{1, 2} { // the four lanes of a row
		most = b.MaxF32(most, b.ShflSyncBflyB32F32(most, ptx.Imm(distance), ptx.Imm(31), ptx.Imm(FullMask)))
	}
	return b.MaxF32(s.Max[r], most)
}

// Rescale multiplies output accumulators by the factors of their rows, where
// that matters.
func (s *Softmax) Rescale(acc [][]ptx.F32, alpha [2]ptx.F32, matters *ptx.Pred) {
	b := s.b
	over := b.NewLabel("not_rescaled")
	if matters != nil {
		b.Unless(*matters).Bra(over)
	}
	for _, frag := range acc {
		for i, a := range frag {
			b.MulFtzF32To(a, a, alpha[i/2])
		}
	}
	b.Place(over)
}

// Pack writes the weights as A fragments: accumulators 2t and 2t+1 are the four
// registers of 16 tokens.
func (s *Softmax) Pack(p [][]ptx.R32, weights [][]ptx.F32) {
	for t := range p {
		for i := range 4 {
			w := weights[2*t+i/2]
			lo, hi := w[i%2*2], w[i%2*2+1]
			s.b.Emit(s.pack, p[t][i].Reg, hi.Reg, lo.Reg)
		}
	}
}

// Finish sums the rows over their lanes: the factors that normalise the output,
// 0 for a row that saw nothing, NaN for one whose exponents are huge.
func (s *Softmax) Finish() (inverse [2]ptx.F32, empty [2]ptx.Pred) {
	b := s.b
	b.Comment("row sums across the four lanes of a row")
	unset := s.unset()
	for r := range 2 {
		for _, distance := range []int{1, 2} {
			other := b.ShflSyncBflyB32F32(s.Sum[r], ptx.Imm(distance), ptx.Imm(31), ptx.Imm(FullMask))
			b.AddFtzF32To(s.Sum[r], s.Sum[r], other)
		}
		empty[r] = b.SetpEqF32(s.Sum[r], ptx.FImm(0))
		inverse[r] = b.SelpF32(ptx.FImm(0), b.RcpApproxFtzF32(s.Sum[r]), empty[r])
		huge := b.AndPred(s.huge(s.Max[r]), b.SetpNeF32(s.Max[r], unset))
		inverse[r] = b.SelpF32(ptx.FImm(float32(math.NaN())), inverse[r], huge)
	}
	return inverse, empty
}

// huge is whether a maximum has an exponent beyond hugeExponent.
func (s *Softmax) huge(most ptx.F32) ptx.Pred {
	b := s.b
	exponent := b.MulFtzF32(most, s.Scale)
	return b.SetpGeF32(b.MaxFtzF32(exponent, b.NegFtzF32(exponent)), ptx.FImm(hugeExponent))
}
