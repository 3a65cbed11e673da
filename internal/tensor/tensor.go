// Package tensor holds dense attention tensors in the 16-bit types that the
// kernels read, converts them to and from float32, and reads and writes them
// as .npy and .safetensors files.
//
// Query, key, value and output are [batch, heads, seq, dim]; the log-sum-exp is
// [batch, heads, seq] in float32. Elements lie in row-major order, little endian.
package tensor

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/s2attention/s2c/dtype"
)

// Tensor is a dense array. The zero value is not usable; see [New].
type Tensor struct {
	DType dtype.Type
	Shape []int  // outermost first
	Data  []byte // Len() elements, row-major, little endian
}

// New makes a tensor of zeros. It fails when a dimension is negative or the
// size in bytes does not fit in memory's address range.
func New(d dtype.Type, shape ...int) (*Tensor, error) {
	bytes, err := byteSize(d, shape)
	if err != nil {
		return nil, err
	}
	return &Tensor{DType: d, Shape: slices.Clone(shape), Data: make([]byte, bytes)}, nil
}

// maxBytes bounds one tensor: far above any that fits a machine, far below
// where the arithmetic on sizes overflows.
const maxBytes = 1 << 46

// byteSize is the bytes that shape takes.
func byteSize(d dtype.Type, shape []int) (int, error) {
	n := d.Bytes()
	if n == 0 {
		return 0, fmt.Errorf("unknown element type %q", string(d))
	}
	for _, dim := range shape {
		if dim < 0 {
			return 0, fmt.Errorf("shape %s has a negative dimension", ShapeString(shape))
		}
	}
	if slices.Contains(shape, 0) {
		return 0, nil
	}
	for _, dim := range shape {
		if n > maxBytes/dim {
			return 0, fmt.Errorf("shape %s is too large", ShapeString(shape))
		}
		n *= dim
	}
	return n, nil
}

// Len is the number of elements.
func (t *Tensor) Len() int { return len(t.Data) / t.DType.Bytes() }

// Float64s converts the elements [from, from+len(dst)) to float64, exactly.
func (t *Tensor) Float64s(dst []float64, from int) {
	switch t.DType {
	case dtype.BF16:
		src := t.Data[2*from:]
		for n := range dst {
			dst[n] = float64(BF16ToFloat32(binary.LittleEndian.Uint16(src[2*n:])))
		}
	case dtype.F16:
		src := t.Data[2*from:]
		for n := range dst {
			dst[n] = float64(F16ToFloat32(binary.LittleEndian.Uint16(src[2*n:])))
		}
	case dtype.F32:
		src := t.Data[4*from:]
		for n := range dst {
			dst[n] = float64(math.Float32frombits(binary.LittleEndian.Uint32(src[4*n:])))
		}
	}
}

// Set stores a value, rounded to nearest even, at a flat index.
func (t *Tensor) Set(index int, value float32) {
	switch t.DType {
	case dtype.BF16:
		binary.LittleEndian.PutUint16(t.Data[2*index:], BF16FromFloat32(value))
	case dtype.F16:
		binary.LittleEndian.PutUint16(t.Data[2*index:], F16FromFloat32(value))
	case dtype.F32:
		binary.LittleEndian.PutUint32(t.Data[4*index:], math.Float32bits(value))
	}
}

// Poison fills the tensor with a NaN in every element, so that an element which
// nobody writes cannot pass for a result.
func (t *Tensor) Poison() {
	const piece = 32 << 10 // stays in the cache: some tensors are gigabytes
	poison := bytes.Repeat([]byte{0xFF}, min(piece, len(t.Data)))
	for at := 0; at < len(t.Data); at += piece {
		copy(t.Data[at:], poison)
	}
}

// CheckShape reports a shape other than the wanted one; a wanted dimension below
// zero matches any. The names are those of the dimensions, for the message.
func (t *Tensor) CheckShape(want []int, names ...string) error {
	ok := len(t.Shape) == len(want)
	for n := 0; ok && n < len(want); n++ {
		ok = want[n] < 0 || t.Shape[n] == want[n]
	}
	if ok {
		return nil
	}
	return fmt.Errorf("shape is %s, want %s", ShapeString(t.Shape), wantString(want, names))
}

// ShapeString writes a shape as people read it: [2, 32, 2048, 128].
func ShapeString(shape []int) string { return wantString(shape, nil) }

func wantString(shape []int, names []string) string {
	var parts []string
	for n, dim := range shape {
		name := ""
		if n < len(names) {
			name = names[n]
		}
		switch {
		case dim < 0 && name != "":
			parts = append(parts, name)
		case dim >= 0 && name != "":
			parts = append(parts, fmt.Sprintf("%s %d", name, dim))
		default:
			parts = append(parts, fmt.Sprint(dim))
		}
	}
	return "[" + strings.Join(parts, ", ") + "]"
}
