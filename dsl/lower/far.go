package lower

import (
	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/limit"
)

// The longest context has limit.Blocks blocks. A number beyond the closed form's bounds
// is beyond that, too: whatever it is, the pairs of every context are the same.

// far is a bound, or none where no block reaches it.
func far(x int64) int64 {
	switch {
	case x > limit.Bound:
		return dsl.Inf
	case x < -limit.Bound:
		return -dsl.Inf
	}
	return x
}

// near is a set with bounds that the closed form holds.
func near(s dsl.Set) dsl.Set {
	switch s := s.(type) {
	case dsl.Band:
		return dsl.Band{LoDiff: far(s.LoDiff), HiDiff: far(s.HiDiff)}
	case dsl.Columns:
		return dsl.Columns{Lo: far(s.Lo), Hi: far(s.Hi)}
	case dsl.Rows:
		return dsl.Rows{Lo: far(s.Lo), Hi: far(s.Hi)}
	}
	return s
}

func nearRect(r dsl.Rect) dsl.Rect {
	return dsl.Rect{ILo: far(r.ILo), IHi: far(r.IHi), JLo: far(r.JLo), JHi: far(r.JHi)}
}

// fewColumns is stripes so far apart that a context holds one or two.
func (l *lowerer) fewColumns(s dsl.Stride) []ir.Cell {
	var sets [][]ir.Cell
	for j := euclid(s.Phase, s.Step); j < limit.Blocks; j += s.Step {
		sets = append(sets, l.builder.Rect(0, ir.Inf, j, j))
	}
	return l.builder.Union(sets...)
}

// fewDiagonals is the same of relative stripes.
func (l *lowerer) fewDiagonals(s dsl.Dilated) []ir.Cell {
	var sets [][]ir.Cell
	first := euclid(s.Phase, s.Step) - s.Step
	if first-s.Step > -limit.Blocks {
		first -= s.Step
	}
	for d := first; d < limit.Blocks; d += s.Step {
		if d > -limit.Blocks {
			sets = append(sets, l.builder.Band(d, d))
		}
	}
	return l.builder.Union(sets...)
}
