package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/internal/reference"
	"github.com/s2attention/s2c/internal/tensor"
	"github.com/s2attention/s2c/runtime"
	"github.com/s2attention/s2c/target"
)

// sources are small models; the example must serve both types.
var sources = map[string]string{
	"bf16": `model small_bf16 { heads 4  kv_heads 2  head_dim 64  block 16  dtype bf16  causal  layers 2 }
layer even -> stride(3, phase: -h) | window(2)
layer odd -> dense
`,
	"f16": `model small_f16 { heads 2  kv_heads 2  head_dim 64  block 32  dtype f16  causal  layers 1 }
layer * -> sink(1) | window(2)
`,
}

// compile writes the bundle of a source and returns its path and program.
func compile(t *testing.T, name string) (string, *dsl.Program) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, name+".s2")
	if err := os.WriteFile(path, []byte(sources[name]), 0o644); err != nil {
		t.Fatal(err)
	}
	unit, list := compiler.Load(path, dsl.Options{})
	if unit == nil {
		t.Fatalf("%+v", list)
	}
	b, err := unit.Bundle([]target.Target{target.SM80}, sources[name], compiler.Options{})
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, name+".s2b")
	if err := runtime.WriteBundleFile(out, b); err != nil {
		t.Fatal(err)
	}
	return out, unit.Program
}

// TestAttend compares what the example computes with the float64 reference, on
// every kind of device that is there.
func TestAttend(t *testing.T) {
	for name := range sources {
		bundle, program := compile(t, name)
		for _, device := range runtime.DeviceKinds() {
			t.Run(name+"/"+device, func(t *testing.T) {
				m, err := runtime.Open(bundle, device)
				if errors.Is(err, runtime.ErrNoDevice) {
					t.Skipf("SKIPPED on %s: %v", device, err)
				}
				if err != nil {
					t.Fatal(err)
				}
				defer m.Close()
				for layer := range program.Model.Layers {
					compare(t, m, program, layer, 150)
				}
			})
		}
	}
}

func compare(t *testing.T, m *runtime.Model, program *dsl.Program, layer, seq int) {
	t.Helper()
	s := m.Bundle.Manifest.Shape
	d := s.DType
	q, k, v := normal(t, d, 1, s.Heads, seq, s.HeadDim), normal(t, d, 2, s.KVHeads, seq, s.HeadDim), normal(t, d, 3, s.KVHeads, seq, s.HeadDim)
	o, lse, err := attend(m, layer, seq, swap(q.Data, s.Heads, seq, s.HeadDim), swap(k.Data, s.KVHeads, seq, s.HeadDim), swap(v.Data, s.KVHeads, seq, s.HeadDim))
	if err != nil {
		t.Fatal(err)
	}
	ref, err := reference.Attention(context.Background(), reference.Problem{
		Model: program.Model, Attends: reference.Source(program, layer), Scale: s.Scale, Q: q, K: k, V: v,
	})
	if err != nil {
		t.Fatal(err)
	}
	out, err1 := tensor.New(d, 1, s.Heads, seq, s.HeadDim)
	sums, err2 := tensor.New(dtype.F32, 1, s.Heads, seq)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	copy(out.Data, swap(o, seq, s.Heads, s.HeadDim))
	for i, x := range lse {
		binary.LittleEndian.PutUint32(sums.Data[4*i:], math.Float32bits(x))
	}
	e, err := reference.Compare(out, sums, ref, s.Heads)
	if err != nil {
		t.Fatal(err)
	}
	if !e.Within(reference.ToleranceOf(program.Model.DType)) {
		t.Errorf("layer %d: %+v", layer, e)
	}
}

func normal(t *testing.T, d dtype.Type, stream uint64, heads, seq, dim int) *tensor.Tensor {
	t.Helper()
	x, err := tensor.Normal(7, stream, d, 1, heads, seq, dim)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// swap turns [a, b, dim] of 16-bit elements into [b, a, dim].
func swap(data []byte, a, b, dim int) []byte {
	out := make([]byte, 0, len(data))
	for j := range b {
		for i := range a {
			at := 2 * dim * (i*b + j)
			out = append(out, data[at:at+2*dim]...)
		}
	}
	return out
}

func TestRun(t *testing.T) {
	bundle, _ := compile(t, "bf16")
	var first, second bytes.Buffer
	for _, w := range []*bytes.Buffer{&first, &second} {
		if err := run(w, bundle, "emu", 0, 100); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.Contains(first.String(), "small_bf16, layer 0, 100 tokens on PTX emulator") || first.String() != second.String() {
		t.Errorf("it prints\n%s%s", &first, &second)
	}
	for name, err := range map[string]error{
		"no bundle":  run(&first, bundle+"x", "emu", 0, 100),
		"no layer":   run(&first, bundle, "emu", 9, 100),
		"no device":  run(&first, bundle, "tpu", 0, 100),
		"no tokens":  run(&first, bundle, "emu", 0, 0),
		"wrong chip": run(&first, bundle, "emu:sm_70", 0, 100),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestHalves(t *testing.T) {
	for _, d := range []runtime.DType{runtime.BF16, runtime.F16} {
		bits := map[runtime.DType]float64{runtime.BF16: 8, runtime.F16: 11}[d]
		for i := -1000; i <= 1000; i++ {
			x := float64(i) / 1000
			got := decode(d, binary.LittleEndian.AppendUint16(nil, encode(d, x)))
			if math.Abs(got-x) > math.Abs(x)*math.Exp2(-bits) {
				t.Errorf("%s: %v became %v", d, x, got)
			}
		}
	}
	want := map[uint16]float64{0x0001: 0x1p-24, 0x3c00: 1, 0xbc00: -1, 0x3555: 0x1.554p-2}
	for bits, x := range want {
		if got := decode(runtime.F16, binary.LittleEndian.AppendUint16(nil, bits)); got != x {
			t.Errorf("%#x is %v, want %v", bits, got, x)
		}
	}
}
