package runtime

import (
	"errors"
	"fmt"
)

// The kinds of failure that a program may want to tell apart with errors.Is.
// The error itself is always one sentence that says what to do.
var (
	// ErrNoDevice: the device asked for is not there, or cannot run s2c kernels.
	ErrNoDevice = errors.New("no such device")
	// ErrNoDriver: there is no GPU driver; it is an ErrNoDevice too.
	ErrNoDriver = fmt.Errorf("%w: no GPU driver", ErrNoDevice)
	// ErrOldDriver: the driver does not know the PTX version or a function it needs.
	ErrOldDriver = errors.New("the GPU driver is too old")
	// ErrOutOfMemory: the device has not as much memory free as asked for.
	ErrOutOfMemory = errors.New("out of device memory")
	// ErrArchitecture: the kernel was compiled for another architecture.
	ErrArchitecture = errors.New("wrong architecture")
	// ErrCompile: the device's compiler refused the PTX; the error has its log.
	ErrCompile = errors.New("PTX does not compile")
	// ErrArgs: a launch that the plan cannot serve, or a call with an address, a
	// size or an object that the device does not have.
	ErrArgs = errors.New("bad arguments")
	// ErrKernel: a kernel description that contradicts itself.
	ErrKernel = errors.New("bad kernel description")
	// ErrBundle: a bundle that is damaged, truncated, tampered with, or no bundle.
	ErrBundle = errors.New("bad bundle")
	// ErrFault: a kernel failed while it ran. On a GPU the process cannot use the
	// device any more.
	ErrFault = errors.New("a kernel failed")
	// ErrClosed: use after Unload or Close, or of what was never opened.
	ErrClosed = errors.New("already closed")
)

// Error is a failure of a known kind.
type Error struct {
	Kind  error  // one of the variables above
	Msg   string // the whole sentence
	Cause error  // what led to it, or nil; Msg already says it
}

func (e *Error) Error() string { return e.Msg }

// Unwrap makes errors.Is see both the kind and the cause.
func (e *Error) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Cause}
}

// Errorf makes an Error of a kind. An error among the arguments becomes the cause.
func Errorf(kind error, format string, args ...any) *Error {
	e := &Error{Kind: kind, Msg: fmt.Sprintf(format, args...)}
	for _, a := range args {
		if err, ok := a.(error); ok {
			e.Cause = err
		}
	}
	return e
}
