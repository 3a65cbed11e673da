package tests

import (
	"slices"
	"testing"

	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/internal/conformance"
	"github.com/s2attention/s2c/runtime/emu"
	"github.com/s2attention/s2c/target"
)

// determinismNames are one case of each kind of pattern and cut.
var determinismNames = []string{
	"queries/phi3-small/100 of 1028", "queries/bidirectional/37 of 1001", "queries/custom-blocks/37 of 1001",
	"group/4 heads, equal", "group/3 heads, different", "place/padded/small",
	"geometry/merge 4", "geometry/gather 4, merged", "geometry/split 2", "geometry/one stage", "geometry/2 warpgroups, 3 stages",
}

func determinismCases() []conformance.Case {
	var list []conformance.Case
	for _, c := range conformance.Cases() {
		if slices.Contains(determinismNames, c.Name) {
			list = append(list, c)
		}
	}
	return list
}

// TestDeterminism runs the same input under other seeds, numbers of workers and
// orders of warps, blocks and copies: the output's bytes stay the same.
func TestDeterminism(t *testing.T) {
	orders := []emu.Options{
		{Workers: 1}, {Workers: 3, Seed: 1, Shuffle: true}, {Workers: 1, Seed: 2, Shuffle: true},
		{Workers: 2, Seed: 3, Shuffle: true, Preempt: true}, {Workers: 1, SM: 3}, {Workers: 2, SM: 1, Seed: 4, Shuffle: true},
	}
	if got := len(determinismCases()); got != len(determinismNames) {
		t.Fatalf("%d of the %d cases exist", got, len(determinismNames))
	}
	keep := func(c *conformance.Case) bool { return slices.Contains(determinismNames, c.Name) }
	eachCase(t, keep, func(t *testing.T, c *conformance.Case, on target.Target) {
		l := load(t, c, on, false)
		p, err := c.Problem(l.subject)
		if err != nil {
			t.Fatal(err)
		}
		first := ""
		for n, opt := range orders {
			dev := emu.New(opt)
			o, err := p.Launch(dev, l.compiled.Plan)
			if err != nil {
				t.Fatalf("%+v: %v", opt, err)
			}
			if hash := o.Hash(); n == 0 {
				first = hash
			} else if hash != first {
				t.Errorf("%+v gives other bytes than %+v", opt, orders[0])
			}
			if err := dev.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestCompileDeterminism compiles again and again: same PTX, same layout.
func TestCompileDeterminism(t *testing.T) {
	for _, on := range compiler.Targets {
		for _, c := range determinismCases() {
			if !c.For(on) {
				continue
			}
			a := load(t, &c, on, true)
			for range 3 {
				b := load(t, &c, on, true)
				if a.compiled.Plan.PTX != b.compiled.Plan.PTX || a.compiled.Layout.String() != b.compiled.Layout.String() {
					t.Errorf("%s for %s: two compilations differ", c.Name, on)
				}
			}
		}
	}
}
