//go:build gorgonia

package gorgonia

import (
	"bytes"
	"encoding/binary"
	"errors"
	goruntime "runtime"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/ebitengine/purego"
	"gorgonia.org/cu"

	"github.com/s2attention/s2c/runtime"
)

// store writes a number to an address.
const store = `.version 7.0
.target sm_80
.address_size 64
.visible .entry store(.param .u64 x, .param .u32 v)
{
	.reg .b64 %d; .reg .b32 %r;
	ld.param.u64 %d, [x];
	ld.param.u32 %r, [v];
	st.global.u32 [%d], %r;
	ret;
}
`

// open is the Device of a context that the test holds, as a program would.
func open(t *testing.T) *Device {
	t.Helper()
	dev := cu.Device(0)
	if fake() {
		dev = 7 // what the driver for tests calls its first
	}
	ctx, err := dev.RetainPrimaryCtx()
	if err != nil {
		t.Fatal(err)
	}
	d, err := New(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// fake is whether the driver is runtime/cuda/testdata/fakecuda.c, which
// compiles and launches, but does not execute.
func fake() bool { return openFake() != nil }

// fakeDriver asks the driver for tests what it was given.
type fakeDriver struct {
	get    func(key string) int64
	launch func(i int32, out *fakeLaunch)
}

// openFake is the driver for tests, or nil where there is a real one.
func openFake() *fakeDriver {
	h, err := purego.Dlopen("libcuda.so.1", purego.RTLD_NOW)
	if err != nil {
		return nil
	}
	if _, err := purego.Dlsym(h, "fake_reset"); err != nil {
		return nil
	}
	f := new(fakeDriver)
	purego.RegisterLibFunc(&f.get, h, "fake_get")
	purego.RegisterLibFunc(&f.launch, h, "fake_launch")
	return f
}

// launched is the i-th launch since the program started.
func (f *fakeDriver) launched(i int32) *fakeLaunch {
	l := new(fakeLaunch)
	f.launch(i, l)
	return l
}

func TestDevice(t *testing.T) {
	d := open(t)
	major, _ := d.ComputeCapability()
	if d.Kind() != "cuda" || !strings.Contains(d.Describe(), "sm_") || major < 8 || d.Multiprocessors() < 1 {
		t.Errorf("%s, %d.x, %d SMs", d.Describe(), major, d.Multiprocessors())
	}
	p, err := d.Alloc(1000)
	if err != nil {
		t.Fatal(err)
	}
	in, out := bytes.Repeat([]byte("s2c!"), 250), make([]byte, 1000)
	if err := errors.Join(d.Upload(p, in), d.Download(out, p)); err != nil || !bytes.Equal(in, out) {
		t.Errorf("a round trip changed the bytes: %v", err)
	}
	s, err := d.NewStream()
	if err != nil {
		t.Fatal(err)
	}
	clear(out)
	c := s.(runtime.Copier)
	if err := errors.Join(c.UploadAsync(p, in), c.DownloadAsync(out, p), s.Wait()); err != nil || !bytes.Equal(in, out) {
		t.Errorf("an asynchronous round trip changed the bytes: %v", err)
	}
	first, err1 := s.Record()
	last, err2 := s.Record()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if ms, err := last.Since(first); err != nil || ms < 0 {
		t.Errorf("%v ms, %v", ms, err)
	}
	for range 2 {
		if err := errors.Join(first.Close(), last.Close(), s.Close(), d.Free(0)); err != nil {
			t.Error(err)
		}
	}
	if err := s.Wait(); !errors.Is(err, runtime.ErrClosed) {
		t.Errorf("wait on a closed stream: %v", err)
	}
	if err := d.Free(p); err != nil {
		t.Error(err)
	}
	if _, err := d.Alloc(1 << 50); !errors.Is(err, runtime.ErrOutOfMemory) || !strings.Contains(err.Error(), "are free") {
		t.Errorf("too much memory: %v", err)
	}
	if _, err := d.Alloc(0); !errors.Is(err, runtime.ErrArgs) {
		t.Errorf("no memory: %v", err)
	}
}

func TestLaunch(t *testing.T) {
	d := open(t)
	m, err := d.LoadModule(store)
	if err != nil {
		t.Fatal(err)
	}
	if log := m.(runtime.Logger).JITLog(); !strings.Contains(log, "registers") {
		t.Errorf("the log lacks the register count: %q", log)
	}
	fn, err := m.Function("store", 64<<10) // more than without the opt-in
	if err != nil {
		t.Fatal(err)
	}
	// The caller's own pointer and stream.
	var mine cu.Stream
	var ptr cu.DevicePtr
	if err := d.With(func() (err error) {
		if mine, err = cu.MakeStream(cu.DefaultStream); err != nil {
			return err
		}
		ptr, err = cu.MemAlloc(4 * 64)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	s, err := d.Stream(mine)
	if err != nil {
		t.Fatal(err)
	}
	f, before := openFake(), int32(0)
	if f != nil {
		before = int32(f.get("launches"))
	}
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			params := binary.LittleEndian.AppendUint64(nil, uint64(ptr)+uint64(4*i))
			params = binary.LittleEndian.AppendUint32(params, uint32(i+1))
			if err := fn.Launch(s, [3]int{1, 1, 1}, [3]int{1, 1, 1}, params); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	params := binary.LittleEndian.AppendUint64(nil, uint64(ptr)) // element 0 again, on the default stream
	params = binary.LittleEndian.AppendUint32(params, 1)
	if err := errors.Join(s.Wait(), fn.Launch(nil, [3]int{1, 1, 1}, [3]int{1, 1, 1}, params)); err != nil {
		t.Error(err)
	}
	if f != nil {
		f.check(t, before, uint64(ptr))
	} else {
		out := make([]byte, 4*64)
		if err := d.Download(out, runtime.Ptr(ptr)); err != nil {
			t.Fatal(err)
		}
		for i := range 64 {
			if got := binary.LittleEndian.Uint32(out[4*i:]); got != uint32(i+1) {
				t.Errorf("number %d is %d", i, got)
			}
		}
	}
	// Close leaves the caller's stream open.
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := d.With(func() error { return errors.Join(mine.Synchronize(), mine.Destroy(), cu.MemFree(ptr)) }); err != nil {
		t.Error(err)
	}
	if err := fn.Launch(s, [3]int{1, 1, 1}, [3]int{1, 1, 1}, params); !errors.Is(err, runtime.ErrClosed) {
		t.Errorf("launch on a closed stream: %v", err)
	}
}

// fakeLaunch is struct launch of fakecuda.c.
type fakeLaunch struct {
	name        [128]byte
	grid, block [3]uint32
	shared      uint32
	stream      uintptr
	size        uintptr
	params      [4352]byte
}

// check compares 64 launches that reached the driver for tests.
func (f *fakeDriver) check(t *testing.T, from int32, ptr uint64) {
	t.Helper()
	seen := map[uint32]bool{}
	for i := range int32(64) {
		l := f.launched(from + i)
		at, v := binary.LittleEndian.Uint64(l.params[:]), binary.LittleEndian.Uint32(l.params[8:])
		if at != ptr+4*uint64(v-1) || l.size != 12 || l.shared != 64<<10 || l.stream == 0 {
			t.Errorf("launch %d: %d bytes, %d at %#x, shared %d, stream %#x", i, l.size, v, at, l.shared, l.stream)
		}
		seen[v] = true
	}
	if len(seen) != 64 {
		t.Errorf("%d distinct launches", len(seen))
	}
}

// within runs f on a thread whose current context is ctx.
func within(ctx cu.CUContext, f func() error) error {
	goruntime.LockOSThread()
	defer goruntime.UnlockOSThread()
	if err := cu.PushCurrentCtx(ctx); err != nil {
		return err
	}
	defer cu.PopCurrentCtx()
	return f()
}

// TestAdopt runs in a context and on a stream that are known as numbers alone, and
// leaves them to those who made them.
func TestAdopt(t *testing.T) {
	host := open(t) // finds the GPU
	dev := cu.Device(0)
	if fake() {
		dev = 7
	}
	goruntime.LockOSThread()
	ctx, err := dev.MakeContext(cu.SchedAuto)
	_, err1 := cu.PopCurrentCtx() // making it made it current
	goruntime.UnlockOSThread()
	if err != nil {
		t.Fatal(err)
	}
	d, err2 := Adopt(*(*uintptr)(unsafe.Pointer(&ctx)))
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if d.Describe() != host.Describe() || d.Multiprocessors() != host.Multiprocessors() {
		t.Errorf("it calls itself %q", d.Describe())
	}
	var made cu.Stream
	if err := within(ctx, func() (err error) { made, err = cu.MakeStream(cu.DefaultStream); return err }); err != nil {
		t.Fatal(err)
	}
	s, err1 := d.AdoptStream(uintptr(unsafe.Pointer(made.C())))
	p, err2 := d.Alloc(4)
	m, err3 := d.LoadModule(store)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	fn, err := m.Function("store", 0)
	if err != nil {
		t.Fatal(err)
	}
	params := binary.LittleEndian.AppendUint64(nil, uint64(p))
	params = binary.LittleEndian.AppendUint32(params, 7)
	out := make([]byte, 4)
	one := [3]int{1, 1, 1}
	if err := errors.Join(fn.Launch(s, one, one, params), s.Wait(), d.Download(out, p)); err != nil {
		t.Fatal(err)
	}
	if f := openFake(); f != nil {
		if l := f.launched(int32(f.get("launches")) - 1); l.stream != uintptr(unsafe.Pointer(made.C())) {
			t.Errorf("the launch went to stream %#x", l.stream)
		}
	} else if out[0] != 7 {
		t.Errorf("the kernel stored %d", out[0])
	}
	stranger, err := host.AdoptStream(uintptr(unsafe.Pointer(made.C())))
	if err != nil {
		t.Fatal(err)
	}
	if err := fn.Launch(stranger, one, one, params); !errors.Is(err, runtime.ErrArgs) {
		t.Errorf("launch on another device's stream: %v", err)
	}
	if err := errors.Join(s.Close(), d.Free(p)); err != nil {
		t.Error(err)
	}
	if err := within(ctx, made.Synchronize); err != nil {
		t.Errorf("the stream after Close of the adopted one: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if _, err := d.AdoptStream(0); !errors.Is(err, runtime.ErrClosed) {
		t.Errorf("a stream of a closed device: %v", err)
	}
	if err := errors.Join(within(ctx, made.Destroy), ctx.Destroy()); err != nil {
		t.Errorf("the context after Close of the adopted one: %v", err)
	}
}

func TestAdoptFails(t *testing.T) {
	if _, err := Adopt(0); !errors.Is(err, runtime.ErrArgs) || !strings.Contains(err.Error(), "nil") {
		t.Errorf("no context: %v", err)
	}
	if !fake() {
		t.Skip("SKIPPED, a number that is no context is not adopted: a real driver may crash on it")
	}
	if _, err := Adopt(0xdead0); !errors.Is(err, runtime.ErrArgs) {
		t.Errorf("a number: %v", err)
	}
}

func TestErrors(t *testing.T) {
	d := open(t)
	for _, c := range []struct {
		name, ptx string
		kind      error
		words     string
	}{
		{"no PTX", "no", runtime.ErrCompile, "no .version"},
		{"bad PTX", ".version 7.0\n.target sm_80\n.address_size 64\n.visible .entry store() { mov.bad r1; }\n", runtime.ErrCompile, "bad"},
		{"another chip", strings.Replace(store, "sm_80", "sm_130", 1), runtime.ErrArchitecture, "13.0"},
	} {
		if _, err := d.LoadModule(c.ptx); !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	m, err := d.LoadModule(store)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Function("other", 0); !errors.Is(err, runtime.ErrKernel) {
		t.Errorf("no such entry: %v", err)
	}
	if _, err := m.Function("store", 1<<20); !errors.Is(err, runtime.ErrArchitecture) {
		t.Errorf("too much shared memory: %v", err)
	}
	if got, err := d.EncodeTensorMap(runtime.TensorMap{Dims: []uint64{1}}); !errors.Is(err, runtime.ErrKernel) {
		t.Errorf("no tensor map: %v, %v", got, err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if _, err := d.Alloc(1); !errors.Is(err, runtime.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
