package tests

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/internal/conformance"
	"github.com/s2attention/s2c/internal/tensor"
)

// magnitudeSuite makes scores as large as the promise goes, in many ways.
var magnitudeSuite = suite{
	named: slices.Concat(greatScaleTrials(), shapeTrials(), valueTrials(), roundUpTrials()),
	drawn: rapid.Custom(func(t *rapid.T) trial {
		m := magnitude{
			shape:  rapid.SampledFrom(shapes).Draw(t, "shape"),
			values: valueKinds[0],
			limit:  rapid.SampledFrom([]int{promised, 7, 100, 14, 30, 60, 3}).Draw(t, "limit"),
		}
		if rapid.Bool().Draw(t, "great values") {
			m.values = rapid.SampledFrom(valueKinds[1:]).Draw(t, "values")
		}
		x := trial{Case: drawCase(t), cut: rapid.Uint64Min(1).Draw(t, "cut")}
		x.Scale = rapid.SampledFrom([]float64{1e6, 0.125, 1e-30, 1, 1e3, 37.5, 1e-10, 1e-3}).Draw(t, "scale")
		x.inputs, x.about = m.inputs, m.String()
		return x
	}),
}

// TestMagnitude runs the suite in the emulator.
func TestMagnitude(t *testing.T) {
	magnitudeSuite.run(t, draws(20), inEmulators)
}

// TestDeviceMagnitude runs the same on a GPU, and more of it.
func TestDeviceMagnitude(t *testing.T) { magnitudeSuite.run(t, draws(80), on(openGPU(t))) }

// greatScaleTrials: normal inputs at the greatest softmax scale.
func greatScaleTrials() []trial {
	var list []trial
	for _, deviation := range []float64{1, 10, 30} {
		for _, dtype := range []string{"bf16", "f16"} {
			list = append(list, trial{
				Case: conformance.Case{
					Name:   fmt.Sprintf("scale 1e6/%s, inputs of %g", dtype, deviation),
					Source: fmt.Sprintf("model great { heads 1  kv_heads 1  head_dim 64  block 64  dtype %s  causal  layers 1 }\nlayer * -> dense\n", dtype),
					KLen:   100, Scale: 1e6, Seed: 6,
				},
				inputs: func(_ *rand.Rand, p *conformance.Problem) {
					change(p.Q, func(_ element, x float64) float64 { return x * deviation })
					change(p.K, func(_ element, x float64) float64 { return x * deviation })
				},
				about: fmt.Sprintf("inputs of standard deviation %g", deviation),
			})
		}
	}
	lost := list[len(list)-1]
	scores := lost.inputs
	lost.Name, lost.about = "scale 1e6/a value that all rows attend is NaN", lost.about+", NaN in every column of the first value"
	lost.inputs = func(rng *rand.Rand, p *conformance.Problem) {
		scores(rng, p)
		for column := range p.Subject.Model.HeadDim {
			p.V.Set(column, float32(math.NaN()))
		}
	}
	return append(list, lost)
}

// smallTrial runs a magnitude on a small model with something to mask.
func smallTrial(name, dtype string, scale float64, m magnitude) trial {
	return trial{
		Case: conformance.Case{
			Name: name, KLen: 90, Scale: scale, Seed: 7,
			Source: fmt.Sprintf("model small { heads 2  kv_heads 1  head_dim 16  block 16  dtype %s  causal  layers 1 }\n"+
				"layer * -> window(2) | stride(3, phase: -h)\n", dtype),
		},
		inputs: m.inputs, about: m.String(),
	}
}

// shapeTrials: every shape up to the limit, by the scale, by the inputs or by both.
func shapeTrials() []trial {
	var list []trial
	for _, s := range shapes {
		for _, scale := range []float64{1e-30, 1, 1e6} {
			name := fmt.Sprintf("%s/scale %g", s.name, scale)
			list = append(list, smallTrial(name, "bf16", scale, magnitude{s, valueKinds[0], promised}))
		}
	}
	return list
}

// valueTrials: great values, with scores that are nothing special.
func valueTrials() []trial {
	var list []trial
	for _, v := range valueKinds {
		for _, dtype := range []string{"bf16", "f16"} {
			list = append(list, smallTrial(v.name+"/"+dtype, dtype, 0.25, magnitude{shapes[0], v, 3}))
		}
	}
	return list
}

// roundUpTrials: the greatest values, with weights that round up. The first key
// block has scores of 0, all others ones whose weights, measured against it, lie
// just above the middle of 1 and the next number of the type. Where a kernel still
// measures against the first block, the sum of rounded weights exceeds that of the
// weights by so much that the mean of the greatest values would round to infinity.
func roundUpTrials() []trial {
	var list []trial
	for _, dtype := range []dtype.Type{dtype.BF16, dtype.F16} {
		score := math.Log1p(1.1 * roundings[dtype].unit)
		list = append(list, trial{
			Case: conformance.Case{
				Name: fmt.Sprintf("the type's greatest values, weights that round up/%s", dtype), KLen: 512, QLen: 16, Scale: 1,
				Source: fmt.Sprintf("model up { heads 1  kv_heads 1  head_dim 16  block 128  dtype %s  bidirectional  layers 1 }\nlayer * -> dense\n", dtype),
			},
			inputs: func(_ *rand.Rand, p *conformance.Problem) {
				change(p.Q, func(at element, _ float64) float64 { return 1 - float64(min(at.column, 1)) })
				change(p.K, func(at element, _ float64) float64 { return score * float64(min(at.token/128, 1)) })
				change(p.V, func(element, float64) float64 { return roundings[dtype].most })
			},
			about: fmt.Sprintf("scores of 0 in the first key block, of %.3g in the others, the greatest values", score),
		})
	}
	return list
}

// magnitude is a way to make inputs large.
type magnitude struct {
	shape  shape
	values valueKind
	limit  int // Σ|q·k|·max(1, scale·log₂ e) stays below 2^limit
}

func (m *magnitude) String() string {
	size := fmt.Sprintf("products up to 2^%d", m.limit)
	if m.shape.exact {
		size = "as they are"
	}
	return fmt.Sprintf("%s, %s, %s", m.shape.name, size, m.values.name)
}

// shape is how the scores of a row differ. Its functions turn the normal inputs
// into others; what they share is drawn by start.
type shape struct {
	name  string
	start func(rng *rand.Rand, p *conformance.Problem) (q, k func(at element, x float64) float64)
	// exact shapes have scores of a size of their own, and are only made smaller.
	exact bool
}

// element names an element of an input: of a sequence, a head, a token, a column.
type element struct{ batch, head, token, column int }

var shapes = []shape{
	{name: "random scores", start: func(*rand.Rand, *conformance.Problem) (q, k func(element, float64) float64) {
		same := func(_ element, x float64) float64 { return x }
		return same, same
	}},
	jumps("by 100", 100), jumps("by 2", 2), jumps("by 10,000", 10000), jumps("by 2^60", 0x1p60),
	{name: "one channel outweighs the others", start: func(rng *rand.Rand, p *conformance.Problem) (q, k func(element, float64) float64) {
		channel := rng.IntN(p.Subject.Model.HeadDim)
		louder := func(at element, x float64) float64 {
			if at.column == channel {
				return 1000 * x
			}
			return x
		}
		return louder, louder
	}},
	{name: "all scores of a row equal", start: func(rng *rand.Rand, p *conformance.Problem) (q, k func(element, float64) float64) {
		row := make([]float64, p.Subject.Model.HeadDim)
		for d := range row {
			row[d] = rng.NormFloat64()
		}
		return func(_ element, x float64) float64 { return x }, func(at element, _ float64) float64 { return row[at.column] }
	}},
	{name: "all scores positive", start: oneSign(1)},
	{name: "all scores negative", start: oneSign(-1)},
}

// oneSign makes every product of a query's and a key's element have a sign.
func oneSign(sign float64) func(*rand.Rand, *conformance.Problem) (q, k func(element, float64) float64) {
	return func(*rand.Rand, *conformance.Problem) (q, k func(element, float64) float64) {
		return func(_ element, x float64) float64 { return 1 + math.Abs(x) },
			func(_ element, x float64) float64 { return sign * (1 + math.Abs(x)) }
	}
}

// jumps makes the scores of a row grow, or fall, by so much from one key block to
// the next, and adds noise of about one.
func jumps(name string, by float64) shape {
	return shape{
		name: "scores that jump from tile to tile " + name, exact: true,
		start: func(rng *rand.Rand, p *conformance.Problem) (q, k func(element, float64) float64) {
			m := p.Subject.Model
			channel := rng.IntN(m.HeadDim)
			size, noise := math.Sqrt(by/p.Scale), 1/math.Sqrt(p.Scale*math.Sqrt(float64(m.HeadDim)))
			q = func(at element, x float64) float64 {
				if at.column == channel {
					return math.Copysign(size, x) // some rows rise, the others fall
				}
				return noise * x
			}
			k = func(at element, x float64) float64 {
				if at.column == channel {
					return float64(at.token/m.Block) * size
				}
				return noise * x
			}
			return q, k
		},
	}
}

// valueKind is what the values are.
type valueKind struct {
	name string
	of   func(at element, x, most float64) float64 // most is the type's greatest number
}

var valueKinds = []valueKind{
	{"normal values", func(_ element, x, _ float64) float64 { return x }},
	{"the type's greatest values in both signs", func(_ element, x, most float64) float64 { return math.Copysign(most, x) }},
	{"the type's greatest values", func(_ element, _, most float64) float64 { return most }},
	{"the type's greatest value in every 16th token", func(at element, x, most float64) float64 {
		if at.token%16 == 5 {
			return math.Copysign(most, x)
		}
		return x
	}},
}

// inputs replaces the normal inputs of a problem.
func (m *magnitude) inputs(rng *rand.Rand, p *conformance.Problem) {
	q, k := m.shape.start(rng, p)
	change(p.Q, q)
	change(p.K, k)
	most := roundings[p.Subject.Model.DType].most
	change(p.V, func(at element, x float64) float64 { return m.values.of(at, x, most) })
	m.rescale(rng, p)
}

// rescale multiplies queries and keys by powers of two, such that the greatest
// product of an attended pair comes as close to the limit as the type allows.
func (m *magnitude) rescale(rng *rand.Rand, p *conformance.Problem) {
	e := enumerate(p)
	largest := 0.0
	e.eachQuery(func(at place) {
		r := e.rowOf(at)
		largest = max(largest, r.raw*max(1, p.Scale*math.Log2E))
	})
	by := m.limit - exponentAbove(largest)
	if m.shape.exact {
		by = min(0, promised-exponentAbove(largest))
	}
	// As far as the exponents allow, the queries get half of it, more or less.
	half := by/2 + rng.IntN(9) - 4
	roomQ, roomK := room(p.Q, e), room(p.K, e)
	forK := min(by-min(half, roomQ), roomK)
	forQ := min(by-forK, roomQ)
	change(p.Q, func(_ element, x float64) float64 { return math.Ldexp(x, forQ) })
	change(p.K, func(_ element, x float64) float64 { return math.Ldexp(x, forK) })
}

// exponentAbove is the least power of two above x, as an exponent.
func exponentAbove(x float64) int {
	_, exp := math.Frexp(x)
	return exp
}

// room is by how many powers of two a tensor may grow without an overflow.
func room(t *tensor.Tensor, e *enumeration) int {
	most := 0.0
	change(t, func(_ element, x float64) float64 {
		if !math.IsNaN(x) {
			most = max(most, math.Abs(x))
		}
		return x
	})
	return exponentAbove(e.dtype.most) - exponentAbove(most)
}

// change maps every element of a tensor, within the type's range; NaN, which is
// what no query attends, stays.
func change(t *tensor.Tensor, f func(at element, x float64) float64) {
	most := roundings[dtype.Type(t.DType)].most
	list := make([]float64, t.Len())
	t.Float64s(list, 0)
	heads, seq, dim := t.Shape[1], t.Shape[2], t.Shape[3]
	for n, x := range list {
		if math.IsNaN(x) {
			continue
		}
		at := element{n / dim / seq / heads, n / dim / seq % heads, n / dim % seq, n % dim}
		t.Set(n, float32(max(-most, min(f(at, x), most))))
	}
}
