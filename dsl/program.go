// Package dsl reads .s2 files: grammar, checker, formatter, and the direct
// evaluation of a pattern as the file states it.
package dsl

import (
	"github.com/s2attention/s2c/diag"
	"github.com/s2attention/s2c/dtype"
)

// Model is the shape that a file declares. Where it names active heads, Heads
// and KVHeads are those of the slice, which is all that the kernels see.
type Model struct {
	Name    string
	Heads   int        // query heads
	KVHeads int        // KV heads; divides Heads
	HeadDim int        // elements, a multiple of 8 up to 256
	Block   int        // tokens a block: 16, 32, 64 or 128
	Layers  int        // layers, counted from 0
	DType   dtype.Type // of query, key, value and output
	Causal  bool       //
	Scale   float64    // softmax scale; 1/√HeadDim where the file is silent

	FirstHead    int // full number of query head 0 of the slice
	TotalHeads   int // query heads of the whole model
	TotalKVHeads int // KV heads of the whole model
}

// Param is a named value of the file.
type Param struct {
	Name       string
	Value      string // as the language writes it
	Overridden bool   // by a define
}

// Program is a checked file.
type Program struct {
	Path     string
	Text     string // of the file itself, without what it imports
	Model    Model
	Params   []Param   // in order of declaration, imports last
	Requires []Require // in order of the file
	Warnings diag.List

	c       *checker
	whole   func() (*Program, diag.List) // nil where every head is active
	classes []class
	layerOf []int // class of each layer
}

// class is layers that follow the same rules.
type class struct {
	layers []int
	rules  []*ruleDef // by query head of the slice
	dense  bool
	limit  int64
}

// IsDense reports whether every head of a layer attends everything that a
// dense model would.
func (p *Program) IsDense(layer int) bool { return p.class(layer).dense }

// Limit is the greatest length in blocks that a layer is defined for, because
// it uses `where`; 0 means every length.
func (p *Program) Limit(layer int) int64 { return p.class(layer).limit }

// LayerClasses groups the layers whose heads all have the same pattern, in
// order of their first layer, each ascending.
func (p *Program) LayerClasses() [][]int {
	out := make([][]int, len(p.classes))
	for i, c := range p.classes {
		out[i] = append([]int(nil), c.layers...)
	}
	return out
}

// class panics on a layer that does not exist, as a slice would.
func (p *Program) class(layer int) *class { return &p.classes[p.layerOf[layer]] }

// headEnv is what h, g and kv stand for at a head of the slice.
func (p *Program) headEnv(head int) *env {
	full := p.Model.FirstHead + head
	return &env{head: int64(full), kv: int64(full / (p.Model.TotalHeads / p.Model.TotalKVHeads)), inHead: true}
}
