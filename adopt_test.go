//go:build unix

package s2c_test

import (
	"bytes"
	"errors"
	"runtime"
	"testing"
	"unsafe"

	"github.com/ebitengine/purego"

	"github.com/s2attention/s2c"
	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/examples"
	"github.com/s2attention/s2c/internal/gpu"
	"github.com/s2attention/s2c/internal/measure"
	"github.com/s2attention/s2c/launch"
	"github.com/s2attention/s2c/target"
)

// host is a program that uses the driver by itself: a context of its own on the first
// GPU, and a stream in it.
type host struct {
	t               *testing.T
	lib             uintptr
	context, stream uintptr
}

func openHost(t *testing.T) *host {
	t.Helper()
	lib, err := purego.Dlopen("libcuda.so.1", purego.RTLD_NOW)
	if err != nil {
		t.Fatal(err)
	}
	h, device, popped := &host{t: t, lib: lib}, new(int32), new(uintptr)
	h.call("cuDeviceGet", uintptr(unsafe.Pointer(device)), 0)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	h.call("cuCtxCreate_v2", uintptr(unsafe.Pointer(&h.context)), 0, uintptr(*device))
	h.call("cuStreamCreate", uintptr(unsafe.Pointer(&h.stream)), 0)
	h.call("cuCtxPopCurrent_v2", uintptr(unsafe.Pointer(popped))) // making it made it current
	return h
}

// close wants the stream and the context to be there still.
func (h *host) close() {
	popped := new(uintptr)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	h.call("cuCtxPushCurrent_v2", h.context)
	h.call("cuStreamSynchronize", h.stream)
	h.call("cuStreamDestroy_v2", h.stream)
	h.call("cuCtxPopCurrent_v2", uintptr(unsafe.Pointer(popped)))
	h.call("cuCtxDestroy_v2", h.context)
}

//go:uintptrescapes
func (h *host) call(name string, args ...uintptr) {
	at, err := purego.Dlsym(h.lib, name)
	if err != nil {
		h.t.Fatal(err)
	}
	if r, _, _ := purego.SyscallN(at, args...); int32(r) != 0 {
		h.t.Errorf("%s: CUresult %d", name, int32(r))
	}
}

// foreign is a device whose streams are all the host's one.
type foreign struct {
	s2c.Device
	stream uintptr
}

func (f foreign) NewStream() (s2c.Stream, error) { return s2c.AdoptStream(f.Device, f.stream) }

// TestGPUAdopt launches in a context and on a stream that the program made itself: the
// bytes are those of a device and a stream of s2c's own, no launch allocates, and its
// time is printed.
func TestGPUAdopt(t *testing.T) {
	own, err := s2c.OpenDevice("cuda")
	gpu.Need(t, err)
	defer own.Close()
	h := openHost(t)
	defer h.close()
	adopted, err := s2c.AdoptContext(h.context)
	if err != nil {
		t.Fatal(err)
	}
	defer adopted.Close()
	for _, on := range compiler.Targets {
		if major, minor := own.ComputeCapability(); !on.RunsOn(major, minor) {
			t.Logf("SKIPPED, code for %v does not run on %s", on, own.Describe())
			continue
		}
		b, err := s2c.Compile("s2-gqa.s2", s2c.Options{Targets: []target.Target{on}, ReadFile: examples.Files.ReadFile})
		if err != nil {
			t.Fatal(err)
		}
		there, here := solve(t, b, foreign{adopted, h.stream}, true), solve(t, b, own, false)
		if !bytes.Equal(there, here) {
			t.Errorf("%v: the adopted context and stream give other bytes than a device of its own", on)
		}
		if bytes.Contains(here, []byte{0xff, 0xff, 0xff, 0xff}) {
			t.Errorf("%v: a part of the output was not written", on)
		}
	}
}

// solve computes layer 0 on a new stream of a device and returns the outputs. It also
// looks at what a launch costs, if it is asked to.
func solve(t *testing.T, b *s2c.Bundle, dev s2c.Device, cost bool) (out []byte) {
	t.Helper()
	m := b.On(dev)
	defer m.Close()
	a, err := m.Layer(0)
	if err != nil {
		t.Fatal(err)
	}
	p, err := s2c.NewProblem(dev, s2c.Forward, b.Manifest.Shape, s2c.Args{Batch: 1, QLen: 1000, KLen: 3001}, s2c.RowsFirst)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Free()
	for n, role := range []launch.Role{s2c.Q, s2c.K, s2c.V} {
		x, err := measure.Normal(1, uint64(n), b.Manifest.Shape.DType, int(p.Bytes(role))/b.Manifest.Shape.DType.Bytes())
		if err := errors.Join(err, p.Put(role, x.Data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Run(a); err != nil {
		t.Fatal(err)
	}
	for _, role := range []launch.Role{s2c.O, s2c.LSE} {
		part := make([]byte, p.Bytes(role))
		if err := p.Get(role, part); err != nil {
			t.Fatal(err)
		}
		out = append(out, part...)
	}
	if cost {
		launchCost(t, a, p, dev)
	}
	return out
}

// launchCost prints the time of a launch, and wants it to allocate nothing.
func launchCost(t *testing.T, a *s2c.Attention, p *s2c.Problem, dev s2c.Device) {
	t.Helper()
	s, err := dev.NewStream()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	n := testing.AllocsPerRun(200, func() { err = errors.Join(err, a.Launch(s, p.Args)) })
	if err := errors.Join(err, s.Wait()); err != nil || n != 0 {
		t.Errorf("%v: a launch allocates %v times, %v", a.Plan().Target, n, err)
	}
	us, err := measure.LaunchCost(dev, a, 10000)
	if err != nil {
		t.Fatal(err)
	}
	sum := measure.Summarise(us)
	t.Logf("%v on %s: %.2f µs a launch on an adopted stream, the median of %d (%.2f to %.2f)", a.Plan().Target, dev.Describe(), sum.Median, sum.Runs, sum.P10, sum.P90)
}
