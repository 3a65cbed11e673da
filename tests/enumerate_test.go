package tests

import (
	"fmt"
	"math"

	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/internal/conformance"
	"github.com/s2attention/s2c/internal/tensor"
)

// What a kernel promises of an element of its output, whatever its inputs hold:
//
//   - keys and values that its row does not attend do not touch it;
//   - where a key that the row attends holds a NaN, or a value that it attends in
//     the element's own column is not finite, it is not finite;
//   - else it is finite, and within min(2·max|V|, (e^(2δ) − 1)·Σp|V|) of the exact
//     one besides what rounding the weights and the output costs, where
//     δ = reachFactor·2⁻²²·reach, and reach is the row's greatest scale·Σ|q·k|.
const (
	reachFactor = 8
	// promised is where the promise ends: Σ|q·k|·max(1, scale·log₂ e) of every
	// attended pair is below 2^promised.
	promised = 126
	// certain is the weight from which on a value that is not finite must show.
	certain = 0x1p-100
	// lseBound is the error of a log-sum-exp of small scores.
	lseBound = 1e-3
)

// rounding is what a 16-bit type costs.
type rounding struct {
	unit float64 // greatest relative error of rounding to it
	tiny float64 // greatest error of rounding a weight that is too small for it
	most float64 // greatest finite number
}

var roundings = map[dtype.Type]rounding{
	dtype.BF16: {unit: 0x1p-8, tiny: 0x1p-126, most: 0x1.fep127},
	dtype.F16:  {unit: 0x1p-11, tiny: 0x1p-25, most: 65504},
}

// enumeration is attention by its definition, in float64: each query looks at
// each key and asks the source predicate. It shares no code with
// internal/reference, and looks at every element on its own.
type enumeration struct {
	*conformance.Problem
	dtype             rounding
	batch, qLen, kLen int
	q, k, v           []float64
}

func enumerate(p *conformance.Problem) *enumeration {
	read := func(t *tensor.Tensor) []float64 {
		list := make([]float64, t.Len())
		t.Float64s(list, 0)
		return list
	}
	return &enumeration{
		Problem: p, dtype: roundings[p.Subject.Model.DType],
		batch: p.Q.Shape[0], qLen: p.Q.Shape[2], kLen: p.K.Shape[2],
		q: read(p.Q), k: read(p.K), v: read(p.V),
	}
}

// place names a query: of a sequence, a head, and a row of the call.
type place struct{ batch, head, row int }

func (e *enumeration) eachQuery(f func(at place)) {
	for b := range e.batch {
		for h := range e.Subject.Model.Heads {
			for r := range e.qLen {
				f(place{b, h, r})
			}
		}
	}
}

// kvHead is the KV head that a query head reads.
func (e *enumeration) kvHead(head int) int {
	return head / (e.Subject.Model.Heads / e.Subject.Model.KVHeads)
}

// keys lists the tokens that a query attends.
func (e *enumeration) keys(at place) []int {
	m := e.Subject.Model
	pos := e.kLen - e.qLen + at.row
	var list []int
	for first := 0; first < e.kLen; first += m.Block {
		if !e.Subject.Attends(at.head, int64(pos/m.Block), int64(first/m.Block)) {
			continue
		}
		for token := first; token < min(first+m.Block, e.kLen); token++ {
			if !m.Causal || token <= pos {
				list = append(list, token)
			}
		}
	}
	return list
}

// query is the vector of a query, key that of a token for it, value its value.
func (e *enumeration) query(at place) []float64 {
	return vector(e.q, (at.batch*e.Subject.Model.Heads+at.head)*e.qLen+at.row, e.Subject.Model.HeadDim)
}

func (e *enumeration) key(at place, token int) []float64 { return e.ofToken(e.k, at, token) }

func (e *enumeration) value(at place, token int) []float64 { return e.ofToken(e.v, at, token) }

func (e *enumeration) ofToken(list []float64, at place, token int) []float64 {
	m := e.Subject.Model
	return vector(list, (at.batch*m.KVHeads+e.kvHead(at.head))*e.kLen+token, m.HeadDim)
}

func vector(list []float64, n, dim int) []float64 { return list[n*dim : (n+1)*dim] }

// exactRow is what a query's keys come to.
type exactRow struct {
	keys    []int
	weights []float64 // of the keys, 1 together
	growths []float64 // by how much each may be too large
	lse     float64
	reach   float64 // the greatest scale·Σ|q·k|
	raw     float64 // the greatest Σ|q·k|
	fate    fate    // of the row as a whole, by its keys
}

// fate is what may become of a number.
type fate int

const (
	finite fate = iota
	notFinite
	either // an infinity may or may not show
)

func (e *enumeration) rowOf(at place) exactRow {
	r := exactRow{keys: e.keys(at), lse: math.Inf(-1)}
	q, top := e.query(at), math.Inf(-1)
	for _, token := range r.keys {
		var dot, abs float64
		for d, k := range e.key(at, token) {
			dot += q[d] * k
			abs += math.Abs(q[d] * k)
			if math.IsNaN(k) {
				r.fate = notFinite
			} else if math.IsInf(k, 0) && r.fate == finite {
				r.fate = either
			}
		}
		r.raw = max(r.raw, abs)
		r.weights = append(r.weights, e.Scale*dot) // its score, so far
		top = max(top, e.Scale*dot)
	}
	r.reach = e.Scale * r.raw
	if len(r.keys) == 0 || r.fate != finite {
		return r
	}
	r.softmax(top)
	return r
}

// softmax turns the scores in weights into weights.
func (r *exactRow) softmax(top float64) {
	var sum float64
	for _, s := range r.weights {
		sum += math.Exp(s - top)
	}
	r.lse = top + math.Log(sum)
	for n, s := range r.weights {
		log, twice := s-top-math.Log(sum), 2*r.delta()
		r.weights[n] = math.Exp(log)
		growth := r.weights[n] * math.Expm1(twice)
		if twice > 1 { // a weight that underflows may grow to one that counts
			growth = math.Exp(log + twice)
		}
		r.growths = append(r.growths, growth)
	}
}

// delta is by how much the scores of a row may be off.
func (r *exactRow) delta() float64 { return reachFactor * 0x1p-22 * r.reach }

// element is column d of a row's output: what becomes of it, its exact value and
// how far it may be off.
func (e *enumeration) element(at place, r *exactRow, d int) (f fate, want, bound float64) {
	f = r.fate
	if f != finite {
		return f, 0, 0
	}
	var mean, grown, most, all float64 // of |V|: Σp|V|, (e^(2δ) − 1)·Σp|V|, the greatest, Σ|V|
	for n, token := range r.keys {
		v, weight := e.value(at, token)[d], r.weights[n]
		switch {
		case math.IsNaN(v) || math.IsInf(v, 0):
			if weight > certain {
				return notFinite, 0, 0
			}
			f = either
		case v != 0:
			want += weight * v
			mean += weight * math.Abs(v)
			grown += r.growths[n] * math.Abs(v)
			most = max(most, math.Abs(v))
			all += math.Abs(v)
		}
	}
	around := min(most, mean+grown) // Σp|V| with the weights that a kernel may find
	return f, want, min(2*most, grown) + 2.2*e.dtype.unit*around + e.dtype.tiny*(1+all)
}

// verdict counts what a trial has shown.
type verdict struct {
	finite, tight, notFinite int // elements; tight: those whose bound says something
	wrong                    int // elements and log-sum-exps
	first                    string
}

// judge holds every element of an output against the enumeration.
func (e *enumeration) judge(o *conformance.Output) *verdict {
	v := &verdict{}
	dim := e.Subject.Model.HeadDim
	out, lse := make([]float64, dim), make([]float64, 1)
	n := 0
	e.eachQuery(func(at place) {
		r := e.rowOf(at)
		o.LSE.Float64s(lse, n)
		v.see(at, "log-sum-exp", lse[0], r.fate, r.lse, lseBound+r.delta()+0x1p-21*math.Abs(r.lse))
		o.Out.Float64s(out, n*dim)
		n++
		for d, got := range out {
			f, want, bound := e.element(at, &r, d)
			v.see(at, fmt.Sprintf("column %d", d), got, f, want, bound)
			switch {
			case f == notFinite:
				v.notFinite++
			case f == finite:
				v.finite++
				if bound < math.Abs(want)/8 {
					v.tight++
				}
			}
		}
	})
	return v
}

// see judges one number.
func (v *verdict) see(at place, what string, got float64, f fate, want, bound float64) {
	isFinite := !math.IsNaN(got) && !math.IsInf(got, 0)
	said := ""
	switch {
	case f == either:
	case f == notFinite && isFinite:
		said = "it attends what is not finite"
	case f == finite && got != want && !(math.Abs(got-want) <= bound): // −∞ is the log-sum-exp of nothing
		said = fmt.Sprintf("want %.6g ± %.3g", want, bound)
	}
	if said == "" {
		return
	}
	if v.wrong++; v.first == "" {
		v.first = fmt.Sprintf("batch %d, head %d, query %d, %s: got %.6g, %s", at.batch, at.head, at.row, what, got, said)
	}
}

// err is nil where nothing was wrong.
func (v *verdict) err() error {
	if v.wrong == 0 {
		return nil
	}
	return fmt.Errorf("%d numbers are wrong, the first: %s", v.wrong, v.first)
}
