package compiler

import (
	"fmt"
	"strings"

	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/codegen/ptx/kernel"
	"github.com/s2attention/s2c/codegen/ptx/sm80"
	"github.com/s2attention/s2c/codegen/ptx/sm90a"
	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/ir/layout"
	"github.com/s2attention/s2c/ir/pass"
	"github.com/s2attention/s2c/launch"
	"github.com/s2attention/s2c/runtime"
	"github.com/s2attention/s2c/target"
)

// Targets are those that Compile accepts, the default one first.
var Targets = []target.Target{target.SM80, target.SM90a}

// ParseTarget reads the name of one of them.
func ParseTarget(name string) (target.Target, error) {
	var names []string
	for _, t := range Targets {
		if t.String() == name {
			return t, nil
		}
		names = append(names, t.String())
	}
	return target.Target{}, fmt.Errorf("unknown target %q: want one of %s", name, strings.Join(names, ", "))
}

// Options steer a compilation.
type Options struct {
	// Pass steers the layout passes; its Model is set here.
	Pass pass.Options
	// Tuning decides the layout where its file has an entry for the layer.
	Tuning Tuning
}

// Compiled is one distinct layer on one target.
type Compiled struct {
	Layer  *ir.Layer
	Layout *layout.Kernel
	Plan   *launch.Plan
}

// family is a code generator.
type family struct {
	emit        func(*layout.Kernel) (*ptx.Module, *kernel.Pattern, error)
	params      func(*layout.Kernel) []launch.Param
	threads     func(*layout.Kernel) int
	sharedBytes func(*layout.Kernel) int
	persistent  int // thread blocks a multiprocessor that share all work; 0: one a tile
}

// families are the code generators by layout.Kernel.Family.
var families = map[string]family{
	"sm80": {
		emit: sm80.Emit, params: sm80.Params, threads: sm80.Threads, sharedBytes: sm80.SharedBytes,
	},
	"sm90a": {
		emit: sm90a.Emit, params: sm90a.Params, threads: sm90a.Threads, sharedBytes: sm90a.SharedBytes,
		persistent: sm90a.Resident,
	},
}

// Compile makes one distinct layer's kernel for a target.
func (u *Unit) Compile(layer *ir.Layer, on target.Target, opt Options) (*Compiled, error) {
	k, err := u.Layout(layer, on, opt)
	if err != nil {
		return nil, fmt.Errorf("layer %d on %v: %w", layer.Numbers[0], on, err)
	}
	c, err := Generate(k, layer.Numbers)
	if err != nil {
		return nil, fmt.Errorf("layer %d on %v: %w", layer.Numbers[0], on, err)
	}
	c.Layer = layer
	return c, nil
}

// Generate makes the kernel of a layout.
func Generate(k *layout.Kernel, layers []int) (*Compiled, error) {
	f, ok := families[k.Family]
	if !ok {
		return nil, fmt.Errorf("no code generator %q", k.Family)
	}
	m, pattern, err := f.emit(k)
	if err != nil {
		return nil, err
	}
	if n := f.sharedBytes(k); n != k.SharedBytes {
		return nil, fmt.Errorf("the layout counts %d bytes of shared memory, the %s code generator %d", k.SharedBytes, k.Family, n)
	}
	m.Header = header(k)
	return &Compiled{Layout: k, Plan: &launch.Plan{
		Op: launch.Forward, Target: k.Target.String(), Layers: layers, PTX: m.String(), Table: pattern.Table,
		Shape: shapeOf(k.Shape), MaxBlocks: k.MaxBlocks,
		Kernels: []launch.Kernel{{
			Entry: k.Entry, SharedBytes: f.sharedBytes(k), BlockThreads: f.threads(k), Params: f.params(k),
			Grid: launch.GridRule{Over: launch.QueryTiles, Positions: k.Positions, HeadTiles: len(k.HeadTiles), Persistent: f.persistent},
		}},
	}}, nil
}

// shapeOf is what a plan says of a model's shape.
func shapeOf(s ir.Shape) launch.Shape {
	return launch.Shape{
		Heads: s.Heads, KVHeads: s.KVHeads, HeadDim: s.HeadDim, Block: s.Block,
		DType: s.DType, Causal: s.Causal, Scale: s.Scale,
	}
}

// header says in the PTX what the kernel is.
func header(k *layout.Kernel) []string {
	s := k.Shape
	mode := "bidirectional"
	if s.Causal {
		mode = "causal"
	}
	return []string{
		"s2c: block-sparse attention, forward",
		fmt.Sprintf("%s, %d/%d heads, head_dim %d, block %d, %s", s.DType, s.Heads, s.KVHeads, s.HeadDim, s.Block, mode),
		fmt.Sprintf("family %s: %d rows (pack %d, merge %d, split %d), KV tile %d, %d stages, %d bytes of shared memory",
			k.Family, k.Rows, k.Pack, k.Merge, k.Split, k.KVTile, k.Stages, k.SharedBytes),
	}
}

// Bundle compiles every distinct layer for every target.
func (u *Unit) Bundle(targets []target.Target, source string, opt Options) (*runtime.Bundle, error) {
	b := &runtime.Bundle{Manifest: u.manifest(source)}
	for n := range u.Module.Layers {
		layer := &u.Module.Layers[n]
		facts, err := u.facts(layer)
		if err != nil {
			return nil, err
		}
		b.Manifest.Facts = append(b.Manifest.Facts, facts)
		for _, t := range targets {
			c, err := u.Compile(layer, t, opt)
			if err != nil {
				return nil, err
			}
			b.Plans = append(b.Plans, *c.Plan)
		}
	}
	return b, nil
}
