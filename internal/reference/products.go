package reference

// The two products of attention over one key block, for rows that are computed
// together. Both are loops over gonum's vectors in [worker.score] and
// [worker.weigh]; where the processor has wide vectors, these take their place and
// give the same but for the rounding of float64.
//
// Rows come in groups of rowGroup, so buffers hold a multiple of it; key blocks and
// head dimensions are multiples of what the loops are unrolled by.
var vectors *products

const rowGroup = 4

type products struct {
	// dots sets two rows of scores, stride apart, to scale · q·k: two queries and
	// keys of dim elements each, keys a multiple of 4.
	dots func(scores *float64, stride int, q, k *float64, dim, keys int, scale float64)
	// sums adds to four rows of dim elements each the values of keys, weighed by four
	// rows of weights, stride apart.
	sums func(out, weights *float64, stride int, v *float64, dim, keys int)
}

// sumKeys is how many values sums takes at a time: as many as stay in the nearest
// cache while it goes through them eight columns at a time.
const sumKeys = 32

// scoreBlock is score for all rows of a worker.
func (p *products) scoreBlock(w *worker, rows, width, slot, block int) {
	dim, keys := w.Model.HeadDim, w.Model.Block
	for n := 0; n < rows; n += 2 {
		p.dots(&w.scores[n*width+slot*keys], width, &w.q[n*dim], &w.k[block*keys*dim], dim, keys, w.Scale)
	}
}

// weighBlock is weigh for all rows of a worker.
func (p *products) weighBlock(w *worker, rows, width, slot, block int) {
	dim, keys := w.Model.HeadDim, w.Model.Block
	for first := 0; first < keys; first += sumKeys {
		for n := 0; n < rows; n += rowGroup {
			p.sums(&w.out[n*dim], &w.scores[n*width+slot*keys+first], width, &w.summed[(block*keys+first)*dim], dim, min(sumKeys, keys-first))
		}
	}
}
