// Package runtime loads compiled plans and launches them: on a GPU through
// the CUDA driver, or on the CPU by executing the same PTX text. It knows plans,
// as package launch describes them; patterns and layouts end before it.
package runtime

import "github.com/s2attention/s2c/dtype"

// DType is the element type of query, key, value and output.
type DType = dtype.Type

const (
	BF16 = dtype.BF16
	F16  = dtype.F16
)
