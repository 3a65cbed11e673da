package reference

import (
	"iter"
	"math"

	"gonum.org/v1/gonum/floats"
)

// Limit bounds what kernels promise to compute: outputs are finite and accurate
// where Σ|q_d·k_d| · max(1, scale · log₂ e) is less for every attended pair.
// Beyond it fp32 sums may overflow, and a row is not judged.
const Limit = 0x1p126

// Promised reports whether a pair whose Σ|q_d·k_d| is at most reach is below
// [Limit].
func Promised(reach, scale float64) bool { return reach*max(1, scale*math.Log2E) < Limit }

// ScoreRounding is the error of a kernel's scaled score, in units of 2⁻²² ·
// scale · Σ|q_d·k_d|. It stands for the rounding of fp32 sums in tensor cores,
// whose order and width are left open, and for that of the scale. By a probe: an
// H100 and an H200 come to 7.0, for 256 terms of one sign (TestDeviceScoreRounding).
const ScoreRounding = 8

// ordinary is the error of a scaled score up to which a row needs no margin: a
// tenth of the tolerance of a log-sum-exp, and less than the rounding of the
// weights to 16 bits. Inputs drawn from a normal distribution stay below.
const ordinary = 1e-4

// faint is the softmax weight below which an infinite value may be lost: fp32
// weights are flushed to zero not far below.
const faint = 0x1p-100

// scoreError is the greatest error of a kernel's scaled score, where scale ·
// Σ|q_d·k_d| is at most reach.
func scoreError(reach float64) float64 { return ScoreRounding * 0x1p-22 * reach }

// margin is what rounding, limits and values that are not finite leave open of
// one row. The zero value leaves nothing open.
type margin struct {
	beyond bool      // a score is beyond Limit: nothing is promised of the row
	score  float64   // what a scaled score may be off by
	out    []float64 // what that is of each element of the output; nil: nothing
	// lost says that a score is −∞, so that the whole row may be finite or not;
	// faint says the same of single elements: a value that is not finite has next
	// to no weight. nil: none.
	lost  bool
	faint []bool
}

// margin is that of the row at a place of the data.
func (r *Result) margin(at int) margin {
	if at >= len(r.margins) || r.margins[at] == nil {
		return margin{}
	}
	return *r.margins[at]
}

// survey is what the keys and values of some tokens have in common, by which
// ordinary rows are told from others.
type survey struct {
	longest float64 // greatest length of a key, squared; NaN or +∞ where one is not finite
	sum     float64 // of all values: finite where all are, as 16-bit floats do not overflow it
}

// surveyOf looks at keys and values.
func surveyOf(k, v []float64, dim int) survey {
	s := survey{sum: floats.Sum(v)}
	for ; len(k) > 0; k = k[dim:] {
		s.longest = max(s.longest, floats.Dot(k[:dim], k[:dim])) // NaN stays
	}
	return s
}

// ordinary reports whether a query leaves nothing open, by what is known of all
// keys and values of the KV head: |q|·|k| is at least Σ|q_d·k_d|.
func (j *job) ordinary(q []float64) bool {
	reach := math.Sqrt(floats.Dot(q, q)) * j.longest
	return j.vFinite && scoreError(j.Scale*reach) <= ordinary && Promised(reach, j.Scale)
}

// attended are the keys that the query at a position attends, each with its
// place among the row's weights.
func (w *worker) attended(position int) iter.Seq2[int, int] {
	end := w.kLen
	if w.Model.Causal {
		end = min(end, position+1)
	}
	return func(yield func(place, key int) bool) {
		for slot, block := range w.blocks {
			first := block * w.Model.Block
			for key := first; key < min(first+w.Model.Block, end); key++ {
				if !yield(slot*w.Model.Block+key-first, key) {
					return
				}
			}
		}
	}
}

// settle finds what is open of a row that is not ordinary, and gives the row
// what its values that are not finite make of it: [worker.weigh] left them out.
func (w *worker) settle(out, q, weights []float64, position int) *margin {
	m := &margin{}
	var reach float64
	for _, key := range w.attended(position) {
		size := sizeOf(q, w.key(key))
		if finite(size) {
			reach = max(reach, size)
		} else { // a NaN or +∞ among the scores makes the whole row NaN in any case
			m.lost = true
		}
	}
	m.beyond = !Promised(reach, w.Scale)
	m.score = scoreError(w.Scale * reach)
	w.open(m, weights, position)
	if !w.vFinite {
		w.spoil(m, out, weights, position)
	}
	return m
}

// sizeOf is Σ|q_d·k_d|, in four sums for speed. Head dimensions are multiples of 8.
func sizeOf(q, k []float64) float64 {
	var a, b, c, d float64
	for len(q) >= 4 && len(k) >= 4 {
		a += math.Abs(q[0] * k[0])
		b += math.Abs(q[1] * k[1])
		c += math.Abs(q[2] * k[2])
		d += math.Abs(q[3] * k[3])
		q, k = q[4:], k[4:]
	}
	return a + b + c + d
}

// open finds what is open of a row's elements. Scores that are off by at most δ
// change no weight by more than a factor of e^2δ, so an element by at most
// (e^2δ − 1)·Σp|v|, and in no case by more than 2·max|v|, which is the greater up
// to e^2δ = 2.
func (w *worker) open(m *margin, weights []float64, position int) {
	growth := 2 * m.score
	mass, greatest := make([]float64, w.Model.HeadDim), make([]float64, w.Model.HeadDim)
	for place, key := range w.attended(position) {
		if p := weights[place]; p > 0 {
			addSizes(mass, p, w.value(key))
		}
		if growth > math.Ln2 {
			keepGreatest(greatest, w.value(key))
		}
	}
	m.out = mass
	for d := range mass {
		switch {
		case growth <= math.Ln2:
			m.out[d] *= math.Expm1(growth)
		case growth < 700:
			m.out[d] = min(2*greatest[d], math.Expm1(growth)*mass[d])
		default: // weights count that underflowed in float64, at e⁻⁷⁴⁵
			m.out[d] = 2 * greatest[d]
		}
	}
}

// addSizes adds p·|v| of the finite elements.
func addSizes(mass []float64, p float64, v []float64) {
	v = v[:len(mass)]
	for d := range mass {
		if size := math.Abs(v[d]); size <= math.MaxFloat64 {
			mass[d] += p * size
		}
	}
}

// keepGreatest keeps the greatest |v| of the finite elements.
func keepGreatest(greatest, v []float64) {
	v = v[:len(greatest)]
	for d := range greatest {
		if size := math.Abs(v[d]); size <= math.MaxFloat64 && size > greatest[d] {
			greatest[d] = size
		}
	}
}

// spoil gives a row's elements what values that are not finite make of them.
func (w *worker) spoil(m *margin, out, weights []float64, position int) {
	keys := 0
	for range w.attended(position) {
		keys++
	}
	for place, key := range w.attended(position) {
		for d, v := range w.value(key) {
			switch {
			case finite(v):
			case keys == 1 || leastWeight(weights[place], 2*m.score) >= faint:
				out[d] += v
			default:
				if m.faint == nil {
					m.faint = make([]bool, len(out))
				}
				m.faint[d] = true
			}
		}
	}
}

// leastWeight is how little of a weight p is left when all others grow by a
// factor of e^growth against it. One that rounds to 1 leaves others of 2⁻⁵³.
func leastWeight(p, growth float64) float64 {
	return p / (p + max(1-p, 0x1p-53)*math.Exp(min(growth, 700)))
}

// finite reports whether x is neither infinite nor a NaN.
func finite(x float64) bool { return x-x == 0 }
