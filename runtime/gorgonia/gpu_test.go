//go:build gorgonia

package gorgonia

import (
	"bytes"
	"errors"
	"testing"

	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/examples"
	"github.com/s2attention/s2c/internal/gpu"
	"github.com/s2attention/s2c/internal/measure"
	"github.com/s2attention/s2c/launch"
	"github.com/s2attention/s2c/runtime"
	"github.com/s2attention/s2c/runtime/cuda"
)

// compared are the problems that both drivers solve: whole blocks, a cut one, a few
// queries behind a long context, and several sequences.
var compared = []runtime.Args{
	{Batch: 1, QLen: 4096, KLen: 4096},
	{Batch: 1, QLen: 1000, KLen: 1000},
	{Batch: 2, QLen: 77, KLen: 8191},
}

// twice is a plan on the same GPU through both drivers.
type twice struct {
	plan         *launch.Plan
	mine, theirs *runtime.Attention
	dev, peer    runtime.Device
}

// eachTarget compiles an example for every target that the GPU can load, and runs f
// with each.
func eachTarget(t *testing.T, f func(t *testing.T, k *twice)) {
	t.Setenv(cuda.CacheVariable, "off")
	d := open(t)
	peer, err := cuda.Open(0)
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	u, list := compiler.Load("s2-gqa.s2", dsl.Options{ReadFile: examples.Files.ReadFile})
	if err := list.Err(); err != nil {
		t.Fatal(err)
	}
	b, err := u.Bundle(compiler.Targets, u.Program.Text, compiler.Options{})
	if err != nil {
		t.Fatal(err)
	}
	major, minor := d.ComputeCapability()
	for i := range b.Plans {
		p := &b.Plans[i]
		t.Run(p.Target.String(), func(t *testing.T) {
			if !p.Target.RunsOn(major, minor) {
				t.Skipf("SKIPPED, code for %v does not run on %s", p.Target, d.Describe())
			}
			mine, err1 := runtime.Load(d, p)
			theirs, err2 := runtime.Load(peer, p)
			if err := errors.Join(err1, err2); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := errors.Join(mine.Unload(), theirs.Unload()); err != nil {
					t.Error(err)
				}
			}()
			f(t, &twice{p, mine, theirs, d, peer})
		})
	}
}

// fill allocates a problem with random inputs; the test frees it.
func (k *twice) fill(t *testing.T, dev runtime.Device, args runtime.Args) *runtime.Problem {
	t.Helper()
	p, err := runtime.NewProblem(dev, k.plan.Op, k.plan.Shape, args, runtime.HeadsFirst)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Free(); err != nil {
			t.Error(err)
		}
	})
	for n, role := range []launch.Role{launch.Q, launch.K, launch.V} {
		x, err := measure.Normal(1, uint64(n), k.plan.DType, int(p.Bytes(role))/k.plan.DType.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Put(role, x.Data); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// TestGPUSameBytes wants a kernel to give the same bytes through either driver, and
// prints what each takes.
func TestGPUSameBytes(t *testing.T) {
	if fake() {
		gpu.Need(t, runtime.Errorf(runtime.ErrNoDevice, "the driver for tests executes nothing"))
	}
	eachTarget(t, func(t *testing.T, k *twice) {
		for _, args := range compared {
			mine, theirs := k.fill(t, k.dev, args), k.fill(t, k.peer, args)
			if err := errors.Join(mine.Run(k.mine), theirs.Run(k.theirs)); err != nil {
				t.Fatal(err)
			}
			for _, role := range []launch.Role{launch.O, launch.LSE} {
				got, want := make([]byte, mine.Bytes(role)), make([]byte, theirs.Bytes(role))
				if err := errors.Join(mine.Get(role, got), theirs.Get(role, want)); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, want) || bytes.Contains(got, []byte{0xff, 0xff, 0xff, 0xff}) {
					t.Errorf("%d × %d of %d tokens: %s is another one than through runtime/cuda, or unwritten", args.Batch, args.QLen, args.KLen, launch.Tensors[role].Name)
				}
			}
		}
		k.times(t)
	})
}

// times logs how long kernels and launches take through either driver.
func (k *twice) times(t *testing.T) {
	for _, x := range []struct {
		name string
		dev  runtime.Device
		a    *runtime.Attention
	}{{"runtime/gorgonia", k.dev, k.mine}, {"runtime/cuda", k.peer, k.theirs}} {
		for _, seq := range []int{4096, 32768} {
			p, err := measure.NewProblem(x.dev, k.plan.Shape, 1, seq, 1)
			if err != nil {
				t.Fatal(err)
			}
			ms, err := p.Time(x.a, measure.Timing{})
			if err := errors.Join(err, p.Close()); err != nil {
				t.Fatal(err)
			}
			t.Logf("%s, %d tokens: %.4f ms", x.name, seq, measure.Summarise(ms).Median)
		}
		us, err := measure.LaunchCost(x.dev, x.a, 10000)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %.2f µs a launch", x.name, measure.Summarise(us).Median)
	}
}

// TestSameLaunches wants the driver to be given the same launch by both packages.
func TestSameLaunches(t *testing.T) {
	if !fake() {
		t.Skip("SKIPPED, no launches are compared: a real driver does not say what it was given")
	}
	f := openFake()
	eachTarget(t, func(t *testing.T, k *twice) {
		for _, args := range compared {
			p := k.fill(t, k.dev, args)
			s, err1 := k.dev.NewStream()
			peer, err2 := k.peer.NewStream()
			if err := errors.Join(err1, err2); err != nil {
				t.Fatal(err)
			}
			before := f.get("launches")
			if err := errors.Join(k.mine.Launch(s, p.Args), k.theirs.Launch(peer, p.Args), s.Close(), peer.Close()); err != nil {
				t.Fatal(err)
			}
			kernels := int32(len(k.plan.Kernels))
			if n := f.get("launches") - before; n != int64(2*kernels) {
				t.Fatalf("%d launches of %d kernels through two packages", n, kernels)
			}
			for n := range kernels {
				got, want := f.launched(int32(before)+n), f.launched(int32(before)+kernels+n)
				if got.stream == 0 || want.stream == 0 || got.stream == want.stream {
					t.Errorf("launches on streams %#x and %#x", got.stream, want.stream)
				}
				if got.stream, want.stream = 0, 0; *got != *want || got.size == 0 {
					t.Errorf("runtime/gorgonia launches\n%+v\nruntime/cuda\n%+v", got, want)
				}
			}
		}
	})
}
