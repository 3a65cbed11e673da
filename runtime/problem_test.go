package runtime_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/s2attention/s2c/launch"
	"github.com/s2attention/s2c/runtime"
	"github.com/s2attention/s2c/runtime/emu"
)

// loadScaled registers the operation of scaledPlan and loads the plan.
func loadScaled(t *testing.T, dev runtime.Device) *runtime.Attention {
	t.Helper()
	launch.Operations[scaled] = launch.Operation{Reads: []launch.Role{launch.Q}, Writes: []launch.Role{launch.O}}
	t.Cleanup(func() { delete(launch.Operations, scaled) })
	a, err := runtime.Load(dev, scaledPlan())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Unload() })
	return a
}

// unmarked hides that the emulator knows what was written.
type unmarked struct{ runtime.Device }

// TestProblem computes an operation with a workspace in both orders; each row is
// scaled by its sum, so rows that are permuted alike give results permuted alike.
func TestProblem(t *testing.T) {
	const batch, heads, length, dim = 2, 3, 50, 8
	dev := emu.New(emu.Options{})
	defer dev.Close()
	a := loadScaled(t, dev)
	in := make([]byte, 2*batch*heads*length*dim)
	want := make([]byte, len(in))
	for row := range len(in) / 2 / dim {
		sum := float32(0)
		for d := range dim {
			sum += float32((row + d) % 4)
		}
		for d := range dim {
			x, at := float32((row+d)%4), 2*(row*dim+d)
			binary.LittleEndian.PutUint16(in[at:], uint16(math.Float32bits(x)>>16))
			binary.LittleEndian.PutUint16(want[at:], uint16(math.Float32bits(sum*x)>>16))
		}
	}
	for _, order := range []runtime.Order{runtime.HeadsFirst, runtime.RowsFirst} {
		p, err := runtime.NewProblem(dev, scaled, a.Plan().Shape, runtime.Args{Batch: batch, QLen: length, KLen: length}, order)
		if err != nil {
			t.Fatal(err)
		}
		if p.Bytes(launch.O) != int64(len(want)) || p.Bytes(launch.K) != 0 || p.Bytes(200) != 0 {
			t.Errorf("%d, %d and %d bytes", p.Bytes(launch.O), p.Bytes(launch.K), p.Bytes(200))
		}
		q := p.Args.Tensors[launch.Q]
		wantQ := map[runtime.Order]runtime.Tensor{
			runtime.HeadsFirst: runtime.BHSD(q.Ptr, heads, length, dim), runtime.RowsFirst: runtime.BSHD(q.Ptr, length, heads, dim),
		}[order]
		if q != wantQ {
			t.Errorf("order %d: %+v, want %+v", order, q, wantQ)
		}
		got := make([]byte, len(want))
		if err := errors.Join(p.Put(launch.Q, in), p.Run(a), p.Get(launch.O, got)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("order %d: wrong", order)
		}
		if err := errors.Join(p.Free(), p.Free()); err != nil {
			t.Error(err)
		}
	}
}

// TestProblemPoison wants what a launch leaves out to show, whether the device
// looks for it or not.
func TestProblemPoison(t *testing.T) {
	real := emu.New(emu.Options{})
	defer real.Close()
	a := loadScaled(t, real)
	for name, dev := range map[string]runtime.Device{"checked": real, "plain": unmarked{real}} {
		// More than one piece of poison, and a rest.
		p, err := runtime.NewProblem(dev, scaled, a.Plan().Shape, runtime.Args{Batch: 3, QLen: 7777, KLen: 7777}, runtime.HeadsFirst)
		if err != nil {
			t.Fatal(err)
		}
		out := make([]byte, p.Bytes(launch.O))
		if err := errors.Join(p.Put(launch.O, out), p.Poison()); err != nil {
			t.Fatal(err)
		}
		if err := p.Check(); errors.Is(err, runtime.ErrFault) != (dev == runtime.Device(real)) {
			t.Errorf("%s: nothing was written, and Check says %v", name, err)
		}
		if err := p.Get(launch.O, out); err != nil {
			t.Fatal(err)
		}
		if i := slices.IndexFunc(out, func(b byte) bool { return b != 0xff }); i >= 0 {
			t.Errorf("%s: byte %d of %d is not poisoned", name, i, len(out))
		}
		if err := p.Free(); err != nil {
			t.Error(err)
		}
	}
}

func TestProblemErrors(t *testing.T) {
	dev := emu.New(emu.Options{})
	defer dev.Close()
	shape := launch.Shape{Heads: 3, KVHeads: 3, HeadDim: 8, Block: 16, DType: runtime.BF16, Scale: 1}
	good := runtime.Args{Batch: 1, QLen: 5, KLen: 5}
	for name, try := range map[string]func() (*runtime.Problem, error){
		"no device":    func() (*runtime.Problem, error) { return runtime.NewProblem(nil, launch.Forward, shape, good, 0) },
		"no operation": func() (*runtime.Problem, error) { return runtime.NewProblem(dev, "sideways", shape, good, 0) },
		"no shape": func() (*runtime.Problem, error) {
			return runtime.NewProblem(dev, launch.Forward, launch.Shape{}, good, 0)
		},
		"no lengths": func() (*runtime.Problem, error) {
			return runtime.NewProblem(dev, launch.Forward, shape, runtime.Args{}, 0)
		},
		"too large": func() (*runtime.Problem, error) {
			return runtime.NewProblem(dev, launch.Forward, shape, runtime.Args{Batch: math.MaxInt32, QLen: 5, KLen: runtime.MaxLen}, 0)
		},
	} {
		if p, err := try(); p != nil || !errors.Is(err, runtime.ErrArgs) && !errors.Is(err, runtime.ErrOutOfMemory) {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
	p, err := runtime.NewProblem(dev, launch.Forward, shape, good, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := func(kind, err error) {
		t.Helper()
		if !errors.Is(err, kind) {
			t.Errorf("%v, want a %v", err, kind)
		}
	}
	want(runtime.ErrArgs, p.Put(launch.Q, make([]byte, 7)))
	want(runtime.ErrArgs, p.Get(launch.Roles, nil))
	want(runtime.ErrClosed, p.Run(nil)) // after the outputs were marked
	if err := p.Free(); err != nil {
		t.Error(err)
	}
	if err := dev.CheckOutputs(); err != nil {
		t.Errorf("the device still looks at what was freed: %v", err)
	}
	for _, p := range []*runtime.Problem{p, nil, {}} {
		want(runtime.ErrClosed, p.Put(launch.Q, nil))
		want(runtime.ErrClosed, p.Get(launch.Q, nil))
		want(runtime.ErrClosed, p.Poison())
		want(runtime.ErrClosed, p.Check())
		want(runtime.ErrClosed, p.Launch(nil, nil))
		want(runtime.ErrClosed, p.Run(nil))
		if err := p.Free(); err != nil {
			t.Error(err)
		}
	}
}

// TestModelOn wants the caller's device to outlive the model.
func TestModelOn(t *testing.T) {
	dev := emu.New(emu.Options{})
	defer dev.Close()
	loadScaled(t, dev)
	b := &runtime.Bundle{Manifest: runtime.Manifest{Model: "m"}, Plans: []launch.Plan{*scaledPlan()}}
	m := b.On(dev)
	a, err := m.Load(scaled, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(m.Close(), m.Close()); err != nil {
		t.Fatal(err)
	}
	if err := a.Launch(nil, runtime.Args{}); !errors.Is(err, runtime.ErrClosed) {
		t.Errorf("the layer after Close: %v", err)
	}
	if _, err := dev.Alloc(16); err != nil {
		t.Errorf("the device after Close: %v", err)
	}
}
