package pass

import (
	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/ir/layout"
)

// RunPipeline runs another list of passes.
func RunPipeline(list []Pass, layer ir.Layer, shape ir.Shape, on layout.Backend, opts Options) (*layout.Kernel, error) {
	return run(list, layer, shape, on, opts)
}

// WithRun is a pass that does something else.
func (p Pass) WithRun(run func(*State) error) Pass {
	p.run = run
	return p
}

// Do runs the pass alone.
func (p Pass) Do(s *State) error { return p.run(s) }
