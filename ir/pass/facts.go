package pass

import (
	"errors"
	"fmt"
	"slices"

	"github.com/s2attention/s2c/ir"
)

const (
	Normal  Fact = "patterns are verified, their cells in loop order"
	Matched Fact = "heads of one class have equal patterns"
	Chosen  Fact = "the tile is within the target's limits"
	Tiled   Fact = "head tiles partition the heads"
	Ordered Fact = "groups partition the head tiles"
	Named   Fact = "the entry is a PTX identifier"
)

// checks holds the test of each fact.
var checks = map[Fact]func(*State) error{
	Normal: func(s *State) error {
		for h, p := range s.Layer.Heads {
			if err := verifyPattern(p); err != nil {
				return fmt.Errorf("head %d: %w", h, err)
			}
		}
		return nil
	},
	Matched: func(s *State) error {
		for h, class := range s.Classes {
			if first := slices.Index(s.Classes, class); !ir.Equal(s.Layer.Heads[h], s.Layer.Heads[first]) {
				return fmt.Errorf("heads %d and %d are of one class and differ", first, h)
			}
		}
		return nil
	},
	Chosen: func(s *State) error { return s.Kernel.VerifyTile(s.Backend) },
	Tiled: func(s *State) error {
		for n, h := range s.Kernel.HeadTiles {
			for _, head := range h.Heads {
				if !ir.Equal(s.Layer.Heads[head], s.Layer.Heads[h.Heads[0]]) {
					return fmt.Errorf("head tile %d packs heads %d and %d, which differ", n, h.Heads[0], head)
				}
			}
			if err := verifyPattern(h.Pattern); err != nil {
				return fmt.Errorf("head tile %d: %w", n, err)
			}
		}
		return s.Kernel.VerifyHeads()
	},
	Ordered: func(s *State) error { return s.Kernel.VerifyOrder() },
	Named:   func(s *State) error { return s.Kernel.VerifyEntry() },
}

// verifyPattern checks a pattern's own laws and the order of its cells.
func verifyPattern(p ir.Pattern) error {
	if !ordered(p) {
		return errors.New("cells out of order")
	}
	return ir.Verify(p)
}

// verify checks facts.
func (s *State) verify(facts []Fact) error {
	for _, f := range facts {
		if err := checks[f](s); err != nil {
			return fmt.Errorf("%q does not hold: %w", f, err)
		}
	}
	return nil
}
