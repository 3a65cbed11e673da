// Package s2c compiles block-sparse attention patterns to GPU kernels and runs
// them in process. A .s2 file says which blocks of the context each head reads;
// [Compile] makes a [Bundle] of it, ahead of time or when the program runs,
// [OpenDevice] opens a GPU or the emulator, and [Bundle.On] joins the two:
//
//	bundle, err := s2c.Compile("phi3-small.s2", s2c.Options{})
//	dev, err := s2c.OpenDevice("auto")
//	model := bundle.On(dev)
//	attention, err := model.Layer(0)
//	err = attention.Launch(stream, args)
//
// A program that holds tensors in device memory already fills [Args] with their
// addresses. One that does not takes a [Problem], which allocates, fills, poisons,
// computes and reads back. [AdoptContext] and [AdoptStream] join a program that
// holds a CUDA context and streams of its own.
//
// Errors are of a kind that errors.Is finds, such as [ErrArgs], and those of a .s2
// file a diag.List that errors.As finds, with codes, places and hints.
//
// A program that only launches what was compiled before needs package runtime
// alone, which has no compiler in it.
package s2c

import (
	"github.com/s2attention/s2c/launch"
	"github.com/s2attention/s2c/runtime"
	_ "github.com/s2attention/s2c/runtime/emu" // a device of OpenDevice
)

type (
	// Bundle is a compiled model: code for every distinct layer and target, and what
	// the compiler proved. Write it with [WriteBundle], run it with [Bundle.On].
	Bundle = runtime.Bundle
	// Model is a bundle on a device.
	Model = runtime.Model
	// Attention is one layer of a model, loaded and ready to launch.
	Attention = runtime.Attention
	// Args is one launch: lengths in tokens, tensors, and the softmax scale.
	Args = runtime.Args
	// Tensors are the tensors of a launch by role.
	Tensors = runtime.Tensors
	// Tensor is an address with strides in elements.
	Tensor = runtime.Tensor
	// Problem is the tensors of one launch, allocated on a device.
	Problem = runtime.Problem
	// Order is how the rows of a problem's tensors follow each other.
	Order = runtime.Order
	// Shape is what all layers of a model have in common.
	Shape = launch.Shape
	// Device is a GPU or the emulator; Alloc, Upload, Download and Free are its memory.
	Device = runtime.Device
	// Stream is a queue of work on a device.
	Stream = runtime.Stream
	// Ptr is an address in a device's memory; 0 is no memory.
	Ptr = runtime.Ptr
)

// Forward is attention and its log-sum-exp.
const Forward = launch.Forward

// The tensors of [Forward] by role, 16-bit floats of the model's type but for LSE.
const (
	Q   = launch.Q   // [batch, heads, q_len, head_dim]
	K   = launch.K   // [batch, kv_heads, k_len, head_dim]
	V   = launch.V   // like K
	O   = launch.O   // like Q; written
	LSE = launch.LSE // float32 [batch, heads, q_len], contiguous; written where it is wanted
)

// How the rows of a [Problem] lie.
const (
	HeadsFirst = runtime.HeadsFirst // [batch, heads, seq, dim]
	RowsFirst  = runtime.RowsFirst  // [batch, seq, heads, dim]
)

// The kinds of failure, for errors.Is; package runtime says what each means.
var (
	ErrNoDevice     = runtime.ErrNoDevice
	ErrOldDriver    = runtime.ErrOldDriver
	ErrOutOfMemory  = runtime.ErrOutOfMemory
	ErrArchitecture = runtime.ErrArchitecture
	ErrCompile      = runtime.ErrCompile
	ErrArgs         = runtime.ErrArgs
	ErrBundle       = runtime.ErrBundle
	ErrFault        = runtime.ErrFault
	ErrClosed       = runtime.ErrClosed
)

// ReadBundle reads the bundle at path; a damaged file is an [ErrBundle].
func ReadBundle(path string) (*Bundle, error) { return runtime.ReadBundleFile(path) }

// WriteBundle writes a bundle to path, whole or not at all. The same bundle gives
// the same bytes.
func WriteBundle(path string, b *Bundle) error { return runtime.WriteBundleFile(path, b) }

// BHSD is a contiguous tensor [batch, heads, seq, dim] at p.
func BHSD(p Ptr, heads, seq, dim int) Tensor { return runtime.BHSD(p, heads, seq, dim) }

// BSHD is a contiguous tensor [batch, seq, heads, dim] at p.
func BSHD(p Ptr, seq, heads, dim int) Tensor { return runtime.BSHD(p, seq, heads, dim) }

// NewProblem allocates the tensors of an operation on a model's shape, for the
// lengths of args; the caller frees them.
func NewProblem(dev Device, op launch.Op, shape Shape, args Args, order Order) (*Problem, error) {
	return runtime.NewProblem(dev, op, shape, args, order)
}

// Description is what a program may want to know of a layer on a device. In JSON it
// holds all that another launcher needs besides the PTX text and the table, which
// Plan has as well.
type Description struct {
	Model  string         `json:"model"`
	Layers int            `json:"layers"` // of the model
	Device string         `json:"device"`
	Facts  *runtime.Facts `json:"facts,omitempty"` // what the compiler proved of the layer
	Plan   *launch.Plan   `json:"plan"`            // shape, target, and the launches in order
}

// Describe says what serves an operation of a layer of a model, counted from 0, on
// the model's device. What the bundle lacks is an [ErrArgs], code for other devices
// alone an [ErrArchitecture].
func Describe(m *Model, op launch.Op, layer int) (*Description, error) {
	if m == nil || m.Bundle == nil || m.Device == nil {
		return nil, runtime.Errorf(ErrClosed, "layer %d of a model that was not opened", layer)
	}
	plan, err := m.Bundle.Select(m.Device, op, layer)
	if err != nil {
		return nil, err
	}
	manifest := &m.Bundle.Manifest
	return &Description{manifest.Model, manifest.Layers, m.Device.Describe(), m.Bundle.FactsOf(layer), plan}, nil
}
