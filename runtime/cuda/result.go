package cuda

import (
	"fmt"
	"unsafe"

	s2c "github.com/s2attention/s2c/runtime"
)

// result is a CUresult.
type result int32

const (
	success               result = 0
	errInvalidValue       result = 1
	errOutOfMemory        result = 2
	errNotInitialized     result = 3
	errStubLibrary        result = 34
	errNoDevice           result = 100
	errInvalidDevice      result = 101
	errInvalidImage       result = 200
	errInvalidContext     result = 201
	errNoBinary           result = 209
	errInvalidPTX         result = 218
	errNoJITCompiler      result = 221
	errUnsupportedPTX     result = 222
	errJITDisabled        result = 223
	errNotFound           result = 500
	errIllegalAddress     result = 700
	errOutOfResources     result = 701
	errLaunchTimeout      result = 702
	errHardwareStack      result = 714
	errIllegalInstruction result = 715
	errMisalignedAddress  result = 716
	errInvalidSpace       result = 717
	errInvalidPC          result = 718
	errLaunchFailed       result = 719
	errDriverMismatch     result = 803
	errCompatNotSupported result = 804
)

// DriverError is what the driver said: errors.As finds it in this package's errors.
type DriverError struct {
	Call string // "cuMemAlloc_v2"
	Code int    // CUresult
	Name string // "CUDA_ERROR_OUT_OF_MEMORY"
	Text string // the driver's words
}

func (e *DriverError) Error() string {
	return fmt.Sprintf("%s: %s (%s, %d)", e.Call, e.Text, e.Name, e.Code)
}

// fail makes the error of a call.
func (l *Library) fail(p proc, r result) *DriverError {
	return &DriverError{symbols[p], int(r), l.text(cuGetErrorName, r, "CUDA_ERROR_UNKNOWN"), l.text(cuGetErrorString, r, "unknown error")}
}

// text asks the driver for words about a result.
func (l *Library) text(p proc, r result, unknown string) string {
	s := new(*byte)
	if l.call(p, uintptr(r), uintptr(unsafe.Pointer(s))) != success || *s == nil {
		return unknown
	}
	var n int
	for n < 1024 && *(*byte)(unsafe.Add(unsafe.Pointer(*s), n)) != 0 {
		n++
	}
	return string(unsafe.Slice(*s, n))
}

// check is nil on success, and otherwise says what could not be done and why.
func (l *Library) check(p proc, r result, doing string) error {
	if r == success {
		return nil
	}
	err := l.fail(p, r)
	switch r {
	case errOutOfMemory:
		return s2c.Errorf(s2c.ErrOutOfMemory, "the device has no memory left for %s: %v", doing, err)
	case errIllegalAddress, errLaunchTimeout, errHardwareStack, errIllegalInstruction, errMisalignedAddress, errInvalidSpace, errInvalidPC, errLaunchFailed:
		return s2c.Errorf(s2c.ErrFault, "a kernel failed on the device, found at %s; the process cannot use the device any more: %v", doing, err)
	}
	return s2c.Errorf(errDriver, "%s failed: %v", doing, err)
}

// checkArgs is check for a call whose arguments are the caller's.
func (l *Library) checkArgs(p proc, r result, doing string) error {
	if r == errInvalidValue {
		return s2c.Errorf(s2c.ErrArgs, "%s failed: %v", doing, l.fail(p, r))
	}
	return l.check(p, r, doing)
}
