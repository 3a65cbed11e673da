package pass

import (
	"encoding/binary"
	"hash/fnv"

	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/ir/layout"
)

// sampleRows are the rows that tell most patterns apart before a proof is tried.
var sampleRows = []int64{0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233}

// matchHeads numbers the distinct patterns of the layer, in order of their first
// head. Heads that differ in a sample row differ; for the others ir.Equal has to
// prove equality for every row.
func matchHeads(s *State) error {
	var first []int // a head of each class
	samples := make([]uint64, s.Shape.Heads)
	s.Classes = make([]int, s.Shape.Heads)
	for h, p := range s.Layer.Heads {
		samples[h] = sample(p)
		class := len(first)
		for c, g := range first {
			if samples[g] == samples[h] && ir.Equal(p, s.Layer.Heads[g]) {
				class = c
				break
			}
		}
		if class == len(first) {
			first = append(first, h)
		}
		s.Classes[h] = class
	}
	return nil
}

// sample digests the sample rows of a pattern.
func sample(p ir.Pattern) uint64 {
	var columns []ir.Column
	digest := fnv.New64a()
	var word [8]byte
	for _, row := range sampleRows {
		columns = p.AppendColumns(columns[:0], row, sampleRows[len(sampleRows)-1]+1)
		for _, c := range columns {
			binary.LittleEndian.PutUint64(word[:], uint64(c.J))
			digest.Write(word[:])
		}
		digest.Write([]byte{0})
	}
	return digest.Sum64()
}

// packable is the greatest power of two that divides the group and at which
// every aligned set of heads is of one class.
func (s *State) packable() int {
	pack := 1
	for p := 2; s.Shape.Group()%p == 0; p *= 2 {
		for h, class := range s.Classes {
			if class != s.Classes[h/p*p] {
				return pack
			}
		}
		pack = p
	}
	return pack
}

// mergeKey and mergeResult remember merged patterns: the cost model and the
// tile pass need the same ones.
type mergeKey struct{ class, merge int }

type mergeResult struct {
	pattern ir.Pattern
	err     error
}

// mergedPattern is the pattern of a class with merge query blocks a row.
func (s *State) mergedPattern(class, merge int) (ir.Pattern, error) {
	key := mergeKey{class, merge}
	r, ok := s.merged[key]
	if !ok {
		r.pattern, r.err = ir.Merge(s.representative(class), merge)
		if r.err == nil {
			r.pattern = inOrder(r.pattern)
		}
		s.merged[key] = r
	}
	return r.pattern, r.err
}

// representative is the pattern of a class's first head.
func (s *State) representative(class int) ir.Pattern {
	for h, c := range s.Classes {
		if c == class {
			return s.Layer.Heads[h]
		}
	}
	return ir.Pattern{}
}

// weighted lists the merged patterns of all classes with their heads.
func (s *State) weighted(merge int) ([]layout.Weighted, error) {
	var list []layout.Weighted
	for _, class := range s.Classes {
		if class < len(list) {
			list[class].Heads++
			continue
		}
		p, err := s.mergedPattern(class, merge)
		if err != nil {
			return nil, err
		}
		list = append(list, layout.Weighted{Pattern: p, Heads: 1})
	}
	return list, nil
}
