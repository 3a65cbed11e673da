package tensor

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/nlpodyssey/safetensors"

	"github.com/s2attention/s2c/dtype"
)

// safeTypes names the element types in a .safetensors file.
var safeTypes = map[dtype.Type]safetensors.DType{dtype.BF16: safetensors.BF16, dtype.F16: safetensors.F16, dtype.F32: safetensors.F32}

// safeWide is what is rounded when it is read.
var safeWide = map[safetensors.DType]wide{safetensors.F32: float32s, safetensors.F64: float64s}

// decodeSafetensors reads the tensor called name.
func decodeSafetensors(data []byte, name string, d dtype.Type) (*Tensor, Rounding, error) {
	file, err := safetensors.Deserialize(data)
	if err != nil {
		return nil, Rounding{}, fmt.Errorf("not a whole .safetensors file: %w", err)
	}
	if err := noDoubledKey(data); err != nil {
		return nil, Rounding{}, fmt.Errorf("bad .safetensors header: %w", err)
	}
	view, ok := file.Tensor(name)
	if !ok {
		names := file.Names()
		slices.Sort(names)
		return nil, Rounding{}, fmt.Errorf("no tensor %q; the file holds %s", name, strings.Join(names, ", "))
	}
	from, rounds := safeWide[view.DType()]
	rounds = rounds && d.Model()
	if !rounds && view.DType() != safeTypes[d] {
		return nil, Rounding{}, fmt.Errorf("tensor %q is %s, want %s", name, view.DType(), safeTypes[d])
	}
	shape := make([]int, len(view.Shape()))
	for n, dim := range view.Shape() {
		if dim > maxBytes {
			return nil, Rounding{}, fmt.Errorf("tensor %q has a dimension of %d", name, dim)
		}
		shape[n] = int(dim)
	}
	want, err := byteSize(d, shape)
	if rounds {
		want = want / d.Bytes() * from.bytes
	}
	if err != nil || want != len(view.Data()) {
		return nil, Rounding{}, fmt.Errorf("tensor %q: %s of %s does not take the %d bytes it has",
			name, ShapeString(shape), view.DType(), len(view.Data()))
	}
	if rounds {
		t, r := from.rounded(view.Data(), d, shape)
		return t, r, nil
	}
	return &Tensor{DType: d, Shape: shape, Data: view.Data()}, Rounding{}, nil
}

// noDoubledKey reports a key that an object of the header of a whole file has twice:
// readers differ in which of the values they take.
func noDoubledKey(data []byte) error {
	const lengthBytes = 8
	size := binary.LittleEndian.Uint64(data)
	return uniqueKeys(json.NewDecoder(bytes.NewReader(data[lengthBytes : lengthBytes+size])))
}

// uniqueKeys reads one JSON value.
func uniqueKeys(dec *json.Decoder) error {
	open, err := dec.Token()
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	switch open {
	case json.Delim('{'), json.Delim('['):
	default:
		return nil
	}
	for dec.More() {
		if open == json.Delim('{') {
			token, err := dec.Token()
			if err != nil {
				return err
			}
			key, _ := token.(string)
			if seen[key] {
				return fmt.Errorf("key %q appears twice", key)
			}
			seen[key] = true
		}
		if err := uniqueKeys(dec); err != nil {
			return err
		}
	}
	_, err = dec.Token()
	return err
}

// encodeSafetensors writes tensors under their names.
func encodeSafetensors(w io.Writer, tensors map[string]*Tensor) error {
	views := make(map[string]safetensors.TensorView, len(tensors))
	for name, t := range tensors {
		shape := make([]uint64, len(t.Shape))
		for n, dim := range t.Shape {
			shape[n] = uint64(dim)
		}
		view, err := safetensors.NewTensorView(safeTypes[t.DType], shape, t.Data)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", name, err)
		}
		views[name] = view
	}
	return safetensors.SerializeToWriter(views, nil, w)
}
