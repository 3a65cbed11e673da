package cuda

import (
	"bytes"
	"encoding/binary"
	"errors"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	s2c "github.com/s2attention/s2c/runtime"
)

// wantError fails unless err is of the kind and has all the words.
func wantError(t *testing.T, err, kind error, words ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("error %v, want a %v", err, kind)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q, want one with %q", err, w)
		}
	}
	if strings.ContainsRune(err.Error(), '\n') && kind != s2c.ErrCompile && kind != errDriver {
		t.Errorf("more than one sentence: %q", err)
	}
}

func TestNoDriver(t *testing.T) {
	_, err := openLibrary(filepath.Join(t.TempDir(), "libcuda.so.1"))
	wantError(t, err, s2c.ErrNoDriver, "there is no NVIDIA driver")
	wantError(t, err, s2c.ErrNoDevice)
}

// TestOpenerFails wants no device where there is an error, on machines with a
// driver and without.
func TestOpenerFails(t *testing.T) {
	for _, name := range []string{"cuda:2147483647", "cuda:-1", "cuda:x"} {
		dev, err := s2c.OpenDevice(name)
		if err == nil || dev != nil {
			t.Errorf("%s: device %#v, error %v", name, dev, err)
		}
	}
}

func TestOpenFailures(t *testing.T) {
	for _, c := range []struct {
		name  string
		setup func(*fake)
		kind  error
		words []string
	}{
		{"no device", func(f *fake) { f.fail("cuInit", 100, 0) }, s2c.ErrNoDevice, []string{"finds no GPU"}},
		{"stub", func(f *fake) { f.fail("cuInit", 34, 0) }, s2c.ErrNoDriver, []string{"stub"}},
		{"mismatch", func(f *fake) { f.fail("cuInit", 803, 0) }, s2c.ErrNoDriver, []string{"restart"}},
		{"broken driver", func(f *fake) { f.fail("cuInit", 999, 0) }, errDriver, []string{"does not start", "999"}},
		{"old driver", func(f *fake) { f.set("version", 10020) }, s2c.ErrOldDriver, []string{"CUDA 10.2", "needs 11.0"}},
		{"old driver, absent device", func(f *fake) { f.set("version", 10020) }, s2c.ErrNoDevice, nil},
		{"none visible", func(f *fake) { f.set("devices", 0) }, s2c.ErrNoDevice, []string{"no GPU 0", "CUDA_VISIBLE_DEVICES"}},
		{"old GPU", func(f *fake) { f.set("major", 7); f.set("minor", 5) }, s2c.ErrNoDevice, []string{"Fake GPU 0, has compute capability 7.5", "needs 8.0"}},
		{"no context", func(f *fake) { f.fail("cuDevicePrimaryCtxRetain", 2, 0) }, s2c.ErrOutOfMemory, []string{"making a context"}},
		{"no name", func(f *fake) { f.fail("cuDeviceGetName", 101, 0) }, errDriver, []string{"naming GPU 0"}},
		{"no attribute", func(f *fake) { f.fail("cuDeviceGetAttribute", 101, 2) }, errDriver, []string{"attribute"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake(t)
			c.setup(f)
			lib, err := openLibrary(f.path)
			if err == nil {
				_, err = lib.open(0)
			}
			wantError(t, err, c.kind, c.words...)
			if f.get("retained") != 0 {
				t.Error("kept the context")
			}
		})
	}
}

func TestDevice(t *testing.T) {
	f := newFake(t)
	f.set("devices", 2)
	d := f.open(t)
	if got := d.Describe(); got != "Fake GPU 0 (sm_90)" {
		t.Errorf("it calls itself %q", got)
	}
	if major, minor := d.ComputeCapability(); major != 9 || minor != 0 || d.Multiprocessors() != 132 || d.Kind() != "cuda" {
		t.Errorf("%d.%d, %d SMs, %s", major, minor, d.Multiprocessors(), d.Kind())
	}
	second, err := d.lib.open(1)
	if err != nil || second.Describe() != "Fake GPU 1 (sm_90)" {
		t.Errorf("second GPU: %v, %v", second, err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	_, err = d.lib.open(2)
	wantError(t, err, s2c.ErrNoDevice, "no GPU 2", "shows 2")
}

func TestMemory(t *testing.T) {
	f := newFake(t)
	d := f.open(t)
	p, err := d.Alloc(1000)
	if err != nil || p%256 != 0 {
		t.Fatalf("%#x, %v", p, err)
	}
	in, out := bytes.Repeat([]byte("s2c!"), 250), make([]byte, 1000)
	if err := errors.Join(d.Upload(p, in), d.Download(out, p)); err != nil || !bytes.Equal(in, out) {
		t.Errorf("a round trip changed the bytes: %v", err)
	}
	s := mustStream(t, d)
	clear(out)
	if err := errors.Join(s.UploadAsync(p, in), s.DownloadAsync(out, p), s.Wait()); err != nil || !bytes.Equal(in, out) {
		t.Errorf("an asynchronous round trip changed the bytes: %v", err)
	}
	if err := errors.Join(d.Upload(p, nil), d.Download(nil, p), s.UploadAsync(p, nil), s.DownloadAsync(nil, p), d.Free(0)); err != nil {
		t.Errorf("nothing to copy: %v", err)
	}
	wantError(t, d.Upload(p+8, in), s2c.ErrArgs, "copying 1000 bytes")
	wantError(t, d.Download(out, 16), s2c.ErrArgs, "copying 1000 bytes")
	free, total, err := d.MemInfo()
	if err != nil || total != 1<<30 || free != total-1000 {
		t.Errorf("%d of %d free, %v", free, total, err)
	}
	_, err = d.Alloc(5 << 30)
	wantError(t, err, s2c.ErrOutOfMemory, "no memory for 5.0 GiB on Fake GPU 0", "1024.0 MiB of 1.0 GiB are free", "out of memory", "CUDA_ERROR_OUT_OF_MEMORY")
	var de *DriverError
	if !errors.As(err, &de) || de.Code != 2 || de.Call != "cuMemAlloc_v2" {
		t.Errorf("the driver's error is not inside: %v", de)
	}
	for _, n := range []int64{0, -1} {
		_, err = d.Alloc(n)
		wantError(t, err, s2c.ErrArgs)
	}
	if err := d.Free(p); err != nil {
		t.Error(err)
	}
	wantError(t, d.Free(p), s2c.ErrArgs, "freeing")
	if f.get("used") != 0 {
		t.Error("memory is left")
	}
}

func mustStream(t *testing.T, d *Device) *Stream {
	t.Helper()
	s, err := d.NewStream()
	if err != nil {
		t.Fatal(err)
	}
	return s.(*Stream)
}

func TestStreamsAndEvents(t *testing.T) {
	f := newFake(t)
	d := f.open(t)
	s := mustStream(t, d)
	first, err1 := s.Record()
	_, err2 := d.DefaultStream().Record()
	last, err3 := s.Record()
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	if ms, err := last.Since(first); err != nil || ms != 1.0 {
		t.Errorf("%v ms, %v; the fake's clock gives half a millisecond an event", ms, err)
	}
	f.fail("cuStreamSynchronize", 700, 0)
	wantError(t, s.Wait(), s2c.ErrFault, "a kernel failed on the device", "illegal memory access")
	f.fail("cuEventRecord", 999, 0)
	_, err := s.Record()
	wantError(t, err, errDriver, "recording")
	if f.get("cuEventDestroy_v2") != 1 {
		t.Error("a failed Record leaks its event")
	}
	for range 2 {
		if err := errors.Join(s.Close(), first.Close(), d.DefaultStream().Close()); err != nil {
			t.Error(err)
		}
	}
	_, err = last.Since(first)
	wantError(t, err, s2c.ErrClosed)
	wantError(t, s.Wait(), s2c.ErrClosed)
	other := f.open(t)
	_, err = other.streamHandle(mustStream(t, d))
	wantError(t, err, s2c.ErrArgs, "not one of")
	foreign, err := other.DefaultStream().Record()
	if err != nil {
		t.Fatal(err)
	}
	_, err = last.Since(foreign)
	wantError(t, err, s2c.ErrArgs)
	_, err = last.Since(nil)
	wantError(t, err, s2c.ErrArgs)
}

func TestTensorMap(t *testing.T) {
	f := newFake(t)
	d := f.open(t)
	m := s2c.TensorMap{Base: 0x1000, Dims: []uint64{128, 300, 8, 2}, Strides: []uint64{256, 76800, 614400},
		Box: []uint32{64, 64, 1, 1}, Swizzle: 128, DType: s2c.BF16}
	for range 20 { // the frame lies elsewhere each time
		got, err := d.EncodeTensorMap(m)
		if err != nil {
			t.Fatal(err)
		}
		var words []uint64
		for i := range 10 {
			words = append(words, binary.LittleEndian.Uint64(got[8*i:]))
		}
		want := []uint64{0x1000, 9<<32 | 3<<16 | 3<<8 | 4, 128, 64 << 48, 300, 64<<48 | 256, 8, 1<<48 | 76800, 2, 1<<48 | 614400}
		if diff := cmp.Diff(want, words); diff != "" {
			t.Fatal(diff)
		}
	}
	f.fail("cuTensorMapEncodeTiled", 1, 0)
	_, err := d.EncodeTensorMap(m)
	wantError(t, err, s2c.ErrArgs, "dims [128 300 8 2]", "swizzle 128")
	for _, bad := range []func(*s2c.TensorMap){
		func(m *s2c.TensorMap) { m.Dims = nil },
		func(m *s2c.TensorMap) {
			m.Dims = make([]uint64, 6)
			m.Strides = make([]uint64, 5)
			m.Box = make([]uint32, 6)
		},
		func(m *s2c.TensorMap) { m.Strides = m.Strides[:2] },
		func(m *s2c.TensorMap) { m.Box = nil },
		func(m *s2c.TensorMap) { m.Swizzle = 16 },
		func(m *s2c.TensorMap) { m.DType = "f32" },
	} {
		b := m
		bad(&b)
		_, err := d.EncodeTensorMap(b)
		wantError(t, err, s2c.ErrKernel, "not a tensor map")
	}

	old := newFakeVariant(t, "-DOLD")
	old.set("version", 11080)
	_, err = old.open(t).EncodeTensorMap(m)
	wantError(t, err, s2c.ErrOldDriver, "for CUDA 11.8, and tensor maps need 12.0")
}

func TestClose(t *testing.T) {
	f := newFake(t)
	d := f.open(t)
	s := mustStream(t, d)
	for range 2 {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	if f.get("retained") != 0 || f.get("cuDevicePrimaryCtxRelease_v2") != 1 {
		t.Errorf("%d contexts retained, %d releases", f.get("retained"), f.get("cuDevicePrimaryCtxRelease_v2"))
	}
	_, err := d.Alloc(16)
	wantError(t, err, s2c.ErrClosed, "Fake GPU 0")
	wantError(t, s.Wait(), s2c.ErrClosed)
	_, err = d.LoadModule(attn)
	wantError(t, err, s2c.ErrClosed)
}

// A thread that has another context current, as a program's own CUDA code may,
// has it again after each call.
func TestThreadKeepsItsContext(t *testing.T) {
	f := newFake(t)
	d := f.open(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, before := range []int{0, 3} {
		for range before {
			d.lib.call(cuCtxPushCurrent, d.ctx)
		}
		if _, err := d.Alloc(16); err != nil {
			t.Error(err)
		}
		wantError(t, d.Free(3), s2c.ErrArgs) // also after a failure
		if got := f.get("depth"); got != int64(before) {
			t.Errorf("%d contexts on the thread's stack, %d before the call", got, before)
		}
		for range before {
			d.lib.call(cuCtxPopCurrent, ptrOf(&d.popped))
		}
	}
}

func TestManyGoroutines(t *testing.T) {
	f := newFake(t)
	d := f.open(t)
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			in, out := bytes.Repeat([]byte{byte(w)}, 512), make([]byte, 512)
			for range 50 {
				p, err := d.Alloc(512)
				if err != nil {
					t.Error(err)
					return
				}
				if err := errors.Join(d.Upload(p, in), d.Download(out, p), d.Free(p)); err != nil || !bytes.Equal(in, out) {
					t.Errorf("worker %d: %v", w, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestRegistered(t *testing.T) {
	for _, arg := range []string{"x", "-1", "1.5"} {
		_, err := s2c.OpenDevice("cuda:" + arg)
		wantError(t, err, s2c.ErrNoDevice, "no number of a GPU")
	}
}
