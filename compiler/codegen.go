package compiler

import (
	"fmt"
	"slices"

	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/ir/layout"
	"github.com/s2attention/s2c/ir/pass"
	"github.com/s2attention/s2c/launch"
	"github.com/s2attention/s2c/runtime"
	"github.com/s2attention/s2c/target"
)

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
	g, err := generator(k)
	if err != nil {
		return nil, err
	}
	m, pattern, err := g.Emit(k)
	if err != nil {
		return nil, err
	}
	m.Header = header(k)
	return &Compiled{Layout: k, Plan: &launch.Plan{
		Op: launch.Forward, Target: k.Target, Layers: layers, PTX: m.String(), Table: pattern.Table,
		Shape: shapeOf(k.Shape), MaxBlocks: k.MaxBlocks, Kernels: []launch.Kernel{g.Launch(k)},
	}}, nil
}

// Shape is what every plan of the unit says of the model's shape.
func (u *Unit) Shape() launch.Shape { return shapeOf(u.Module.Shape) }

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
			k.Family, k.Rows, k.Pack, k.Merge, k.Split, k.KVTile, k.Stages, k.Memory.Bytes()),
	}
}

// Bundle compiles every distinct layer for every target.
func (u *Unit) Bundle(targets []target.Target, source string, opt Options) (*runtime.Bundle, error) {
	targets = slices.Compact(slices.SortedFunc(slices.Values(targets), target.Compare))
	b := &runtime.Bundle{Manifest: u.manifest(source)}
	b.Manifest.Targets = targets
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
