package ir

import (
	"cmp"
	"slices"
)

// Column is one attended key block of a row.
type Column struct {
	J       int64
	Members uint32 // as Cell.Members
}

// tableRows is the number of rows that come from the table.
func (p Pattern) tableRows() int64 {
	if p.Table == nil {
		return 0
	}
	return p.Table.Rows
}

// Limit is the number of query blocks for which the pattern is defined: Inf
// unless it has a table with Limited set.
func (p Pattern) Limit() int64 {
	if p.Table != nil && p.Table.Limited {
		return p.Table.Rows
	}
	return Inf
}

// row is the table's columns and members of row i < Rows.
func (t *Table) row(i int64) ([]int32, []uint32) {
	lo, hi := t.Crow[i], t.Crow[i+1]
	return t.Col[lo:hi], t.Members[lo:hi]
}

// Contains says whether query block i attends key block j.
func (p Pattern) Contains(i, j int64) bool {
	if i < 0 || j < 0 {
		return false
	}
	if i < p.tableRows() {
		cols, _ := p.Table.row(i)
		_, found := slices.BinarySearchFunc(cols, j, func(c int32, j int64) int { return cmp.Compare(int64(c), j) })
		return found
	}
	for _, c := range p.Cells {
		if c.has(i, j) {
			return true
		}
	}
	return false
}

// has says whether the cell holds (i, j), both ≥ 0.
func (c Cell) has(i, j int64) bool {
	if !c.Rows.has(i) || j < c.Lo.At(i) || j > c.Hi.At(i) {
		return false
	}
	return c.Step == 1 || j%c.Step == c.phase(i)
}

// Columns is the key blocks j < keyBlocks of row i, ascending.
func (p Pattern) Columns(i, keyBlocks int64) []Column {
	return p.AppendColumns(nil, i, keyBlocks)
}

// AppendColumns appends the key blocks j < keyBlocks of row i, ascending.
func (p Pattern) AppendColumns(dst []Column, i, keyBlocks int64) []Column {
	if i < 0 {
		return dst
	}
	if i < p.tableRows() {
		cols, members := p.Table.row(i)
		for n, c := range cols {
			if int64(c) >= keyBlocks {
				break
			}
			dst = append(dst, Column{int64(c), members[n]})
		}
		return dst
	}
	start, sorted := len(dst), true
	for _, c := range p.Cells {
		first, last := c.span(i, keyBlocks)
		if first <= last && len(dst) > start && dst[len(dst)-1].J > first {
			sorted = false
		}
		for j := first; j <= last; j += c.Step {
			dst = append(dst, Column{j, c.Members})
		}
	}
	if !sorted {
		slices.SortFunc(dst[start:], func(x, y Column) int { return cmp.Compare(x.J, y.J) })
	}
	return dst
}

// Count is the number of key blocks j < keyBlocks of row i, in closed form.
func (p Pattern) Count(i, keyBlocks int64) int64 {
	if i < 0 {
		return 0
	}
	if i < p.tableRows() {
		return p.Table.count(i, keyBlocks)
	}
	var n int64
	for _, c := range p.Cells {
		n += c.count(i, keyBlocks)
	}
	return n
}

func (t *Table) count(i, keyBlocks int64) int64 {
	cols, _ := t.row(i)
	n, _ := slices.BinarySearchFunc(cols, keyBlocks, func(c int32, j int64) int { return cmp.Compare(int64(c), j) })
	return int64(n)
}

// Blocks is the number of (query block, key block) pairs in the first rows
// rows and keyBlocks columns: closed form for cells, a loop for a table. Both
// arguments are at most MaxTokens.
func (p Pattern) Blocks(rows, keyBlocks int64) int64 {
	return p.blocks(0, rows, keyBlocks)
}

// blocks is Blocks for rows [rowLo, rowHi).
func (p Pattern) blocks(rowLo, rowHi, keyBlocks int64) int64 {
	rowLo, rowHi = max(rowLo, 0), min(rowHi, MaxTokens)
	keyBlocks = min(keyBlocks, MaxTokens)
	var n int64
	for i := rowLo; i < min(rowHi, p.tableRows()); i++ {
		n += p.Table.count(i, keyBlocks)
	}
	rowLo = max(rowLo, p.tableRows())
	for _, c := range p.Cells {
		n += c.total(rowLo, rowHi, keyBlocks)
	}
	return n
}
