package tests

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/internal/conformance"
	"github.com/s2attention/s2c/internal/tensor"
)

// TestJudge: what is promised can be kept, and what breaks it is seen. Softmax in
// fp32 with rounded weights passes every trial; with its numbers spoilt none of them passes.
func TestJudge(t *testing.T) {
	for _, s := range []*suite{&poisonSuite, &magnitudeSuite} {
		for _, x := range s.all(draws(10)) {
			t.Run(x.Name, func(t *testing.T) {
				t.Parallel()
				subject, err := x.Load(true)
				if err != nil {
					t.Fatal(err)
				}
				p, err := x.Problem(subject)
				if err != nil {
					t.Fatal(err)
				}
				x.inputs(rand.New(rand.NewPCG(x.Seed, 'x')), p)
				e := enumerate(p)
				o := e.plain()
				if err := e.judge(o).err(); err != nil {
					t.Fatalf("plain softmax: %v\n%s", err, x.describe(nil))
				}
				spoil(o.Out)
				spoil(o.LSE)
				if v := e.judge(o); v.wrong <= v.finite+v.notFinite {
					t.Errorf("all is spoilt: %d elements that must be finite, %d that must not, and log-sum-exps; %d are found wrong\n%s",
						v.finite, v.notFinite, v.wrong, x.describe(nil))
				}
			})
		}
	}
}

// spoil makes every number finite that is not, and the reverse.
func spoil(t *tensor.Tensor) {
	list := make([]float64, t.Len())
	t.Float64s(list, 0)
	for n, x := range list {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			t.Set(n, 0.5)
		} else {
			t.Set(n, float32(math.NaN()))
		}
	}
}

// plain solves the problem as a kernel does that has no tiles: fp32 scores, a
// row's maximum first, weights rounded to the type.
func (e *enumeration) plain() *conformance.Output {
	out := &tensor.Tensor{DType: e.Q.DType, Shape: e.Q.Shape, Data: make([]byte, len(e.Q.Data))}
	rows := e.Q.Len() / e.Subject.Model.HeadDim
	lse := &tensor.Tensor{DType: dtype.F32, Shape: e.Q.Shape[:3], Data: make([]byte, 4*rows)}
	n := 0
	e.eachQuery(func(at place) {
		row, sum := e.plainRow(at)
		lse.Set(n, sum)
		for d, x := range row {
			out.Set(n*len(row)+d, float32(x))
		}
		n++
	})
	return &conformance.Output{Out: out, LSE: lse}
}

func (e *enumeration) plainRow(at place) (out []float64, lse float32) {
	out = make([]float64, e.Subject.Model.HeadDim)
	keys, q := e.keys(at), e.query(at)
	if len(keys) == 0 {
		return out, float32(math.Inf(-1))
	}
	scores := make([]float32, len(keys))
	top := float32(math.Inf(-1))
	for n, token := range keys {
		for d, k := range e.key(at, token) {
			scores[n] = float32(math.FMA(q[d], k, float64(scores[n])))
		}
		top = max(top, scores[n])
	}
	scale := float32(e.Scale) * math.Log2E
	weight := &tensor.Tensor{DType: e.Q.DType, Data: make([]byte, 2)}
	var sum float32
	for n, token := range keys {
		w := float32(math.Exp2(float64((scores[n] - top) * scale)))
		sum += w
		weight.Set(0, w)
		var rounded [1]float64
		weight.Float64s(rounded[:], 0)
		for d, v := range e.value(at, token) {
			out[d] += rounded[0] * v
		}
	}
	for d := range out {
		out[d] /= float64(sum)
	}
	return out, (top*scale + float32(math.Log2(float64(sum)))) * math.Ln2
}
