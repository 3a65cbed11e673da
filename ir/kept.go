package ir

// KVKept is the share of the KV cache that must be kept after n tokens: the
// mean over KV heads of (key blocks j < ⌈n/block⌉ that a query at a position
// ≥ n, at any later length, reads through some query head of the KV head) ÷
// ⌈n/block⌉. n is 1 to MaxTokens.
func KVKept(l Layer, s Shape, n int64) (float64, error) {
	if n < 1 || n > MaxTokens {
		return 0, &LengthError{n, n, MaxTokens}
	}
	blocks := keyBlocks(n, s.Block)
	var sum float64
	for kv := range s.KVHeads {
		c := columnSet{n: blocks}
		for _, h := range distinct(l.Heads[kv*s.Group() : (kv+1)*s.Group()]) {
			c.addFuture(h, n/int64(s.Block))
		}
		sum += float64(c.count()) / float64(blocks)
	}
	return sum / float64(s.KVHeads), nil
}

// columnSet is a set of key blocks below n: progressions, and single ones.
type columnSet struct {
	n     int64
	progs []Cell // in rows: Rows is the progression, column 0 stands for it
	bits  bitmap // allocated when first needed
}

func (s *columnSet) add(j int64) {
	if s.bits == nil {
		s.bits = newBitmap(s.n)
	}
	s.bits.set(j)
}

// addProgression adds lo ≤ j ≤ hi, j < n, j ≡ res (mod step).
func (s *columnSet) addProgression(lo, hi, step, res int64) {
	c := Cell{Rows: Rows{max(lo, 0), min(hi, s.n-1) + 1, step, mod(res, step)}, Step: 1, Members: 1}
	s.progs = appendNormal(s.progs, c)
}

// addFuture adds what rows ≥ row of p read.
func (s *columnSet) addFuture(p Pattern, row int64) {
	for i := row; i < p.tableRows(); i++ {
		cols, _ := p.Table.row(i)
		for _, j := range cols {
			if int64(j) >= s.n {
				break
			}
			s.add(int64(j))
		}
	}
	for _, c := range p.Cells {
		ps, n := c.pieces(max(row, p.tableRows()), Inf, s.n)
		for _, x := range ps[:n] {
			s.addPiece(x)
		}
	}
}

// addPiece adds the columns of a piece.
func (s *columnSet) addPiece(x Cell) {
	g := gcd(x.Phase.A, x.Step) // the residues of x in all its rows are Phase.C + g·Z
	switch {
	case x.Lo.A == 0 && x.Rows.Hi == Inf:
		// Every column is read in all rows from some row on, and with it by
		// every residue that the phase passes through. Hi is constant: a rising
		// one was cut at n.
		s.addProgression(x.Lo.C, x.Hi.C, g, x.Phase.C)
	case x.Step == 1 && x.Rows.Mod == 1 && x.Lo.A <= 1:
		// Intervals of adjacent rows touch.
		s.addProgression(x.Lo.At(x.Rows.Lo), x.Hi.At(x.Rows.last()), 1, 0)
	case x.Lo.A == 0 && x.Phase.A == 0:
		// The last row holds what all others do.
		s.addProgression(x.Lo.C, x.Hi.At(x.Rows.last()), x.Step, x.Phase.C)
	default:
		for j := max(0, x.Lo.At(x.Rows.Lo)); j <= x.Hi.At(x.Rows.last()); j++ {
			if mod(j-x.Phase.C, g) == 0 && x.reads(j) {
				s.add(j)
			}
		}
	}
}

// reads says whether some row of a piece with bounded rows holds column j.
func (c Cell) reads(j int64) bool {
	r := c.Rows.where(Line{-c.Lo.A, j - c.Lo.C}).where(Line{c.Hi.A, c.Hi.C - j})
	r, ok := r.tight()
	if !ok {
		return false
	}
	// Phase.C + Phase.A·t ≡ j (mod Step), t from r's first row to its last.
	t0, period, ok := solve(c.Phase.C-j, c.Phase.A, c.Step)
	if !ok {
		return false
	}
	t := r.index(r.Lo)
	return t+mod(t0-t, period) <= r.index(r.last())
}

// count is the number of key blocks in the set.
func (s *columnSet) count() int64 {
	a := newAlgebra()
	progs := a.or(s.progs)
	if a.err != nil { // too many different periods: count one by one
		for _, p := range s.progs {
			for j := p.Rows.Lo; j < p.Rows.Hi; j += p.Rows.Mod {
				s.add(j)
			}
		}
		return s.bits.len()
	}
	var n int64
	for _, p := range progs {
		n += p.Rows.rows()
	}
	for j := range int64(len(s.bits)) * 64 {
		if s.bits.has(j) && !anyRow(progs, j) {
			n++
		}
	}
	return n
}

func anyRow(progs []Cell, j int64) bool {
	for _, p := range progs {
		if p.Rows.has(j) {
			return true
		}
	}
	return false
}
