//go:build gorgonia

package gorgonia

import (
	"fmt"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/s2attention/s2c/runtime"
	"github.com/s2attention/s2c/runtime/cuda"
)

// Device is a GPU seen through the caller's context. Memory and code are cu's;
// streams, events, launches and tensor maps are those of the device of runtime/cuda
// in the same context.
type Device struct{ *cuda.Device }

var (
	_ runtime.Device  = (*Device)(nil)
	_ runtime.Adopter = (*Device)(nil)
)

// New uses the caller's context, which must outlive the Device; for a *cu.Ctx that is
// its CUDAContext(). A GPU before compute capability 8.0 is an ErrNoDevice. Close ends
// the use of the context, which stays the caller's.
func New(ctx cu.CUContext) (*Device, error) { return Adopt(*(*uintptr)(unsafe.Pointer(&ctx))) }

// Adopt is New for a CUcontext that the program has as a number, see Adopt of
// runtime/cuda.
func Adopt(context uintptr) (*Device, error) {
	d, err := cuda.Adopt(context)
	if err != nil {
		return nil, err
	}
	return &Device{d}, nil
}

// Stream uses the caller's stream; Close leaves it alone. cu.NoStream is the
// default stream.
func (d *Device) Stream(s cu.Stream) (runtime.Stream, error) {
	return d.AdoptStream(*(*uintptr)(unsafe.Pointer(&s)))
}

// The types of cu that hold one handle and nothing else, so that they can be read as
// its number.
var _ = [...][unsafe.Sizeof(uintptr(0))]byte{
	[unsafe.Sizeof(cu.CUContext{})]byte{}, [unsafe.Sizeof(cu.Stream{})]byte{}, [unsafe.Sizeof(cu.Module{})]byte{},
}

// failed makes the error of a call; nil stays nil.
func failed(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case err == error(cu.InvalidValue):
		return runtime.Errorf(runtime.ErrArgs, "%s failed: %v", doing, err)
	case err == error(cu.OutOfMemory):
		return runtime.Errorf(runtime.ErrOutOfMemory, "the device has no memory left for %s: %v", doing, err)
	}
	return fmt.Errorf("%s failed: %w", doing, err)
}

// Alloc allocates device memory. It is an ErrOutOfMemory, with what was asked
// for and what is free, where there is not enough.
func (d *Device) Alloc(bytes int64) (runtime.Ptr, error) {
	if bytes <= 0 {
		return 0, runtime.Errorf(runtime.ErrArgs, "cannot allocate %d bytes", bytes)
	}
	var p cu.DevicePtr
	err := d.With(func() (err error) {
		p, err = cu.MemAlloc(bytes)
		if err == error(cu.OutOfMemory) {
			free, total, _ := cu.MemInfo()
			return runtime.Errorf(runtime.ErrOutOfMemory, "no memory for %d bytes on %s: %d of %d are free: %v", bytes, d.Describe(), free, total, err)
		}
		return failed(fmt.Sprintf("allocating %d bytes", bytes), err)
	})
	return runtime.Ptr(p), err
}

// Free frees what Alloc gave; 0 is nothing to free.
func (d *Device) Free(p runtime.Ptr) error {
	return d.With(func() error {
		if p == 0 {
			return nil
		}
		return failed("freeing memory", cu.MemFree(cu.DevicePtr(p)))
	})
}

// Upload copies to the device and waits.
func (d *Device) Upload(dst runtime.Ptr, src []byte) error {
	return d.With(func() error {
		if len(src) == 0 {
			return nil
		}
		return failed("copying to the device", cu.MemcpyHtoD(cu.DevicePtr(dst), unsafe.Pointer(&src[0]), int64(len(src))))
	})
}

// Download copies from the device and waits.
func (d *Device) Download(dst []byte, src runtime.Ptr) error {
	return d.With(func() error {
		if len(dst) == 0 {
			return nil
		}
		return failed("copying from the device", cu.MemcpyDtoH(unsafe.Pointer(&dst[0]), cu.DevicePtr(src), int64(len(dst))))
	})
}
