package tests

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/internal/conformance"
	"github.com/s2attention/s2c/ir/layout"
	"github.com/s2attention/s2c/runtime"
	"github.com/s2attention/s2c/target"
)

// trial is a problem whose inputs ask something hard of a kernel.
type trial struct {
	conformance.Case
	// cut picks one of the ways in which a target can cut the tiles; 0 leaves it
	// to the cost model.
	cut uint64
	// inputs changes the inputs that the case draws.
	inputs func(rng *rand.Rand, p *conformance.Problem)
	about  string // says what inputs does
}

// solve runs the trial on a device; every number of the output is judged.
func (x *trial) solve(dev runtime.Device, on target.Target) (*verdict, *layout.Kernel, error) {
	s, err := x.Load(true)
	if err != nil {
		return nil, nil, fmt.Errorf("%w\n%s", err, x.Source)
	}
	if x.cut != 0 {
		if x.Only, err = cutOf(s, on, x.cut); err != nil {
			return nil, nil, err
		}
	}
	c, err := s.Compile(on, x.Only)
	if err != nil {
		return nil, nil, err
	}
	p, err := x.Problem(s)
	if err != nil {
		return nil, nil, err
	}
	x.inputs(rand.New(rand.NewPCG(x.Seed, 'x')), p)
	o, err := p.Launch(dev, c.Plan)
	if err != nil {
		return nil, c.Layout, err
	}
	v := enumerate(p).judge(o)
	return v, c.Layout, v.err()
}

// cutOf accepts one of a target's candidates for a pattern. Each way to pack,
// merge, split and gather is as likely as any other, however many stages and
// warps it comes with.
func cutOf(s *conformance.Subject, on target.Target, pick uint64) (func(layout.Candidate) bool, error) {
	k, err := s.Unit.Layout(s.Layer, on, compiler.Options{})
	if err != nil {
		return nil, err
	}
	type geometry struct{ pack, merge, split, kvTile int }
	ways := map[geometry][]layout.Candidate{}
	var order []geometry
	for _, c := range k.Choice {
		g := geometry{c.Pack, c.Merge, c.Split, c.KVTile}
		if c.Cost == 0 {
			continue // it does not fit
		}
		if ways[g] == nil {
			order = append(order, g)
		}
		ways[g] = append(ways[g], c)
	}
	rng := rand.New(rand.NewPCG(pick, 'c'))
	list := ways[order[rng.IntN(len(order))]]
	return list[rng.IntN(len(list))].Config().Matches, nil
}

// suite is trials of one kind: some by name, and as many random ones as time allows.
type suite struct {
	named []trial
	drawn *rapid.Generator[trial]
}

// draws is how many random trials to run: so many, or with S2C_FULL=1 thirty times
// as many.
func draws(n int) int {
	if full {
		return 30 * n
	}
	return n
}

// all lists the named trials and the first n of the drawn ones. They are the same
// in every run and on every device, and run side by side under names of their own;
// rapid's own loop has neither.
func (s *suite) all(n int) []trial {
	list := slices.Clone(s.named)
	for seed := range n {
		x := s.drawn.Example(seed)
		x.Name, x.Seed = fmt.Sprintf("drawn/%d", seed), uint64(seed)
		list = append(list, x)
	}
	return list
}

// run solves the suite's trials on a device that open makes for each.
func (s *suite) run(t *testing.T, draws int, open func() (dev runtime.Device, done func())) {
	for _, on := range compiler.Targets {
		total := &totals{}
		t.Run(on.String(), func(t *testing.T) {
			for _, x := range s.all(draws) {
				t.Run(x.Name, func(t *testing.T) {
					t.Parallel()
					dev, done := open()
					defer done()
					v, k, err := x.solve(dev, on)
					switch {
					case errors.Is(err, runtime.ErrArchitecture):
						t.Skipf("SKIPPED: %v", err)
					case err != nil:
						t.Errorf("%v\n%s", err, x.describe(k))
					}
					total.add(v)
				})
			}
		})
		t.Logf("%s: %v", on, total)
		if total.trials > 0 && total.tight == 0 {
			t.Errorf("%s: no trial has an element that is known well enough to judge by", on)
		}
	}
}

// inEmulators opens an emulator with every check on for each trial.
func inEmulators() (runtime.Device, func()) {
	dev := device()
	return dev, func() { _ = dev.Close() }
}

// on opens the same device for all trials.
func on(dev runtime.Device) func() (runtime.Device, func()) {
	return func() (runtime.Device, func()) { return dev, func() {} }
}

// describe says what a trial is, so that it can be built again by hand.
func (x *trial) describe(k *layout.Kernel) string {
	text := fmt.Sprintf("%s\n%sbatch %d, q_len %d, k_len %d, scale %g", x.about, x.Source, max(1, x.Batch), x.QLen, x.KLen, x.Scale)
	if k != nil {
		text += fmt.Sprintf("\nfamily %s: pack %d, merge %d, split %d, KV tile %d, %d stages", k.Family, k.Pack, k.Merge, k.Split, k.KVTile, k.Stages)
	}
	return text
}

// totals adds up what many trials have shown.
type totals struct {
	sync.Mutex
	trials, finite, tight, notFinite int
}

func (n *totals) add(v *verdict) {
	if v == nil {
		return
	}
	n.Lock()
	defer n.Unlock()
	n.trials++
	n.finite += v.finite
	n.tight += v.tight
	n.notFinite += v.notFinite
}

func (n *totals) String() string {
	return fmt.Sprintf("%d trials; of their elements %d must be finite (%d within a bound of an eighth), %d must not",
		n.trials, n.finite, n.tight, n.notFinite)
}
