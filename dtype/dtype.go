// Package dtype holds the element types of tensors, from the language to the
// launch.
package dtype

// Type is an element type by the name that .s2 files, bundles and PTX give it.
type Type string

const (
	BF16 Type = "bf16" // 8 exponent bits, 7 fraction bits: the upper half of a float32
	F16  Type = "f16"  // IEEE 754 binary16
	F32  Type = "f32"  // IEEE 754 binary32; of the log-sum-exp alone
)

// facts is what there is to know of each type.
var facts = map[Type]struct {
	bits  int
	model bool // query, key, value and output may have it
}{
	BF16: {bits: 16, model: true},
	F16:  {bits: 16, model: true},
	F32:  {bits: 32},
}

// Bits is the width of an element, 0 for an unknown type.
func (t Type) Bits() int { return facts[t].bits }

// Bytes is the same in bytes.
func (t Type) Bytes() int { return facts[t].bits / 8 }

// Model says that a model's query, key, value and output may be of the type.
func (t Type) Model() bool { return facts[t].model }
