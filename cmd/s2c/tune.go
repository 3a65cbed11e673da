package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/internal/measure"
	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/ir/layout"
	"github.com/s2attention/s2c/ir/pass"
	"github.com/s2attention/s2c/launch"
	"github.com/s2attention/s2c/runtime"
	"github.com/s2attention/s2c/target"
)

// tuneCmd measures layouts on a GPU.
type tuneCmd struct {
	source
	layerFlag
	onlyFlag
	Seq    lengthList    `required:"" placeholder:"N,…" help:"Context lengths to measure at, as in 8K,32K; the layout that is fastest over all of them wins."`
	Output string        `short:"o" default:"tuning.json" placeholder:"FILE" help:"The tuning file. Where it is there already, other entries stay (${default})."`
	Batch  int           `default:"1" placeholder:"B" help:"Sequences (${default})."`
	Device string        `default:"cuda" placeholder:"cuda|emu" help:"emu tries the command; what it measures says nothing about a GPU (${default})."`
	Arch   arch          `placeholder:"A" help:"Target: ${arches}. Without it, sm_90a on a Hopper GPU, else sm_80."`
	Top    int           `default:"24" placeholder:"N" help:"Measure the N candidates that the cost model likes best; 0 measures all (${default})."`
	Runs   *int          `placeholder:"N" help:"Timed runs of a candidate at a length. Without it, as many as fit 150 ms, at least 10."`
	Budget time.Duration `placeholder:"5m" help:"Start no candidate after so long."`
	Seed   uint64        `default:"0" placeholder:"S" help:"Seed of the random inputs (${default})."`
	JSON   bool          `help:"Print JSON: one object on a line for each candidate."`
}

// tuneResult is one candidate.
type tuneResult struct {
	Family  string        `json:"family"`
	Config  layout.Config `json:"config"`
	Cost    number        `json:"cost"` // the model's
	Seq     []int         `json:"seq"`
	MS      []number      `json:"ms"`      // medians, as far as measured
	TFLOPS  []number      `json:"tflops"`  // at the medians
	Verdict string        `json:"verdict"` // "ok", "chosen", or why it is out

	model   bool // the cost model's own choice
	medians []float64
}

const (
	verdictOK     = "ok"
	verdictChosen = "chosen"
	// hopeless is how much slower than the best so far a candidate may be at a
	// length without being given up.
	hopeless = 1.25
)

// Run measures and writes the file.
func (c *tuneCmd) Run(s *streams) (err error) {
	if err := c.checkFlags(); err != nil {
		return err
	}
	file, err := readOrNew(c.Output)
	if err != nil {
		return err
	}
	unit, err := c.load(s)
	if err != nil {
		return err
	}
	layer, number, err := c.pick(unit)
	if err != nil {
		return err
	}
	if err := c.Seq.check(unit, layer); err != nil {
		return err
	}
	t := &tuning{tuneCmd: c, s: s, unit: unit, layer: layer, number: number}
	defer func() { err = errors.Join(err, t.close()) }()
	if err := t.open(); err != nil {
		return err
	}
	if err := t.measure(); err != nil {
		return err
	}
	entry, err := t.entry()
	if err != nil {
		return err
	}
	file.Put(*entry)
	if err := s.write(c.Output, file.Write); err != nil {
		return err
	}
	if err := t.print(entry); err != nil {
		return err
	}
	if t.wrong > 0 {
		fmt.Fprintf(s.err, "%s gave a wrong result and cannot be chosen: this is an error of the compiler\n", plural(t.wrong, "candidate", "candidates"))
		return errFailed
	}
	return nil
}

func (c *tuneCmd) checkFlags() error {
	if err := checkDevice(c.Device); err != nil {
		return err
	}
	if _, err := c.accept(); err != nil {
		return err
	}
	if c.Output == "" {
		return usagef("-o names no file")
	}
	if c.Top < 0 || c.Budget < 0 {
		return usagef("--top and --budget are not negative")
	}
	if err := errors.Join(atLeastOne("--batch", &c.Batch), atLeastOne("--runs", c.Runs)); err != nil {
		return err
	}
	slices.Sort(c.Seq)
	c.Seq = slices.Compact(c.Seq)
	return nil
}

// readOrNew reads the tuning file that is to be added to.
func readOrNew(path string) (*layout.Tuning, error) {
	file, err := layout.ReadTuningFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Dir(path)); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err) // before minutes of measurement
		}
		return layout.NewTuning(), nil
	}
	return file, err
}

// tuning is a measurement under way.
type tuning struct {
	*tuneCmd
	s        *streams
	unit     *compiler.Unit
	layer    *ir.Layer
	number   int // of the layer
	dev      runtime.Device
	target   target.Target
	problems []*measure.Problem // by length; made when first needed
	results  []*tuneResult
	best     []float64 // milliseconds by length
	pairs    []float64 // by length
	wrong    int
}

func (t *tuning) open() (err error) {
	dev, err := openDevice(t.tuneCmd.Device, func(int, int) {})
	if err != nil {
		return err
	}
	t.dev = dev
	if t.target, err = t.Arch.or(dev); err != nil {
		return err
	}
	t.problems, t.best = make([]*measure.Problem, len(t.Seq)), make([]float64, len(t.Seq))
	for n, seq := range t.Seq {
		t.best[n] = math.Inf(1)
		pairs, err := ir.Pairs(*t.layer, t.unit.Module.Shape, int64(seq), int64(seq))
		if err != nil {
			return err
		}
		t.pairs = append(t.pairs, float(pairs)*float64(t.Batch))
	}
	if err := t.fits(); err != nil {
		return err
	}
	return t.candidates()
}

// fits refuses lengths whose problems, which are all kept, would not fit.
func (t *tuning) fits() error {
	shape := t.unit.Shape()
	var all *demand
	for n, seq := range t.Seq { // the longest is the last
		d, err := demandOf(shape, t.Batch, seq, seq)
		if err != nil {
			return err
		}
		if n == 0 { // the only one that is checked
			heads, rows := measure.Sampled(shape, t.Batch, seq)
			d.judge(t.layer, heads, rows)
		}
		d.beside(all)
		all = d
	}
	return all.fits(t.dev)
}

func (t *tuning) close() error {
	var errs []error
	for _, p := range t.problems {
		if p != nil {
			errs = append(errs, p.Close())
		}
	}
	if t.dev != nil {
		errs = append(errs, t.dev.Close())
	}
	return errors.Join(errs...)
}

// candidates lists what is to be measured, the cost model's choice first, then
// by cost.
func (t *tuning) candidates() error {
	accept, err := t.accept()
	if err != nil {
		return err
	}
	k, err := t.unit.Layout(t.layer, t.target, compiler.Options{})
	if err != nil {
		return err
	}
	for _, c := range k.Choice {
		if accept != nil && !accept(c) || c.Cost <= 0 || math.IsInf(c.Cost, 0) || math.IsNaN(c.Cost) {
			continue
		}
		t.results = append(t.results, &tuneResult{
			Family: k.Family, Config: c.Config(), Cost: number(c.Cost),
			model: c.Verdict == verdictChosen, Seq: t.Seq,
		})
	}
	slices.SortStableFunc(t.results, func(a, b *tuneResult) int {
		return cmp.Or(-compareBool(a.model, b.model), cmp.Compare(a.Cost, b.Cost))
	})
	if len(t.results) == 0 {
		return usagef("--only: no layout that fits %v has all of these choices; s2c explain --all lists them", t.target)
	}
	if t.Top > 0 && len(t.results) > t.Top {
		t.results = t.results[:t.Top]
	}
	return nil
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// measure times every candidate.
func (t *tuning) measure() error {
	start := time.Now()
	p := t.s.progress("tuning")
	defer p.end()
	for n, r := range t.results {
		if t.Budget > 0 && n > 0 && time.Since(start) > t.Budget {
			fmt.Fprintf(t.s.err, "the budget of %s is spent: %d of %d candidates were measured\n", t.Budget, n, len(t.results))
			t.results = t.results[:n]
			break
		}
		if err := t.candidate(r); err != nil {
			return fmt.Errorf("%s, %s: %w", r.Family, r.Config, err)
		}
		p.set(n+1, len(t.results))
	}
	return nil
}

// candidate times one at every length, until it is hopeless. A code generator
// or device that refuses it is its verdict; only the device's own failure is an
// error.
func (t *tuning) candidate(r *tuneResult) (err error) {
	opt := compiler.Options{Pass: pass.Options{Only: r.Config.Matches}}
	compiled, err := t.unit.Compile(t.layer, t.target, opt)
	if err != nil {
		r.Verdict = "does not compile: " + err.Error()
		return nil
	}
	a, err := runtime.Load(t.dev, compiled.Plan)
	if err != nil {
		if errors.Is(err, runtime.ErrArchitecture) || errors.Is(err, runtime.ErrOldDriver) {
			return err
		}
		r.Verdict = "does not load: " + err.Error()
		return nil
	}
	defer func() { err = errors.Join(err, a.Unload()) }()
	for n := range t.Seq {
		if err := t.length(r, a, n); err != nil {
			return err
		}
		if r.Verdict != "" {
			return nil
		}
	}
	r.Verdict = verdictOK
	return nil
}

// length checks and times a candidate at the n-th length.
func (t *tuning) length(r *tuneResult, a *runtime.Attention, n int) error {
	p, err := t.problem(n, a.Plan().Shape)
	if err != nil {
		return err
	}
	src := measure.Source{Program: t.unit.Program, Layer: t.number, Scale: t.unit.Module.Shape.Scale}
	if n == 0 { // a wrong kernel is not timed; the shortest length is cheap to check
		v, err := p.Check(context.Background(), a, src)
		if err != nil {
			return err
		}
		if !v.OK {
			r.Verdict = "wrong result: " + v.Reason
			t.wrong++
			return nil
		}
	}
	times, err := p.Time(a, measure.Timing{Runs: orZero(t.Runs)})
	if err != nil {
		return err
	}
	ms := measure.Summarise(times).Median
	r.medians = append(r.medians, ms)
	r.MS = append(r.MS, number(ms))
	r.TFLOPS = append(r.TFLOPS, number(4*float64(t.unit.Module.Shape.HeadDim)*t.pairs[n]/ms/1e9))
	if ms > hopeless*t.best[n] && n+1 < len(t.Seq) && !r.model {
		r.Verdict = fmt.Sprintf("%.0f %% slower at %s tokens", 100*(ms/t.best[n]-1), grouped(t.Seq[n]))
		return nil
	}
	t.best[n] = min(t.best[n], ms)
	return nil
}

// problem is the inputs of the n-th length.
func (t *tuning) problem(n int, shape launch.Shape) (p *measure.Problem, err error) {
	if t.problems[n] == nil {
		t.problems[n], err = measure.NewProblem(t.dev, shape, t.Batch, t.Seq[n], t.Seed)
	}
	return t.problems[n], err
}

// entry is the winner: the least geometric mean over the lengths.
func (t *tuning) entry() (*layout.TuningEntry, error) {
	var winner, model *tuneResult
	for _, r := range t.results {
		if r.Verdict != verdictOK {
			continue
		}
		if r.model {
			model = r
		}
		if winner == nil || r.mean() < winner.mean() {
			winner = r
		}
	}
	if winner == nil {
		var reasons []error
		for _, r := range t.results {
			reasons = append(reasons, fmt.Errorf("%s, %s: %s", r.Family, r.Config, r.Verdict))
		}
		return nil, fmt.Errorf("no candidate can be chosen: %w", errors.Join(reasons...))
	}
	winner.Verdict = verdictChosen
	e := &layout.TuningEntry{
		TuningKey: layout.NewTuningKey(*t.layer, t.unit.Module.Shape, t.target, gpuName(t.dev)),
		Model:     t.unit.Module.Name, Layer: t.number, Family: winner.Family, Config: winner.Config,
		Batch: t.Batch, Seq: t.Seq, MS: winner.medians, ModelMS: make([]float64, len(t.Seq)),
	}
	if model != nil {
		copy(e.ModelMS, model.medians)
	}
	return e, nil
}

// mean is the geometric mean of the medians, up to its root: every length counts
// the same.
func (r *tuneResult) mean() float64 {
	sum := 0.0
	for _, ms := range r.medians {
		sum += math.Log(ms)
	}
	return sum
}

// print reports the candidates, best first.
func (t *tuning) print(e *layout.TuningEntry) error {
	slices.SortStableFunc(t.results, func(a, b *tuneResult) int {
		return cmp.Or(-cmp.Compare(len(a.medians), len(b.medians)), cmp.Compare(a.mean(), b.mean()))
	})
	if t.JSON {
		return t.jsonLines()
	}
	r := newReport(t.s)
	r.title("%s · layer %d on %s, %s", e.Model, e.Layer, e.Device, e.Target)
	header := []string{"family", "configuration", "model's cost"}
	for _, seq := range t.Seq {
		header = append(header, "ms at "+grouped(seq), "TFLOP/s")
	}
	rows := [][]string{append(header, "verdict")}
	for _, c := range t.results {
		row := []string{c.Family, c.Config.String(), fmt.Sprintf("%.3f", float64(c.Cost))}
		for n := range t.Seq {
			if n < len(c.medians) {
				row = append(row, strconv.FormatFloat(c.medians[n], 'f', 4, 64), fmt.Sprintf("%.4g", float64(c.TFLOPS[n])))
			} else {
				row = append(row, "–", "–")
			}
		}
		verdict := c.Verdict
		if c.model {
			verdict += ", the cost model's choice"
		}
		rows = append(rows, append(row, verdict))
	}
	r.table(rows)
	r.print("\n%s: written\n", t.Output)
	return r.end()
}

func (t *tuning) jsonLines() error {
	for _, r := range t.results {
		if err := jsonLine(t.s.out, r); err != nil {
			return err
		}
	}
	return nil
}

// jsonLine writes one value on one line.
func jsonLine(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}
