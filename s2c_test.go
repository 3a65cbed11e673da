package s2c_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/s2attention/s2c"
	"github.com/s2attention/s2c/diag"
	"github.com/s2attention/s2c/launch"
	"github.com/s2attention/s2c/runtime/cuda"
	"github.com/s2attention/s2c/runtime/emu"
	"github.com/s2attention/s2c/target"
)

func open(t *testing.T) s2c.Device {
	t.Helper()
	dev, err := s2c.OpenDevice("emu")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	return dev
}

func wantKind(t *testing.T, err, kind error, words string) {
	t.Helper()
	if !errors.Is(err, kind) || !strings.Contains(err.Error(), words) {
		t.Errorf("%v, want a %v with %q", err, kind, words)
	}
}

// TestCompile wants a file and its text to give the same bundle.
func TestCompile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "tiny.s2")
	if err := os.WriteFile(path, []byte(pattern), 0o644); err != nil {
		t.Fatal(err)
	}
	var files [2][]byte
	for n, compile := range []func() (*s2c.Bundle, error){
		func() (*s2c.Bundle, error) { return s2c.Compile(path, s2c.Options{}) },
		func() (*s2c.Bundle, error) {
			return s2c.CompileText("", pattern, s2c.Options{Targets: []target.Target{target.SM90a, target.SM80, target.SM90a}})
		},
	} {
		b, err := compile()
		if err != nil {
			t.Fatal(err)
		}
		out := filepath.Join(dir, "out.s2b")
		if err := s2c.WriteBundle(out, b); err != nil {
			t.Fatal(err)
		}
		if files[n], err = os.ReadFile(out); err != nil {
			t.Fatal(err)
		}
		if want := []target.Target{target.SM80, target.SM90a}; !slices.Equal(b.Manifest.Targets, want) {
			t.Errorf("targets %v, want %v", b.Manifest.Targets, want)
		}
	}
	if string(files[0]) != string(files[1]) {
		t.Error("the file and its text give different bundles")
	}
}

func TestCompileOptions(t *testing.T) {
	dev := open(t)
	const file = "import \"lib.s2\"\nmodel m { heads 2  head_dim 64  block 16  causal }\nparam n = 2\nlayer * -> local\nlayer 0 -> dense\n"
	var warned []diag.Code
	opt := s2c.Options{
		Device: dev, Defines: map[string]string{"n": "3"},
		ReadFile: func(path string) ([]byte, error) { return []byte("pattern local = window(n)\n"), nil },
		Warn:     func(d diag.Diagnostic) { warned = append(warned, d.Code) },
	}
	b, err := s2c.CompileText("m.s2", file, opt)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.Manifest.Targets; !slices.Equal(got, []target.Target{target.SM80}) {
		t.Errorf("an emulator gets code for %v", got)
	}
	if !slices.Equal(warned, []diag.Code{diag.UnusedRule}) {
		t.Errorf("warnings %v", warned)
	}
	density := func(b *s2c.Bundle) float64 { return b.FactsOf(0).Densities[0].Value }
	opt.Defines = nil
	narrow, err := s2c.CompileText("m.s2", file, opt)
	if err != nil {
		t.Fatal(err)
	}
	if !(density(narrow) < density(b)) {
		t.Errorf("windows of 2 and 3 have densities %v and %v", density(narrow), density(b))
	}
}

func TestCompileErrors(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		opt  s2c.Options
		code diag.Code
	}{
		"nothing":        {"", s2c.Options{}, diag.NoModel},
		"no such file":   {"import \"lib.s2\"\n" + pattern, s2c.Options{}, diag.CannotRead},
		"unknown define": {pattern, s2c.Options{Defines: map[string]string{"nope": "1"}}, diag.UnknownDefine},
		"require":        {pattern + "require density < 0.01 at 4096\n", s2c.Options{}, diag.DensityFails},
	} {
		b, err := s2c.CompileText("m.s2", c.text, c.opt)
		var list diag.List
		if b != nil || !errors.As(err, &list) || !slices.ContainsFunc(list, func(d diag.Diagnostic) bool { return d.Code == c.code }) {
			t.Errorf("%s: %v, %v, want %s", name, b, err, c.code)
		}
	}
	_, err := s2c.Compile(filepath.Join(t.TempDir(), "absent.s2"), s2c.Options{})
	if list := (diag.List)(nil); !errors.As(err, &list) || list[0].Code != diag.CannotRead {
		t.Errorf("an absent file: %v", err)
	}
	for _, on := range []target.Target{{}, {Major: 12, Rule: target.Chip}} {
		_, err := s2c.CompileText("m.s2", pattern, s2c.Options{Targets: []target.Target{on}})
		wantKind(t, err, s2c.ErrArgs, "unknown target")
	}
}

func TestTargetFor(t *testing.T) {
	for _, c := range []struct {
		kind  string
		major int
		minor int
		want  target.Target
	}{
		{"emu", 9, 0, target.SM80}, {"cuda", 9, 0, target.SM90a}, {"cuda", 8, 6, target.SM80}, {"cuda", 10, 0, target.SM80},
	} {
		got, err := s2c.TargetFor(fake{open(t), c.kind, c.major, c.minor})
		if err != nil || got != c.want {
			t.Errorf("%s %d.%d: %v, %v, want %v", c.kind, c.major, c.minor, got, err, c.want)
		}
	}
	_, err := s2c.TargetFor(fake{open(t), "cuda", 7, 5})
	wantKind(t, err, s2c.ErrArchitecture, "7.5")
	_, err = s2c.CompileText("m.s2", pattern, s2c.Options{Device: fake{open(t), "cuda", 7, 5}})
	wantKind(t, err, s2c.ErrArchitecture, "7.5")
	_, err = s2c.TargetFor(nil)
	wantKind(t, err, s2c.ErrArgs, "nil")
}

// TestNoDevice wants devices that were never opened to give errors.
func TestNoDevice(t *testing.T) {
	b, err := s2c.CompileText("m.s2", pattern, s2c.Options{Targets: []target.Target{target.SM80}})
	if err != nil {
		t.Fatal(err)
	}
	for _, dev := range []s2c.Device{(*cuda.Device)(nil), &cuda.Device{}, (*emu.Device)(nil), &emu.Device{}} {
		_, err := s2c.TargetFor(dev)
		wantKind(t, err, s2c.ErrArchitecture, "compute capability 0.0")
		_, err = b.On(dev).Layer(0)
		wantKind(t, err, s2c.ErrArchitecture, "compute capability 0.0")
		_, err = s2c.NewProblem(dev, s2c.Forward, b.Manifest.Shape, s2c.Args{Batch: 1, QLen: 16, KLen: 16}, s2c.HeadsFirst)
		wantKind(t, err, s2c.ErrClosed, "use of a")
		if s, err := s2c.AdoptStream(dev, 1); s != nil || !errors.Is(err, s2c.ErrClosed) && !errors.Is(err, s2c.ErrArgs) {
			t.Errorf("%T adopts: %v, %v", dev, s, err)
		}
	}
}

// fake is a device of another kind and age.
type fake struct {
	s2c.Device
	kind         string
	major, minor int
}

func (f fake) Kind() string                  { return f.kind }
func (f fake) ComputeCapability() (int, int) { return f.major, f.minor }

func TestOpenDevice(t *testing.T) {
	for _, name := range []string{"", "tpu", "emu:sm_70", "cuda:-1"} {
		if _, err := s2c.OpenDevice(name); !errors.Is(err, s2c.ErrNoDevice) && !errors.Is(err, s2c.ErrOldDriver) {
			t.Errorf("%q: %v", name, err)
		}
	}
	dev, err := s2c.OpenDevice("auto")
	if err != nil {
		t.Fatal(err)
	}
	dev.Close()
}

func TestAdopt(t *testing.T) {
	dev := open(t)
	_, err := s2c.AdoptStream(dev, 0xbeef)
	wantKind(t, err, s2c.ErrArgs, "no CUDA streams")
	_, err = s2c.AdoptStream(nil, 0)
	wantKind(t, err, s2c.ErrArgs, "nil")
	if dev, err := s2c.AdoptContext(0); dev != nil || !errors.Is(err, s2c.ErrArgs) && !errors.Is(err, s2c.ErrNoDevice) {
		t.Errorf("a nil context: %v, %v", dev, err)
	}
}

// TestForeignStream wants an emulator to refuse a stream that it did not make.
func TestForeignStream(t *testing.T) {
	dev := open(t)
	b, err := s2c.CompileText("m.s2", pattern, s2c.Options{Device: dev})
	if err != nil {
		t.Fatal(err)
	}
	a, err := b.On(dev).Layer(0)
	if err != nil {
		t.Fatal(err)
	}
	p, err := s2c.NewProblem(dev, s2c.Forward, b.Manifest.Shape, s2c.Args{Batch: 1, QLen: 16, KLen: 16}, s2c.HeadsFirst)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Free()
	other, err := emu.New(emu.Options{}).NewStream()
	if err != nil {
		t.Fatal(err)
	}
	wantKind(t, p.Launch(a, other), s2c.ErrArgs, "another device")
}

func TestDescribe(t *testing.T) {
	dev := open(t)
	b, err := s2c.CompileText("m.s2", pattern, s2c.Options{Device: dev})
	if err != nil {
		t.Fatal(err)
	}
	m := b.On(dev)
	d, err := s2c.Describe(m, s2c.Forward, 1)
	if err != nil {
		t.Fatal(err)
	}
	if d.Model != "tiny" || d.Layers != 2 || d.Device != dev.Describe() || !d.Facts.Dense || d.Plan.Target != target.SM80 || !slices.Equal(d.Plan.Layers, []int{1}) {
		t.Errorf("%+v", d)
	}
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"heads":4`, `"dtype":"bf16"`, `"target":"sm_80"`, `"entry":`, `"params":[`, `"coverage":true`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	_, err = s2c.Describe(m, s2c.Forward, 2)
	wantKind(t, err, s2c.ErrArgs, "layer 2")
	_, err = s2c.Describe(m, "sideways", 0)
	wantKind(t, err, s2c.ErrArgs, "sideways")
	for _, m := range []*s2c.Model{nil, {}, (*s2c.Bundle)(nil).On(dev), b.On(nil)} {
		_, err := s2c.Describe(m, launch.Forward, 0)
		wantKind(t, err, s2c.ErrClosed, "not opened")
		_, err = m.Layer(0)
		wantKind(t, err, s2c.ErrClosed, "not opened")
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}
