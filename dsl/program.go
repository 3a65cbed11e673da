// Package dsl reads .s2 files: grammar, checker, formatter, and the direct
// evaluation of a pattern as the file states it.
package dsl

// DType is the element type of query, key, value and output.
type DType string

const (
	BF16 DType = "bf16"
	F16  DType = "f16"
)

// Model is the shape that a file declares.
type Model struct {
	Name    string
	Heads   int     // query heads
	KVHeads int     // KV heads; divides Heads
	HeadDim int     // elements, a multiple of 8 up to 256
	Block   int     // tokens a block: 16, 32, 64 or 128
	Layers  int     // layers, counted from 0
	DType   DType   //
	Causal  bool    //
	Scale   float64 // softmax scale; 1/√HeadDim where the file is silent
}
