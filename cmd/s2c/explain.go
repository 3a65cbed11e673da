package main

import (
	"cmp"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"

	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/diag"
	"github.com/s2attention/s2c/internal/show"
	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/ir/layout"
	"github.com/s2attention/s2c/target"
)

// explainCmd says what a pattern costs and what is proved of it.
type explainCmd struct {
	source
	layerFlag
	tuningFlag
	Seq  int64    `type:"tokens" default:"8192" placeholder:"N" help:"Context length in tokens, as in 8192 or 8K, that counts are given for (${default})."`
	Arch archList `default:"${everyArch}" placeholder:"A,…" help:"Targets whose layout is explained (${default})."`
	All  bool     `help:"List every layout candidate, not the best ones alone."`
	JSON bool     `help:"Print JSON."`
}

// explanation is what is known of a layer. The JSON names up to Tables are fixed:
// other programs read them.
type explanation struct {
	Pairs            *big.Int        `json:"pairs"`
	Density          float64         `json:"density"`
	Coverage         bool            `json:"coverage"`
	KVEfficient      bool            `json:"kv_efficient"`
	CoverageAtSeq    bool            `json:"coverage_at_seq"`
	KVEfficientAtSeq bool            `json:"kv_efficient_at_seq"`
	KVKept           float64         `json:"kv_kept"`
	Tables           bool            `json:"tables"`
	DensePairs       *big.Int        `json:"dense_pairs"`
	FLOPs            float64         `json:"flops"`
	DenseFLOPs       float64         `json:"dense_flops"`
	IdealSpeedup     number          `json:"ideal_speedup"`
	CoverageFails    *counterexample `json:"coverage_counterexample,omitempty"`
	KVEfficientFails *counterexample `json:"kv_efficient_counterexample,omitempty"`
	MaxSeq           int64           `json:"max_seq,omitempty"` // greatest length in tokens, where there is one
	Dense            bool            `json:"dense"`
	Model            string          `json:"model"`
	Layer            int             `json:"layer"`
	Layers           []int           `json:"layers"` // all layers with this pattern
	Seq              int64           `json:"seq"`
	Layouts          []layoutFacts   `json:"layouts"`
	Slice            *sliceFacts     `json:"slice,omitempty"`  // where active_heads picks some heads
	Failed           diag.List       `json:"failed,omitempty"` // require clauses of the file
}

// sliceFacts says what holds of a slice of the query heads alone. With a slice,
// coverage and kv_efficient, with their counter-examples, and the same at seq are
// of the whole model's layer, as require clauses are; all else is of the slice.
type sliceFacts struct {
	FirstHead        int             `json:"first_head"`
	LastHead         int             `json:"last_head"`
	TotalHeads       int             `json:"total_heads"`
	Coverage         bool            `json:"coverage"`
	KVEfficient      bool            `json:"kv_efficient"`
	CoverageFails    *counterexample `json:"coverage_counterexample,omitempty"`
	KVEfficientFails *counterexample `json:"kv_efficient_counterexample,omitempty"`
}

// counterexample is the first place where a property fails, or why it could not
// be decided.
type counterexample struct {
	KVHead     *int   `json:"kv_head,omitempty"`
	QueryBlock int64  `json:"query_block"`
	KeyBlock   int64  `json:"key_block"`
	Undecided  string `json:"undecided,omitempty"`
}

// layoutFacts is the layout on one target.
type layoutFacts struct {
	Target      target.Target   `json:"target"`
	Family      string          `json:"family"`
	Reason      string          `json:"reason"`
	Pack        int             `json:"pack"`
	Merge       int             `json:"merge"`
	Split       int             `json:"split"`
	Rows        int             `json:"rows"`
	KVTile      int             `json:"kv_tile"`
	Stages      int             `json:"stages"`
	Warps       int             `json:"warps"`
	SharedBytes int             `json:"shared_bytes"`
	Steps       *stepCounts     `json:"steps,omitempty"` // at seq, all heads of one sequence
	Candidates  []candidateFact `json:"candidates"`

	kernel *layout.Kernel
}

// stepCounts says what the main loops of one sequence do.
type stepCounts struct {
	Total    int64 `json:"total"`
	Full     int64 `json:"full"` // without a mask
	Diagonal int64 `json:"diagonal"`
	Partial  int64 `json:"partial"`
	Tail     int64 `json:"tail"`
	Skipped  int64 `json:"skipped"` // pieces that a dense kernel would load
}

// candidateFact is a layout that the cost model weighed.
type candidateFact struct {
	Rows        int    `json:"rows"`
	Pack        int    `json:"pack"`
	Merge       int    `json:"merge"`
	Split       int    `json:"split"`
	KVTile      int    `json:"kv_tile"`
	Stages      int    `json:"stages"`
	Warps       int    `json:"warps"`
	SharedBytes int    `json:"shared_bytes"`
	Registers   int    `json:"registers"`
	Cost        number `json:"cost"` // null where it was not weighed
	Verdict     string `json:"verdict"`
}

// Help says what else can be explained.
func (*explainCmd) Help() string {
	return "s2c explain S2C0521 says what the code of an error or warning means, with an example and what to do."
}

// Run prints the explanation. A file whose require clauses fail is explained all the
// same, and then fails the command: its explanation says why.
func (c *explainCmd) Run(s *streams) error {
	if codeForm.MatchString(string(c.File)) {
		return explainCode(s, string(c.File), c.JSON)
	}
	path, opt := s.options(c.File, c.Define)
	unit, err := shown(s)(compiler.Lower(path, opt))
	if err != nil {
		return err
	}
	failed := unit.Require(opt.Cancelled)
	failed.Sort()
	if err := c.explain(s, unit, failed); err != nil || len(failed) == 0 {
		return err
	}
	return failed
}

// explain prints what is known of a layer, and which clauses of the file fail.
func (c *explainCmd) explain(s *streams, unit *compiler.Unit, failed diag.List) error {
	layer, number, err := c.pick(unit)
	if err != nil {
		return err
	}
	if err := checkSeq(unit, layer, c.Seq); err != nil {
		return err
	}
	e, err := explain(unit, layer, number, c.Seq)
	if err != nil {
		return err
	}
	e.Failed = failed
	tuning, err := c.tuning(s, nil)
	if err != nil {
		return err
	}
	for _, a := range c.Arch {
		facts, err := explainLayout(unit, layer, a.Target, c.Seq, tuning)
		if err != nil {
			return err
		}
		e.Layouts = append(e.Layouts, *facts)
	}
	if c.JSON {
		return s.json(e)
	}
	return c.text(s, unit, e)
}

// explain asks the closed form.
func explain(unit *compiler.Unit, layer *ir.Layer, index int, seq int64) (*explanation, error) {
	shape := unit.Module.Shape
	e := &explanation{
		Model: unit.Module.Name, Layer: index, Layers: layer.Numbers, Seq: seq,
		Dense:      unit.Program.IsDense(index),
		DensePairs: ir.DensePairs(shape, seq, seq),
	}
	var err error
	if e.Pairs, err = ir.Pairs(*layer, shape, seq, seq); err != nil {
		return nil, err
	}
	if e.Density, err = ir.Density(*layer, shape, seq); err != nil {
		return nil, err
	}
	if e.KVKept, err = ir.KVKept(*layer, shape, seq); err != nil {
		return nil, err
	}
	perPair := 4 * float64(shape.HeadDim)
	e.FLOPs, e.DenseFLOPs = perPair*float(e.Pairs), perPair*float(e.DensePairs)
	e.IdealSpeedup = number(1 / e.Density)
	e.prove(layer, shape)
	if unit.Program.Model.Sliced() {
		e.proveWhole(unit)
	}
	for _, p := range layer.Heads {
		e.Tables = e.Tables || p.Table != nil
		if limit := p.Limit(); limit < ir.Inf/int64(shape.Block) {
			limit *= int64(shape.Block)
			if e.MaxSeq == 0 || limit < e.MaxSeq {
				e.MaxSeq = limit
			}
		}
	}
	return e, nil
}

// prove decides the layer's properties.
func (e *explanation) prove(layer *ir.Layer, shape ir.Shape) {
	coverage, efficient := ir.Coverage(*layer, shape), ir.KVEfficient(*layer, shape)
	e.Coverage, e.CoverageFails = coverage.Holds, failure(coverage)
	e.KVEfficient, e.KVEfficientFails = efficient.Holds, failure(efficient)
	e.CoverageAtSeq = ir.CoverageAt(*layer, shape, e.Seq).Holds
	e.KVEfficientAtSeq = ir.KVEfficientAt(*layer, shape, e.Seq).Holds
}

// proveWhole sets what was proved aside as the slice's, and decides the
// properties of the whole model's layer.
func (e *explanation) proveWhole(unit *compiler.Unit) {
	m := unit.Program.Model
	e.Slice = &sliceFacts{
		FirstHead: m.FirstHead, LastHead: m.FirstHead + m.Heads - 1, TotalHeads: m.TotalHeads,
		Coverage: e.Coverage, CoverageFails: e.CoverageFails, KVEfficient: e.KVEfficient, KVEfficientFails: e.KVEfficientFails,
	}
	if f := e.Slice.KVEfficientFails; f != nil && f.KVHead != nil {
		*f.KVHead += m.FirstHead / (m.TotalHeads / m.TotalKVHeads) // as the whole model counts
	}
	layer, shape, err := wholeLayer(unit, e.Layer)
	if err != nil {
		unknown := &counterexample{Undecided: err.Error()}
		e.Coverage, e.KVEfficient, e.CoverageAtSeq, e.KVEfficientAtSeq = false, false, false, false
		e.CoverageFails, e.KVEfficientFails = unknown, unknown
		return
	}
	e.prove(layer, shape)
}

// wholeLayer is a layer with all heads of the model.
func wholeLayer(unit *compiler.Unit, number int) (*ir.Layer, ir.Shape, error) {
	all, list := unit.Whole()
	if all == nil {
		errors, _ := list.Split()
		return nil, ir.Shape{}, fmt.Errorf("a head outside of the slice has an error: %s", errors[0].Message)
	}
	layer, err := all.Layer(number)
	return layer, all.Module.Shape, err
}

func float(n *big.Int) float64 {
	f, _ := new(big.Float).SetInt(n).Float64()
	return f
}

func failure(v ir.Verdict) *counterexample {
	switch {
	case v.Holds:
		return nil
	case v.Err != nil:
		return &counterexample{Undecided: v.Err.Error()}
	}
	c := &counterexample{QueryBlock: v.I, KeyBlock: v.J}
	if v.Head >= 0 {
		c.KVHead = &v.Head
	}
	return c
}

// explainLayout runs the layout passes.
func explainLayout(unit *compiler.Unit, layer *ir.Layer, on target.Target, seq int64, tuning compiler.Tuning) (*layoutFacts, error) {
	k, err := unit.Layout(layer, on, compiler.Options{Tuning: tuning})
	if err != nil {
		return nil, err
	}
	f := &layoutFacts{
		Target: k.Target, Family: k.Family, Reason: k.Reason,
		Pack: k.Pack, Merge: k.Merge, Split: k.Split, Rows: k.Rows, KVTile: k.KVTile,
		Stages: k.Stages, Warps: k.Warps, SharedBytes: k.Memory.Bytes(), kernel: k,
	}
	if k.Tiles(seq)*int64(len(k.HeadTiles)) <= maxCountedTiles {
		n := k.Total(seq)
		f.Steps = &stepCounts{n.Steps, n.Full, n.Diagonal, n.Partial, n.Tail, n.Skipped}
	}
	for _, c := range k.Choice {
		cost := c.Cost
		if cost <= 0 {
			cost = math.NaN()
		}
		f.Candidates = append(f.Candidates, candidateFact{
			c.Rows, c.Pack, c.Merge, c.Split, c.KVTile, c.Stages, c.Warps, c.SharedBytes, c.Registers, number(cost), c.Verdict,
		})
	}
	return f, nil
}

// maxCountedTiles bounds the work of counting steps, which is done tile by tile;
// it takes a second or so.
const maxCountedTiles = 1 << 20

// text is the explanation for people.
func (c *explainCmd) text(s *streams, unit *compiler.Unit, e *explanation) error {
	m := unit.Program.Model
	r := newReport(s)
	r.title("%s · %s", e.Model, show.LayerNames(e.Layers, m.Layers))
	r.line("shape", "%s", m)
	for _, p := range unit.Program.Params {
		mark := ""
		if p.Overridden {
			mark = " (from -D)"
		}
		r.line("param "+p.Name, "%s%s", p.Value, mark)
	}

	if f := e.Slice; f != nil {
		r.line("slice", "query heads %d..%d of %d; counts and layouts are those of the slice", f.FirstHead, f.LastHead, f.TotalHeads)
	}

	r.section("At %s tokens", grouped(e.Seq))
	r.line("attended pairs", "%s of %s, density %.4f", scaled(float(e.Pairs)), scaled(float(e.DensePairs)), e.Density)
	r.line("forward work", "%sFLOP of %sFLOP a sequence", prefixed(e.FLOPs), prefixed(e.DenseFLOPs))
	r.line("ideal speed-up", "%.2f× over dense", float64(e.IdealSpeedup))
	r.line("KV kept", "%.1f %% of the key blocks, mean over KV heads; later queries never read the others", 100*e.KVKept)

	r.section("At every length")
	coverage := coverageText(e.CoverageFails) + atSeq(e.CoverageFails, e.CoverageAtSeq, e.Seq)
	efficiency := efficiencyText(e.KVEfficientFails) + atSeq(e.KVEfficientFails, e.KVEfficientAtSeq, e.Seq)
	if f := e.Slice; f != nil {
		coverage = "whole model: " + coverage + "\nthis slice alone: " + coverageText(f.CoverageFails)
		efficiency = "whole model: " + efficiency + "\nthis slice alone: " + efficiencyText(f.KVEfficientFails)
	}
	r.line("coverage", "%s", coverage)
	r.line("KV efficiency", "%s", efficiency)
	r.line("tables", "%s", tablesText(e))
	if len(e.Failed) > 0 {
		r.section("What the file requires, and what is so")
		for _, d := range e.Failed {
			r.line(fmt.Sprintf("line %d", d.Span.Pos().Line), "%s", s.style(styleError, d.Message))
		}
	}
	for n := range e.Layouts {
		c.layoutText(r, &e.Layouts[n], e.Seq)
	}
	return r.end()
}

// prefixed writes a number with its prefix set apart, ready for a unit.
func prefixed(x float64) string {
	text := scaled(x)
	if !strings.Contains(text, " ") {
		text += " "
	}
	return text
}

func coverageText(f *counterexample) string {
	switch {
	case f == nil:
		return "yes: the heads together read the whole context"
	case f.Undecided != "":
		return "undecided: " + f.Undecided
	}
	return fmt.Sprintf("no: no head attends key block %d from query block %d", f.KeyBlock, f.QueryBlock)
}

func efficiencyText(f *counterexample) string {
	switch {
	case f == nil:
		return "yes: a key block that a KV head has dropped never comes back"
	case f.Undecided != "":
		return "undecided: " + f.Undecided
	}
	return fmt.Sprintf("no: KV head %d reads key block %d at query block %d, but not at %d",
		*f.KVHead, f.KeyBlock, f.QueryBlock, f.QueryBlock-1)
}

// atSeq adds that a property which fails somewhere holds at the length asked for.
func atSeq(f *counterexample, holds bool, seq int64) string {
	if f != nil && f.Undecided == "" && holds {
		return fmt.Sprintf("\nbut yes at %s tokens", grouped(seq))
	}
	return ""
}

func tablesText(e *explanation) string {
	switch {
	case e.MaxSeq > 0:
		return fmt.Sprintf("yes: the kernel reads a table, and serves up to %s tokens", grouped(e.MaxSeq))
	case e.Tables:
		return "yes: the kernel reads a table of the irregular rows; it serves every length"
	}
	return "no: the kernel computes key blocks from the closed form, at every length"
}

// layoutText explains one target.
func (c *explainCmd) layoutText(r *report, f *layoutFacts, seq int64) {
	k := f.kernel
	r.section("On %s", f.Target)
	r.line("code", "%s: %s", f.Family, f.Reason)
	r.line("thread block", "%d query rows: %s; %s", f.Rows, tileText(k), plural(f.Warps, "warp", "warps"))
	r.line("main loop", "%d tokens a step%s, %s, %s bytes of shared memory",
		f.KVTile, gatherText(k), plural(f.Stages, "stage", "stages"), grouped(f.SharedBytes))
	if n := f.Steps; n != nil {
		r.line("steps", "%s at %s tokens: %s without a mask, %s diagonal, %s partial, %s tail",
			grouped(n.Total), grouped(seq), grouped(n.Full), grouped(n.Diagonal), grouped(n.Partial), grouped(n.Tail))
		r.line("never loaded", "%s tiles of %d tokens that a dense kernel would load", grouped(n.Skipped), min(f.KVTile, k.Shape.Block))
	} else {
		r.line("steps", "not counted at %s tokens; ask for a shorter --seq", grouped(seq))
	}
	r.print("\n")
	shown := shownCandidates
	switch {
	case c.All:
		shown = len(f.Candidates)
	case len(c.Arch) > 1:
		shown /= 2
	}
	r.table(candidateTable(f.Candidates, shown))
}

func tileText(k *layout.Kernel) string {
	var parts []string
	if k.Pack > 1 {
		parts = append(parts, fmt.Sprintf("%d equal heads of a KV head packed", k.Pack))
	}
	switch {
	case k.Merge > 1:
		parts = append(parts, fmt.Sprintf("%d adjacent query blocks merged", k.Merge))
	case k.Split > 1:
		parts = append(parts, fmt.Sprintf("a query block in %d parts", k.Split))
	default:
		parts = append(parts, "one query block")
	}
	return strings.Join(parts, ", ")
}

func gatherText(k *layout.Kernel) string {
	if n := k.Gather(); n > 1 {
		return fmt.Sprintf(" (%d key blocks from anywhere)", n)
	}
	return ""
}

// shownCandidates is how many a report lists unless it is asked for all; half of
// them for each of several targets.
const shownCandidates = 6

// candidateTable lists what the cost model weighed: the chosen one first, then
// the cheapest.
func candidateTable(all []candidateFact, shown int) [][]string {
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(a, b candidateFact) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Cost, b.Cost))
	})
	hidden := 0
	if len(sorted) > shown {
		hidden = len(sorted) - shown
		sorted = sorted[:shown]
	}
	rows := [][]string{{"rows", "pack", "merge", "split", "step", "stages", "warps", "shared", "registers", "cost", "verdict"}}
	for _, c := range sorted {
		cost := "–"
		if weighed(c) {
			cost = fmt.Sprintf("%.3f", c.Cost)
		}
		rows = append(rows, []string{
			fmt.Sprint(c.Rows), fmt.Sprint(c.Pack), fmt.Sprint(c.Merge), fmt.Sprint(c.Split), fmt.Sprint(c.KVTile),
			fmt.Sprint(c.Stages), fmt.Sprint(c.Warps), grouped(c.SharedBytes), fmt.Sprint(c.Registers), cost, c.Verdict,
		})
	}
	if hidden > 0 {
		last := rows[len(rows)-1]
		last[len(last)-1] += fmt.Sprintf("; and %d more, see --all", hidden)
	}
	return rows
}

// rank puts the chosen candidate first and those without a cost last.
func rank(c candidateFact) int {
	switch {
	case c.Verdict == "chosen":
		return 0
	case weighed(c):
		return 1
	}
	return 2
}

// weighed reports whether the cost model gave the candidate a cost.
func weighed(c candidateFact) bool {
	return !math.IsNaN(float64(c.Cost)) && !math.IsInf(float64(c.Cost), 0)
}
