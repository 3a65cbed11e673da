package ir

import (
	"fmt"

	"pgregory.net/rapid"
)

// expr is a random set expression: what it means pair by pair, and how a
// Builder makes it. The two share nothing.
type expr struct {
	text  string
	holds func(i, j int64) bool
	build func(b *Builder) []Cell
}

func congruent(n, phase, step int64) bool { return ((n-phase)%step+step)%step == 0 }

func leafExpr(t *rapid.T) expr {
	small := func(name string, lo, hi int64) int64 { return rapid.Int64Range(lo, hi).Draw(t, name) }
	switch rapid.IntRange(0, 5).Draw(t, "leaf") {
	case 0:
		lo, hi := small("lo", -5, 5), small("hi", -5, 9)
		switch rapid.IntRange(0, 3).Draw(t, "open") {
		case 0:
			lo = -Inf
		case 1:
			hi = Inf
		}
		return expr{fmt.Sprintf("band(%d, %d)", lo, hi),
			func(i, j int64) bool { return lo <= i-j && i-j <= hi },
			func(b *Builder) []Cell { return b.Band(lo, hi) }}
	case 1:
		step, phase := small("step", 1, 8), small("phase", -9, 9)
		return expr{fmt.Sprintf("stride(%d, %d)", step, phase),
			func(_, j int64) bool { return congruent(j, phase, step) },
			func(b *Builder) []Cell { return b.Stride(step, phase) }}
	case 2:
		step, phase := small("step", 1, 6), small("phase", -9, 9)
		return expr{fmt.Sprintf("dilated(%d, %d)", step, phase),
			func(i, j int64) bool { return congruent(i-j, phase, step) },
			func(b *Builder) []Cell { return b.Dilated(step, phase) }}
	case 3:
		lo := small("lo", 0, 12)
		hi := lo + small("n", 0, 6)
		if rapid.Bool().Draw(t, "open") {
			hi = Inf
		}
		return expr{fmt.Sprintf("columns(%d, %d)", lo, hi),
			func(_, j int64) bool { return lo <= j && j <= hi },
			func(b *Builder) []Cell { return b.Rect(0, Inf, lo, hi) }}
	case 4:
		lo := small("lo", 0, 12)
		hi := lo + small("n", 0, 6)
		if rapid.Bool().Draw(t, "open") {
			hi = Inf
		}
		return expr{fmt.Sprintf("rows(%d, %d)", lo, hi),
			func(i, _ int64) bool { return lo <= i && i <= hi },
			func(b *Builder) []Cell { return b.Rect(lo, hi, 0, Inf) }}
	}
	iLo, jLo := small("iLo", 0, 9), small("jLo", 0, 9)
	iHi, jHi := iLo+small("ni", 0, 5), jLo+small("nj", 0, 5)
	return expr{fmt.Sprintf("rect(%d, %d, %d, %d)", iLo, iHi, jLo, jHi),
		func(i, j int64) bool { return iLo <= i && i <= iHi && jLo <= j && j <= jHi },
		func(b *Builder) []Cell { return b.Rect(iLo, iHi, jLo, jHi) }}
}

func drawExpr(t *rapid.T, depth int) expr {
	if depth == 0 || rapid.IntRange(0, 4).Draw(t, "shape") == 0 {
		return leafExpr(t)
	}
	x, y := drawExpr(t, depth-1), drawExpr(t, depth-1)
	switch rapid.IntRange(0, 3).Draw(t, "op") {
	case 0:
		return expr{"(" + x.text + " & " + y.text + ")",
			func(i, j int64) bool { return x.holds(i, j) && y.holds(i, j) },
			func(b *Builder) []Cell { return b.Intersection(x.build(b), y.build(b)) }}
	case 1:
		return expr{"(" + x.text + " - " + y.text + ")",
			func(i, j int64) bool { return x.holds(i, j) && !y.holds(i, j) },
			func(b *Builder) []Cell { return b.Difference(x.build(b), y.build(b)) }}
	}
	return expr{"(" + x.text + " | " + y.text + ")",
		func(i, j int64) bool { return x.holds(i, j) || y.holds(i, j) },
		func(b *Builder) []Cell { return b.Union(x.build(b), y.build(b)) }}
}

// head is an expression with its pattern; in a causal model both are confined
// to j ≤ i.
type head struct {
	expr
	p Pattern
}

func drawHead(t *rapid.T, causal bool, depth int) head {
	e := drawExpr(t, depth)
	b := NewBuilder(causal)
	h := head{e, Pattern{Cells: e.build(b)}}
	if err := b.Err(); err != nil {
		t.Fatalf("%s: %v", e.text, err)
	}
	if causal {
		h.holds = func(i, j int64) bool { return j <= i && e.holds(i, j) }
	}
	return h
}

// drawMixedHead is drawHead with, at times, leading rows in a table: they hold
// a different random set, confined to a number of columns. A limited table is
// all there is.
func drawMixedHead(t *rapid.T, causal bool, depth int) head {
	h := drawHead(t, causal, depth)
	kind := rapid.IntRange(0, 3).Draw(t, "table")
	if kind < 2 {
		return h
	}
	limited := kind == 3
	rows, width := rapid.Int64Range(1, 12).Draw(t, "rows"), rapid.Int64Range(1, 20).Draw(t, "width")
	if limited && !causal {
		width = rows
	}
	top := drawHead(t, causal, 1)
	table := &Table{Rows: rows, Crow: []int64{0}, Limited: limited}
	for i := range rows {
		for j := range width {
			if top.holds(i, j) {
				table.Col = append(table.Col, int32(j))
				table.Members = append(table.Members, 1)
			}
		}
		table.Crow = append(table.Crow, int64(len(table.Col)))
	}
	cells, below := from(h.p.Cells, rows), h.holds
	if limited {
		cells = nil
	}
	return head{
		expr: expr{
			text: fmt.Sprintf("%s, rows < %d and columns < %d: %s (limited %v)", h.text, rows, width, top.text, limited),
			holds: func(i, j int64) bool {
				if i < rows {
					return j < width && top.holds(i, j)
				}
				return !limited && below(i, j)
			},
		},
		p: Pattern{Cells: cells, Table: table},
	}
}
