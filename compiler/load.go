// Package compiler puts the stages together: a file becomes a checked program,
// its closed form, a decision on every require clause, tile programs and
// kernels.
package compiler

import (
	"fmt"
	"slices"

	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/dsl/lower"
	"github.com/s2attention/s2c/internal/diag"
	"github.com/s2attention/s2c/ir"
)

// Unit is a file in closed form, with every require clause decided.
type Unit struct {
	Program *dsl.Program
	Module  *ir.Module
}

// Load reads a file and what it imports, brings it into closed form and decides
// its require clauses. The list holds every error and warning; the unit is nil
// where there is an error.
func Load(path string, opt dsl.Options) (*Unit, diag.List) {
	u, list := Lower(path, opt)
	if u == nil {
		return nil, list
	}
	list = append(list, u.Require()...)
	list.Sort()
	if list.HasErrors() {
		return nil, list
	}
	return u, list
}

// Lower is Load without the require clauses, for what does not depend on them,
// such as a picture of a pattern that fails one.
func Lower(path string, opt dsl.Options) (*Unit, diag.List) {
	program, list := dsl.Load(path, opt)
	if program == nil {
		return nil, list
	}
	module, more := lower.Module(program)
	list = append(list, more...)
	list.Sort()
	if module == nil || list.HasErrors() {
		return nil, list
	}
	return &Unit{Program: program, Module: module}, list
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
