// Package pass turns a layer's pattern into a tile program. The whole pipeline
// is the value [Pipeline]: each pass says what it needs, what holds after it,
// and why it stands where it does.
package pass

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/ir/layout"
)

// Fact is something that holds of a [State] from one pass on. Each has a check,
// see facts.go.
type Fact string

// Pass is one step of the pipeline.
type Pass struct {
	Name        string
	Requires    []Fact
	Establishes []Fact
	Reason      string // why the pass exists and stands here
	run         func(*State) error
}

// Pipeline is the order of the passes.
var Pipeline = []Pass{
	{
		Name:        "normalise",
		Establishes: []Fact{Normal},
		Reason:      "later passes may rely on verified patterns and on cells in ascending order, the diagonal last",
		run:         normalise,
	},
	{
		Name:        "match-heads",
		Requires:    []Fact{Normal},
		Establishes: []Fact{Matched},
		Reason:      "only heads of one KV head with provably equal patterns may share a thread block, and equal patterns are counted once",
		run:         matchHeads,
	},
	{
		Name:        "weigh",
		Requires:    []Fact{Normal, Matched},
		Establishes: []Fact{Chosen},
		Reason:      "packing, merging, splitting, tile shape and stages decide each other's worth: all of them are weighed at once",
		run:         weigh,
	},
	{
		Name:        "tile",
		Requires:    []Fact{Chosen, Matched},
		Establishes: []Fact{Tiled},
		Reason:      "packs the heads and merges the query blocks as chosen: from here on a pattern row is what a query tile reads",
		run:         tile,
	},
	{
		Name:        "order",
		Requires:    []Fact{Tiled},
		Establishes: []Fact{Ordered},
		Reason:      "head tiles that run together should find their keys and values in L2",
		run:         order,
	},
	{
		Name:        "name",
		Requires:    []Fact{Tiled, Ordered},
		Establishes: []Fact{Named},
		Reason:      "the entry names the model and the first layer it serves; nothing may change the kernel after it",
		run:         name,
	},
}

// CheckOrder reports a pass that comes before something it requires, a name or
// fact given twice, and a pass without a reason.
func CheckOrder(pipeline []Pass) error {
	var names []string
	var have []Fact
	for _, p := range pipeline {
		if slices.Contains(names, p.Name) {
			return fmt.Errorf("pass %s: two passes have this name", p.Name)
		}
		names = append(names, p.Name)
		for _, f := range p.Requires {
			if !slices.Contains(have, f) {
				return fmt.Errorf("pass %s: requires %q, which no earlier pass establishes", p.Name, f)
			}
		}
		if p.Reason == "" || len(p.Establishes) == 0 {
			return fmt.Errorf("pass %s: says not why it exists, or establishes nothing", p.Name)
		}
		for _, f := range p.Establishes {
			if slices.Contains(have, f) {
				return fmt.Errorf("pass %s: %q is established already", p.Name, f)
			}
			have = append(have, f)
		}
	}
	return nil
}

// Options steer one run of the pipeline.
type Options struct {
	// Model names the model in the PTX entry.
	Model string
	// Only, if set, restricts the choice to candidates that it accepts.
	Only func(layout.Candidate) bool
	// VerifyEach checks, after every pass, every fact established so far.
	VerifyEach bool
	// Dump maps "after:<pass>" to a writer that gets the state as text.
	Dump map[string]io.Writer
	// Time, if set, is told how long each pass took.
	Time func(pass string, took time.Duration)
}

// State is what the passes work on.
type State struct {
	Layer     ir.Layer
	Shape     ir.Shape
	Backend   layout.Backend
	Generator layout.Generator // the one being weighed, then the chosen one
	// Classes numbers the distinct patterns: heads with equal numbers are equal.
	Classes []int
	// Kernel is filled in from pass to pass.
	Kernel *layout.Kernel

	opts   Options
	merged map[mergeKey]mergeResult
}

// Run takes a layer to its tile program on a target.
func Run(layer ir.Layer, shape ir.Shape, on layout.Backend, opts Options) (*layout.Kernel, error) {
	return run(Pipeline, layer, shape, on, opts)
}

func run(pipeline []Pass, layer ir.Layer, shape ir.Shape, on layout.Backend, opts Options) (*layout.Kernel, error) {
	s, err := newState(layer, shape, on, opts)
	if err != nil {
		return nil, err
	}
	for key := range opts.Dump {
		if !slices.ContainsFunc(pipeline, func(p Pass) bool { return "after:"+p.Name == key }) {
			return nil, fmt.Errorf("no pass to dump at %q: want one of %s", key, dumpPoints(pipeline))
		}
	}
	var facts []Fact
	for _, p := range pipeline {
		start := time.Now()
		if err := p.run(s); err != nil {
			return nil, fmt.Errorf("pass %s: %w", p.Name, err)
		}
		if opts.Time != nil {
			opts.Time(p.Name, time.Since(start))
		}
		facts = append(facts, p.Establishes...)
		if opts.VerifyEach {
			if err := s.verify(facts); err != nil {
				return nil, fmt.Errorf("after pass %s: %w", p.Name, err)
			}
		}
		if w := opts.Dump["after:"+p.Name]; w != nil {
			if err := s.dump(w, p); err != nil {
				return nil, fmt.Errorf("dump after pass %s: %w", p.Name, err)
			}
		}
	}
	return s.Kernel, nil
}

// newState checks what the passes take for granted.
func newState(layer ir.Layer, shape ir.Shape, on layout.Backend, opts Options) (*State, error) {
	if err := layout.CheckShape(shape); err != nil {
		return nil, err
	}
	k := &layout.Kernel{Target: on.Target, Shape: shape, DimPadded: layout.PaddedDim(shape)}
	if len(layer.Heads) != shape.Heads {
		return nil, fmt.Errorf("layout: the layer has patterns for %d heads, the model has %d", len(layer.Heads), shape.Heads)
	}
	if len(layer.Numbers) == 0 {
		return nil, fmt.Errorf("layout: the pattern belongs to no layer of the model")
	}
	layer.Heads = slices.Clone(layer.Heads) // the caller's stay as they are
	return &State{Layer: layer, Shape: shape, Backend: on, Kernel: k, opts: opts, merged: map[mergeKey]mergeResult{}}, nil
}
