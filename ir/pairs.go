package ir

import "math/big"

// span is the token positions of a call: the queries are the last QLen of
// KLen positions, and key blocks end at KLen.
type span struct{ qLen, kLen, block int64 }

// keyBlocks is ⌈length/block⌉.
func keyBlocks(length int64, block int) int64 { return ceilDiv(length, int64(block)) }

// TokenPairs is the exact number of (query, key) token pairs that one head
// attends when the queries are the last qLen of kLen positions: the causal
// mask inside the diagonal block and the tails of both lengths are counted
// exactly, in closed form. At most MaxTokens tokens.
func (p Pattern) TokenPairs(s Shape, qLen, kLen int64) (int64, error) {
	if err := p.checkLength(s, qLen, kLen); err != nil {
		return 0, err
	}
	if qLen == 0 {
		return 0, nil
	}
	at := span{qLen, kLen, int64(s.Block)}
	if s.Causal {
		return p.causalPairs(at), nil
	}
	return p.bidirectionalPairs(at), nil
}

func (p Pattern) checkLength(s Shape, qLen, kLen int64) error {
	most := int64(MaxTokens)
	if l := p.Limit(); l < most/int64(s.Block) {
		most = l * int64(s.Block)
	}
	if qLen < 0 || qLen > kLen || kLen > most {
		return &LengthError{qLen, kLen, most}
	}
	return nil
}

// rows is the first and last query block of the call.
func (s span) rows() (first, last int64) {
	return (s.kLen - s.qLen) / s.block, (s.kLen - 1) / s.block
}

// offsets is the part [lo, hi) of query block i that the call has queries in.
func (s span) offsets(i int64) (lo, hi int64) {
	return max(0, s.kLen-s.qLen-i*s.block), min(s.block, s.kLen-i*s.block)
}

// causalPairs counts key blocks left of the diagonal in full, the diagonal
// block up to each query's own position.
func (p Pattern) causalPairs(at span) int64 {
	first, last := at.rows()
	edge := func(i int64) int64 {
		lo, hi := at.offsets(i)
		n := (hi - lo) * at.block * p.Count(i, i)
		if p.Contains(i, i) {
			n += hi*(hi+1)/2 - lo*(lo+1)/2
		}
		return n
	}
	n := edge(first)
	if last > first {
		n += edge(last)
	}
	left := p.leftOfDiagonal(first+1, last)
	diagonal := p.blocks(first+1, last, MaxTokens) - left
	return n + at.block*at.block*left + at.block*(at.block+1)/2*diagonal
}

// leftOfDiagonal is the number of pairs with j < i in rows [rowLo, rowHi).
func (p Pattern) leftOfDiagonal(rowLo, rowHi int64) int64 {
	var n int64
	for i := rowLo; i < min(rowHi, p.tableRows()); i++ {
		n += p.Table.count(i, i)
	}
	rowLo = max(rowLo, p.tableRows())
	var buf [2]Cell
	for _, c := range p.Cells {
		for _, c := range c.ceiling(buf[:0], Line{1, -1}) {
			n += c.total(rowLo, rowHi, MaxTokens)
		}
	}
	return n
}

// bidirectionalPairs counts every key block in full but the last, whose tail
// ends at the key length.
func (p Pattern) bidirectionalPairs(at span) int64 {
	first, last := at.rows()
	kb := ceilDiv(at.kLen, at.block)
	tail := at.kLen - (kb-1)*at.block
	edge := func(i int64) int64 {
		lo, hi := at.offsets(i)
		full := p.Count(i, kb-1)
		return (hi - lo) * (full*at.block + (p.Count(i, kb)-full)*tail)
	}
	n := edge(first)
	if last > first {
		n += edge(last)
	}
	full := p.blocks(first+1, last, kb-1)
	cut := p.blocks(first+1, last, kb) - full
	return n + at.block*(full*at.block+cut*tail)
}

// Pairs is TokenPairs summed over a layer's query heads, for one sequence.
func Pairs(l Layer, s Shape, qLen, kLen int64) (*big.Int, error) {
	sum := new(big.Int)
	for _, h := range l.Heads {
		n, err := h.TokenPairs(s, qLen, kLen)
		if err != nil {
			return nil, err
		}
		sum.Add(sum, big.NewInt(n))
	}
	return sum, nil
}

// DensePairs is what Pairs gives for the dense pattern of the same shape:
// every key up to the query's own position (causal), or every key.
func DensePairs(s Shape, qLen, kLen int64) *big.Int {
	q, k := big.NewInt(qLen), big.NewInt(kLen)
	sum := new(big.Int).Mul(q, k)
	if s.Causal { // Σ over the last q positions p of p + 1
		skipped := new(big.Int).Mul(q, big.NewInt(qLen-1))
		sum.Sub(sum, skipped.Rsh(skipped, 1))
	}
	return sum.Mul(sum, big.NewInt(int64(s.Heads)))
}

// Density is Pairs ÷ DensePairs for n queries over n keys; n ≥ 1.
func Density(l Layer, s Shape, n int64) (float64, error) {
	pairs, err := Pairs(l, s, n, n)
	if err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, &LengthError{0, 0, MaxTokens}
	}
	d, _ := new(big.Rat).SetFrac(pairs, DensePairs(s, n, n)).Float64()
	return d, nil
}

// FLOPs is the forward pass's floating-point operations for n tokens of one
// sequence: 4·HeadDim for each attended pair (two products, multiply and add).
func FLOPs(l Layer, s Shape, n int64) (float64, error) {
	pairs, err := Pairs(l, s, n, n)
	if err != nil {
		return 0, err
	}
	f, _ := new(big.Float).SetInt(pairs).Float64()
	return 4 * float64(s.HeadDim) * f, nil
}

// IdealSpeedup is dense work ÷ attended work at n tokens: what skipping alone
// can gain.
func IdealSpeedup(l Layer, s Shape, n int64) (float64, error) {
	d, err := Density(l, s, n)
	if err != nil {
		return 0, err
	}
	return 1 / d, nil
}
