package cuda

import (
	"fmt"
	"math"
	"runtime"
	"sync"
	"unsafe"

	s2c "github.com/s2attention/s2c/runtime"
)

// Function is a kernel on a device, ready to launch from any goroutine.
type Function struct {
	m      *Module
	entry  string
	handle uintptr // CUfunction
	shared int
	params *ParamLayout

	declared Declared
}

var _ s2c.Function = (*Function)(nil)

// maxParamBytes is the largest parameter block of PTX before 8.1 (§11.2.1).
const maxParamBytes = 4352

// CU_LAUNCH_PARAM_*: the keys of cuLaunchKernel's "extra" list.
const (
	paramEnd     = 0
	paramPointer = 1
	paramSize    = 2
)

// launchFrame is the memory that a launch hands to the driver: the parameter
// block and the list that points to it. Frames are pooled, so that a launch
// allocates nothing; heap objects do not move, so the addresses within hold.
type launchFrame struct {
	params [maxParamBytes]byte
	size   uintptr
	extra  [5]uintptr
	args   [11]uintptr // of cuLaunchKernel
}

var frames = sync.Pool{New: func() any {
	f := new(launchFrame)
	f.extra = [5]uintptr{
		paramPointer, uintptr(unsafe.Pointer(&f.params[0])),
		paramSize, uintptr(unsafe.Pointer(&f.size)),
		paramEnd,
	}
	return f
}}

// Launch queues the kernel. A failure of the kernel itself shows in a later
// call, usually Stream.Wait.
func (f *Function) Launch(s s2c.Stream, grid, block [3]int, params []byte) error {
	if f == nil || f.m == nil {
		return s2c.Errorf(s2c.ErrClosed, "launch of a kernel that was not loaded")
	}
	f.m.mu.RLock()
	defer f.m.mu.RUnlock()
	if f.m.unloaded {
		return s2c.Errorf(s2c.ErrClosed, "launch of %s of a module after Unload", f.entry)
	}
	if err := f.declared.Check(f.entry, params); err != nil {
		return err
	}
	d := f.m.d
	h, err := d.streamHandle(s)
	if err != nil {
		return err
	}
	if err := d.enter(); err != nil {
		return err
	}
	defer d.leave()
	if err := f.launch(h, grid, block, params); err != nil {
		return fmt.Errorf("launch of %s: %w", f.entry, err)
	}
	return nil
}

// launch queues the kernel on a CUstream, with the context current.
func (f *Function) launch(stream uintptr, grid, block [3]int, params []byte) error {
	l := f.m.d.lib
	for i := range 3 {
		if grid[i] < 1 || block[i] < 1 || grid[i] > math.MaxInt32 || block[i] > math.MaxInt32 {
			return s2c.Errorf(s2c.ErrArgs, "a grid of %v blocks of %v threads", grid, block)
		}
	}
	if len(params) > maxParamBytes {
		return s2c.Errorf(s2c.ErrArgs, "%d bytes of parameters, where %d are possible", len(params), maxParamBytes)
	}
	fr := frames.Get().(*launchFrame)
	defer frames.Put(fr)
	fr.size = uintptr(f.params.place(fr.params[:], params))
	fr.args = [11]uintptr{
		f.handle, uintptr(grid[0]), uintptr(grid[1]), uintptr(grid[2]), uintptr(block[0]), uintptr(block[1]), uintptr(block[2]),
		uintptr(f.shared), stream, 0, uintptr(unsafe.Pointer(&fr.extra[0])),
	}
	r := l.call(cuLaunchKernel, fr.args[:]...)
	runtime.KeepAlive(fr)
	switch r {
	case success:
		return nil
	case errOutOfResources:
		return s2c.Errorf(s2c.ErrArgs, "a thread block of %v threads and %d bytes of shared memory does not fit on the device: %v", block, f.shared, l.fail(cuLaunchKernel, r))
	}
	return l.checkArgs(cuLaunchKernel, r, "the launch")
}
