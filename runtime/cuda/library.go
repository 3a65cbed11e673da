package cuda

import (
	"errors"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"

	s2c "github.com/s2attention/s2c/runtime"
)

// libraryName is the driver's library; the toolkit is not needed.
const libraryName = "libcuda.so.1"

// proc is a function of the driver: its place among symbols.
type proc int

// symbols are the names in the library: cuda.h maps most names to a numbered
// version, and a later driver keeps the earlier ones.
var symbols []string

func function(symbol string) proc {
	symbols = append(symbols, symbol)
	return proc(len(symbols) - 1)
}

var (
	cuInit                    = function("cuInit")
	cuDriverGetVersion        = function("cuDriverGetVersion")
	cuGetErrorName            = function("cuGetErrorName")
	cuGetErrorString          = function("cuGetErrorString")
	cuDeviceGetCount          = function("cuDeviceGetCount")
	cuDeviceGet               = function("cuDeviceGet")
	cuDeviceGetName           = function("cuDeviceGetName")
	cuDeviceGetAttribute      = function("cuDeviceGetAttribute")
	cuDevicePrimaryCtxRetain  = function("cuDevicePrimaryCtxRetain")
	cuDevicePrimaryCtxRelease = function("cuDevicePrimaryCtxRelease_v2")
	cuCtxPushCurrent          = function("cuCtxPushCurrent_v2")
	cuCtxPopCurrent           = function("cuCtxPopCurrent_v2")
	cuCtxGetDevice            = function("cuCtxGetDevice")
	cuMemGetInfo              = function("cuMemGetInfo_v2")
	cuMemAlloc                = function("cuMemAlloc_v2")
	cuMemFree                 = function("cuMemFree_v2")
	cuMemcpyHtoD              = function("cuMemcpyHtoD_v2")
	cuMemcpyDtoH              = function("cuMemcpyDtoH_v2")
	cuMemcpyHtoDAsync         = function("cuMemcpyHtoDAsync_v2")
	cuMemcpyDtoHAsync         = function("cuMemcpyDtoHAsync_v2")
	cuLinkCreate              = function("cuLinkCreate_v2")
	cuLinkAddData             = function("cuLinkAddData_v2")
	cuLinkComplete            = function("cuLinkComplete")
	cuLinkDestroy             = function("cuLinkDestroy")
	cuModuleLoadDataEx        = function("cuModuleLoadDataEx")
	cuModuleGetFunction       = function("cuModuleGetFunction")
	cuModuleUnload            = function("cuModuleUnload")
	cuFuncSetAttribute        = function("cuFuncSetAttribute")
	cuFuncGetParamInfo        = function("cuFuncGetParamInfo")
	cuLaunchKernel            = function("cuLaunchKernel")
	cuStreamCreate            = function("cuStreamCreate")
	cuStreamSynchronize       = function("cuStreamSynchronize")
	cuStreamDestroy           = function("cuStreamDestroy_v2")
	cuEventCreate             = function("cuEventCreate")
	cuEventRecord             = function("cuEventRecord")
	cuEventSynchronize        = function("cuEventSynchronize")
	cuEventElapsedTime        = function("cuEventElapsedTime")
	cuEventDestroy            = function("cuEventDestroy_v2")
	cuTensorMapEncodeTiled    = function("cuTensorMapEncodeTiled")
)

// since is the CUDA version that brought a function, where a driver that is
// good enough for sm_80 may lack it.
var since = map[proc]int{cuTensorMapEncodeTiled: 12000, cuFuncGetParamInfo: 12040}

// Library is the opened driver.
type Library struct {
	procs   [64]uintptr // by proc, fewer than that; 0: the driver lacks it
	version int         // of CUDA: 13000 is 13.0
}

var system = sync.OnceValues(func() (*Library, error) { return openLibrary(libraryName) })

// OpenLibrary opens the system's driver and initialises it. It is an
// ErrNoDriver where there is none, an ErrOldDriver where it is older than 11.0.
func OpenLibrary() (*Library, error) { return system() }

func openLibrary(path string) (*Library, error) {
	handle, err := openShared(path)
	if err != nil {
		return nil, s2c.Errorf(s2c.ErrNoDriver, "there is no NVIDIA driver: %v", err)
	}
	l := &Library{}
	for p, name := range symbols {
		at, err := symbol(handle, name)
		switch {
		case err == nil:
			l.procs[p] = at
		case since[proc(p)] == 0:
			return nil, tooOld("it lacks %s; install one for CUDA 11.0 or later", name)
		}
	}
	return l, l.init()
}

// init starts the driver and reads its version.
func (l *Library) init() error {
	if r := l.call(cuInit, 0); r != success {
		return l.initError(r)
	}
	version, r := ask[int32](l, cuDriverGetVersion)
	if r != success {
		return l.fail(cuDriverGetVersion, r)
	}
	if l.version = int(version); l.version < oldest {
		return tooOld("it is for CUDA %s, and s2c needs %s or later", dotted(l.version), dotted(oldest))
	}
	return nil
}

// tooOld is the error of a driver that nothing here can use: as good as none.
func tooOld(format string, args ...any) error {
	err := s2c.Errorf(s2c.ErrOldDriver, "the NVIDIA driver is too old: "+format, args...)
	err.Cause = s2c.ErrNoDevice
	return err
}

func (l *Library) initError(r result) error {
	err := l.fail(cuInit, r)
	switch r {
	case errNoDevice, errInvalidDevice:
		return s2c.Errorf(s2c.ErrNoDevice, "the NVIDIA driver finds no GPU: %v", err)
	case errStubLibrary:
		return s2c.Errorf(s2c.ErrNoDriver, "%s is the toolkit's stub, not the NVIDIA driver: %v", libraryName, err)
	case errDriverMismatch, errCompatNotSupported:
		return s2c.Errorf(s2c.ErrNoDriver, "the NVIDIA driver's library and its kernel module do not belong together; restart the machine after an update: %v", err)
	}
	return s2c.Errorf(errDriver, "the NVIDIA driver does not start: %v", err)
}

// Version is the newest CUDA version that the driver supports: 13000 is 13.0.
func (l *Library) Version() int { return l.version }

// call calls the driver on this thread. Objects whose addresses are converted
// in the argument list stay where they are during the call.
//
//go:uintptrescapes
func (l *Library) call(p proc, args ...uintptr) result {
	if l.procs[p] == 0 {
		return errNotInitialized
	}
	r, _, _ := purego.SyscallN(l.procs[p], args...)
	return result(int32(r))
}

// callTo is call with an argument before the others.
//
//go:uintptrescapes
func (l *Library) callTo(p proc, to uintptr, args []uintptr) result {
	return l.call(p, append([]uintptr{to}, args...)...)
}

// ask calls a function that writes an answer to where its first argument says.
func ask[T any](l *Library, p proc, args ...uintptr) (T, result) {
	answer := new(T)
	r := l.callTo(p, uintptr(unsafe.Pointer(answer)), args)
	return *answer, r
}

// do calls a function and says what could not be done and why, see check.
//
//go:uintptrescapes
func (l *Library) do(doing string, p proc, args ...uintptr) error {
	return l.check(p, l.call(p, args...), doing)
}

// has is an ErrOldDriver where the driver lacks a function.
func (l *Library) has(p proc, what string) error {
	if l.procs[p] != 0 {
		return nil
	}
	return s2c.Errorf(s2c.ErrOldDriver, "the NVIDIA driver is too old: it is for CUDA %s, and %s need %s or later",
		dotted(l.version), what, dotted(since[p]))
}

// errDriver is any failure of the driver without a kind of its own.
var errDriver = errors.New("CUDA driver error")
