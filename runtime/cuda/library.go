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

// proc is a function of the driver.
type proc int

const (
	cuInit proc = iota
	cuDriverGetVersion
	cuGetErrorName
	cuGetErrorString
	cuDeviceGetCount
	cuDeviceGet
	cuDeviceGetName
	cuDeviceGetAttribute
	cuDevicePrimaryCtxRetain
	cuDevicePrimaryCtxRelease
	cuCtxPushCurrent
	cuCtxPopCurrent
	cuCtxGetDevice
	cuMemGetInfo
	cuMemAlloc
	cuMemFree
	cuMemcpyHtoD
	cuMemcpyDtoH
	cuMemcpyHtoDAsync
	cuMemcpyDtoHAsync
	cuLinkCreate
	cuLinkAddData
	cuLinkComplete
	cuLinkDestroy
	cuModuleLoadDataEx
	cuModuleGetFunction
	cuModuleUnload
	cuFuncSetAttribute
	cuFuncGetParamInfo
	cuLaunchKernel
	cuStreamCreate
	cuStreamSynchronize
	cuStreamDestroy
	cuEventCreate
	cuEventRecord
	cuEventSynchronize
	cuEventElapsedTime
	cuEventDestroy
	cuTensorMapEncodeTiled
	procCount
)

// symbols are the names in the library: cuda.h maps most names to a numbered
// version, and a later driver keeps the earlier ones.
var symbols = [procCount]string{
	cuInit:                    "cuInit",
	cuDriverGetVersion:        "cuDriverGetVersion",
	cuGetErrorName:            "cuGetErrorName",
	cuGetErrorString:          "cuGetErrorString",
	cuDeviceGetCount:          "cuDeviceGetCount",
	cuDeviceGet:               "cuDeviceGet",
	cuDeviceGetName:           "cuDeviceGetName",
	cuDeviceGetAttribute:      "cuDeviceGetAttribute",
	cuDevicePrimaryCtxRetain:  "cuDevicePrimaryCtxRetain",
	cuDevicePrimaryCtxRelease: "cuDevicePrimaryCtxRelease_v2",
	cuCtxPushCurrent:          "cuCtxPushCurrent_v2",
	cuCtxPopCurrent:           "cuCtxPopCurrent_v2",
	cuCtxGetDevice:            "cuCtxGetDevice",
	cuMemGetInfo:              "cuMemGetInfo_v2",
	cuMemAlloc:                "cuMemAlloc_v2",
	cuMemFree:                 "cuMemFree_v2",
	cuMemcpyHtoD:              "cuMemcpyHtoD_v2",
	cuMemcpyDtoH:              "cuMemcpyDtoH_v2",
	cuMemcpyHtoDAsync:         "cuMemcpyHtoDAsync_v2",
	cuMemcpyDtoHAsync:         "cuMemcpyDtoHAsync_v2",
	cuLinkCreate:              "cuLinkCreate_v2",
	cuLinkAddData:             "cuLinkAddData_v2",
	cuLinkComplete:            "cuLinkComplete",
	cuLinkDestroy:             "cuLinkDestroy",
	cuModuleLoadDataEx:        "cuModuleLoadDataEx",
	cuModuleGetFunction:       "cuModuleGetFunction",
	cuModuleUnload:            "cuModuleUnload",
	cuFuncSetAttribute:        "cuFuncSetAttribute",
	cuFuncGetParamInfo:        "cuFuncGetParamInfo",
	cuLaunchKernel:            "cuLaunchKernel",
	cuStreamCreate:            "cuStreamCreate",
	cuStreamSynchronize:       "cuStreamSynchronize",
	cuStreamDestroy:           "cuStreamDestroy_v2",
	cuEventCreate:             "cuEventCreate",
	cuEventRecord:             "cuEventRecord",
	cuEventSynchronize:        "cuEventSynchronize",
	cuEventElapsedTime:        "cuEventElapsedTime",
	cuEventDestroy:            "cuEventDestroy_v2",
	cuTensorMapEncodeTiled:    "cuTensorMapEncodeTiled",
}

// since is the CUDA version that brought a function, where a driver that is
// good enough for sm_80 may lack it.
var since = map[proc]int{cuTensorMapEncodeTiled: 12000, cuFuncGetParamInfo: 12040}

// Library is the opened driver. Its exported methods work on the calling
// thread's current context, for programs that manage contexts themselves;
// Device does that for all others.
type Library struct {
	procs   [procCount]uintptr // 0: the driver lacks it
	version int                // of CUDA: 13000 is 13.0
}

var system struct {
	once sync.Once
	lib  *Library
	err  error
}

// OpenLibrary opens the system's driver and initialises it. It is an
// ErrNoDriver where there is none, an ErrOldDriver where it is older than 11.0.
func OpenLibrary() (*Library, error) {
	system.once.Do(func() { system.lib, system.err = openLibrary(libraryName) })
	return system.lib, system.err
}

func openLibrary(path string) (*Library, error) {
	handle, err := openShared(path)
	if err != nil {
		return nil, s2c.Errorf(s2c.ErrNoDriver, "there is no NVIDIA driver: %v", err)
	}
	l := &Library{}
	var missing []string
	for p, name := range symbols {
		if l.procs[p], err = symbol(handle, name); err != nil {
			l.procs[p] = 0
			if since[proc(p)] == 0 {
				missing = append(missing, name)
			}
		}
	}
	if len(missing) > 0 {
		return nil, &s2c.Error{Kind: s2c.ErrOldDriver, Cause: s2c.ErrNoDevice,
			Msg: "the NVIDIA driver is too old: it lacks " + missing[0] + "; install one for CUDA 11.0 or later"}
	}
	return l, l.init()
}

// init starts the driver and reads its version.
func (l *Library) init() error {
	if r := l.call(cuInit, 0); r != success {
		return l.initError(r)
	}
	version := new(int32)
	if r := l.call(cuDriverGetVersion, uintptr(unsafe.Pointer(version))); r != success {
		return l.fail(cuDriverGetVersion, r)
	}
	l.version = int(*version)
	if l.version < oldest {
		return &s2c.Error{Kind: s2c.ErrOldDriver, Cause: s2c.ErrNoDevice,
			Msg: "the NVIDIA driver is too old: it is for CUDA " + dotted(l.version) + ", and s2c needs " + dotted(oldest) + " or later"}
	}
	return nil
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
