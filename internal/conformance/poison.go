package conformance

import "github.com/s2attention/s2c/internal/tensor"

// poison makes NaNs of all keys and values that no query of the call attends, so
// that a kernel which multiplies what it skips gives itself away. Of the pattern
// it knows the source predicate alone.
//
// Whole key blocks are enough: the queries are the last rows of the context, so
// the last query of a block sees every token of the key blocks that the block
// attends, its own included. A token that only some rows see stays.
func (p *Problem) poison() {
	for kv := range p.Subject.Model.KVHeads {
		for j := range p.keyBlocks() {
			if !p.attended(kv, j) {
				p.poisonBlock(p.K, kv, j)
				p.poisonBlock(p.V, kv, j)
			}
		}
	}
}

// keyBlocks is the number of key blocks of the call.
func (p *Problem) keyBlocks() int64 { return (int64(p.Case.KLen)-1)/int64(p.Subject.Model.Block) + 1 }

// attended is whether a query head of a KV head's group has a query of the call
// that attends key block j. The query blocks from j on come first: where one
// attends, it is mostly near, which keeps a million tokens cheap.
func (p *Problem) attended(kv int, j int64) bool {
	m := p.Subject.Model
	group, blocks := m.Heads/m.KVHeads, p.keyBlocks()
	first := int64(p.Case.KLen-p.Case.qLen()) / int64(m.Block)
	near := max(first, j)
	return p.attendedFrom(kv*group, group, near, blocks, j) ||
		!m.Causal && p.attendedFrom(kv*group, group, first, near, j)
}

// attendedFrom is attended by the query blocks [from, to) of count heads.
func (p *Problem) attendedFrom(head, count int, from, to, j int64) bool {
	for i := from; i < to; i++ {
		for h := range count {
			if p.Subject.Attends(head+h, i, j) {
				return true
			}
		}
	}
	return false
}

// poisonBlock fills a key block of a KV head with NaNs, in every sequence.
func (p *Problem) poisonBlock(t *tensor.Tensor, kv int, j int64) {
	heads, seq, dim := t.Shape[1], t.Shape[2], t.Shape[3]
	block, line := p.Subject.Model.Block, dim*t.DType.Bytes()
	from, to := int(j)*block, min((int(j)+1)*block, seq)
	for b := range t.Shape[0] {
		row := (b*heads + kv) * seq
		data := t.Data[(row+from)*line : (row+to)*line]
		for n := range data {
			data[n] = 0xff
		}
	}
}
