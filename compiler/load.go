// Package compiler puts the stages together: a file becomes a checked program,
// its closed form, a decision on every require clause, tile programs and
// kernels.
package compiler

import (
	"fmt"
	"slices"
	"sync"

	"github.com/s2attention/s2c/diag"
	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/dsl/lower"
	"github.com/s2attention/s2c/ir"
)

// Unit is a file in closed form, with every require clause decided.
type Unit struct {
	Program *dsl.Program
	Module  *ir.Module

	whole func() (*Unit, diag.List) // nil where every head is active
}

// Whole is the unit of all query heads of the model, whichever of them are
// active; the unit itself where all are. The list holds what is wrong with heads
// outside of the slice; the unit is nil then. It is computed once; any goroutine
// may call it.
func (u *Unit) Whole() (*Unit, diag.List) {
	if u.whole == nil {
		return u, nil
	}
	return u.whole()
}

// Load reads a file and what it imports, brings it into closed form and decides
// its require clauses. The list holds every error and warning; the unit is nil
// where there is an error.
func Load(path string, opt dsl.Options) (*Unit, diag.List) {
	u, list := Lower(path, opt)
	if u == nil {
		return nil, list
	}
	list = append(list, u.Require(opt.Cancelled)...)
	list.Sort()
	if list.HasErrors() || opt.Cancelled() {
		return nil, list
	}
	return u, list
}

// Lower is Load without the require clauses, for what does not depend on them,
// such as a picture of a pattern that fails one.
func Lower(path string, opt dsl.Options) (*Unit, diag.List) {
	program, list := dsl.Load(path, opt)
	if program == nil || opt.Cancelled() {
		return nil, list
	}
	module, more := lower.ModuleUnless(opt.Cancelled, program)
	list = append(list, more...)
	list.Sort()
	if module == nil || list.HasErrors() {
		return nil, list
	}
	u := &Unit{Program: program, Module: module}
	if program.Model.Sliced() {
		u.whole = sync.OnceValues(func() (*Unit, diag.List) { return whole(program) })
	}
	return u, list
}

// whole brings all heads of a model into closed form.
func whole(program *dsl.Program) (*Unit, diag.List) {
	all, list := program.Whole()
	if all == nil {
		return nil, list
	}
	module, list := lower.Module(all)
	if module == nil {
		return nil, list
	}
	return &Unit{Program: all, Module: module}, nil
}

// Layer is the distinct layer that serves a layer of the model.
func (u *Unit) Layer(number int) (*ir.Layer, error) {
	for n := range u.Module.Layers {
		if slices.Contains(u.Module.Layers[n].Numbers, number) {
			return &u.Module.Layers[n], nil
		}
	}
	return nil, fmt.Errorf("layer %d does not exist; the model has 0 to %d", number, u.Program.Model.Layers-1)
}

// DefaultLayer is the first layer that is not dense, else layer 0.
func (u *Unit) DefaultLayer() int {
	for n := range u.Program.Model.Layers {
		if !u.Program.IsDense(n) {
			return n
		}
	}
	return 0
}
