package pass

import (
	"fmt"
	"math"

	"github.com/s2attention/s2c/ir/layout"
)

// geometry is the part of a candidate that decides what its tiles do.
type geometry struct{ merge, split, kvTile int }

// weigh fills in the cost of every candidate and takes the cheapest; of equals
// the first in the emitter's order.
func weigh(s *State) error {
	k := s.Kernel
	works := map[geometry]layout.Work{}
	best := -1
	k.Choice = s.Emitter.Candidates(s.Shape, s.packable())
	for n := range k.Choice {
		c := &k.Choice[n]
		s.fit(c)
		if c.Verdict != "" {
			continue
		}
		g := geometry{c.Merge, c.Split, c.KVTile}
		work, ok := works[g]
		if !ok {
			patterns, err := s.weighted(c.Merge)
			if err != nil {
				c.Verdict = fmt.Sprintf("cannot merge %d query blocks: %v", c.Merge, err)
				continue
			}
			work = layout.CountWork(s.trial(*c), patterns, k.MaxBlocks)
			works[g] = work
		}
		c.Cost = s.Target.Cost(s.Shape, *c, work)
		if best < 0 || c.Cost < k.Choice[best].Cost {
			best = n
		}
	}
	if best < 0 {
		return fmt.Errorf("no tile fits %s at head dimension %d and blocks of %d tokens: %s",
			s.Target.Name, s.Shape.HeadDim, s.Shape.Block, reasons(k.Choice))
	}
	for n := range k.Choice {
		c := &k.Choice[n]
		switch {
		case n == best:
			c.Verdict = "chosen"
		case c.Verdict == "":
			c.Verdict = slower(c.Cost, k.Choice[best].Cost)
		}
	}
	k.Choose(k.Choice[best])
	return nil
}

// fit fills in what a candidate takes, and its verdict if the target has too little.
func (s *State) fit(c *layout.Candidate) {
	c.SharedBytes = s.Emitter.Shared(s.Shape, *c)
	c.Registers = s.Emitter.Registers(s.Shape, *c)
	c.Resident = s.Target.Resident(*c)
	switch {
	case c.SharedBytes > s.Target.BlockShared:
		c.Verdict = fmt.Sprintf("needs %d bytes of shared memory of %d", c.SharedBytes, s.Target.BlockShared)
	case c.Registers > s.Target.ThreadRegisters:
		c.Verdict = fmt.Sprintf("needs about %d registers of %d", c.Registers, s.Target.ThreadRegisters)
	case c.Resident < 1:
		c.Verdict = "a multiprocessor cannot hold one thread block"
	case s.opts.Only != nil && !s.opts.Only(*c):
		c.Verdict = "excluded by the caller"
	}
}

// trial is a kernel with a candidate's geometry, one head a tile, to count with.
func (s *State) trial(c layout.Candidate) *layout.Kernel {
	k := &layout.Kernel{Target: s.Target.Name, Shape: s.Shape, DimPadded: s.Kernel.DimPadded}
	c.Rows /= c.Pack
	c.Pack = 1
	k.Choose(c)
	return k
}

// slower says by how much a candidate lost.
func slower(cost, best float64) string {
	if math.IsInf(cost, 1) || cost == best {
		return "no faster than the chosen one"
	}
	return fmt.Sprintf("%.1f%% slower", (cost/best-1)*100)
}

// reasons joins the distinct verdicts, for the error when nothing fits.
func reasons(list []layout.Candidate) string {
	text, seen := "", map[string]bool{}
	for _, c := range list {
		if !seen[c.Verdict] {
			seen[c.Verdict] = true
			if text != "" {
				text += "; "
			}
			text += c.Verdict
		}
	}
	if text == "" {
		return "the code generator offers no candidate"
	}
	return text
}
