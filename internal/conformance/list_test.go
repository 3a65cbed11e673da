package conformance

import (
	"slices"
	"testing"

	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/examples"
)

// TestExamplesAreComplete: the list has every distinct layer of every example.
func TestExamplesAreComplete(t *testing.T) {
	files, err := examples.Files.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		unit, list := compiler.Load(f.Name(), dsl.Options{ReadFile: examples.Files.ReadFile})
		if unit == nil {
			t.Fatal(list)
		}
		for _, layer := range unit.Module.Layers {
			listed := slices.ContainsFunc(Examples, func(e Example) bool {
				return e.File == f.Name() && slices.Contains(layer.Numbers, e.Layer)
			})
			if !listed {
				t.Errorf("%s, layer %d, is not in Examples", f.Name(), layer.Numbers[0])
			}
		}
	}
}

// TestCutsKeepPhases: a cut leaves whole KV groups, and two phases where the
// heads of the example have two.
func TestCutsKeepPhases(t *testing.T) {
	for _, e := range Examples {
		c := Case{File: e.File, Layer: e.Layer, Cut: e.Cut}
		all, err := c.Load(true)
		if err != nil {
			t.Fatal(err)
		}
		cut, err := c.Load(false)
		if err != nil {
			t.Fatal(err)
		}
		if all.Model.Heads/all.Model.KVHeads != cut.Model.Heads/cut.Model.KVHeads {
			t.Errorf("%s: groups of %d, cut to %d", e.Name(), all.Model.Heads/all.Model.KVHeads, cut.Model.Heads/cut.Model.KVHeads)
		}
		if have, kept := phases(all), phases(cut); kept < min(2, have) {
			t.Errorf("%s: %d kinds of head, cut to %d", e.Name(), have, kept)
		}
	}
}

// phases counts distinct heads.
func phases(s *Subject) int {
	seen := map[string]bool{}
	for _, p := range s.Layer.Heads {
		seen[p.String()] = true
	}
	return len(seen)
}

// TestNames: each case has a name of its own, and runs somewhere.
func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Cases() {
		if seen[c.Name] {
			t.Errorf("two cases are called %q", c.Name)
		}
		seen[c.Name] = true
		if !slices.ContainsFunc(compiler.Targets, c.For) {
			t.Errorf("%s: no target is among %v", c.Name, c.Targets)
		}
	}
}

// TestPlacements: strides keep all rows apart, and the far ones pass 2³¹.
func TestPlacements(t *testing.T) {
	const n, heads, seq, dim = 3, 4, 230, 64
	for _, p := range []Placement{BHSD, BSHD, Padded, FarRows, FarHeads, FarBatch} {
		batch, head, row := p.strides(heads, seq, dim)
		seen := map[int64]bool{}
		for b := range int64(n) {
			for h := range int64(heads) {
				for s := range int64(seq) {
					at := b*batch + h*head + s*row
					if at%8 != 0 || seen[at/8] {
						t.Fatalf("%q: row %d %d %d at %d", p, b, h, s, at)
					}
					for d := range int64(dim / 8) {
						seen[at/8+d] = true
					}
				}
			}
		}
		last := (n-1)*batch + (heads-1)*head + (seq-1)*row
		if isFar := p == FarRows || p == FarHeads || p == FarBatch; isFar != (last > 1<<31) {
			t.Errorf("%q: the last row is at element %d", p, last)
		}
	}
}
