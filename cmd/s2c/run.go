package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/internal/reference"
	"github.com/s2attention/s2c/internal/tensor"
	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/launch"
	"github.com/s2attention/s2c/limit"
	"github.com/s2attention/s2c/runtime"
	"github.com/s2attention/s2c/target"
)

// runCmd compiles a layer, executes it and compares with the reference.
type runCmd struct {
	source
	layerFlag
	tuningFlag
	Seq    *int     `type:"tokens" placeholder:"N" help:"Context length in tokens, as in 8192 or 8K (2048)."`
	QLen   *int     `name:"q-len" type:"tokens" placeholder:"N" help:"Queries: the last N positions of the context. Without it, as many as --seq."`
	Batch  *int     `placeholder:"B" help:"Sequences (1)."`
	Device string   `default:"auto" placeholder:"auto|cuda|emu" help:"auto takes a GPU where there is one, else the emulator; cuda:1 is the second GPU (${default})."`
	Arch   arch     `placeholder:"A" help:"Target: ${arches}. Without it, sm_90a on a Hopper GPU, else sm_80. The emulator runs both: --device emu --arch sm_90a runs the Hopper kernel."`
	Scale  *float64 `placeholder:"X" help:"Softmax scale; the model's own without it."`
	Seed   uint64   `default:"0" placeholder:"S" help:"Seed of the random inputs (${default})."`
	Q      string   `placeholder:"FILE" help:"Query: .npy or .safetensors, [batch, heads, q_len, dim]; float32 and float64 are rounded to the model's type. Random where it is not given."`
	K      string   `placeholder:"FILE" help:"Key: [batch, kv_heads, seq, dim]."`
	V      string   `placeholder:"FILE" help:"Value: [batch, kv_heads, seq, dim]."`
	Output string   `short:"o" placeholder:"FILE" help:"Write the output: [batch, heads, q_len, dim]."`
	LSE    string   `name:"lse" placeholder:"FILE" help:"Write the log-sum-exp: [batch, heads, q_len], float32."`
	Heads  headList `placeholder:"0,4..7" help:"The query heads to compare; all of them without it. The kernel computes all in any case."`
	JSON   bool     `help:"Print JSON."`
}

// Help says how the result is judged.
func (*runCmd) Help() string { return verdictHelp }

// outcome is what a run found. The JSON names device, out_rel_err,
// out_max_row_err, lse_max_err and ok are fixed: other programs read them. An
// error that is no number is null. The errors are as measured; excess is the part
// of each that large scores do not explain, and what the tolerance is for.
type outcome struct {
	OK     bool   `json:"ok"`
	Device string `json:"device"`
	distance
	Excess      distance            `json:"excess"`
	Tolerance   reference.Tolerance `json:"tolerance"`
	NotFinite   int                 `json:"rows_not_finite"` // rightly so
	Beyond      int                 `json:"rows_not_judged"` // beyond reference.Limit
	DeviceName  string              `json:"device_name"`
	Target      target.Target       `json:"target"`
	Entry       string              `json:"entry"`
	Model       string              `json:"model"`
	Layer       int                 `json:"layer"`
	Seq         int                 `json:"seq"`
	QLen        int                 `json:"q_len"`
	Batch       int                 `json:"batch"`
	Heads       int                 `json:"heads_compared"`
	Scale       float64             `json:"scale"`
	Seed        uint64              `json:"seed"`
	Pairs       float64             `json:"pairs"`
	DensePairs  float64             `json:"dense_pairs"`
	CompileMS   float64             `json:"compile_ms"`
	LoadMS      float64             `json:"load_ms"`
	KernelMS    float64             `json:"kernel_ms"`
	ReferenceMS float64             `json:"reference_ms"`

	errors reference.Errors
	shape  ir.Shape

	deviceText string
}

// defaultSeq is the length of a run that names none.
const defaultSeq = 2048

// Run does it.
func (c *runCmd) Run(s *streams) error {
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
	if err := c.Heads.check(unit.Module.Shape.Heads); err != nil {
		return err
	}
	in, err := c.inputs(s, unit)
	if err != nil {
		return err
	}
	if err := checkSeq(unit, layer, int64(in.kLen)); err != nil {
		return err
	}
	o := &outcome{
		Model: unit.Module.Name, Layer: number, Seed: c.Seed, Scale: unit.Module.Shape.Scale, shape: unit.Module.Shape,
		Seq: in.kLen, QLen: in.qLen, Batch: in.batch,
	}
	if c.Scale != nil {
		o.Scale = *c.Scale
	}
	out, lse, err := c.execute(s, unit, layer, in, o)
	if err != nil {
		return err
	}
	if err := c.save(out, lse); err != nil {
		return err
	}
	return c.judge(s, unit, layer, in, out, lse, o)
}

// judge compares with the reference, reports, and fails where the result is not
// within the tolerance.
func (c *runCmd) judge(s *streams, unit *compiler.Unit, layer *ir.Layer, in *attentionInputs, out, lse *tensor.Tensor, o *outcome) error {
	if err := c.compare(s, unit, in, out, lse, o); err != nil {
		return err
	}
	if err := c.print(s, layer, o); err != nil {
		return err
	}
	if !o.OK {
		return errFailed
	}
	return nil
}

// checkFlags refuses what cannot be meant, before any work.
func (c *runCmd) checkFlags() error {
	for _, path := range []string{c.Q, c.K, c.V, c.Output, c.LSE} {
		if path == "" {
			continue
		}
		if err := tensor.CheckPath(path); err != nil {
			return usageError{err}
		}
	}
	if c.Output != "" && c.Output == c.LSE && !strings.HasSuffix(strings.ToLower(c.Output), ".safetensors") {
		return usagef("-o and --lse name the same file; only a .safetensors file holds both")
	}
	if err := checkDevice(c.Device); err != nil {
		return err
	}
	if x := c.Scale; x != nil && !(*x >= limit.MinScale && *x <= limit.MaxScale) {
		return usagef("--scale %v: it is %s", *x, limit.Scale)
	}
	return errors.Join(atLeastOne("--seq", c.Seq), atLeastOne("--q-len", c.QLen), atLeastOne("--batch", c.Batch),
		notTooLong("--seq", c.Seq), notTooLong("--q-len", c.QLen))
}

// attentionInputs are the tensors of a run.
type attentionInputs struct {
	q, k, v           *tensor.Tensor
	batch, qLen, kLen int
}

// inputs reads the files that are given, and settles the shape that files and flags
// leave to the rest.
func (c *runCmd) inputs(s *streams, unit *compiler.Unit) (*attentionInputs, error) {
	m := unit.Module.Shape
	in := &attentionInputs{batch: orZero(c.Batch), qLen: orZero(c.QLen), kLen: orZero(c.Seq)}
	d := m.DType
	for _, f := range []struct {
		name, path string
		to         **tensor.Tensor
		heads      int
		seq        *int
	}{
		{"q", c.Q, &in.q, m.Heads, &in.qLen},
		{"k", c.K, &in.k, m.KVHeads, &in.kLen},
		{"v", c.V, &in.v, m.KVHeads, &in.kLen},
	} {
		if f.path == "" {
			continue
		}
		t, rounding, err := tensor.Read(f.path, f.name, d)
		if err != nil {
			return nil, fmt.Errorf("--%s: %w", f.name, err)
		}
		want := []int{orAny(in.batch), f.heads, orAny(*f.seq), m.HeadDim}
		if err := t.CheckShape(want, "batch", "heads", "seq", "dim"); err != nil {
			return nil, fmt.Errorf("--%s: %s: %w", f.name, f.path, err)
		}
		for n, of := range []string{"batch", "heads", "seq", "dim"} {
			if t.Shape[n] == 0 {
				return nil, fmt.Errorf("--%s: %s: %s is 0 in shape %s; a problem has at least one", f.name, f.path, of, tensor.ShapeString(t.Shape))
			}
		}
		*f.to, in.batch, *f.seq = t, t.Shape[0], t.Shape[2]
		if rounding.From != "" {
			fmt.Fprintf(s.err, "--%s: %s: %s\n", f.name, f.path, roundingText(rounding, t))
		}
	}
	in.batch = max(in.batch, 1)
	if in.kLen == 0 {
		in.kLen = max(defaultSeq, in.qLen)
	}
	if in.qLen == 0 {
		in.qLen = in.kLen
	}
	if in.qLen > in.kLen {
		return nil, usagef("%d queries for a context of %d tokens; queries are its last rows", in.qLen, in.kLen)
	}
	return in, nil
}

// draw makes the inputs that no file gave, at random.
func (in *attentionInputs) draw(seed uint64, m launch.Shape) error {
	for n, f := range []struct {
		to         **tensor.Tensor
		heads, seq int
	}{{&in.q, m.Heads, in.qLen}, {&in.k, m.KVHeads, in.kLen}, {&in.v, m.KVHeads, in.kLen}} {
		if *f.to != nil {
			continue
		}
		var err error
		if *f.to, err = tensor.Normal(seed, uint64(n), m.DType, in.batch, f.heads, f.seq, m.HeadDim); err != nil {
			return err
		}
	}
	return nil
}

// fits refuses a problem whose tensors and reference would not fit.
func (c *runCmd) fits(dev runtime.Device, layer *ir.Layer, m launch.Shape, in *attentionInputs) error {
	d, err := demandOf(m, in.batch, in.qLen, in.kLen)
	if err != nil {
		return err
	}
	for role, t := range map[launch.Role]*tensor.Tensor{launch.Q: in.q, launch.K: in.k, launch.V: in.v} {
		if t != nil {
			d.held(role)
		}
	}
	heads := len(c.Heads)
	if heads == 0 {
		heads = m.Heads
	}
	d.judge(layer, heads, in.qLen)
	return d.fits(dev)
}

// roundingText says that the kernel does not see a file's very numbers.
func roundingText(r tensor.Rounding, t *tensor.Tensor) string {
	text := fmt.Sprintf("%s, rounded to %s", r.From, t.DType)
	if r.Overflowed > 0 {
		text += fmt.Sprintf("; %s beyond its range became infinite", plural(r.Overflowed, "number", "numbers"))
	}
	return text
}

// orAny is a dimension that is not known yet where n is 0.
func orAny(n int) int {
	if n == 0 {
		return -1
	}
	return n
}

// execute compiles the layer for the device and runs it on poisoned outputs.
func (c *runCmd) execute(s *streams, unit *compiler.Unit, layer *ir.Layer, in *attentionInputs, o *outcome) (out, lse *tensor.Tensor, err error) {
	p := s.progress("running")
	defer p.end()
	dev, err := openDevice(c.Device, p.set)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	o.Device, o.DeviceName, o.deviceText = dev.Kind(), dev.Describe(), deviceText(dev)
	tuning, err := c.tuning(s, dev)
	if err != nil {
		return nil, nil, err
	}
	on, err := c.Arch.or(dev)
	if err != nil {
		return nil, nil, err
	}
	start := time.Now()
	compiled, err := unit.Compile(layer, on, compiler.Options{Tuning: tuning})
	if err != nil {
		return nil, nil, err
	}
	o.CompileMS = milliseconds(start)
	o.Target, o.Entry = compiled.Plan.Target, compiled.Plan.Name()

	if err := c.fits(dev, layer, compiled.Plan.Shape, in); err != nil {
		return nil, nil, err
	}
	if err := in.draw(c.Seed, compiled.Plan.Shape); err != nil {
		return nil, nil, err
	}
	start = time.Now()
	attention, err := runtime.Load(dev, compiled.Plan)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, attention.Unload()) }()
	o.LoadMS = milliseconds(start)
	return runOnce(dev, attention, in, o)
}

func milliseconds(since time.Time) float64 { return float64(time.Since(since).Microseconds()) / 1e3 }

// save writes the outputs that were asked for.
func (c *runCmd) save(out, lse *tensor.Tensor) error {
	return whole(func() error { return c.saveWhole(out, lse) })
}

func (c *runCmd) saveWhole(out, lse *tensor.Tensor) error {
	if c.Output != "" && c.Output == c.LSE {
		return tensor.Write(c.Output, map[string]*tensor.Tensor{"out": out, "lse": lse})
	}
	if c.Output != "" {
		if err := tensor.Write(c.Output, map[string]*tensor.Tensor{"out": out}); err != nil {
			return err
		}
	}
	if c.LSE != "" {
		return tensor.Write(c.LSE, map[string]*tensor.Tensor{"lse": lse})
	}
	return nil
}

// compare computes the reference and measures the distance from it.
func (c *runCmd) compare(s *streams, unit *compiler.Unit, in *attentionInputs, out, lse *tensor.Tensor, o *outcome) error {
	p := s.progress("comparing")
	defer p.end()
	start := time.Now()
	var heads []int
	if len(c.Heads) > 0 {
		heads = c.Heads
	}
	ref, err := reference.Attention(context.Background(), reference.Problem{
		Model: unit.Program.Model, Attends: reference.Source(unit.Program, o.Layer),
		Scale: o.Scale, Heads: heads, Q: in.q, K: in.k, V: in.v, Progress: p.set,
	})
	if err != nil {
		return err
	}
	o.ReferenceMS = milliseconds(start)
	o.errors, err = reference.Compare(out, lse, ref, unit.Module.Shape.Heads)
	if err != nil {
		return err
	}
	o.Heads = len(ref.Heads)
	o.Tolerance = reference.ToleranceOf(unit.Program.Model.DType)
	o.distance, o.Excess = toDistance(o.errors.Distance), toDistance(o.errors.Excess)
	o.NotFinite, o.Beyond = o.errors.NotFinite, o.errors.Beyond
	o.OK = o.errors.Within(o.Tolerance)
	return nil
}

// print reports the outcome.
func (c *runCmd) print(s *streams, layer *ir.Layer, o *outcome) error {
	pairs, err := ir.Pairs(*layer, o.shape, int64(o.QLen), int64(o.Seq))
	if err != nil {
		return err
	}
	o.Pairs = float(pairs) * float64(o.Batch)
	o.DensePairs = float(ir.DensePairs(o.shape, int64(o.QLen), int64(o.Seq))) * float64(o.Batch)
	if c.JSON {
		return s.json(o)
	}
	r := newReport(s)
	r.title("%s · layer %d", o.Model, o.Layer)
	r.line("device", "%s", o.deviceText)
	r.line("kernel", "%s for %s, compiled in %s", o.Entry, o.Target, duration(o.CompileMS))
	queries := ""
	if o.QLen != o.Seq {
		queries = fmt.Sprintf(", the last %s as queries", grouped(o.QLen))
	}
	r.line("problem", "%s%s, batch %d, %s on %s, %s",
		plural(o.Seq, "token", "tokens"), queries, o.Batch, plural(o.shape.Heads, "query head", "query heads"),
		plural(o.shape.KVHeads, "KV head", "KV heads"), o.shape.DType)
	r.line("attended pairs", "%s of %s (density %.4f)", scaled(o.Pairs), scaled(o.DensePairs), o.Pairs/o.DensePairs)
	r.line("time", "kernel %s, float64 reference %s", duration(o.KernelMS), duration(o.ReferenceMS))
	r.section("Compared with the reference, %s", plural(o.Heads, "head", "heads"))
	e, t := o.errors, o.Tolerance
	errorLine(r, "output", "‖out − ref‖ / ‖ref‖", e.OutRel, e.Excess.OutRel, t.OutRel, "")
	errorLine(r, "worst row", "the same over one row", e.OutRow, e.Excess.OutRow, t.OutRow, e.Excess.WorstRow.String())
	errorLine(r, "log-sum-exp", "greatest |lse − ref|", e.LSE, e.Excess.LSE, t.LSE, e.Excess.WorstLSE.String())
	for _, note := range e.Notes() {
		r.line("note", "%s", note)
	}
	if o.OK {
		r.print("\n%s\n", s.style(styleGood, "ok"))
	} else {
		r.print("\n%s\n", s.style(styleError, "not ok: "+e.Reason(t)))
	}
	return r.end()
}
