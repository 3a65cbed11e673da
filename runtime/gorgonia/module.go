//go:build gorgonia

package gorgonia

import (
	"reflect"
	goruntime "runtime"
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
		return d.CompileError(int(code), fault.Buffer, ptx)
	}); err != nil {
		return nil, err
	}
	return d.AdoptModule(*(*uintptr)(unsafe.Pointer(&m)), ptx, info.Buffer), nil
}
