package layout

import "github.com/s2attention/s2c/ir"

// run is a stretch of a row's key blocks that the main loop walks as one: an
// arithmetic progression out of a cell, or the row of a table.
type run struct {
	cell    int // index in Pattern.Cells, or -1
	first   int64
	step    int64
	count   int64
	members uint32   // of every block of a cell
	cols    []int32  // of a table, instead of first and step
	each    []uint32 // of a table, instead of members
}

// at is the t-th key block of the run and the query blocks that attend it.
func (r *run) at(t int64) (block int64, members uint32) {
	if r.cell < 0 {
		return int64(r.cols[t]), r.each[t]
	}
	return r.first + t*r.step, r.members
}

// runs appends the runs of one pattern row, clipped to key blocks [0, keyBlocks)
// that a live query block attends, in the order of the cells. A row holds at most
// one run of each cell.
func runs(dst []run, p *ir.Pattern, row, keyBlocks int64, live uint32) []run {
	if t := p.Table; t != nil && row < t.Rows {
		return tableRuns(dst, t, row, keyBlocks, live)
	}
	for n := range p.Cells {
		c := &p.Cells[n]
		if c.Members&live == 0 {
			continue
		}
		if first, count := span(c, row, keyBlocks); count > 0 {
			dst = append(dst, run{cell: n, first: first, step: c.Step, count: count, members: c.Members})
		}
	}
	return dst
}

// tableRuns appends the runs of a table's row: what lies between entries that no
// live query block attends.
func tableRuns(dst []run, t *ir.Table, row, keyBlocks int64, live uint32) []run {
	lo, end := t.Crow[row], t.Crow[row+1]
	for at := lo; at <= end; at++ {
		over := at == end || int64(t.Col[at]) >= keyBlocks
		if !over && t.Members[at]&live != 0 {
			continue
		}
		if at > lo {
			dst = append(dst, run{cell: -1, count: at - lo, cols: t.Col[lo:at], each: t.Members[lo:at]})
		}
		if over {
			break
		}
		lo = at + 1
	}
	return dst
}

// span is the first key block of a cell in a row and how many there are. The
// limits of package ir keep all of it far inside int64.
func span(c *ir.Cell, row, keyBlocks int64) (first, count int64) {
	if row < c.Rows.Lo || row >= c.Rows.Hi || row%c.Rows.Mod != c.Rows.Res {
		return 0, 0
	}
	lo := max(c.Lo.At(row), 0)
	hi := min(c.Hi.At(row), keyBlocks-1)
	if lo > hi {
		return 0, 0
	}
	phase := mod(c.Phase.At((row-c.Rows.Res)/c.Rows.Mod), c.Step)
	first = lo + mod(phase-lo%c.Step, c.Step)
	if first > hi {
		return 0, 0
	}
	return first, (hi-first)/c.Step + 1
}

// mod is the Euclidean remainder.
func mod(a, m int64) int64 {
	if r := a % m; r < 0 {
		return r + m
	} else {
		return r
	}
}
