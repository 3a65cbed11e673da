//go:build gorgonia

package gorgonia

import (
	"bytes"
	"reflect"
	goruntime "runtime"
	"strings"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/s2attention/s2c/runtime"
)

const logBytes = 64 << 10

// LoadModule compiles PTX text in the caller's context; errors are as those of
// runtime/cuda, but without its disk cache.
func (d *Device) LoadModule(ptx string) (runtime.Module, error) {
	if err := d.CheckPTX(ptx); err != nil {
		return nil, err
	}
	info := &cu.JITInfoLogBuffer{Buffer: make([]byte, logBytes)}
	fault := &cu.JITErrorLogBuffer{Buffer: make([]byte, logBytes)}
	var m cu.Module
	if err := d.With(func() (err error) {
		m, err = cu.LoadDataEx(ptx, info, fault, &cu.JITLogVerbose{Enabled: true})
		goruntime.KeepAlive(info) // cu passes their addresses as numbers
		goruntime.KeepAlive(fault)
		if err == nil {
			return nil
		}
		code := reflect.ValueOf(err).Int() // a CUresult, of a type that cu does not export
		return d.CompileError(int(code), text(fault.Buffer), ptx)
	}); err != nil {
		return nil, err
	}
	return d.AdoptModule(*(*uintptr)(unsafe.Pointer(&m)), ptx, text(info.Buffer)), nil
}

func text(log []byte) string {
	log, _, _ = bytes.Cut(log, []byte{0})
	return strings.TrimSpace(strings.ToValidUTF8(string(log), "?"))
}
