package show

import (
	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/ir"
)

// part says which part of a pattern, as its file is written, holds a block: its
// class, or Future where none does. The causal mask is not its concern.
type part func(i, j int64) Class

// at is the class of an attended block. Where there is no source to ask, all
// that a table can say is that it lists the block.
func (p part) at(i, j int64) Class {
	if p == nil {
		return List
	}
	return p(i, j)
}

// partOf reads the parts off a head's source.
func partOf(s dsl.Set) part {
	switch s := s.(type) {
	case dsl.Union:
		return either(partOf(s.A), partOf(s.B))
	case dsl.Intersection:
		return both(partOf(s.A), partOf(s.B))
	case dsl.Difference:
		return without(partOf(s.A), partOf(s.B))
	}
	return leaf(s)
}

// leaf is a set without operands.
func leaf(s dsl.Set) part {
	switch s := s.(type) {
	case dsl.Band:
		class := Local
		if s.HiDiff == dsl.Inf {
			class = Dense
		}
		return held(class, func(i, j int64) bool { return s.LoDiff <= i-j && i-j <= s.HiDiff })
	case dsl.Stride:
		return held(stepped(Stripe, s.Step), func(_, j int64) bool { return (j-s.Phase)%s.Step == 0 })
	case dsl.Dilated:
		return held(stepped(Dilated, s.Step), func(i, j int64) bool { return (i-j-s.Phase)%s.Step == 0 })
	case dsl.Columns:
		return held(Column, func(_, j int64) bool { return s.Lo <= j && j <= s.Hi })
	case dsl.Rows:
		return held(Row, func(i, _ int64) bool { return s.Lo <= i && i <= s.Hi })
	case dsl.Blocks:
		return held(List, func(i, j int64) bool { return listed(s.List, i, j) })
	case dsl.Where:
		return held(Where, s.Holds)
	}
	return func(_, _ int64) Class { return Future }
}

// stepped is the class of a progression; one of every block is dense.
func stepped(class Class, step int64) Class {
	if step == 1 {
		return Dense
	}
	return class
}

func held(class Class, holds func(i, j int64) bool) part {
	return func(i, j int64) Class {
		if holds(i, j) {
			return class
		}
		return Future
	}
}

func listed(list []dsl.Rect, i, j int64) bool {
	for _, r := range list {
		if r.ILo <= i && i <= r.IHi && r.JLo <= j && j <= r.JHi {
			return true
		}
	}
	return false
}

// order is that of the parts which hold the same block: a union shows the first
// of them, as the closed form does, which cuts windows out of what is fixed, and
// both out of stripes. An intersection shows the last: what makes it narrow.
var order = [numClasses]int{Dense: 1, Local: 2, Row: 3, Column: 4, Stripe: 5, Dilated: 6, List: 7, Where: 8}

// either is a union.
func either(a, b part) part {
	return func(i, j int64) Class {
		x, y := a(i, j), b(i, j)
		if x == Future || y != Future && order[y] < order[x] {
			return y
		}
		return x
	}
}

// both is an intersection. Rows in it say where something else holds.
func both(a, b part) part {
	return func(i, j int64) Class {
		x, y := a(i, j), b(i, j)
		switch {
		case x == Future || y == Future:
			return Future
		case x == Row || y != Row && order[y] > order[x]:
			return y
		}
		return x
	}
}

// without is a difference.
func without(a, b part) part {
	return func(i, j int64) Class {
		if b(i, j) != Future {
			return Future
		}
		return a(i, j)
	}
}

// cellClasses is the class of each cell of a pattern. The closed form tells most
// of them; a rectangle may have been written in several ways, so its first block
// is looked up in the source.
func cellClasses(p *ir.Pattern, source part) []Class {
	classes := make([]Class, len(p.Cells))
	for n := range p.Cells {
		c := &p.Cells[n]
		classes[n] = classOf(c)
		if source == nil || classes[n] != Column && classes[n] != Row && c.Rows.Hi == ir.Inf {
			continue
		}
		i := c.Rows.Lo
		if j, last := span(c, i, ir.Inf); j <= last {
			if class := source(i, j); class != Future {
				classes[n] = class
			}
		}
	}
	return classes
}

// classOf tells a cell's kind from its closed form.
func classOf(c *ir.Cell) Class {
	switch {
	case c.Step > 1 && c.Phase.A == 0:
		return Stripe
	case c.Step > 1:
		return Dilated
	case c.Lo.A != 0 || c.Rows.Mod > 1:
		return Local
	case c.Rows.Hi != ir.Inf && c.Hi.C == ir.Inf:
		return Row
	case c.Hi.A != 0 || c.Hi.C == ir.Inf:
		return Dense
	}
	return Column
}
