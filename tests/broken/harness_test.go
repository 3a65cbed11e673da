package broken

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/s2attention/s2c/internal/conformance"
	"github.com/s2attention/s2c/internal/reference"
	"github.com/s2attention/s2c/launch"
	"github.com/s2attention/s2c/runtime/emu"
	"github.com/s2attention/s2c/target"
)

// variant is one broken kernel.
type variant struct {
	name string
	of   *subject
	// how it is broken: changes of the PTX, and of what the launch is told.
	text   []mutation
	kernel func(*launch.Kernel)
	// want are the reports that say what is wrong, any of them.
	want emu.Check
}

// table collects variants.
type table struct{ list []variant }

// add takes a variant that is made by changes of the PTX.
func (t *table) add(of *subject, want emu.Check, name string, text ...mutation) {
	t.list = append(t.list, variant{name: name, of: of, text: text, want: want})
}

// mismatch is the report of the comparison with the reference, beside the checks
// of the emulator.
const mismatch emu.Check = 1 << 30

// orders are the seeds and interleavings under which every kernel runs, until one
// of them brings the defect to light.
var orders = []emu.Options{
	{},
	{Shuffle: true, Seed: 1},
	{Shuffle: true, Preempt: true, Seed: 2},
	{Shuffle: true, Preempt: true, Seed: 3},
	{Shuffle: true, Seed: 4},
}

// budget bounds a kernel that does not end; the good ones need a tenth.
const budget = 1 << 22

// subject is a good kernel and a problem for it. Lengths are odd and the queries
// fewer than the keys, so that heads, tails and both ends of the queries matter.
type subject struct {
	conformance.Case
	target target.Target
	sm     int // multiprocessors: persistent kernels get several work items
	// spoil makes inputs of those drawn that the main path leaves to Redo; nil: it
	// must leave nothing.
	spoil func(*conformance.Problem)
	// exact scores need no margin, however large: all of an output's distance counts.
	exact bool

	once    sync.Once
	err     error
	plan    *launch.Plan
	problem *conformance.Problem
	ref     *reference.Result
}

// prepare compiles the kernel and solves the problem with the reference, once.
func (s *subject) prepare() error {
	s.once.Do(func() { s.err = s.solve() })
	return s.err
}

func (s *subject) solve() error {
	loaded, err := s.Load(true)
	if err != nil {
		return err
	}
	compiled, err := loaded.Compile(s.target, s.Only)
	if err != nil {
		return err
	}
	s.plan = compiled.Plan
	s.problem, err = s.Problem(loaded)
	if err != nil {
		return err
	}
	if s.spoil != nil {
		s.spoil(s.problem)
	}
	p := s.problem
	s.ref, err = reference.Attention(context.Background(), reference.Problem{
		Model: loaded.Model, Attends: loaded.Attends, Scale: p.Scale, Q: p.Q, K: p.K, V: p.V,
	})
	return err
}

// broken makes the kernel of a variant.
func (v *variant) broken() (*launch.Plan, error) {
	if err := v.of.prepare(); err != nil {
		return nil, err
	}
	p := *v.of.plan
	var err error
	if p.PTX, err = applyAll(p.PTX, v.text); err != nil {
		return nil, err
	}
	if v.kernel != nil {
		k := p.Kernels[0]
		k.Params = slices.Clone(k.Params)
		for i := range k.Params {
			if m := k.Params[i].Map; m != nil {
				k.Params[i].Map = &launch.MapRule{Axes: m.Axes, Box: slices.Clone(m.Box), Swizzle: m.Swizzle}
			}
		}
		v.kernel(&k)
		p.Kernels = []launch.Kernel{k}
	}
	return &p, nil
}

// rule is how a kernel's tensor map views a tensor.
func rule(k *launch.Kernel, tensor string) *launch.MapRule {
	i := slices.IndexFunc(k.Params, func(p launch.Param) bool { return p.From == launch.Map && p.Of == tensor })
	return k.Params[i].Map
}

// report is what is wrong with a kernel: kind is 0 where nothing is.
type report struct {
	kind   emu.Check
	err    error
	redone int64 // rows that were looked at again
}

// run executes a kernel in one order and says what is reported. An error that is
// no report, such as PTX that does not load, comes back as one.
func (s *subject) run(p *launch.Plan, o emu.Options) (report, error) {
	o.Workers, o.SM, o.Budget = 1, s.sm, budget
	dev := emu.New(o)
	defer dev.Close()
	out, err := s.problem.Launch(dev, p)
	var fault *emu.Fault
	switch {
	case errors.As(err, &fault):
		return report{kind: fault.Check, err: err}, locates(fault, p)
	case err != nil:
		return report{}, err
	}
	redone := out.Redone(p.PTX)
	if redone > 0 && s.spoil == nil {
		return report{mismatch, fmt.Errorf("the main path leaves %d rows that must be computed again", redone), redone}, nil
	}
	e, err := reference.Compare(out.Out, out.LSE, s.ref, s.plan.Heads)
	if err != nil {
		return report{}, err
	}
	tolerance := reference.ToleranceOf(s.problem.Subject.Model.DType)
	if !e.Within(tolerance) || s.exact && (!(e.OutRel <= tolerance.OutRel) || !(e.OutRow <= tolerance.OutRow)) {
		return report{mismatch, fmt.Errorf("output off by %.3g, worst row (%s) by %.3g, log-sum-exp (%s) by %.3g",
			e.OutRel, e.WorstRow, e.OutRow, e.WorstLSE, e.LSE), redone}, nil
	}
	return report{redone: redone}, nil
}

// addressed are the reports about memory: they name an address.
const addressed = emu.CheckBounds | emu.CheckAlign | emu.CheckUninit | emu.CheckRace | emu.CheckProxy | emu.CheckOutput

// locates checks that a fault says where: kernel, line, block, thread, address.
// Only bytes that nobody wrote have no line.
func locates(f *emu.Fault, p *launch.Plan) error {
	var missing []string
	add := func(bad bool, what string) {
		if bad {
			missing = append(missing, what)
		}
	}
	add(f.Kernel != p.Name(), "the kernel")
	add(f.Msg == "", "what is wrong")
	add(f.Check&addressed != 0 && f.Addr == 0, "the address")
	if f.Check != emu.CheckOutput {
		lines := strings.Split(p.PTX, "\n")
		inside := f.Line > 0 && f.Line <= len(lines)
		add(!inside || !strings.Contains(lines[f.Line-1], f.Text) || f.Text == "", "the line")
		add(f.Thread[0] < 0 || f.Thread[0] >= p.Kernels[0].BlockThreads || f.Thread[1] != 0 || f.Thread[2] != 0, "the thread")
		add(f.Block[0] < 0 || f.Block[1] != 0 || f.Block[2] != 0, "the block")
	}
	if missing != nil {
		return fmt.Errorf("the fault does not name %s: %+v", strings.Join(missing, ", "), *f)
	}
	return nil
}
