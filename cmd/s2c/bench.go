package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/internal/measure"
	"github.com/s2attention/s2c/internal/plot"
	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/ir/layout"
	"github.com/s2attention/s2c/launch"
	"github.com/s2attention/s2c/runtime"
	"github.com/s2attention/s2c/target"
)

// benchCmd times a layer at several lengths.
type benchCmd struct {
	source
	layerFlag
	tuningFlag
	onlyFlag
	Seq      lengthList `required:"" placeholder:"N,…" help:"Context lengths in tokens, as many queries as keys: 8192,32768 or 8K,32K."`
	Batch    int        `default:"1" placeholder:"B" help:"Sequences (${default})."`
	Device   string     `default:"auto" placeholder:"auto|cuda|emu" help:"As for run. The emulator's times say nothing about a GPU (${default})."`
	Arch     arch       `placeholder:"A" help:"Target: ${arches}. Without it, sm_90a on a Hopper GPU, else sm_80."`
	Runs     *int       `placeholder:"N" help:"Timed runs at each length. Without it, as many as fit 150 ms, at least 10; one in the emulator."`
	Launches *int       `placeholder:"N" help:"Calls that the host's launch time is the median of (10000; 0 in the emulator)."`
	Seed     uint64     `default:"0" placeholder:"S" help:"Seed of the random inputs (${default})."`
	Check    bool       `default:"true" negatable:"" help:"Compare sampled heads and query blocks with the float64 reference; --no-check leaves it out."`
	JSON     bool       `help:"Print JSON: one object on a line for each length."`
	Plot     string     `placeholder:"FILE" help:"Draw TFLOP/s over the length; the file ends in .svg or .png."`
}

// Help says how the output is judged.
func (*benchCmd) Help() string { return verdictHelp }

// benchResult is one length. The names ms, tflops, pairs, device and kernel are
// fixed: other programs read them. A number that was not measured is null.
type benchResult struct {
	MS         number        `json:"ms"`     // median of the runs
	TFLOPS     number        `json:"tflops"` // 4 · head_dim a pair, at the median
	Pairs      float64       `json:"pairs"`  // attended (query, key) pairs, all heads and sequences
	Device     string        `json:"device"`
	Kernel     string        `json:"kernel"` // the entry
	DeviceName string        `json:"device_name"`
	Target     target.Target `json:"target"`
	Family     string        `json:"family"`
	Config     layout.Config `json:"config"`
	Tuned      bool          `json:"tuned"` // by a tuning file
	Model      string        `json:"model"`
	Layer      int           `json:"layer"`
	Seq        int           `json:"seq"`
	Batch      int           `json:"batch"`
	Heads      int           `json:"heads"`
	KVHeads    int           `json:"kv_heads"`
	HeadDim    int           `json:"head_dim"`
	Block      int           `json:"block"`
	DType      dtype.Type    `json:"dtype"`
	Causal     bool          `json:"causal"`
	DensePairs float64       `json:"dense_pairs"`
	Density    float64       `json:"density"`
	Runs       int           `json:"runs"`
	MSMin      number        `json:"ms_min"`
	MSP10      number        `json:"ms_p10"`
	MSP90      number        `json:"ms_p90"`
	MSMax      number        `json:"ms_max"`
	Launches   int           `json:"launches"`
	LaunchUS   *number       `json:"launch_us"` // median host time of a launch call
	LaunchP90  *number       `json:"launch_p90_us"`
	OK         bool          `json:"ok"`
	Checked    bool          `json:"checked"`
	Reason     string        `json:"reason,omitempty"` // why not ok
	Notes      []string      `json:"notes,omitempty"`  // what else is to be known of the check
	CheckHeads int           `json:"heads_compared"`
	CheckRows  int           `json:"rows_compared"`   // of each head
	NotFinite  int           `json:"rows_not_finite"` // rightly so; in all
	Beyond     int           `json:"rows_not_judged"` // beyond reference.Limit; in all
	Excess     *distance     `json:"excess"`          // of the errors, what large scores do not explain: it decides
	OutRelErr  *number       `json:"out_rel_err"`
	OutRowErr  *number       `json:"out_max_row_err"`
	LSEErr     *number       `json:"lse_max_err"`

	limit float64 // of out_rel_err
}

// Run measures length after length and prints each result as it comes.
func (c *benchCmd) Run(s *streams) (err error) {
	if err := c.checkFlags(); err != nil {
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
	b := &bench{benchCmd: c, s: s, unit: unit, layer: layer, number: number}
	defer func() { err = errors.Join(err, b.close()) }()
	if err := b.open(); err != nil {
		return err
	}
	r := newReport(s)
	if !c.JSON {
		b.title(r)
	}
	failed := false
	var results []*benchResult
	for n, seq := range c.Seq {
		result, err := b.measure(seq)
		if err != nil {
			return err
		}
		if err := b.print(r, result, n == 0); err != nil {
			return err
		}
		failed = failed || !result.OK
		results = append(results, result)
	}
	if c.Plot != "" {
		if err := whole(func() error { return b.sweep(results).Write(c.Plot) }); err != nil {
			return err
		}
	}
	if failed {
		return errFailed
	}
	return nil
}

// checkFlags refuses what cannot be meant, before any work.
func (c *benchCmd) checkFlags() error {
	if err := checkDevice(c.Device); err != nil {
		return err
	}
	if c.Plot != "" {
		if err := plot.CheckPath(c.Plot); err != nil {
			return usageError{err}
		}
	}
	if c.Tuning != "" && len(c.Only) > 0 {
		return usagef("--tuning and --only both decide the layout; give one of them")
	}
	if _, err := c.accept(); err != nil {
		return err
	}
	if c.Launches != nil && *c.Launches < 0 {
		return usagef("--launches %d is negative", *c.Launches)
	}
	return errors.Join(atLeastOne("--batch", &c.Batch), atLeastOne("--runs", c.Runs))
}

// bench is a benchmark under way.
type bench struct {
	*benchCmd
	s        *streams
	unit     *compiler.Unit
	layer    *ir.Layer
	number   int // of the layer
	dev      runtime.Device
	compiled *compiler.Compiled
	loaded   *runtime.Attention
	tuned    bool
	launch   measure.Summary // microseconds
}

// open compiles the layer for the device, loads it and times its launches.
func (b *bench) open() (err error) {
	dev, err := openDevice(b.benchCmd.Device, func(int, int) {})
	if err != nil {
		return err
	}
	b.dev = dev
	opt := compiler.Options{}
	if opt.Tuning, err = b.tuning(b.s, b.dev); err != nil {
		return err
	}
	missing := opt.Tuning.Missing
	b.tuned = opt.Tuning.File != nil
	opt.Tuning.Missing = func(l *ir.Layer, on target.Target) {
		b.tuned = false
		missing(l, on)
	}
	if opt.Pass.Only, err = b.accept(); err != nil {
		return err
	}
	on, err := b.Arch.or(dev)
	if err != nil {
		return err
	}
	if b.compiled, err = b.unit.Compile(b.layer, on, opt); err != nil && opt.Pass.Only != nil {
		return usagef("--only: %w", err)
	} else if err != nil {
		return err
	}
	if err := b.fits(b.compiled.Plan.Shape); err != nil {
		return err
	}
	if b.loaded, err = runtime.Load(b.dev, b.compiled.Plan); err != nil {
		return err
	}
	launches := 0
	if b.dev.Kind() == "cuda" {
		launches = 10000
	}
	if b.Launches != nil {
		launches = *b.Launches
	}
	us, err := measure.LaunchCost(b.dev, b.loaded, launches)
	b.launch = measure.Summarise(us)
	return err
}

func (b *bench) close() error {
	var errs []error
	if b.loaded != nil {
		errs = append(errs, b.loaded.Unload())
	}
	if b.dev != nil {
		errs = append(errs, b.dev.Close())
	}
	return errors.Join(errs...)
}

// measure times one length. The output is checked before the timed runs, and
// must be the same after them.
func (b *bench) measure(seq int) (r *benchResult, err error) {
	if r, err = b.describe(seq); err != nil {
		return nil, err
	}
	shape := b.compiled.Plan.Shape
	p, err := measure.NewProblem(b.dev, shape, b.Batch, seq, b.Seed)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	if b.Check {
		src := measure.Source{Program: b.unit.Program, Layer: b.number, Scale: b.unit.Module.Shape.Scale}
		v, err := p.Check(context.Background(), b.loaded, src)
		if err != nil {
			return nil, err
		}
		r.judge(v)
	}
	ms, err := p.Time(b.loaded, measure.Timing{Runs: orZero(b.Runs)})
	if err != nil {
		return nil, err
	}
	r.time(measure.Summarise(ms))
	if b.Check && r.OK {
		same, err := p.Repeats(b.loaded)
		if err != nil {
			return nil, err
		}
		if !same {
			r.OK, r.Reason = false, "the same launch gives another output: the kernel races"
		}
	}
	return r, nil
}

// fits refuses lengths whose tensors and check would not fit, before the first is
// measured.
func (b *bench) fits(shape launch.Shape) error {
	for _, seq := range b.Seq {
		d, err := demandOf(shape, b.Batch, seq, seq)
		if err != nil {
			return err
		}
		if b.Check {
			heads, rows := measure.Sampled(shape, b.Batch, seq)
			d.judge(b.layer, heads, rows)
			d.again()
		}
		if err := d.fits(b.dev); err != nil {
			return err
		}
	}
	return nil
}

// describe fills in what is known without a measurement.
func (b *bench) describe(seq int) (*benchResult, error) {
	s := b.unit.Module.Shape
	pairs, err := ir.Pairs(*b.layer, s, int64(seq), int64(seq))
	if err != nil {
		return nil, err
	}
	k := b.compiled
	r := &benchResult{
		Pairs: float(pairs) * float64(b.Batch), Device: b.dev.Kind(), Kernel: k.Plan.Name(), DeviceName: b.dev.Describe(),
		Target: k.Plan.Target, Family: k.Layout.Family, Config: chosen(k.Layout).Config(), Tuned: b.tuned,
		Model: b.unit.Module.Name, Layer: b.number, Seq: seq, Batch: b.Batch,
		Heads: s.Heads, KVHeads: s.KVHeads, HeadDim: s.HeadDim, Block: s.Block, DType: s.DType, Causal: s.Causal,
		DensePairs: float(ir.DensePairs(s, int64(seq), int64(seq))) * float64(b.Batch),
		Launches:   b.launch.Runs, OK: true,
	}
	r.Density = r.Pairs / r.DensePairs
	if b.launch.Runs > 0 {
		median, p90 := number(b.launch.Median), number(b.launch.P90)
		r.LaunchUS, r.LaunchP90 = &median, &p90
	}
	return r, nil
}

// chosen is the candidate that a layout was made of.
func chosen(k *layout.Kernel) layout.Candidate {
	for _, c := range k.Choice {
		if c.Verdict == "chosen" {
			return c
		}
	}
	return layout.Candidate{}
}

// judge notes what the check found.
func (r *benchResult) judge(v *measure.Verdict) {
	raw, excess := toDistance(v.Errors.Distance), toDistance(v.Errors.Excess)
	r.Checked, r.OK, r.Reason, r.Notes = true, v.OK, v.Reason, v.Notes
	r.CheckHeads, r.CheckRows = v.Heads, v.Rows
	r.NotFinite, r.Beyond = v.Errors.NotFinite, v.Errors.Beyond
	r.OutRelErr, r.OutRowErr, r.LSEErr, r.Excess = &raw.OutRel, &raw.OutRow, &raw.LSE, &excess
	r.limit = v.Tolerance.OutRel
}

// time notes the runs.
func (r *benchResult) time(s measure.Summary) {
	r.Runs, r.MS = s.Runs, number(s.Median)
	r.MSMin, r.MSP10, r.MSP90, r.MSMax = number(s.Min), number(s.P10), number(s.P90), number(s.Max)
	r.TFLOPS = number(r.tflops(s.Median))
}

// tflops is the throughput of a run of so many milliseconds: a forward pass takes
// two multiply-adds an element of the head for each attended pair.
func (r *benchResult) tflops(ms float64) float64 {
	return 4 * float64(r.HeadDim) * r.Pairs / ms / 1e9
}

// title begins the report for people.
func (b *bench) title(r *report) {
	m, k := b.unit.Module, b.compiled
	r.title("%s · layer %d", m.Name, b.number)
	r.line("device", "%s", deviceText(b.dev))
	by := "the cost model"
	switch {
	case b.tuned:
		by = b.Tuning
	case len(b.Only) > 0:
		by += " among those allowed"
	}
	r.line("kernel", "%s for %s, family %s\n%s, chosen by %s",
		k.Plan.Name(), k.Plan.Target, k.Layout.Family, chosen(k.Layout).Config(), by)
	r.line("shape", "batch %d, %s on %s, head_dim %d, block %d, %s",
		b.Batch, plural(m.Shape.Heads, "query head", "query heads"), plural(m.Shape.KVHeads, "KV head", "KV heads"), m.Shape.HeadDim, m.Shape.Block, m.Shape.DType)
	if b.launch.Runs > 0 {
		r.line("host, a launch", "%.2f µs median, %.2f µs p90 of %s calls", b.launch.Median, b.launch.P90, grouped(b.launch.Runs))
	}
	r.print("\n")
}

// benchRow is the table's layout: it is printed line by line as results come.
const benchRow = "  %9s  %8s  %9s  %9s  %9s  %5s  %8s  %s\n"

// print writes a result as it comes.
func (b *bench) print(r *report, result *benchResult, first bool) error {
	if b.JSON {
		return jsonLine(b.s.out, result)
	}
	if first {
		r.print(benchRow, "tokens", "density", "ms", "min", "p90", "runs", "TFLOP/s", "check")
	}
	check := "not checked"
	switch {
	case !result.OK:
		check = b.s.style(styleError, "not ok: "+result.Reason)
	case result.Checked:
		check = fmt.Sprintf("ok, %.2g of %.2g", float64(result.Excess.OutRel), result.limit)
	}
	if len(result.Notes) > 0 {
		check += " (" + strings.Join(result.Notes, "; ") + ")"
	}
	ms := func(n number) string { return strconv.FormatFloat(float64(n), 'f', 4, 64) }
	r.print(benchRow, grouped(result.Seq), fmt.Sprintf("%.4f", result.Density), ms(result.MS), ms(result.MSMin), ms(result.MSP90),
		strconv.Itoa(result.Runs), fmt.Sprintf("%.4g", float64(result.TFLOPS)), check)
	return r.end()
}

// sweep is the plot of all lengths.
func (b *bench) sweep(results []*benchResult) *plot.Sweep {
	s := b.unit.Module.Shape
	series := plot.Series{Name: fmt.Sprintf("%s, %v", b.compiled.Plan.Name(), b.compiled.Plan.Target)}
	for _, r := range results {
		series.Points = append(series.Points, plot.Point{
			Seq: float64(r.Seq), TFLOPS: float64(r.TFLOPS), Low: r.tflops(float64(r.MSP90)), High: r.tflops(float64(r.MSP10)),
		})
	}
	return &plot.Sweep{
		Title: fmt.Sprintf("%s, layer %d, forward", b.unit.Module.Name, b.number),
		Subtitle: fmt.Sprintf("%s, %s, %d/%d heads, head_dim %d, batch %d",
			b.dev.Describe(), s.DType, s.Heads, s.KVHeads, s.HeadDim, b.Batch),
		Series: []plot.Series{series},
	}
}
