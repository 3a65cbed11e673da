//go:build gorgonia

package gorgonia

import (
	"bytes"
	"fmt"
	goruntime "runtime"
	"strings"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/s2attention/s2c/runtime"
	"github.com/s2attention/s2c/runtime/cuda"
)

const logBytes = 64 << 10

// unsupportedPTX is CUDA_ERROR_UNSUPPORTED_PTX_VERSION, which cu does not name.
const unsupportedPTX = 222

// Module is code in the caller's context.
type Module struct {
	d   *Device
	mod cu.Module
	ptx string
	log string
}

var _ runtime.Logger = (*Module)(nil)

// LoadModule compiles PTX text in the caller's context; errors are as those of
// runtime/cuda. cu has no way to unload a module, so its code stays until the
// context is destroyed.
func (d *Device) LoadModule(ptx string) (runtime.Module, error) {
	if err := d.lib.CheckPTX(ptx, d.major, d.minor, d.name); err != nil {
		return nil, err
	}
	m := &Module{d: d, ptx: ptx}
	info := &cu.JITInfoLogBuffer{Buffer: make([]byte, logBytes)}
	fault := &cu.JITErrorLogBuffer{Buffer: make([]byte, logBytes)}
	err := d.with(func() (err error) {
		m.mod, err = cu.LoadDataEx(ptx, info, fault, &cu.JITLogVerbose{Enabled: true})
		goruntime.KeepAlive(info) // cu passes their addresses as numbers
		goruntime.KeepAlive(fault)
		return compileError(err, text(fault.Buffer), ptx, d)
	})
	if err != nil {
		return nil, err
	}
	m.log = text(info.Buffer)
	return m, nil
}

func text(log []byte) string {
	log, _, _ = bytes.Cut(log, []byte{0})
	return strings.TrimSpace(strings.ToValidUTF8(string(log), "?"))
}

func compileError(err error, log, ptx string, d *Device) error {
	switch {
	case err == nil:
		return nil
	case err == error(cu.NoBinaryForGpu):
		return runtime.Errorf(runtime.ErrArchitecture, "the PTX does not run on %s: %v", d.Describe(), err)
	case err == error(cu.OutOfMemory):
		return failed("compiling PTX", err)
	case err.Error() == fmt.Sprintf("UnknownErrorCode:%d", unsupportedPTX):
		return runtime.Errorf(runtime.ErrOldDriver, "the NVIDIA driver is too old for the PTX version: %v", err)
	}
	return runtime.Errorf(runtime.ErrCompile, "the NVIDIA driver refuses the PTX: %v\n%s", err, cuda.Annotate(log, ptx))
}

// JITLog is what the driver's compiler said, in the form of `ptxas -v`.
func (m *Module) JITLog() string { return m.log }

// Unload does nothing: cu cannot.
func (m *Module) Unload() error { return nil }

// Function finds an entry and grants it dynamic shared memory.
func (m *Module) Function(entry string, sharedBytes int) (runtime.Function, error) {
	d := m.d
	if sharedBytes < 0 || sharedBytes > d.shared {
		return nil, runtime.Errorf(runtime.ErrArchitecture, "kernel %s needs %d bytes of shared memory a thread block, and %s has %d", entry, sharedBytes, d.name, d.shared)
	}
	f := &Function{d: d, entry: entry, shared: sharedBytes}
	err := d.with(func() (err error) {
		f.fn, err = m.mod.Function(entry)
		if err == error(cu.NotFound) {
			return runtime.Errorf(runtime.ErrKernel, "the PTX text has no entry %s: %v", entry, err)
		}
		if err != nil {
			return failed("finding kernel "+entry, err)
		}
		f.declared = cuda.DeclaredParams(m.ptx, entry)
		if f.params, err = d.lib.ParamLayout(f.handle(), f.declared.Count); err != nil {
			return err
		}
		return d.lib.SetSharedBytes(f.handle(), sharedBytes)
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Function is a kernel ready to launch.
type Function struct {
	d      *Device
	entry  string
	fn     cu.Function
	shared int
	params *cuda.ParamLayout

	declared cuda.Declared
}

// handle is the CUfunction within cu.Function.
func (f *Function) handle() uintptr { return *(*uintptr)(unsafe.Pointer(&f.fn)) }

// Launch queues the kernel on a stream of this device; nil is the default one.
func (f *Function) Launch(s runtime.Stream, grid, block [3]int, params []byte) error {
	if err := f.declared.Check(f.entry, params); err != nil {
		return err
	}
	h, err := f.d.streamHandle(s)
	if err != nil {
		return err
	}
	return f.d.with(func() error {
		if err := f.d.lib.Launch(f.handle(), h, grid, block, f.shared, params, f.params); err != nil {
			return fmt.Errorf("launch of %s: %w", f.entry, err)
		}
		return nil
	})
}
