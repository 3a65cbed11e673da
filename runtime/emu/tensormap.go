package emu

import (
	"errors"

	"github.com/s2attention/s2c/runtime"
)

// EncodeTensorMap is not available yet.
func (d *Device) EncodeTensorMap(runtime.TensorMap) ([128]byte, error) {
	return [128]byte{}, errors.New("emu: tensor maps are not executed yet")
}
