package lower

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/limit"
)

// budget is what the tables of a module may still cost together.
type budget struct {
	entries int // stored
	steps   int // that conditions of predicates take
	words   int // of bit rows worked on
}

const (
	maxTableWidth = limit.TableWidth // key blocks of a row
	maxWords      = 1 << 30          // words of bit rows
)

// maxKept is how many words of bit rows are kept between counting and filling
// a table; larger tables are evaluated twice. Predicates, which are slow, have
// limits that stay below.
const maxKept = 8 << 20

// table is the first rows rows of a set, each looked at directly, confined to
// j < width and, in a causal model, to j ≤ i. Its memory is reserved only after
// its entries have been counted.
func (l *lowerer) table(s dsl.Set, rows, width int64) (*ir.Table, error) {
	if l.program.Model.Causal {
		width = rows
	}
	if rows > ir.MaxTableRows || width > maxTableWidth {
		return nil, errTable
	}
	var kept []uint64
	keep := rows*((width+63)/64) <= maxKept
	t := &ir.Table{Rows: rows, Crow: make([]int64, 1, rows+1)}
	entries := 0
	err := l.eachRow(s, rows, width, func(row []uint64) error {
		for _, word := range row {
			entries += bits.OnesCount64(word)
		}
		t.Crow = append(t.Crow, int64(entries))
		if entries > l.left.entries {
			return errTable
		}
		if keep {
			kept = append(kept, row...)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	l.left.entries -= entries
	t.Col = make([]int32, 0, entries)
	t.Members = slices.Repeat([]uint32{1}, entries)
	fill := func(row []uint64) error {
		for n, word := range row {
			for ; word != 0; word &= word - 1 {
				t.Col = append(t.Col, int32(n*64+bits.TrailingZeros64(word)))
			}
		}
		return nil
	}
	if !keep {
		return t, l.eachRow(s, rows, width, fill)
	}
	for i := range rows {
		n := (l.widthOf(i, width) + 63) / 64
		fill(kept[:n])
		kept = kept[n:]
	}
	return t, nil
}

// widthOf is the number of key blocks that count in row i.
func (l *lowerer) widthOf(i, width int64) int64 {
	if l.program.Model.Causal {
		return i + 1
	}
	return width
}

// eachRow evaluates a set row by row, as bits over key blocks.
func (l *lowerer) eachRow(s dsl.Set, rows, width int64, visit func(row []uint64) error) error {
	r := rasteriser{l: l}
	root := r.compile(s)
	buf := make([]uint64, (width+63)/64)
	for i := range rows {
		if l.cancelled() {
			return errCancelled
		}
		r.row, r.width = i, l.widthOf(i, width)
		row := buf[:(r.width+63)/64]
		clear(row)
		root(row)
		if r.err != nil {
			return r.err
		}
		if err := visit(row); err != nil {
			return err
		}
	}
	return nil
}

// rasteriser evaluates a set row by row, as bits over key blocks. Rows come in
// ascending order.
type rasteriser struct {
	l     *lowerer
	row   int64 // the query block
	width int64 // key blocks that count
	spare [][]uint64
	err   error
}

// fill sets the bits of a cleared row that are in a set.
type fill func(row []uint64)

// compile makes the evaluator of a set.
func (r *rasteriser) compile(s dsl.Set) fill {
	switch s := s.(type) {
	case dsl.Band:
		return func(row []uint64) {
			lo, hi := int64(0), r.width-1
			if s.HiDiff < dsl.Inf {
				lo = max(lo, r.row-s.HiDiff)
			}
			if s.LoDiff > -dsl.Inf {
				hi = min(hi, r.row-s.LoDiff)
			}
			setRange(row, lo, hi)
		}
	case dsl.Stride:
		return func(row []uint64) { r.progression(row, euclid(s.Phase, s.Step), s.Step) }
	case dsl.Dilated:
		return func(row []uint64) {
			r.progression(row, euclid(r.row-euclid(s.Phase, s.Step), s.Step), s.Step)
		}
	case dsl.Columns:
		return func(row []uint64) { setRange(row, max(0, s.Lo), min(s.Hi, r.width-1)) }
	case dsl.Rows:
		return func(row []uint64) {
			if s.Lo <= r.row && r.row <= s.Hi {
				setRange(row, 0, r.width-1)
			}
		}
	case dsl.Blocks:
		return r.blocks(s)
	case dsl.Where:
		return r.where(s)
	case dsl.Union:
		return r.both(s.A, s.B, func(x, y uint64) uint64 { return x | y })
	case dsl.Intersection:
		return r.both(s.A, s.B, func(x, y uint64) uint64 { return x & y })
	case dsl.Difference:
		return r.both(s.A, s.B, func(x, y uint64) uint64 { return x &^ y })
	}
	return func([]uint64) {}
}

// both combines two sets word by word.
func (r *rasteriser) both(a, b dsl.Set, op func(x, y uint64) uint64) fill {
	left, right := r.compile(a), r.compile(b)
	return func(row []uint64) {
		if r.l.left.words -= len(row); r.l.left.words < 0 {
			r.err = errTable
		}
		if r.err != nil {
			return
		}
		left(row)
		other := r.borrow(len(row))
		right(other)
		for n := range row {
			row[n] = op(row[n], other[n])
		}
		r.spare = append(r.spare, other)
	}
}

// borrow is a cleared row.
func (r *rasteriser) borrow(n int) []uint64 {
	if k := len(r.spare); k > 0 {
		row := r.spare[k-1]
		r.spare = r.spare[:k-1]
		if cap(row) >= n {
			row = row[:n]
			clear(row)
			return row
		}
	}
	return make([]uint64, n, 2*n)
}

func (r *rasteriser) progression(row []uint64, first, step int64) {
	for j := first; j < r.width; j += step {
		row[j/64] |= 1 << (j % 64)
	}
}

// blocks sweeps the rectangles in order of their first rows.
func (r *rasteriser) blocks(s dsl.Blocks) fill {
	todo := slices.Clone(s.List)
	slices.SortFunc(todo, func(x, y dsl.Rect) int { return cmp.Compare(x.ILo, y.ILo) })
	var active []dsl.Rect
	return func(row []uint64) {
		for len(todo) > 0 && todo[0].ILo <= r.row {
			active = append(active, todo[0])
			todo = todo[1:]
		}
		active = slices.DeleteFunc(active, func(b dsl.Rect) bool { return b.IHi < r.row })
		if r.l.left.words -= len(active); r.l.left.words < 0 {
			r.err = errTable
			return
		}
		for _, b := range active {
			setRange(row, max(0, b.JLo), min(b.JHi, r.width-1))
		}
	}
}

func (r *rasteriser) where(s dsl.Where) fill {
	return func(row []uint64) {
		if r.row >= s.Limit || r.err != nil {
			return
		}
		for j := range min(r.width, s.Limit) {
			if s.Holds(r.row, j) {
				row[j/64] |= 1 << (j % 64)
			}
		}
	}
}

// setRange sets bits lo to hi.
func setRange(row []uint64, lo, hi int64) {
	if lo > hi {
		return
	}
	first, last := lo/64, hi/64
	head, tail := ^uint64(0)<<(lo%64), ^uint64(0)>>(63-hi%64)
	if first == last {
		row[first] |= head & tail
		return
	}
	row[first] |= head
	for n := first + 1; n < last; n++ {
		row[n] = ^uint64(0)
	}
	row[last] |= tail
}

func euclid(a, m int64) int64 {
	r := a % m
	if r < 0 {
		r += m
	}
	return r
}
