package tensor

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/internal/memory"
	"github.com/s2attention/s2c/internal/wholefile"
)

// Read reads one tensor from a .npy or .safetensors file; the path's extension
// decides. In a .safetensors file the tensor is the one called name. The file
// must hold elements of type d: a .npy file does so as u2 (the bits), as f2 for
// f16, or as the 2-byte void type that NumPy writes for bfloat16. Where d has 16
// bits, float32 and float64 are rounded to it.
func Read(path, name string, d dtype.Type) (*Tensor, Rounding, error) {
	decode, err := decoder(path)
	if err != nil {
		return nil, Rounding{}, err
	}
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
		if free, known := memory.Available(); known && memory.Bytes(info.Size()) > free {
			return nil, Rounding{}, fmt.Errorf("%s: the file has %v, and %v of memory are free", path, memory.Bytes(info.Size()), free)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, Rounding{}, err // names the path already
	}
	t, r, err := decode(data, name, d)
	if err != nil {
		return nil, Rounding{}, fmt.Errorf("%s: %w", path, err)
	}
	return t, r, nil
}

// Write writes tensors to a .npy file, which holds exactly one, or to a
// .safetensors file, which holds them under their names. The file appears whole or
// not at all.
func Write(path string, tensors map[string]*Tensor) error {
	encode, err := encoder(path)
	if err != nil {
		return err
	}
	return wholefile.Write(path, func(w io.Writer) error {
		err := encode(w, tensors)
		var named *fs.PathError
		if err == nil || errors.As(err, &named) {
			return err
		}
		return fmt.Errorf("%s: %w", path, err)
	})
}

// CheckPath reports a path whose extension names no format that this package
// writes, before any work is spent on the tensors.
func CheckPath(path string) error {
	_, err := encoder(path)
	return err
}

// A file format has two directions.
type (
	decodeFunc func(data []byte, name string, d dtype.Type) (*Tensor, Rounding, error)
	encodeFunc func(w io.Writer, tensors map[string]*Tensor) error
)

func decoder(path string) (decodeFunc, error) {
	switch {
	case isNPY(path):
		return decodeNPY, nil
	case isSafetensors(path):
		return decodeSafetensors, nil
	}
	return nil, errFormat(path)
}

func encoder(path string) (encodeFunc, error) {
	switch {
	case isNPY(path):
		return encodeNPY, nil
	case isSafetensors(path):
		return encodeSafetensors, nil
	}
	return nil, errFormat(path)
}

// errFormat is the one message about extensions.
func errFormat(path string) error {
	return fmt.Errorf("%s: unknown tensor format %q: the name must end in .npy or .safetensors",
		path, filepath.Ext(path))
}

func isNPY(path string) bool         { return strings.EqualFold(filepath.Ext(path), ".npy") }
func isSafetensors(path string) bool { return strings.EqualFold(filepath.Ext(path), ".safetensors") }
