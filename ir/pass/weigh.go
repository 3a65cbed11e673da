package pass

import (
	"cmp"
	"fmt"
	"math"

	"github.com/s2attention/s2c/ir/layout"
)

// geometry is the part of a candidate that decides what its tiles do.
type geometry struct{ merge, split, kvTile int }

// tolerance is how far the cost model is trusted: of candidates this close to
// the cheapest the simplest is taken.
const tolerance = 1.03

// excluded is the verdict on what Options.Only does not accept.
const excluded = "excluded by the caller"

// weigh fills in the cost of every candidate and chooses one. Where none of a
// generator's candidates serves the pattern (its merged rows may pass the limits
// of the closed form), the target's next generator has its turn.
func weigh(s *State) error {
	first := fmt.Errorf("%v has no code generator", s.Backend.Target)
	for n, g := range s.Backend.Generators {
		s.Generator, s.Kernel.Family, s.Kernel.Reason = g.Generator, g.Family(), g.Reason
		err := s.weighGenerator()
		if err == nil || s.servable() {
			return err
		}
		if n == 0 {
			first = err
		}
	}
	return first
}

// servable is whether a candidate was left out for no other reason than the
// caller's wish.
func (s *State) servable() bool {
	for _, c := range s.Kernel.Choice {
		if c.Verdict == excluded {
			if _, err := s.weighted(c.Merge); err == nil {
				return true
			}
		}
	}
	return false
}

// weighGenerator weighs the candidates of the state's generator.
func (s *State) weighGenerator() error {
	k := s.Kernel
	works := map[geometry]layout.Work{}
	k.Choice = s.Generator.Candidates(s.Shape, s.packable())
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
		c.Cost = s.Backend.Cost(s.Generator.Loop(), s.Shape, *c, work)
	}
	chosen := choose(k.Choice)
	if chosen < 0 {
		return fmt.Errorf("no tile fits %v at head dimension %d and blocks of %d tokens: %s",
			s.Backend.Target, s.Shape.HeadDim, s.Shape.Block, reasons(k.Choice))
	}
	for n := range k.Choice {
		c := &k.Choice[n]
		switch {
		case n == chosen:
			c.Verdict = "chosen"
		case c.Verdict == "":
			c.Verdict = compared(c.Cost, k.Choice[chosen].Cost)
		}
	}
	k.Choose(s.Generator, k.Choice[chosen])
	return nil
}

// choose is the index of the simplest candidate whose cost is within tolerance
// of the cheapest, −1 if none has a cost.
func choose(list []layout.Candidate) int {
	least := math.Inf(1)
	for _, c := range list {
		if c.Verdict == "" {
			least = min(least, c.Cost)
		}
	}
	best := -1
	for n, c := range list {
		if c.Verdict == "" && c.Cost <= least*tolerance && (best < 0 || simpler(c, list[best]) < 0) {
			best = n
		}
	}
	return best
}

// simpler orders candidates: whole query blocks of one head need no bookkeeping,
// long steps fewer barriers, many rows fewer loads.
func simpler(a, b layout.Candidate) int {
	cut := func(c layout.Candidate) int { return min(c.Split*c.Merge, 2) } // 1: whole query blocks, one by one
	return cmp.Or(
		cmp.Compare(cut(a), cut(b)), cmp.Compare(b.KVTile, a.KVTile),
		cmp.Compare(a.Merge, b.Merge), cmp.Compare(a.Split, b.Split),
		cmp.Compare(b.Rows, a.Rows), cmp.Compare(a.Cost, b.Cost),
	)
}

// fit fills in what a candidate takes, and its verdict if it is out of the race.
func (s *State) fit(c *layout.Candidate) {
	switch err := s.Backend.Fit(s.Generator, s.Shape, c); {
	case err != nil:
		c.Verdict = err.Error()
	case s.opts.Only != nil && !s.opts.Only(*c):
		c.Verdict = excluded
	}
}

// trial is a kernel with a candidate's geometry, one head a tile, to count with.
func (s *State) trial(c layout.Candidate) *layout.Kernel {
	k := &layout.Kernel{Target: s.Backend.Target, Shape: s.Shape, DimPadded: s.Kernel.DimPadded}
	c.Rows /= c.Pack
	c.Pack = 1
	k.Cut(c)
	return k
}

// compared says how a candidate's cost relates to the chosen one's.
func compared(cost, chosen float64) string {
	switch {
	case math.IsInf(cost, 1):
		return "no faster: the pattern is empty"
	case cost > chosen*0.9995 && cost < chosen*1.0005:
		return "no faster"
	case cost < chosen:
		return fmt.Sprintf("%.1f%% faster, less simple", (1-cost/chosen)*100)
	}
	return fmt.Sprintf("%.1f%% slower", (cost/chosen-1)*100)
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
