package cuda

import (
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/s2attention/s2c/internal/gpu"
	s2c "github.com/s2attention/s2c/runtime"
)

// scale multiplies each of n numbers at x, and uses dynamic shared memory.
const scale = `.version VERSION
.target TARGET
.address_size 64
.extern .shared .align 16 .b8 dyn[];
.visible .entry scale(.param .u64 x, .param .u32 n, .param .u32 by)
{
	.reg .pred %p;
	.reg .b32 %r<8>;
	.reg .b64 %d<3>;
	ld.param.u64 %d0, [x];
	ld.param.u32 %r0, [n];
	ld.param.u32 %r1, [by];
	mov.u32 %r2, %ctaid.x;
	mov.u32 %r3, %ntid.x;
	mov.u32 %r4, %tid.x;
	mad.lo.u32 %r5, %r2, %r3, %r4;
	setp.ge.u32 %p, %r5, %r0;
	@%p ret;
	mul.wide.u32 %d1, %r5, 4;
	add.u64 %d1, %d0, %d1;
	ld.global.u32 %r6, [%d1];
	mul.lo.u32 %r6, %r6, %r1;
	mov.u32 %r7, dyn;
	mad.lo.u32 %r7, %r4, 64, %r7;
	st.shared.u32 [%r7], %r6;
	ld.shared.u32 %r6, [%r7];
	st.global.u32 [%d1], %r6;
	ret;
}
`

// realDevice opens the machine's GPU; the test is skipped where there is none.
func realDevice(t testing.TB) *Device {
	t.Helper()
	d, err := Open(0)
	gpu.Need(t, err)
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func TestGPU(t *testing.T) {
	t.Setenv(CacheVariable, t.TempDir())
	d := realDevice(t)
	t.Logf("%s, driver for CUDA %s", d.Describe(), dotted(d.Library().Version()))
	targets := map[string]string{"sm_80": "7.0"}
	if d.major == 9 && d.minor == 0 {
		targets["sm_90a"] = "8.0"
	}
	for target, version := range targets {
		ptx := strings.NewReplacer("VERSION", version, "TARGET", target).Replace(scale)
		for _, from := range []string{"the compiler", "the cache"} {
			start := time.Now()
			m, err := d.LoadModule(ptx)
			if err != nil {
				t.Fatalf("%s from %s: %v", target, from, err)
			}
			log := m.(s2c.Logger).JITLog()
			t.Logf("%s from %s in %v:\n%s", target, from, time.Since(start), log)
			// Code for sm_90a is compiled while it is loaded: the driver keeps it, and what its
			// compiler said is lost.
			kept := target == "sm_80" || from == "the compiler"
			if kept && !strings.Contains(log, "registers") {
				t.Errorf("the log of %s from %s lacks the register count:\n%s", target, from, log)
			}
			scaleOnGPU(t, d, m)
			if err := m.Unload(); err != nil {
				t.Error(err)
			}
		}
	}
}

func scaleOnGPU(t *testing.T, d *Device, m s2c.Module) {
	t.Helper()
	const threads = 1024
	fn, err := m.Function("scale", 64*threads) // needs the opt-in
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			const n = 100_000
			s, err := d.NewStream()
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			data := make([]byte, 4*n)
			for i := range n {
				binary.LittleEndian.PutUint32(data[4*i:], uint32(i))
			}
			p, err := d.Alloc(int64(len(data)))
			if err != nil {
				t.Error(err)
				return
			}
			defer d.Free(p)
			params := binary.LittleEndian.AppendUint64(nil, uint64(p))
			params = binary.LittleEndian.AppendUint32(params, n)
			params = binary.LittleEndian.AppendUint32(params, uint32(w+2))
			if err := errors.Join(
				d.Upload(p, data),
				fn.Launch(s, [3]int{(n + threads - 1) / threads, 1, 1}, [3]int{threads, 1, 1}, params),
				s.Wait(),
				d.Download(data, p),
			); err != nil {
				t.Error(err)
				return
			}
			for i := range n {
				if got := binary.LittleEndian.Uint32(data[4*i:]); got != uint32(i*(w+2)) {
					t.Errorf("worker %d: element %d is %d", w, i, got)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestGPUErrors(t *testing.T) {
	d := realDevice(t)
	_, total, err := d.MemInfo()
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Alloc(2 * total)
	wantError(t, err, s2c.ErrOutOfMemory, "are free", "CUDA_ERROR_OUT_OF_MEMORY")
	good := strings.NewReplacer("VERSION", "7.0", "TARGET", "sm_80").Replace(scale)
	_, err = d.LoadModule(strings.Replace(good, "mul.lo.u32", "mul.quux.u32", 1))
	wantError(t, err, s2c.ErrCompile, "CUDA_ERROR_INVALID_PTX", "\tmul.quux.u32 %r6, %r6, %r1;")
	t.Log(err)
	_, err = d.LoadModule(strings.Replace(good, "sm_80", "sm_130a", 1))
	wantError(t, err, s2c.ErrArchitecture)
	_, err = d.LoadModule(strings.Replace(good, "7.0", "99.0", 1))
	wantError(t, err, s2c.ErrOldDriver)
	t.Log(err)
	m, err := d.LoadModule(good)
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.Function("nothing", 0)
	wantError(t, err, s2c.ErrKernel, "no entry nothing")
	_, err = m.Function("scale", 1<<20)
	wantError(t, err, s2c.ErrArchitecture, "shared memory")
}

// Maps of both layouts, with an axis of extent 1 and one that repeats.
func TestGPUTensorMap(t *testing.T) {
	d := realDevice(t)
	if d.major < 9 {
		t.Skip("SKIPPED, tensor maps need compute capability 9.0")
	}
	p, err := d.Alloc(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Free(p)
	m := s2c.TensorMap{Base: p, Dims: []uint64{128, 64, 8, 2}, Strides: []uint64{256, 256 * 64, 256 * 64 * 8},
		Box: []uint32{64, 64, 1, 1}, Swizzle: 128, DType: s2c.BF16}
	seen := map[[128]byte]bool{}
	for name, strides := range map[string][]uint64{
		"heads before rows": m.Strides, "rows before heads": {2048, 256, 2048 * 64}, "one sequence": {256, 256 * 64, 256}, "repeated": {256, 256 * 64, 0},
	} {
		m.Strides = strides
		got, err := d.EncodeTensorMap(m)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		seen[got] = true
	}
	if len(seen) != 4 {
		t.Errorf("%d different maps of 4", len(seen))
	}
	m.Strides = []uint64{8, 256, 256}
	_, err = d.EncodeTensorMap(m)
	wantError(t, err, s2c.ErrArgs, "strides [8 256 256]")
}

func TestGPUTiming(t *testing.T) {
	d := realDevice(t)
	m, err := d.LoadModule(strings.NewReplacer("VERSION", "7.0", "TARGET", "sm_80").Replace(scale))
	if err != nil {
		t.Fatal(err)
	}
	fn, err := m.Function("scale", 0)
	if err != nil {
		t.Fatal(err)
	}
	s := mustStream(t, d)
	from, err := s.Record()
	if err != nil {
		t.Fatal(err)
	}
	params := make([]byte, 16) // n = 0: the kernel returns at once
	for range 100 {
		if err := fn.Launch(s, [3]int{1, 1, 1}, [3]int{32, 1, 1}, params); err != nil {
			t.Fatal(err)
		}
	}
	to, err := s.Record()
	if err != nil {
		t.Fatal(err)
	}
	if ms, err := to.Since(from); err != nil || ms <= 0 || ms > 1000 {
		t.Errorf("100 launches took %v ms, %v", ms, err)
	}
	if from, err := d.DefaultStream().Record(); err != nil {
		t.Error(err)
	} else if _, err := to.Since(from); err != nil {
		t.Error(err)
	}
}

// BenchmarkGPULaunch is the host's time for a launch that the device keeps up with.
func BenchmarkGPULaunch(b *testing.B) {
	os.Setenv(CacheVariable, "off")
	d := realDevice(b)
	m, err := d.LoadModule(strings.NewReplacer("VERSION", "7.0", "TARGET", "sm_80").Replace(scale))
	if err != nil {
		b.Fatal(err)
	}
	fn, err := m.Function("scale", 0)
	if err != nil {
		b.Fatal(err)
	}
	s, err := d.NewStream()
	if err != nil {
		b.Fatal(err)
	}
	params := make([]byte, 16)
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		if err := fn.Launch(s, [3]int{1, 1, 1}, [3]int{32, 1, 1}, params); err != nil {
			b.Fatal(err)
		}
		if n++; n%512 == 0 {
			b.StopTimer()
			if err := s.Wait(); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
	}
}
