package launch

import (
	"cmp"
	"slices"

	"github.com/s2attention/s2c/dtype"
)

// Role is what a tensor is in an operation.
type Role uint8

const (
	Q Role = iota
	K
	V
	O
	LSE
	Roles // how many there are
)

// Axis is one dimension of a tensor.
type Axis string

const (
	AxisDim   Axis = "dim" // elements of a row, contiguous
	AxisSeq   Axis = "seq"
	AxisHead  Axis = "head"
	AxisBatch Axis = "batch"
)

// Count is a number that every launch knows, from its arguments or from the
// shape of the model.
type Count string

const (
	Batch   Count = "batch"
	QLen    Count = "q_len"
	KLen    Count = "k_len"
	Heads   Count = "heads"
	KVHeads Count = "kv_heads"
	HeadDim Count = "head_dim"
)

// Extent is an axis and how long it is.
type Extent struct {
	Axis  Axis
	Count Count
}

// Tensor is what is known of a tensor without its address. Which operations
// read or write it is in Operations.
type Tensor struct {
	Name     string
	Axes     []Extent   // innermost first
	Type     dtype.Type // of its elements; "": the model's
	Packed   bool       // contiguous in the order of its axes: it has no strides of its own
	Optional bool       // address 0: not wanted
}

// Tensors are the tensors by role.
var Tensors = [Roles]Tensor{
	Q:   {Name: "q", Axes: rowsOf(QLen, Heads)},
	K:   {Name: "k", Axes: rowsOf(KLen, KVHeads)},
	V:   {Name: "v", Axes: rowsOf(KLen, KVHeads)},
	O:   {Name: "o", Axes: rowsOf(QLen, Heads)},
	LSE: {Name: "lse", Axes: rowsOf(QLen, Heads)[1:], Type: dtype.F32, Packed: true, Optional: true}, // of scaled scores, natural
}

// rowsOf are the axes of one row of the head dimension for each token and head.
func rowsOf(length, heads Count) []Extent {
	return []Extent{{AxisDim, HeadDim}, {AxisSeq, length}, {AxisHead, heads}, {AxisBatch, Batch}}
}

// Elem is the type of its elements for a model of some type.
func (t *Tensor) Elem(model dtype.Type) dtype.Type { return cmp.Or(t.Type, model) }

// Extent is the tensor's length along an axis, if it has that axis.
func (t *Tensor) Extent(axis Axis) (Count, bool) {
	i := slices.IndexFunc(t.Axes, func(e Extent) bool { return e.Axis == axis })
	if i < 0 {
		return "", false
	}
	return t.Axes[i].Count, true
}

// RoleOf is the role of a tensor's name.
func RoleOf(name string) (Role, bool) {
	i := slices.IndexFunc(Tensors[:], func(t Tensor) bool { return t.Name == name })
	return Role(max(i, 0)), i >= 0
}
