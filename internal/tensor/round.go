package tensor

import (
	"encoding/binary"
	"math"

	"github.com/s2attention/s2c/dtype"
)

// Rounding says what became of a file's wider floats. The zero value is that of
// a file whose elements are those of the tensor already.
type Rounding struct {
	From       string // "float32" or "float64"; "": nothing was rounded
	Overflowed int    // finite values that became infinite
}

// wide is a type of float that is rounded when it is read.
type wide struct {
	name  string
	bytes int
	value func(element []byte) float64
}

var (
	float32s = wide{"float32", 4, func(e []byte) float64 { return float64(math.Float32frombits(binary.LittleEndian.Uint32(e))) }}
	float64s = wide{"float64", 8, func(e []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(e)) }}
)

// rounded brings a file's elements to type d, to nearest even. NaNs and
// infinities stay what they are.
func (w wide) rounded(body []byte, d dtype.Type, shape []int) (*Tensor, Rounding) {
	r := Rounding{From: w.name}
	t := &Tensor{DType: d, Shape: shape, Data: make([]byte, len(body)/w.bytes*d.Bytes())}
	var back [1]float64
	for n := range t.Len() {
		v := w.value(body[n*w.bytes:])
		t.Set(n, roundToOdd(v))
		if t.Float64s(back[:], n); math.IsInf(back[0], 0) && !math.IsInf(v, 0) {
			r.Overflowed++
		}
	}
	return t, r
}

// roundToOdd is the float32 below or above v in size whose last bit is set, v
// itself where it is a float32. Rounding that to 16 bits is rounding v once: no
// tie is left that v is not.
func roundToOdd(v float64) float32 {
	f := float32(v)
	if float64(f) == v || v != v {
		return f
	}
	bits := math.Float32bits(f)
	if math.Abs(float64(f)) > math.Abs(v) {
		bits-- // towards zero; from infinity to the greatest number
	}
	return math.Float32frombits(bits | 1)
}
