package measure

import (
	"context"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/internal/ptxas"
	"github.com/s2attention/s2c/internal/tensor"
	"github.com/s2attention/s2c/launch"
	"github.com/s2attention/s2c/runtime"
	"github.com/s2attention/s2c/runtime/emu"
	"github.com/s2attention/s2c/target"
)

const file = `
model small { heads 4  kv_heads 2  head_dim 64  block 16  dtype bf16  causal  layers 2 }
layer 0 -> dense
layer 1 -> window(2) | stride(4, phase: -h)
`

// kernel compiles a layer of the small file and loads it into an emulator.
func kernel(t *testing.T, dev runtime.Device, layer int) (*runtime.Attention, Source) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "small.s2")
	if err := os.WriteFile(path, []byte(file), 0o644); err != nil {
		t.Fatal(err)
	}
	unit, list := compiler.Load(path, dsl.Options{})
	if unit == nil {
		t.Fatal(list)
	}
	l, err := unit.Layer(layer)
	if err != nil {
		t.Fatal(err)
	}
	c, err := unit.Compile(l, target.SM80, compiler.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a, err := runtime.Load(dev, c.Plan)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Unload() })
	return a, Source{unit.Program, layer, unit.Module.Shape.Scale}
}

func problem(t *testing.T, dev runtime.Device, a *runtime.Attention, batch, seq int) *Problem {
	t.Helper()
	p, err := NewProblem(dev, a.Plan().Shape, batch, seq, 3)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func TestCheckAndTime(t *testing.T) {
	dev := emu.New(emu.Options{})
	a, src := kernel(t, dev, 1)
	p := problem(t, dev, a, 2, 100)
	v, err := p.Check(context.Background(), a, src)
	if err != nil {
		t.Fatal(err)
	}
	if !v.OK || v.Heads != 4 || v.Rows != 100 {
		t.Errorf("verdict %+v", v)
	}
	if same, err := p.Repeats(a); err != nil || !same {
		t.Errorf("repeats: %v, %v", same, err)
	}
	ms, err := p.Time(a, Timing{Runs: 3})
	if err != nil {
		t.Fatal(err)
	}
	if s := Summarise(ms); s.Runs != 3 || !(s.Min > 0) {
		t.Errorf("times %+v", s)
	}
}

// TestCheckFinds gives the check what it must refuse.
func TestCheckFinds(t *testing.T) {
	dev := emu.New(emu.Options{})
	dense, _ := kernel(t, dev, 0)
	sparse, src := kernel(t, dev, 1)
	p := problem(t, dev, sparse, 1, 200)
	v, err := p.Check(context.Background(), dense, src) // another pattern's kernel
	if err != nil {
		t.Fatal(err)
	}
	if v.OK || !strings.Contains(v.Reason, "of a row (batch 0, head ") {
		t.Errorf("verdict %+v", v)
	}

	if v, err = p.Check(context.Background(), sparse, src); err != nil || !v.OK {
		t.Fatalf("verdict %+v, %v", v, err)
	}
	if reason := p.notFinite(); reason != "" {
		t.Errorf("a good output: %s", reason)
	}
	at := 2 * ((3*200+17)*64 + 9)
	old := binary.LittleEndian.Uint16(p.out.Data[at:])
	for _, bits := range []uint16{0xFFFF, 0x7F80, 0xFF80} {
		binary.LittleEndian.PutUint16(p.out.Data[at:], bits)
		if reason := p.notFinite(); !strings.Contains(reason, "batch 0, head 3, query 17") {
			t.Errorf("%#x: %q", bits, reason)
		}
	}
	binary.LittleEndian.PutUint16(p.out.Data[at:], 0x7F7F) // the greatest finite value
	if reason := p.notFinite(); reason != "" {
		t.Errorf("a finite value: %s", reason)
	}
	if same, err := p.Repeats(sparse); err != nil || same {
		t.Errorf("a changed output repeats: %v, %v", same, err)
	}
	binary.LittleEndian.PutUint16(p.out.Data[at:], old)
	binary.LittleEndian.PutUint32(p.lse.Data[4*205:], math.Float32bits(float32(math.NaN())))
	if reason := p.notFinite(); !strings.Contains(reason, "head 1, query 5") {
		t.Errorf("a log-sum-exp that is no number: %q", reason)
	}
}

// TestSample: short problems are compared in full, long ones in part, the ends
// always among it.
func TestSample(t *testing.T) {
	p := &Problem{Batch: 1, Seq: 64, shape: launch.Shape{Heads: 4, HeadDim: 64, Block: 16}}
	if heads, rows := sample(p.shape, p.Batch, p.Seq); heads != nil || rows != nil {
		t.Errorf("heads %v, rows %v of a short problem", heads, rows)
	}
	p.shape.Heads, p.Seq = 32, 131072-3
	heads, rows := sample(p.shape, p.Batch, p.Seq)
	if len(heads) != sampleHeads || heads[0] != 0 || heads[3] != 31 {
		t.Errorf("heads %v", heads)
	}
	if len(rows) != sampleBlocks*16-3 || rows[0] != 0 || rows[len(rows)-1] != p.Seq-1 {
		t.Errorf("rows %v", rows)
	}
}

// TestSampledCheck compares a part of a problem that is too long to compare whole.
func TestSampledCheck(t *testing.T) {
	dev := emu.New(emu.Options{})
	a, src := kernel(t, dev, 1)
	p := problem(t, dev, a, 1, 1100)
	v, err := p.Check(context.Background(), a, src)
	if err != nil {
		t.Fatal(err)
	}
	if !v.OK || v.Heads != 4 || v.Rows >= 1100 || v.Rows < 40 {
		t.Errorf("verdict %+v", v)
	}
}

// change sets elements of an input, on the device as well.
func change(t *testing.T, p *Problem, x *tensor.Tensor, ptr runtime.Ptr, value func(n int) (float32, bool)) {
	t.Helper()
	for n := range x.Len() {
		if v, ok := value(n); ok {
			x.Set(n, v)
		}
	}
	if err := p.dev.Upload(ptr, x.Data); err != nil {
		t.Fatal(err)
	}
}

// TestCheckNotFinite: a NaN among the values makes what attends it NaN, which is
// right; where the pattern does not attend it, it is as wrong as ever.
func TestCheckNotFinite(t *testing.T) {
	dev := emu.New(emu.Options{})
	dense, src := kernel(t, dev, 0)
	_, sparse := kernel(t, dev, 1)
	for _, seq := range []int{200, 1100} { // compared in full, and in part
		p := problem(t, dev, dense, 1, seq)
		change(t, p, p.V, p.mem.Args.Tensors[launch.V].Ptr, func(n int) (float32, bool) {
			return float32(math.NaN()), n%64 == 7 && n/64%seq == 0 // a channel of token 0
		})
		v, err := p.Check(context.Background(), dense, src)
		if err != nil {
			t.Fatal(err)
		}
		notes := strings.Join(v.Notes, "; ")
		if !v.OK || v.Errors.NotFinite == 0 || !strings.Contains(notes, "as the inputs that they attend do") {
			t.Errorf("%d tokens: verdict %+v", seq, v)
		}
		if sampled := strings.Contains(notes, "the inputs hold values that are not finite: only"); sampled != (seq == 1100) {
			t.Errorf("%d tokens: notes %q", seq, notes)
		}
		if v, err = p.Check(context.Background(), dense, sparse); err != nil || v.OK || !strings.Contains(v.Reason, "NaN at batch 0, head ") {
			t.Errorf("%d tokens, another pattern: verdict %+v, %v", seq, v, err)
		}
	}
}

// TestCheckBeyond: rows beyond the limit are not judged, and counted.
func TestCheckBeyond(t *testing.T) {
	dev := emu.New(emu.Options{})
	a, src := kernel(t, dev, 1)
	p := problem(t, dev, a, 1, 200)
	change(t, p, p.K, p.mem.Args.Tensors[launch.K].Ptr, func(int) (float32, bool) { return 0x1p126, true })
	v, err := p.Check(context.Background(), a, src)
	if err != nil {
		t.Fatal(err)
	}
	if !v.OK || v.Errors.Beyond != v.Errors.Rows || v.Errors.Rows != 4*v.Rows || !strings.Contains(v.Notes[0], "are not judged") {
		t.Errorf("verdict %+v", v)
	}
}

// TestExcuse: only inputs that promise finite outputs make others wrong.
func TestExcuse(t *testing.T) {
	dev := emu.New(emu.Options{})
	a, src := kernel(t, dev, 1)
	for _, c := range []struct {
		name  string
		value float32
		want  string
	}{
		{"finite", -3e4, ""},
		{"infinite", float32(math.Inf(-1)), "the inputs hold values that are not finite"},
		{"NaN", float32(math.NaN()), "the inputs hold values that are not finite"},
		{"large", -0x1p125, "scores may be beyond 2^126"},
	} {
		for at, of := range []string{"q", "k", "v"} {
			p := problem(t, dev, a, 1, 30)
			x := []*tensor.Tensor{p.Q, p.K, p.V}[at]
			x.Set(x.Len()-1, c.value)
			want := c.want
			if of == "v" && c.name == "large" { // no score grows
				want = ""
			}
			if got := p.excuse(src.Scale); got != want {
				t.Errorf("%s in %s: %q, want %q", c.name, of, got, want)
			}
		}
	}
}

func TestLaunchCost(t *testing.T) {
	dev := emu.New(emu.Options{})
	a, _ := kernel(t, dev, 1)
	us, err := LaunchCost(dev, a, 5)
	if err != nil {
		t.Fatal(err)
	}
	if s := Summarise(us); s.Runs != 5 || !(s.Min > 0) {
		t.Errorf("%+v", s)
	}
}

// TestFill runs the filler's text in the emulator: every word of the range is
// written, none behind it.
func TestFill(t *testing.T) {
	dev := emu.New(emu.Options{})
	f, err := newFiller(dev)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	const bytes = 16 * 700 // no multiple of a thread block's share
	ptr, err := dev.Alloc(bytes + 16)
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, bytes+16)
	if err := dev.Upload(ptr, data); err != nil {
		t.Fatal(err)
	}
	if err := f.fill(nil, ptr, bytes, 0xFFFFFFFE); err != nil {
		t.Fatal(err)
	}
	if err := dev.Download(data, ptr); err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(data); n += 4 {
		want := uint32(0xFFFFFFFE)
		if n >= bytes {
			want = 0
		}
		if got := binary.LittleEndian.Uint32(data[n:]); got != want {
			t.Fatalf("word at byte %d is %#x, want %#x", n, got, want)
		}
	}
}

// TestFillAssembles gives the text to the real assembler.
func TestFillAssembles(t *testing.T) {
	for _, target := range []string{"sm_80", "sm_90a"} {
		ptxas.Assemble(t, fillText, target)
	}
}
