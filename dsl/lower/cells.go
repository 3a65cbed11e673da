package lower

import (
	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/limit"
)

// cells is a set as cells. Of lists of blocks it takes only the rectangles that
// reach rows ≥ rows: those below become a table.
func (l *lowerer) cells(s dsl.Set, rows int64) []ir.Cell {
	b := l.builder
	switch s := near(s).(type) {
	case dsl.Band:
		return b.Band(s.LoDiff, s.HiDiff)
	case dsl.Stride:
		if s.Step > limit.Period {
			return l.fewColumns(s)
		}
		return b.Stride(s.Step, s.Phase)
	case dsl.Dilated:
		if s.Step > limit.Period {
			return l.fewDiagonals(s)
		}
		return b.Dilated(s.Step, s.Phase)
	case dsl.Columns:
		return b.Rect(0, ir.Inf, s.Lo, s.Hi)
	case dsl.Rows:
		return b.Rect(s.Lo, s.Hi, 0, ir.Inf)
	case dsl.Blocks:
		var sets [][]ir.Cell
		for _, r := range s.List {
			if r = nearRect(r); r.IHi >= rows {
				sets = append(sets, b.Rect(r.ILo, r.IHi, r.JLo, r.JHi))
			}
		}
		return b.Union(sets...)
	case dsl.Union:
		var sets [][]ir.Cell
		for _, x := range operands(s) {
			sets = append(sets, l.cells(x, rows))
		}
		return b.Union(sets...)
	case dsl.Intersection:
		return b.Intersection(l.cells(s.A, rows), l.cells(s.B, rows))
	case dsl.Difference:
		return b.Difference(l.cells(s.A, rows), l.cells(s.B, rows))
	}
	return nil
}

// operands is the sets of nested unions, left to right: taken together they
// need to be made disjoint only once.
func operands(s dsl.Union) []dsl.Set {
	var out []dsl.Set
	todo := []dsl.Set{s}
	for len(todo) > 0 {
		x := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if u, ok := x.(dsl.Union); ok {
			todo = append(todo, u.B, u.A)
		} else {
			out = append(out, x)
		}
	}
	return out
}

// children is the operands of a set, if it has any.
func children(s dsl.Set) (a, b dsl.Set, ok bool) {
	switch s := s.(type) {
	case dsl.Union:
		return s.A, s.B, true
	case dsl.Intersection:
		return s.A, s.B, true
	case dsl.Difference:
		return s.A, s.B, true
	}
	return nil, nil, false
}

// each visits a tree's leaves.
func each(s dsl.Set, visit func(dsl.Set)) {
	if a, b, ok := children(s); ok {
		each(a, visit)
		each(b, visit)
		return
	}
	visit(s)
}

// whereLimit is the least limit of the predicates in a set, if there are any.
func whereLimit(s dsl.Set) (limit int64, found bool) {
	each(s, func(s dsl.Set) {
		if w, ok := s.(dsl.Where); ok && (!found || w.Limit < limit) {
			limit, found = w.Limit, true
		}
	})
	return limit, found
}

// listing is what the lists of blocks in a set ask of a table.
type listing struct {
	rows  int64 // up to the last one that a list names
	width int64 // key blocks, up to the last one that they name
	open  bool  // some rectangle of these rows has no last key block
}

// listed looks at all lists. Rectangles that end beyond the rows of the largest
// table do not count: they become cells.
func listed(s dsl.Set) listing {
	var t listing
	each(s, func(s dsl.Set) {
		b, ok := s.(dsl.Blocks)
		if !ok {
			return
		}
		for _, r := range b.List {
			if r.IHi >= ir.MaxTableRows {
				continue
			}
			t.rows = max(t.rows, r.IHi+1)
			if r.JHi == dsl.Inf {
				t.open = true
			} else {
				t.width = max(t.width, r.JHi+1)
			}
		}
	})
	return t
}
