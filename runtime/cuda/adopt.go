package cuda

import (
	"runtime"
	"unsafe"

	s2c "github.com/s2attention/s2c/runtime"
)

var _ s2c.Adopter = (*Device)(nil)

// Adopt is the device of a CUcontext that the program made itself. Close leaves
// the context alone, so what was allocated and loaded in it stays until it is freed.
// A nil handle, and one that the driver does not know, is an ErrArgs; the rest is as
// for [Open]. A driver may crash on a number that is no address of a context.
func Adopt(context uintptr) (*Device, error) {
	lib, err := OpenLibrary()
	if err != nil {
		return nil, err
	}
	return lib.adopt(context)
}

func (l *Library) adopt(context uintptr) (*Device, error) {
	if context == 0 {
		return nil, s2c.Errorf(s2c.ErrArgs, "cannot adopt a CUDA context that is nil")
	}
	popped := new(uintptr)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	switch r := l.call(cuCtxPushCurrent, context); r {
	case success:
	case errInvalidContext:
		return nil, s2c.Errorf(s2c.ErrArgs, "%#x is no CUDA context: %v", context, l.fail(cuCtxPushCurrent, r))
	default:
		return nil, l.check(cuCtxPushCurrent, r, "adopting a context")
	}
	handle, r := ask[int32](l, cuCtxGetDevice)
	l.call(cuCtxPopCurrent, uintptr(unsafe.Pointer(popped)))
	if r != success {
		return nil, l.check(cuCtxGetDevice, r, "finding the GPU of a context")
	}
	d := &Device{lib: l, handle: uintptr(handle), adopted: true}
	if err := d.describe("the GPU of the context"); err != nil {
		return nil, err
	}
	d.use(context)
	return d, nil
}

// Context is the CUcontext that the device's calls run in, for other libraries of
// the program.
func (d *Device) Context() uintptr { return d.ctx }

// AdoptStream is a CUstream of this device's context that the program made itself
// or got from another library, such as PyTorch's current stream; 0 is the default
// stream. It is good for launches, also while the stream captures a graph. Close
// leaves the CUstream alone. One that was made with CU_STREAM_NON_BLOCKING, as
// PyTorch's are, does not wait for Upload, nor Download for it: wait in between. The driver does not say whether a handle is one: a
// wrong one shows, at best, in the first call that uses it.
func (d *Device) AdoptStream(handle uintptr) (s2c.Stream, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	d.leave()
	return &Stream{d: d, handle: handle, foreign: true}, nil
}
