package ir

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"

	"github.com/s2attention/s2c/limit"
)

// Verdict is the answer to a question about a layer.
type Verdict struct {
	Holds bool
	// Head is the KV head of the counter-example where the property is one of
	// KV heads (KV efficiency), else −1.
	Head int
	// I and J are the first query block and key block, in the order of rows
	// then columns, for which the property fails. Meaningless when Holds.
	I, J int64
	// Err is set when the question passes the limits of the closed form and a
	// search of the first rows found no counter-example; Holds is false then.
	Err error
	// Work is what the answer took, about 30 nanoseconds each: whoever asks many questions
	// can add it up.
	Work int
}

func (v Verdict) String() string {
	switch {
	case v.Err != nil:
		return "undecided: " + v.Err.Error()
	case v.Holds:
		return "holds"
	case v.Head >= 0:
		return fmt.Sprintf("fails for KV head %d at query block %d, key block %d", v.Head, v.I, v.J)
	}
	return fmt.Sprintf("fails at query block %d, key block %d", v.I, v.J)
}

// searchRows is the number of rows searched for a counter-example where the
// algebra passes its limits.
const searchRows = 512

// Coverage says whether the union of a layer's heads is the whole context: in
// a causal model every (i, j) with j ≤ i, else every (i, j), for every length
// that the layer's patterns are defined for.
func Coverage(l Layer, s Shape) Verdict { return coverage(l, s, Inf) }

// CoverageAt is Coverage for n tokens alone: i, j < ⌈n/block⌉.
func CoverageAt(l Layer, s Shape, n int64) Verdict { return coverage(l, s, keyBlocks(n, s.Block)) }

func coverage(l Layer, s Shape, blocks int64) Verdict {
	heads := distinct(l.Heads)
	limit, tables := extent(heads, blocks)
	right := Line{0, Inf}
	if s.Causal {
		right = Line{1, 0}
	}
	domain := func(lo, hi int64) []Cell {
		c, ok := Cell{Rows: Rows{lo, hi, 1, 0}, Hi: right, Step: 1, Members: 1}.normal()
		if !ok {
			return nil
		}
		if limit == Inf {
			return []Cell{c}
		}
		return c.ceiling(nil, Line{0, limit - 1})
	}
	for i := range tables {
		if j, missing, err := missingInRow(heads, i, domain(i, i+1), 0); err != nil {
			return Verdict{Head: -1, Err: err}
		} else if missing {
			return Verdict{Head: -1, I: i, J: j}
		}
	}
	var cells []Cell
	for _, h := range heads {
		cells = append(cells, from(h.Cells, tables)...)
	}
	a := newAlgebra()
	cells = joined(cells)
	rest := a.minus(domain(tables, limit), a.covering(cells))
	i, j, missing := least(rest)
	if a.err == nil {
		return Verdict{Holds: !missing, Head: -1, I: i, J: j, Work: a.spent()}
	}
	union := []Pattern{{Cells: cells}} // from these rows on
	for i := tables; i < min(limit, tables+searchRows); i++ {
		if j, missing, err := missingInRow(union, i, domain(i, i+1), searchRows); err == nil && missing {
			return Verdict{Head: -1, I: i, J: j, Work: a.spent()}
		}
	}
	return Verdict{Head: -1, Err: a.err, Work: a.spent()}
}

// joined is cells of any heads with complete residue systems of key blocks made one:
// where each head has a stripe of its own, they are many.
func joined(cells []Cell) []Cell {
	for {
		cells = slices.Compact(slices.SortedFunc(slices.Values(cells), byBounds))
		n := len(cells)
		if cells = joinSteps(cells); len(cells) == n {
			return cells
		}
	}
}

// covering is the cells without repetition, those that cut a domain into the
// fewest pieces first.
func (a *algebra) covering(cells []Cell) []Cell {
	cells = slices.Clone(cells)
	slices.SortFunc(cells, func(x, y Cell) int { return cmp.Or(wholeFirst(x, y), byBounds(x, y)) })
	return slices.Compact(cells)
}

// missingInRow is the first key block of a one-row domain that no head attends.
// Columns before width, and up to the tables' last, are looked at one by one, the
// rest in closed form.
func missingInRow(heads []Pattern, i int64, domain []Cell, width int64) (j int64, missing bool, err error) {
	for _, h := range heads {
		if i < h.tableRows() {
			if cols, _ := h.Table.row(i); len(cols) > 0 {
				width = max(width, int64(cols[len(cols)-1])+1)
			}
		}
	}
	seen := newBitmap(width)
	a := newAlgebra()
	var tail, cells []Cell
	for _, d := range domain {
		tail = d.floor(tail, Line{0, width})
	}
	var row []Column
	for _, h := range heads {
		row = h.AppendColumns(row[:0], i, width)
		for _, c := range row {
			seen.set(c.J)
		}
		if len(tail) > 0 && i >= h.tableRows() {
			cells = append(cells, h.rowCells(i)...)
		}
	}
	for _, d := range domain {
		right := d.Hi.At(i)
		for j := int64(0); j < width && j <= right; j++ {
			if !seen.has(j) {
				return j, true, nil
			}
		}
	}
	_, j, missing = least(a.minus(tail, cells))
	return j, missing, a.err
}

// KVEfficient says whether a key block that a KV head has dropped never comes
// back: attended(i, j) implies attended(i − 1, j) for all i > j, on the union
// of the query heads that share the KV head, for every length.
func KVEfficient(l Layer, s Shape) Verdict { return kvEfficient(l, s, Inf) }

// KVEfficientAt is KVEfficient for n tokens alone: i < ⌈n/block⌉.
func KVEfficientAt(l Layer, s Shape, n int64) Verdict {
	return kvEfficient(l, s, keyBlocks(n, s.Block))
}

func kvEfficient(l Layer, s Shape, blocks int64) Verdict {
	var ids patternIDs
	known := make(map[string]Verdict)
	work := 0
	for kv := range s.KVHeads {
		heads := distinct(l.Heads[kv*s.Group() : (kv+1)*s.Group()])
		var key []byte
		for _, h := range heads {
			id, _ := ids.of(h)
			key = binary.AppendUvarint(key, uint64(id))
		}
		v, seen := known[string(key)]
		if !seen {
			v = groupEfficient(heads, blocks)
			known[string(key)] = v
			work += v.Work
		}
		if v.Holds && work > limit.RequireWork {
			v = Verdict{Err: &LimitError{"work on the KV heads of a layer", limit.RequireWork}}
		}
		if !v.Holds {
			v.Head, v.Work = kv, work
			return v
		}
	}
	return Verdict{Holds: true, Head: -1, Work: work}
}

// groupEfficient is KV efficiency for the heads of one KV head.
func groupEfficient(heads []Pattern, blocks int64) Verdict {
	limit, tables := extent(heads, blocks)
	if i, j, found := returning(heads, 1, min(tables+1, limit)); found {
		return Verdict{I: i, J: j}
	}
	if tables >= limit {
		return Verdict{Holds: true}
	}
	a := newAlgebra()
	var now, before []Cell
	for _, h := range heads {
		before = append(before, from(h.Cells, tables)...)
	}
	for _, c := range a.covering(before) {
		c.Rows = c.Rows.clip(tables+1, limit)
		now = c.left(now)
	}
	before = a.covering(before)
	for n, c := range before {
		before[n] = c.nextRow()
	}
	var v Verdict
	v.Holds = true
	for _, c := range now { // one at a time: they may overlap
		i, j, found := least(a.uncovered(c, before))
		if found && (v.Holds || i < v.I || i == v.I && j < v.J) {
			v = Verdict{I: i, J: j}
		}
	}
	v.Work = a.spent()
	if a.err == nil {
		return v
	}
	if i, j, found := returning(heads, tables+1, min(limit, tables+searchRows)); found {
		return Verdict{I: i, J: j, Work: v.Work}
	}
	return Verdict{Err: a.err, Work: v.Work}
}

// left appends c in j < i, where it has rows at all.
func (c Cell) left(dst []Cell) []Cell {
	if c.Rows.Lo >= c.Rows.Hi {
		return dst
	}
	c, ok := c.normal()
	if !ok {
		return dst
	}
	return c.ceiling(dst, Line{1, -1})
}

// nextRow is c moved down by a row: (i, j) becomes (i + 1, j).
func (c Cell) nextRow() Cell {
	c.Rows.Lo++
	if c.Rows.Hi != Inf {
		c.Rows.Hi++
	}
	if c.Rows.Res++; c.Rows.Res == c.Rows.Mod { // the row's index grows by one
		c.Rows.Res = 0
		c.Phase.C = mod(c.Phase.C-c.Phase.A, c.Step)
	}
	if c.Lo.bounded() {
		c.Lo.C -= c.Lo.A
	}
	if c.Hi.bounded() {
		c.Hi.C -= c.Hi.A
	}
	return c
}

// returning is the first (i, j), j < i, in rows [lo, hi) that row i of the
// heads' union holds and row i − 1 does not.
func returning(heads []Pattern, lo, hi int64) (i, j int64, found bool) {
	before, now := newBitmap(hi), newBitmap(hi)
	mark := func(b bitmap, i int64) {
		clear(b)
		var row []Column
		for _, h := range heads {
			row = h.AppendColumns(row[:0], i, min(i+1, hi))
			for _, c := range row {
				b.set(c.J)
			}
		}
	}
	if lo >= hi {
		return 0, 0, false
	}
	mark(before, lo-1)
	for i := lo; i < hi; i++ {
		mark(now, i)
		for w := range now {
			extra := now[w] &^ before[w]
			for extra != 0 {
				if j := int64(w)*64 + int64(bits.TrailingZeros64(extra)); j < i {
					return i, j, true
				}
				extra &= extra - 1
			}
		}
		before, now = now, before
	}
	return 0, 0, false
}

// extent is the number of rows for which all heads are defined, at most
// blocks, and the number of leading rows in which some head is a table.
func extent(heads []Pattern, blocks int64) (limit, tables int64) {
	limit = max(blocks, 0)
	for _, h := range heads {
		limit = min(limit, h.Limit())
		tables = max(tables, h.tableRows())
	}
	return limit, min(tables, limit)
}

// distinct is the patterns without those that are written alike, their cells
// in normal form.
func distinct(heads []Pattern) []Pattern {
	var out []Pattern
	var ids patternIDs
	for _, h := range heads {
		h.Cells = normalCells(h.Cells)
		if _, known := ids.of(h); !known {
			out = append(out, h)
		}
	}
	return out
}

// Same says that two patterns are written alike: the same cells in the same
// order, the same table. Equal sets may still be written differently; see
// [Equal].
func Same(p, q Pattern) bool {
	return slices.Equal(p.Cells, q.Cells) && sameTable(p.Table, q.Table)
}

// patternIDs numbers patterns from 0; those written alike get the same number.
type patternIDs struct {
	by   map[patternKey][]numbered
	next int
}

// patternKey tells most patterns apart.
type patternKey struct {
	cells       int
	first, last Cell
	rows        int64
	entries     int
}

type numbered struct {
	Pattern
	id int
}

// of is the number of p, and whether it was known before.
func (ids *patternIDs) of(p Pattern) (id int, known bool) {
	k := patternKey{cells: len(p.Cells), rows: p.tableRows()}
	if k.cells > 0 {
		k.first, k.last = p.Cells[0], p.Cells[k.cells-1]
	}
	if p.Table != nil {
		k.entries = len(p.Table.Col)
	}
	for _, n := range ids.by[k] {
		if Same(n.Pattern, p) {
			return n.id, true
		}
	}
	if ids.by == nil {
		ids.by = make(map[patternKey][]numbered)
	}
	id = ids.next
	ids.next++
	ids.by[k] = append(ids.by[k], numbered{p, id})
	return id, false
}
