package cuda

import (
	"bytes"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"unsafe"

	s2c "github.com/s2attention/s2c/runtime"
)

func init() {
	s2c.Register("cuda", 10, func(arg string) (s2c.Device, error) {
		n := 0
		if arg != "" {
			var err error
			if n, err = strconv.Atoi(arg); err != nil || n < 0 {
				return nil, s2c.Errorf(s2c.ErrNoDevice, "%q is no number of a GPU; cuda:0 is the first", arg)
			}
		}
		d, err := Open(n)
		if err != nil {
			return nil, err // d in the interface would be no nil
		}
		return d, nil
	})
}

// CUdevice_attribute.
const (
	attrMultiprocessors = 16
	attrMajor           = 75
	attrMinor           = 76
	attrMaxShared       = 97 // dynamic shared memory that a block may opt in to
)

// Device is a GPU with its primary context, or with one of the program's own.
type Device struct {
	lib          *Library
	handle       uintptr // CUdevice
	ctx          uintptr // CUcontext
	adopted      bool    // ctx is the program's own
	name         string
	major, minor int
	sms          int
	maxShared    int
	cache        *cache

	// Arguments of push and pop, made once: a launch must not allocate.
	popped            uintptr // where every pop writes ctx; nobody reads it
	pushArgs, popArgs []uintptr

	mu     sync.RWMutex // read-held during every call, so that Close waits
	closed bool
}

var _ s2c.Device = (*Device)(nil)

// Open opens the n-th GPU that the driver shows to this process. It is an
// ErrNoDevice where there is none, or one that is older than compute
// capability 8.0.
func Open(n int) (*Device, error) {
	lib, err := OpenLibrary()
	if err != nil {
		return nil, err
	}
	return lib.open(n)
}

func (l *Library) open(n int) (*Device, error) {
	count, r := ask[int32](l, cuDeviceGetCount)
	if r != success {
		return nil, l.check(cuDeviceGetCount, r, "counting the GPUs")
	}
	if n >= int(count) || n < 0 {
		return nil, s2c.Errorf(s2c.ErrNoDevice, "there is no GPU %d: the driver shows %d (CUDA_VISIBLE_DEVICES may hide some)", n, count)
	}
	gpu := fmt.Sprintf("GPU %d", n)
	handle, r := ask[int32](l, cuDeviceGet, uintptr(n))
	if r != success {
		return nil, l.check(cuDeviceGet, r, "opening "+gpu)
	}
	d := &Device{lib: l, handle: uintptr(handle)}
	if err := d.describe(gpu); err != nil {
		return nil, err
	}
	ctx, r := ask[uintptr](l, cuDevicePrimaryCtxRetain, d.handle)
	if r != success {
		return nil, l.check(cuDevicePrimaryCtxRetain, r, "making a context on "+d.name)
	}
	d.use(ctx)
	return d, nil
}

// use makes a context the one that every call runs in.
func (d *Device) use(ctx uintptr) {
	d.ctx = ctx
	d.pushArgs, d.popArgs = []uintptr{ctx}, []uintptr{uintptr(unsafe.Pointer(&d.popped))}
	d.cache = openCache(d.cacheSalt())
}

// describe reads the device's name and attributes; gpu names it until then. A
// device that is too old is an ErrNoDevice.
func (d *Device) describe(gpu string) error {
	l := d.lib
	name, r := ask[[256]byte](l, cuDeviceGetName, 256, d.handle)
	if r != success {
		return l.check(cuDeviceGetName, r, "naming "+gpu)
	}
	d.name = string(name[:max(bytes.IndexByte(name[:], 0), 0)])
	for _, a := range []struct {
		attr uintptr
		to   *int
	}{{attrMultiprocessors, &d.sms}, {attrMajor, &d.major}, {attrMinor, &d.minor}, {attrMaxShared, &d.maxShared}} {
		v, r := ask[int32](l, cuDeviceGetAttribute, a.attr, d.handle)
		if r != success {
			return l.check(cuDeviceGetAttribute, r, "reading an attribute of "+d.name)
		}
		*a.to = int(v)
	}
	if d.major < 8 {
		return s2c.Errorf(s2c.ErrNoDevice, "%s, %s, has compute capability %d.%d, and s2c needs 8.0 or later", gpu, d.name, d.major, d.minor)
	}
	return nil
}

// With runs f on a thread whose current context is the device's, and restores
// the thread's own context after it.
func (d *Device) With(f func() error) error {
	if err := d.enter(); err != nil {
		return err
	}
	defer d.leave()
	return f()
}

func (d *Device) enter() error {
	if d == nil || d.lib == nil {
		return s2c.Errorf(s2c.ErrClosed, "use of a GPU that was not opened")
	}
	d.mu.RLock()
	if d.closed {
		d.mu.RUnlock()
		return s2c.Errorf(s2c.ErrClosed, "use of %s after Close", d.name)
	}
	runtime.LockOSThread()
	if r := d.lib.call(cuCtxPushCurrent, d.pushArgs...); r != success {
		runtime.UnlockOSThread()
		d.mu.RUnlock()
		return d.lib.check(cuCtxPushCurrent, r, "using the context of "+d.name)
	}
	return nil
}

func (d *Device) leave() {
	// It fails only where the call before it did.
	d.lib.call(cuCtxPopCurrent, d.popArgs...)
	runtime.UnlockOSThread()
	d.mu.RUnlock()
}

// Kind is "cuda".
func (d *Device) Kind() string { return "cuda" }

// Describe is "NVIDIA H200 (sm_90)".
func (d *Device) Describe() string {
	if d == nil || d.lib == nil {
		return "a GPU that was not opened"
	}
	return fmt.Sprintf("%s (sm_%d%d)", d.name, d.major, d.minor)
}

// ComputeCapability is (9, 0) on Hopper, (0, 0) where no code can run.
func (d *Device) ComputeCapability() (major, minor int) {
	if d == nil {
		return 0, 0
	}
	return d.major, d.minor
}

// Multiprocessors is the number of SMs.
func (d *Device) Multiprocessors() int { return d.sms }

// Library is the driver that the device belongs to.
func (d *Device) Library() *Library { return d.lib }

// MemInfo is the free and the whole memory in bytes.
func (d *Device) MemInfo() (free, total int64, err error) {
	err = d.With(func() error { free, total, err = d.memInfo(); return err })
	return free, total, err
}

func (d *Device) memInfo() (free, total int64, err error) {
	v := new([2]uint64)
	r := d.lib.call(cuMemGetInfo, uintptr(unsafe.Pointer(&v[0])), uintptr(unsafe.Pointer(&v[1])))
	return int64(v[0]), int64(v[1]), d.lib.check(cuMemGetInfo, r, "reading the free memory")
}

// Alloc allocates device memory, aligned to at least 256 bytes. It is an
// ErrOutOfMemory, with what was asked for and what is free, where there is not
// enough.
func (d *Device) Alloc(n int64) (s2c.Ptr, error) {
	if n <= 0 {
		return 0, s2c.Errorf(s2c.ErrArgs, "cannot allocate %d bytes", n)
	}
	var p s2c.Ptr
	err := d.With(func() error {
		var r result
		if p, r = ask[s2c.Ptr](d.lib, cuMemAlloc, uintptr(n)); r == errOutOfMemory {
			return d.outOfMemory(n, d.lib.fail(cuMemAlloc, r))
		}
		return d.lib.check(cuMemAlloc, r, fmt.Sprintf("allocating %s", size(n)))
	})
	return p, err
}

func (d *Device) outOfMemory(n int64, cause error) error {
	free, total, err := d.memInfo()
	if err != nil {
		return s2c.Errorf(s2c.ErrOutOfMemory, "no memory for %s on %s: %v", size(n), d.name, cause)
	}
	return s2c.Errorf(s2c.ErrOutOfMemory, "no memory for %s on %s: %s of %s are free: %v", size(n), d.name, size(free), size(total), cause)
}

// size writes a number of bytes for people.
func size(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%d bytes", n)
	}
	if n < 1<<30 {
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}

// Free frees what Alloc gave; 0 is nothing to free.
func (d *Device) Free(p s2c.Ptr) error {
	return d.With(func() error {
		if p == 0 {
			return nil
		}
		return d.lib.checkArgs(cuMemFree, d.lib.call(cuMemFree, uintptr(p)), fmt.Sprintf("freeing %#x", uint64(p)))
	})
}

// Upload copies to the device, after all work queued so far, and waits.
func (d *Device) Upload(dst s2c.Ptr, src []byte) error {
	return d.With(func() error {
		return d.lib.copy(fmt.Sprintf("copying %s to %#x", size(int64(len(src))), uint64(dst)),
			cuMemcpyHtoD, uintptr(dst), uintptr(unsafe.Pointer(unsafe.SliceData(src))), uintptr(len(src)))
	})
}

// copy copies between host and device, where there is anything to copy: to, from,
// bytes, and a stream where it goes into one.
//
//go:uintptrescapes
func (l *Library) copy(doing string, p proc, args ...uintptr) error {
	if args[2] == 0 {
		return nil
	}
	return l.checkArgs(p, l.call(p, args...), doing)
}

// Download copies from the device, after all work queued so far, and waits.
func (d *Device) Download(dst []byte, src s2c.Ptr) error {
	return d.With(func() error {
		return d.lib.copy(fmt.Sprintf("copying %s from %#x", size(int64(len(dst))), uint64(src)),
			cuMemcpyDtoH, uintptr(unsafe.Pointer(unsafe.SliceData(dst))), uintptr(src), uintptr(len(dst)))
	})
}

// Close waits for calls in progress and gives the primary context back; an adopted
// one it leaves alone. What was allocated and loaded goes with it where no other
// user of the context is left. A second call does nothing.
func (d *Device) Close() error {
	if d == nil || d.lib == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	if d.adopted {
		return nil
	}
	return d.lib.do("closing "+d.name, cuDevicePrimaryCtxRelease, d.handle)
}
