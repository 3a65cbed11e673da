package pass

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/s2attention/s2c/ir"
)

// normalise verifies every pattern and puts its cells into the order in which
// the main loop walks them.
func normalise(s *State) error {
	for h, p := range s.Layer.Heads {
		if len(p.Cells) == 0 && p.Table == nil {
			return fmt.Errorf("head %d attends nothing", h)
		}
		if t := p.Table; t != nil && t.Limited && (s.Kernel.MaxBlocks == 0 || t.Rows < s.Kernel.MaxBlocks) {
			s.Kernel.MaxBlocks = t.Rows
		}
		s.Layer.Heads[h] = inOrder(p)
	}
	return nil
}

// inOrder sorts a pattern's cells: those that may reach a tile's own query
// blocks last, so that masked steps end the loop; the others by lower bound.
func inOrder(p ir.Pattern) ir.Pattern {
	p.Cells = slices.Clone(p.Cells)
	slices.SortStableFunc(p.Cells, func(a, b ir.Cell) int {
		return cmp.Or(
			cmp.Compare(a.Hi.A, b.Hi.A), cmp.Compare(a.Hi.C, b.Hi.C),
			cmp.Compare(a.Lo.A, b.Lo.A), cmp.Compare(a.Lo.C, b.Lo.C),
			cmp.Compare(a.Rows.Lo, b.Rows.Lo), cmp.Compare(a.Rows.Mod, b.Rows.Mod), cmp.Compare(a.Rows.Res, b.Rows.Res),
			cmp.Compare(a.Step, b.Step), cmp.Compare(a.Phase.C, b.Phase.C), cmp.Compare(a.Phase.A, b.Phase.A),
			cmp.Compare(a.Members, b.Members),
		)
	})
	return p
}

// ordered says that a pattern's cells are in the order of [inOrder].
func ordered(p ir.Pattern) bool {
	return slices.Equal(p.Cells, inOrder(p).Cells)
}
