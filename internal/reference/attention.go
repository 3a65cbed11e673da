// Package reference computes block-sparse attention in float64, straight from
// the pattern as its file states it. It is the judge of every kernel, so it
// shares no code with the closed form, the layout or the code generator: a pair
// of tokens counts exactly when the source predicate says so.
package reference

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"gonum.org/v1/gonum/floats"

	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/internal/tensor"
)

// Predicate is the source predicate on blocks: does query block i of a query
// head attend key block j? It must be safe for concurrent use.
type Predicate func(head int, i, j int64) bool

// Problem is one attention forward pass.
type Problem struct {
	Model   dsl.Model
	Attends Predicate
	Scale   float64 // softmax scale
	// Heads are the query heads to compute; nil means all of them.
	Heads []int
	// Rows are the query rows to compute, ascending; nil means all of them. A few
	// rows of a long context are cheap: each costs its own keys alone.
	Rows []int
	// Q is [batch, heads, q_len, dim]; K and V are [batch, kv_heads, k_len, dim].
	// The queries are the last rows of the context: row r stands at position
	// k_len − q_len + r.
	Q, K, V *tensor.Tensor
	// Progress, where it is set, is told of every finished piece of the work. It is
	// called by many goroutines.
	Progress func(done, total int)
}

// Result is what attention gives, in float64.
type Result struct {
	Heads            []int     // query heads, in the order of the data
	Rows             []int     // query rows, in the order of the data; nil: all of them
	Batch, QLen, Dim int       // QLen counts all rows of the query, computed or not
	Out              []float64 // [batch, len(Heads), rows, dim]
	LSE              []float64 // [batch, len(Heads), rows], natural logarithm

	margins []*margin // of each row; nil: nothing is open of it
}

// rows is the number of rows that the result holds for a batch and head.
func (r *Result) rows() int {
	if r.Rows == nil {
		return r.QLen
	}
	return len(r.Rows)
}

// row is the query row that the n-th row of the data belongs to.
func (r *Result) row(n int) int {
	if r.Rows == nil {
		return n
	}
	return r.Rows[n]
}

// Attention computes
//
//	out = Σ softmax(scale · q·k) · v    lse = ln Σ exp(scale · q·k)
//
// over the attended keys of each query. A query that attends no key gives zeros
// and −∞; one that attends a score of NaN or +∞ gives NaNs. Keys and values that
// a query does not attend never touch its row, whatever they hold. It stops
// early, with the context's error, when ctx is done.
func Attention(ctx context.Context, p Problem) (*Result, error) {
	heads := p.Heads
	if heads == nil {
		heads = make([]int, p.Model.Heads)
		for h := range heads {
			heads[h] = h
		}
	}
	if err := p.check(heads); err != nil {
		return nil, err
	}
	r := &Result{Heads: heads, Rows: p.Rows, Batch: p.Q.Shape[0], QLen: p.Q.Shape[2], Dim: p.Model.HeadDim}
	rows := r.Batch * len(heads) * r.rows()
	r.Out, r.LSE = make([]float64, rows*r.Dim), make([]float64, rows)
	r.margins = make([]*margin, rows)

	job := &job{Problem: p, result: r, kLen: p.K.Shape[2], spans: p.spans()}
	job.total = r.Batch * len(heads) * len(job.spans)
	for batch := range r.Batch {
		for kvHead := range p.Model.KVHeads {
			if err := job.group(ctx, batch, kvHead); err != nil {
				return nil, err
			}
		}
	}
	return r, nil
}

// check reports shapes and head numbers that do not belong to the model.
func (p *Problem) check(heads []int) error {
	m := p.Model
	names := []string{"batch", "heads", "seq", "dim"}
	if err := p.Q.CheckShape([]int{-1, m.Heads, -1, m.HeadDim}, names...); err != nil {
		return fmt.Errorf("q: %w", err)
	}
	batch, qLen := p.Q.Shape[0], p.Q.Shape[2]
	if err := p.K.CheckShape([]int{batch, m.KVHeads, -1, m.HeadDim}, names...); err != nil {
		return fmt.Errorf("k: %w", err)
	}
	if err := p.V.CheckShape(p.K.Shape, names...); err != nil {
		return fmt.Errorf("v: %w", err)
	}
	if kLen := p.K.Shape[2]; qLen < 1 || qLen > kLen {
		return fmt.Errorf("q has %d rows for %d keys; queries are the last rows of the context", qLen, kLen)
	}
	for _, h := range heads {
		if h < 0 || h >= m.Heads {
			return fmt.Errorf("query head %d does not exist; the model has 0 to %d", h, m.Heads-1)
		}
	}
	for n, row := range p.Rows {
		if row < 0 || row >= qLen || n > 0 && row <= p.Rows[n-1] {
			return fmt.Errorf("query row %d: rows must be ascending and below %d", row, qLen)
		}
	}
	return nil
}

// span is the rows of one query block that are computed: consecutive positions
// [first, end), whose first has its place at slot of the result.
type span struct{ block, first, end, slot int }

// spans cuts the rows at the borders of query blocks and where rows are left
// out, the longest rows first.
func (p *Problem) spans() []span {
	offset := p.K.Shape[2] - p.Q.Shape[2]
	count := len(p.Rows)
	position := func(n int) int { return offset + p.Rows[n] }
	if p.Rows == nil {
		count = p.Q.Shape[2]
		position = func(n int) int { return offset + n }
	}
	var list []span
	for n := 0; n < count; {
		s := span{block: position(n) / p.Model.Block, first: position(n), end: position(n) + 1, slot: n}
		for n++; n < count && position(n) == s.end && s.end/p.Model.Block == s.block; n++ {
			s.end++
		}
		list = append(list, s)
	}
	slices.Reverse(list)
	return list
}

// job is a problem under way.
type job struct {
	Problem
	result *Result
	kLen   int
	spans  []span
	done   atomic.Int64
	total  int
	// k and v are those of the KV head in work, [k_len, dim] each, with zeros up to
	// the end of the last block; longest is the greatest length of a key, and vFinite
	// whether every value is finite.
	k, v    []float64
	longest float64
	vFinite bool
	// summed is v where it is finite, and zeros elsewhere: [worker.settle] sees to
	// the others. Where all are finite it is v itself.
	summed []float64
}

// key is the key of a token.
func (j *job) key(token int) []float64 {
	return j.k[token*j.Model.HeadDim : (token+1)*j.Model.HeadDim]
}

// value is the value of a token.
func (j *job) value(token int) []float64 {
	return j.v[token*j.Model.HeadDim : (token+1)*j.Model.HeadDim]
}

// unit is the work of one span of one query head.
type unit struct {
	batch, slot, head int // slot is the head's place in the result
	span              span
}

// group works off the query heads that share a KV head, so that only one KV
// head's keys and values are held in float64 at a time.
func (j *job) group(ctx context.Context, batch, kvHead int) error {
	group := j.Model.Heads / j.Model.KVHeads
	var units []unit
	for slot, head := range j.result.Heads {
		if head/group != kvHead {
			continue
		}
		for _, span := range j.spans {
			units = append(units, unit{batch: batch, slot: slot, head: head, span: span})
		}
	}
	if len(units) == 0 {
		return nil
	}
	j.load(batch, kvHead)

	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(units)) {
		workers.Go(func() {
			w := worker{job: j}
			for ctx.Err() == nil {
				n := int(next.Add(1)) - 1
				if n >= len(units) {
					return
				}
				w.run(units[n])
				done := int(j.done.Add(1))
				if j.Progress != nil {
					j.Progress(done, j.total)
				}
			}
		})
	}
	workers.Wait()
	return ctx.Err()
}

// loadTokens is how many tokens one worker loads at a time: few enough that they
// are still in the cache when it surveys them.
const loadTokens = 32

// load brings the keys and values of a KV head to float64, and surveys them.
func (j *job) load(batch, kvHead int) {
	dim := j.Model.HeadDim
	size := j.kLen * dim
	padded := (j.kLen + j.Model.Block - 1) / j.Model.Block * j.Model.Block * dim
	j.k, j.v = resized(j.k, padded), resized(j.v, padded)
	clear(j.k[size:])
	clear(j.v[size:])
	from := (batch*j.Model.KVHeads + kvHead) * size
	found := make([]survey, (j.kLen+loadTokens-1)/loadTokens)
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(found)) {
		workers.Go(func() {
			for {
				n := int(next.Add(1)) - 1
				if n >= len(found) {
					return
				}
				first, end := n*loadTokens*dim, min((n+1)*loadTokens, j.kLen)*dim
				j.K.Float64s(j.k[first:end], from+first)
				j.V.Float64s(j.v[first:end], from+first)
				found[n] = surveyOf(j.k[first:end], j.v[first:end], dim)
			}
		})
	}
	workers.Wait()
	var all survey
	for _, s := range found {
		all.longest, all.sum = max(all.longest, s.longest), all.sum+s.sum
	}
	j.longest, j.vFinite = math.Sqrt(all.longest), finite(all.sum)
	if j.summed = j.v; !j.vFinite {
		j.summed = finiteOnly(j.v)
	}
}

// finiteOnly is a copy with zeros for what is not finite.
func finiteOnly(v []float64) []float64 {
	out := make([]float64, len(v))
	for n, x := range v {
		if finite(x) {
			out[n] = x
		}
	}
	return out
}

// resized is a slice of some length; what it holds is left open.
func resized(s []float64, n int) []float64 { return slices.Grow(s[:0], n)[:n] }

// sweep is the query rows that a worker takes through the keys together: enough
// that a key block is read from the cache, few enough that the scores of a long
// context fit into memory.
const sweep = 16

// worker holds one goroutine's buffers.
type worker struct {
	*job
	blocks []int     // attended key blocks of the unit
	q      []float64 // [sweep, dim]
	scores []float64 // [sweep, len(blocks)·block]
	out    []float64 // [sweep, dim]
}

// run computes a unit's rows.
func (w *worker) run(u unit) {
	w.blocks = w.blocks[:0]
	for n := range (w.kLen + w.Model.Block - 1) / w.Model.Block {
		if w.Attends(u.head, int64(u.span.block), int64(n)) {
			w.blocks = append(w.blocks, n)
		}
	}
	for first := u.span.first; first < u.span.end; first += sweep {
		w.rows(u, first, min(first+sweep, u.span.end))
	}
}

// rows computes the queries at the positions [first, end), all in one block.
func (w *worker) rows(u unit, first, end int) {
	dim := w.Model.HeadDim
	row := first - (w.kLen - w.result.QLen) // of the query tensor
	count := end - first
	padded := (count + rowGroup - 1) / rowGroup * rowGroup // with rows that nobody looks at
	width := len(w.blocks) * w.Model.Block
	w.q, w.scores, w.out = resized(w.q, padded*dim), resized(w.scores, padded*width), resized(w.out, padded*dim)
	clear(w.q[count*dim:])
	clear(w.scores[count*width:])
	clear(w.out)
	w.Q.Float64s(w.q[:count*dim], ((u.batch*w.Model.Heads+u.head)*w.result.QLen+row)*dim)

	for slot, block := range w.blocks {
		w.scoreRows(count, width, slot, block, first)
	}
	at := (u.batch*len(w.result.Heads)+u.slot)*w.result.rows() + u.span.slot + first - u.span.first
	for n := range count {
		w.result.LSE[at+n] = softmax(w.scores[n*width : (n+1)*width])
	}
	for slot, block := range w.blocks {
		w.weighRows(count, width, slot, block)
	}
	out := w.result.Out[at*dim : (at+count)*dim]
	copy(out, w.out)
	for n := range count {
		q, out := w.q[n*dim:(n+1)*dim], out[n*dim:(n+1)*dim]
		if !w.ordinary(q) {
			w.result.margins[at+n] = w.settle(out, q, w.scores[n*width:(n+1)*width], first+n)
		}
		if math.IsNaN(w.result.LSE[at+n]) {
			floats.AddConst(math.NaN(), out)
		}
	}
}

// scoreRows fills the scores of count queries, the first of them at a position,
// against one attended key block.
func (w *worker) scoreRows(count, width, slot, block, first int) {
	size, dim := w.Model.Block, w.Model.HeadDim
	if vectors != nil {
		vectors.scoreBlock(w, count, width, slot, block)
	}
	for n := range count {
		scores := w.scores[n*width+slot*size:][:size]
		if vectors == nil {
			w.score(scores, w.q[n*dim:(n+1)*dim], block)
		}
		w.exclude(scores, block, first+n)
	}
}

// weighRows adds the values of one key block to the outputs of count queries.
func (w *worker) weighRows(count, width, slot, block int) {
	if vectors != nil {
		vectors.weighBlock(w, count, width, slot, block)
		return
	}
	size, dim := w.Model.Block, w.Model.HeadDim
	for n := range count {
		w.weigh(w.out[n*dim:(n+1)*dim], w.scores[n*width+slot*size:][:size], block)
	}
}

// score fills the scaled scores of one query against one key block.
func (w *worker) score(scores, q []float64, block int) {
	for n := range scores {
		scores[n] = w.Scale * floats.Dot(q, w.key(block*w.Model.Block+n))
	}
}

// exclude gives −∞ to the keys that the token-level rule or the end of the context
// excludes for the query at a position.
func (w *worker) exclude(scores []float64, block, position int) {
	end := w.kLen
	if w.Model.Causal {
		end = min(end, position+1)
	}
	for n := max(0, end-block*w.Model.Block); n < len(scores); n++ {
		scores[n] = math.Inf(-1)
	}
}

// softmax turns scores into probabilities in place and returns their log-sum-exp.
// Of scores that hold a NaN or +∞ there are none: the log-sum-exp is NaN.
func softmax(scores []float64) (lse float64) {
	top := math.Inf(-1)
	for _, s := range scores {
		if s > top || math.IsNaN(s) {
			top = s
		}
	}
	if math.IsInf(top, -1) {
		clear(scores)
		return top
	}
	if !finite(top) {
		clear(scores)
		return math.NaN()
	}
	var sum float64
	for n, s := range scores {
		scores[n] = math.Exp(s - top)
		sum += scores[n]
	}
	floats.Scale(1/sum, scores)
	return top + math.Log(sum)
}

// weigh adds the values of one key block, weighed by probabilities, to a row.
// Elements that are not finite are left to [worker.settle].
func (w *worker) weigh(row, probabilities []float64, block int) {
	dim := w.Model.HeadDim
	for n, p := range probabilities {
		if key := block*w.Model.Block + n; p != 0 {
			floats.AddScaled(row, p, w.summed[key*dim:(key+1)*dim])
		}
	}
}
