// Package conformance states the attention problems that every target and every
// device must solve alike, runs them, and compares the result with the float64
// reference. Its cases read no files, so that a compiled test binary can take
// them to a machine that has nothing but a GPU.
package conformance

import (
	"fmt"
	"slices"

	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/examples"
	"github.com/s2attention/s2c/internal/reference"
	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/ir/layout"
	"github.com/s2attention/s2c/target"
)

// Case is one attention problem.
type Case struct {
	Name string

	// The pattern: an example by name, a text, or a pattern that no text can say.
	File   string
	Source string
	Custom *Custom

	Defines map[string]string
	// Cut are further defines that leave some heads out, so that the emulator is
	// done sooner. Lengths are never cut.
	Cut   map[string]string
	Layer int // of the model

	Batch int // 0: 1
	QLen  int // 0: KLen
	KLen  int
	Scale float64 // 0: the model's
	Place Placement
	// ShareKV gives all sequences the same keys and values, by a stride of 0.
	ShareKV bool
	NoLSE   bool // the caller wants no log-sum-exp
	Seed    uint64

	// Heads are the query heads to compare; nil means all of them. The kernel
	// computes all in any case.
	Heads []int
	// LastRows is how many rows to compare, from the end; 0 means all of them.
	LastRows int
	// Only restricts the choice of the cost model.
	Only func(layout.Candidate) bool
	// Targets are those that the case is for; nil means all of them.
	Targets []target.Target
	// Huge cases are too much for the emulator.
	Huge bool
	// Slow cases need S2C_FULL=1 where they would run in the emulator.
	Slow bool
}

// Custom is a pattern that the language refuses, such as one with empty rows.
type Custom struct {
	Model   dsl.Model
	Heads   []ir.Pattern
	Attends reference.Predicate // what Heads mean, said in another way
}

// Subject is a case's pattern, ready to compile.
type Subject struct {
	Unit    *compiler.Unit
	Layer   *ir.Layer
	Model   dsl.Model
	Attends reference.Predicate
}

// Load reads the case's pattern; full keeps the heads that Cut leaves out. The
// require clauses are not decided: they speak of the whole model.
func (c *Case) Load(full bool) (*Subject, error) {
	if c.Custom != nil {
		return c.Custom.subject(), nil
	}
	defines := map[string]string{}
	for name, value := range c.Defines {
		defines[name] = value
	}
	if !full {
		for name, value := range c.Cut {
			defines[name] = value
		}
	}
	path, read := c.File, examples.Files.ReadFile
	if c.Source != "" {
		path, read = "in.s2", func(string) ([]byte, error) { return []byte(c.Source), nil }
	}
	unit, list := compiler.Lower(path, dsl.Options{Defines: defines, ReadFile: read})
	if unit == nil {
		return nil, fmt.Errorf("%s", list)
	}
	layer, err := unit.Layer(c.Layer)
	if err != nil {
		return nil, err
	}
	return &Subject{
		Unit: unit, Layer: layer, Model: unit.Program.Model,
		Attends: reference.Source(unit.Program, c.Layer),
	}, nil
}

func (c *Custom) subject() *Subject {
	m := c.Model
	module := &ir.Module{
		Name: m.Name,
		Shape: ir.Shape{
			Heads: m.Heads, KVHeads: m.KVHeads, HeadDim: m.HeadDim, Block: m.Block,
			DType: m.DType, Causal: m.Causal, Scale: m.Scale,
		},
		Layers: []ir.Layer{{Numbers: []int{0}, Heads: c.Heads}},
	}
	return &Subject{
		Unit: &compiler.Unit{Module: module}, Layer: &module.Layers[0], Model: m,
		Attends: c.Attends,
	}
}

// Compile makes the kernel for a target; the layout is verified after each pass.
func (s *Subject) Compile(on target.Target, only func(layout.Candidate) bool) (*compiler.Compiled, error) {
	var opt compiler.Options
	opt.Pass.VerifyEach = true
	opt.Pass.Only = only
	return s.Unit.Compile(s.Layer, on, opt)
}

// For is whether the case is for a target.
func (c *Case) For(on target.Target) bool {
	return c.Targets == nil || slices.Contains(c.Targets, on)
}

func (c *Case) batch() int { return max(c.Batch, 1) }

func (c *Case) qLen() int {
	if c.QLen == 0 {
		return c.KLen
	}
	return c.QLen
}
