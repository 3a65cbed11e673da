package broken

import (
	"math"

	"github.com/s2attention/s2c/internal/conformance"
	"github.com/s2attention/s2c/internal/tensor"
	"github.com/s2attention/s2c/ir/layout"
	"github.com/s2attention/s2c/target"
)

// redoSubjects are the good kernels of a target whose main path must leave rows to
// Redo, one for each thing that makes it do so.
type redoSubjects struct {
	// merged: some tokens are not finite in a few columns, among them the call's last
	// and ones of key blocks that only one of the merged query blocks attends.
	merged *subject
	// both is the same without causality; not every lane has columns.
	both *subject
	// huge: scores whose exponents leave no bit for a fraction; of the first rows the
	// greatest are below zero.
	huge *subject
	// greatest: the type's greatest values, and weights that round up.
	greatest *subject
	// overflow: values that fp32 cannot sum.
	overflow *subject

	enter []string // path to the vote on whether the warp computes rows again
	sites int      // how many times the kernel has the end of an item
}

const (
	redoMerged = "model broken { heads 4  kv_heads 2  head_dim 16  block 16  causal  layers 1 }\n" +
		"layer * -> window(2) | stride(3, phase: h)\n"
	redoBoth = "model broken { heads 3  kv_heads 3  head_dim 40  block 16  bidirectional  layers 1 }\n" +
		"layer * -> window(1) | stride(3, phase: -h)\n"
	redoHuge     = "model broken { heads 2  kv_heads 1  head_dim 256  block 16  causal  layers 1 }\nlayer * -> window(2)\n"
	redoOverflow = "model broken { heads 1  kv_heads 1  head_dim 16  block 16  bidirectional  layers 1 }\nlayer * -> dense\n"
	redoGreatest = "model broken { heads 1  kv_heads 1  head_dim 128  block 64  dtype f16  bidirectional  layers 1 }\nlayer * -> dense\n"
)

// redoSubjectsOf makes the subjects of a target, with merged query blocks and with
// single ones.
func redoSubjectsOf(on target.Target, sm int, enter []string, sites int, merged, single func(layout.Candidate) bool) *redoSubjects {
	of := func(spoil func(*conformance.Problem), only func(layout.Candidate) bool, c conformance.Case) *subject {
		c.Only = only
		return &subject{target: on, sm: sm, Case: c, spoil: spoil}
	}
	huge := of(enlarge, merged, conformance.Case{Name: "huge scores", Source: redoHuge, KLen: 23, Scale: 1e6, Seed: 3})
	huge.exact = true
	return &redoSubjects{
		enter: enter, sites: sites, huge: huge,
		merged: of(poisonHeads, merged, conformance.Case{
			Name: "values that are not finite", Source: redoMerged, Batch: 2, QLen: 20, KLen: 77, Seed: 1,
		}),
		both: of(poisonTokens, merged, conformance.Case{
			Name: "values that are not finite, bidirectional", Source: redoBoth, QLen: 33, KLen: 77, Seed: 2,
		}),
		overflow: of(outgrow, merged, conformance.Case{Name: "values too great to sum", Source: redoOverflow, QLen: 21, KLen: 77, Seed: 4}),
		greatest: of(roundUp, single, conformance.Case{Name: "the greatest values", Source: redoGreatest, QLen: 5, KLen: 192, Scale: 1}),
	}
}

var (
	sm80Redo  = redoSubjectsOf(target.SM80, 0, []string{rowsOut, `vote\.sync\.any`}, 1, tile(1, 2, 32, 2), tile(1, 1, 64, 2))
	sm90aRedo = redoSubjectsOf(target.SM90a, 1, []string{lastTile, nextCopy, `vote\.sync\.any`}, 2, warpgroups(1, 1, 4, 64), warpgroups(1, 1, 1, 64))
)

var nan = float32(math.NaN())

// poisonTokens makes values NaN and infinite in some columns of a few tokens, so
// that the others of a row that attends them can still be compared. Token 7 leaves
// one column of most lanes, and none of the second. In the second head a row may
// attend an infinity in a column where others of its tile attend a NaN. The query
// seven tokens before the end is NaN in a column, which makes its row NaN.
func poisonTokens(p *conformance.Problem) {
	seq, dim := p.V.Shape[2], p.V.Shape[3]
	last := seq - 1
	spoilColumn(p.V, last, 5, nan, nan)
	for column := 0; column < dim; column += 2 {
		spoilColumn(p.V, 7, column, nan, nan)
	}
	spoilColumn(p.V, 7, 3, nan, nan)
	spoilColumn(p.V, 47, 9, nan, float32(math.Inf(1)))
	p.V.Set((seq+60)*dim+9, nan)
	spoilColumn(p.Q, p.Q.Shape[2]-7, 5, nan, nan)
}

// poisonHeads does the same to a causal model. The last key is NaN too, which one
// row attends. The first KV head has two tokens to itself, behind rows of their
// query block, and one of them in the first batch entry alone: they must decide
// nothing for those rows, nor for other heads and entries.
func poisonHeads(p *conformance.Problem) {
	poisonTokens(p)
	spoilColumn(p.K, p.V.Shape[2]-1, 0, nan, nan)
	heads, seq, dim := p.V.Shape[1], p.V.Shape[2], p.V.Shape[3]
	p.V.Set(60*dim+5, nan)
	p.V.Set(62*dim+11, nan)
	p.V.Set((heads*seq+62)*dim+11, nan)
}

// spoilColumn sets a column of a token, in turn to one value and the other over the
// heads of all sequences but the last, so that the last items of a thread block
// have nothing to compute again.
func spoilColumn(t *tensor.Tensor, token, column int, even, odd float32) {
	seq, dim := t.Shape[2], t.Shape[3]
	for n := range t.Shape[0]*t.Shape[1] - 1 {
		t.Set((n*seq+token)*dim+column, [2]float32{even, odd}[n%2])
	}
}

// enlarge makes the deviation of queries and keys 30, in whole numbers: their sums
// are exact in fp32, in any order.
func enlarge(p *conformance.Problem) {
	for _, t := range []*tensor.Tensor{p.Q, p.K} {
		mapValues(t, func(_, _ int, x float64) float64 { return math.Round(30 * x) })
	}
}

// roundUp has scores of 0 in the first key block, and in the others ones whose
// weights, measured against it, lie just above the middle of 1 and the next
// number: the sum of rounded weights exceeds that of the weights by so much that
// the mean of the greatest values rounds to infinity.
func roundUp(p *conformance.Problem) {
	block, score := p.Subject.Model.Block, math.Log1p(1.1*0x1p-11)
	mapValues(p.Q, func(_, column int, _ float64) float64 { return 1 - float64(min(column, 1)) })
	mapValues(p.K, func(token, _ int, _ float64) float64 { return score * float64(min(token/block, 1)) })
	mapValues(p.V, func(_, _ int, _ float64) float64 { return 65504 })
}

// outgrow makes all values the greatest of bf16: two of them are more than fp32
// holds, and their mean is not.
func outgrow(p *conformance.Problem) {
	mapValues(p.V, func(_, _ int, _ float64) float64 { return 0x1.FEp127 })
}

// mapValues maps every element of a tensor.
func mapValues(t *tensor.Tensor, f func(token, column int, x float64) float64) {
	list := make([]float64, t.Len())
	t.Float64s(list, 0)
	seq, dim := t.Shape[2], t.Shape[3]
	for n, x := range list {
		t.Set(n, float32(f(n/dim%seq, n%dim, x)))
	}
}
