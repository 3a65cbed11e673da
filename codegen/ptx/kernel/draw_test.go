package kernel_test

import (
	"math/rand/v2"
	"slices"

	"github.com/s2attention/s2c/ir"
)

// Patterns drawn at random: whatever a cell can say.

// oneOf is one of some values.
func oneOf[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// between is a number of a range, ends included.
func between(r *rand.Rand, least, most int64) int64 { return least + r.Int64N(most-least+1) }

// drawMembers is some of the merged query blocks, at least one.
func drawMembers(r *rand.Rand, merge int) uint32 {
	all := uint32(1)<<merge - 1
	return oneOf(r, all, max(1, r.Uint32()&all))
}

func drawCell(r *rand.Rand, merge int) ir.Cell {
	slope := func() int64 { return oneOf(r, 0, 1, int64(merge)) }
	c := ir.Cell{
		Rows:    ir.Rows{Lo: between(r, 0, 20), Hi: ir.Inf, Mod: 1},
		Lo:      ir.Line{A: slope(), C: between(r, -40, 20)},
		Hi:      ir.Line{A: slope(), C: between(r, -20, 60)},
		Step:    1,
		Members: drawMembers(r, merge),
	}
	if r.IntN(2) == 0 {
		c.Rows.Hi = c.Rows.Lo + between(r, 1, 40)
	}
	if r.IntN(2) == 0 {
		c.Rows.Mod = between(r, 2, 7)
		c.Rows.Res = between(r, 0, c.Rows.Mod-1)
	}
	if r.IntN(4) == 0 {
		c.Lo = ir.Line{C: -ir.Inf}
	}
	if r.IntN(4) == 0 {
		c.Hi = ir.Line{C: ir.Inf}
	}
	if r.IntN(3) > 0 {
		c.Step = between(r, 2, 8)
		c.Phase.C = between(r, -20, 20)
	}
	return c
}

// drawPattern is a pattern of some cells; moving says that phases may move with
// the row, rows how many come from a table.
func drawPattern(r *rand.Rand, merge int, moving bool, rows int64) ir.Pattern {
	var p ir.Pattern
	for range between(r, 0, 4) {
		c := drawCell(r, merge)
		if moving {
			c.Phase.A = between(r, -9, 9)
		}
		p.Cells = append(p.Cells, c)
	}
	if rows > 0 {
		p.Table = drawTable(r, merge, rows)
	}
	return p
}

func drawTable(r *rand.Rand, merge int, rows int64) *ir.Table {
	t := &ir.Table{Rows: rows, Crow: []int64{0}}
	for range rows {
		var cols []int32
		for range between(r, 0, 6) {
			cols = append(cols, int32(between(r, 0, 40)))
		}
		slices.Sort(cols)
		for _, c := range slices.Compact(cols) {
			t.Col = append(t.Col, c)
			t.Members = append(t.Members, drawMembers(r, merge))
		}
		t.Crow = append(t.Crow, int64(len(t.Col)))
	}
	return t
}

// enumerate is a row's key blocks below keyBlocks as the IR lists them, in the
// order of the cells; those that no live query block attends are left out.
func enumerate(p ir.Pattern, row, keyBlocks int64, live uint32) []ir.Column {
	var all []ir.Column
	if p.Table != nil && row < p.Table.Rows {
		all = ir.Pattern{Table: p.Table}.Columns(row, keyBlocks)
	} else {
		for _, c := range p.Cells {
			all = ir.Pattern{Cells: []ir.Cell{c}}.AppendColumns(all, row, keyBlocks)
		}
	}
	return slices.DeleteFunc(all, func(c ir.Column) bool { return c.Members&live == 0 })
}
