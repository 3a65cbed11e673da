package lower

import (
	"strconv"

	"github.com/s2attention/s2c/dsl"
)

// appendKey writes a set so that equal keys mean equal sets.
func appendKey(b []byte, s dsl.Set) []byte {
	numbers := func(kind byte, ns ...int64) []byte {
		b = append(b, kind)
		for _, n := range ns {
			b = strconv.AppendInt(b, n, 36)
			b = append(b, ' ')
		}
		return b
	}
	switch s := s.(type) {
	case dsl.Band:
		return numbers('b', s.LoDiff, s.HiDiff)
	case dsl.Stride:
		return numbers('s', s.Step, s.Phase)
	case dsl.Dilated:
		return numbers('d', s.Step, s.Phase)
	case dsl.Columns:
		return numbers('c', s.Lo, s.Hi)
	case dsl.Rows:
		return numbers('r', s.Lo, s.Hi)
	case dsl.Blocks:
		numbers('l', int64(len(s.List)))
		for _, r := range s.List {
			numbers('.', r.ILo, r.IHi, r.JLo, r.JHi)
		}
		return b
	case dsl.Where:
		numbers('w', s.Limit, int64(len(s.Key)))
		return append(b, s.Key...)
	case dsl.Union:
		return appendKey(appendKey(append(b, '|'), s.A), s.B)
	case dsl.Intersection:
		return appendKey(appendKey(append(b, '&'), s.A), s.B)
	case dsl.Difference:
		return appendKey(appendKey(append(b, '-'), s.A), s.B)
	}
	return append(b, '0')
}
