//go:build gorgonia

package gorgonia

import (
	"fmt"
	goruntime "runtime"
	"sync"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/s2attention/s2c/runtime"
	"github.com/s2attention/s2c/runtime/cuda"
)

// maxShared is CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, which cu
// does not name.
const maxShared cu.DeviceAttribute = 97

// Device is a GPU seen through the caller's context.
type Device struct {
	ctx          cu.CUContext
	lib          *cuda.Library
	name         string
	major, minor int
	sms          int
	shared       int // dynamic shared memory a thread block, at most

	mu     sync.RWMutex // read-held during every call, so that Close waits
	closed bool
}

var (
	_ runtime.Device  = (*Device)(nil)
	_ runtime.Adopter = (*Device)(nil)
)

// Adopt is New for a CUcontext that the program has as a number, such as one that
// another library made. A nil handle, and one that the driver does not know, is an
// ErrArgs. A driver may crash on a number that is no address of a context.
func Adopt(context uintptr) (*Device, error) {
	if context == 0 {
		return nil, runtime.Errorf(runtime.ErrArgs, "cannot adopt a CUDA context that is nil")
	}
	ctx := *(*cu.CUContext)(unsafe.Pointer(&context))
	var dev cu.Device
	if err := within(ctx, func() (err error) {
		dev, err = cu.CurrentDevice()
		return failed("finding the GPU of a context", err)
	}); err != nil {
		return nil, err
	}
	return New(ctx, dev)
}

// The types of cu that hold one handle and nothing else, so that a number can be read
// as one and one as a number.
var _ = [...][unsafe.Sizeof(uintptr(0))]byte{
	[unsafe.Sizeof(cu.CUContext{})]byte{}, [unsafe.Sizeof(cu.Stream{})]byte{}, [unsafe.Sizeof(cu.Function{})]byte{},
}

// New uses the caller's context, which must belong to dev and outlive the
// Device; for a *cu.Ctx that is its CUDAContext(). A GPU before compute
// capability 8.0 is an ErrNoDevice.
func New(ctx cu.CUContext, dev cu.Device) (*Device, error) {
	lib, err := cuda.OpenLibrary()
	if err != nil {
		return nil, err
	}
	d := &Device{ctx: ctx, lib: lib}
	if d.name, err = dev.Name(); err != nil {
		return nil, failed("naming the GPU", err)
	}
	for _, a := range []struct {
		attr cu.DeviceAttribute
		to   *int
	}{
		{cu.ComputeCapabilityMajor, &d.major}, {cu.ComputeCapabilityMinor, &d.minor},
		{cu.MultiprocessorCount, &d.sms}, {maxShared, &d.shared},
	} {
		if *a.to, err = dev.Attribute(a.attr); err != nil {
			return nil, failed("reading an attribute of "+d.name, err)
		}
	}
	if d.major < 8 {
		return nil, runtime.Errorf(runtime.ErrNoDevice, "%s has compute capability %d.%d, and s2c needs 8.0 or later", d.name, d.major, d.minor)
	}
	return d, nil
}

// failed makes the error of a call; nil stays nil.
func failed(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case err == error(cu.InvalidValue), err == error(cu.InvalidContext):
		return runtime.Errorf(runtime.ErrArgs, "%s failed: %v", doing, err)
	case err == error(cu.OutOfMemory):
		return runtime.Errorf(runtime.ErrOutOfMemory, "the device has no memory left for %s: %v", doing, err)
	}
	return fmt.Errorf("%s failed: %w", doing, err)
}

// with runs f on a thread whose current context is the caller's, and restores
// what was current before.
func (d *Device) with(f func() error) error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.closed {
		return runtime.Errorf(runtime.ErrClosed, "use of %s after Close", d.name)
	}
	return within(d.ctx, f)
}

// within runs f on a thread whose current context is ctx.
func within(ctx cu.CUContext, f func() error) error {
	goruntime.LockOSThread()
	defer goruntime.UnlockOSThread()
	if err := cu.PushCurrentCtx(ctx); err != nil {
		return failed("using the caller's context", err)
	}
	defer cu.PopCurrentCtx()
	return f()
}

// Kind is "cuda".
func (d *Device) Kind() string { return "cuda" }

// Describe is "NVIDIA H200 (sm_90)".
func (d *Device) Describe() string { return fmt.Sprintf("%s (sm_%d%d)", d.name, d.major, d.minor) }

// ComputeCapability is (9, 0) on Hopper.
func (d *Device) ComputeCapability() (major, minor int) { return d.major, d.minor }

// Multiprocessors is the number of SMs.
func (d *Device) Multiprocessors() int { return d.sms }

// Alloc allocates device memory. It is an ErrOutOfMemory, with what was asked
// for and what is free, where there is not enough.
func (d *Device) Alloc(bytes int64) (runtime.Ptr, error) {
	if bytes <= 0 {
		return 0, runtime.Errorf(runtime.ErrArgs, "cannot allocate %d bytes", bytes)
	}
	var p cu.DevicePtr
	err := d.with(func() (err error) {
		p, err = cu.MemAlloc(bytes)
		if err == error(cu.OutOfMemory) {
			free, total, _ := cu.MemInfo()
			return runtime.Errorf(runtime.ErrOutOfMemory, "no memory for %d bytes on %s: %d of %d are free: %v", bytes, d.name, free, total, err)
		}
		return failed(fmt.Sprintf("allocating %d bytes", bytes), err)
	})
	return runtime.Ptr(p), err
}

// Free frees what Alloc gave; 0 is nothing to free.
func (d *Device) Free(p runtime.Ptr) error {
	return d.with(func() error {
		if p == 0 {
			return nil
		}
		return failed("freeing memory", cu.MemFree(cu.DevicePtr(p)))
	})
}

// Upload copies to the device and waits.
func (d *Device) Upload(dst runtime.Ptr, src []byte) error {
	return d.with(func() error {
		if len(src) == 0 {
			return nil
		}
		return failed("copying to the device", cu.MemcpyHtoD(cu.DevicePtr(dst), unsafe.Pointer(&src[0]), int64(len(src))))
	})
}

// Download copies from the device and waits.
func (d *Device) Download(dst []byte, src runtime.Ptr) error {
	return d.with(func() error {
		if len(dst) == 0 {
			return nil
		}
		return failed("copying from the device", cu.MemcpyDtoH(unsafe.Pointer(&dst[0]), cu.DevicePtr(src), int64(len(dst))))
	})
}

// EncodeTensorMap fills the object that TMA copies take.
func (d *Device) EncodeTensorMap(m runtime.TensorMap) (out [128]byte, err error) {
	err = d.with(func() error { out, err = d.lib.EncodeTensorMap(m); return err })
	return out, err
}

// Close ends the use of the caller's context, which stays the caller's. A
// second call does nothing.
func (d *Device) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	return nil
}
