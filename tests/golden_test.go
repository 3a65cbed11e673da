package tests

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/examples"
	"github.com/s2attention/s2c/internal/conformance"
	"github.com/s2attention/s2c/internal/golden"
	"github.com/s2attention/s2c/runtime/emu"
	"github.com/s2attention/s2c/target"
)

// goldenCase is one file under golden/.
type goldenCase struct {
	name  string
	cases conformance.Case
	// ptx keeps the whole PTX of the targets named, to be read; of the others the
	// golden has a digest, and codegen/ has focused checks.
	ptx []target.Target
}

// goldenCases are every distinct layer of every example, and small patterns for
// block sizes, head dimensions, packing, merging, splitting, tables and both
// directions.
func goldenCases() []goldenCase {
	var list []goldenCase
	for _, e := range conformance.Examples {
		g := goldenCase{
			name:  strings.ReplaceAll(e.Name(), " ", "-"),
			cases: conformance.Case{File: e.File, Layer: e.Layer, KLen: 333, Seed: 1, Heads: []int{0}},
		}
		// Of kernels that differ in a pattern alone one is kept in full.
		switch e.Name() {
		case "phi3-small", "s2-gqa":
			g.ptx = []target.Target{target.SM80, target.SM90a}
		case "bidirectional", "custom-blocks":
			g.ptx = []target.Target{target.SM80}
		}
		list = append(list, g)
	}
	for _, c := range conformance.Cases() {
		if !strings.HasPrefix(c.Name, "geometry/") && !strings.HasPrefix(c.Name, "pattern/") {
			continue
		}
		name := strings.NewReplacer("/", "-", " ", "-", ",", "").Replace(c.Name)
		list = append(list, goldenCase{name: name, cases: c})
	}
	for _, c := range conformance.Matrix() {
		for _, name := range []string{"dim 8 block 16 bf16", "dim 40 block 128 f16", "dim 72 block 32 f16", "dim 96 block 64 bf16", "dim 200 block 16 f16", "dim 256 block 64 bf16", "dim 256 block 128 f16"} {
			if strings.HasPrefix(c.Name, "matrix/"+name) {
				list = append(list, goldenCase{name: "matrix-" + strings.ReplaceAll(name, " ", "-"), cases: c})
			}
		}
	}
	return list
}

// TestGolden compares source, closed form, layout, PTX and the emulator's result
// of each case with golden/*.txtar.
func TestGolden(t *testing.T) {
	known := map[string]bool{}
	t.Cleanup(func() { leftOver(t, known) })
	for _, g := range goldenCases() {
		path := filepath.Join("golden", g.name+".txtar")
		if known[path] {
			t.Fatalf("two cases are called %s", g.name)
		}
		known[path] = true
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			checkGolden(t, &g, golden.Open(t, path))
		})
	}
}

func checkGolden(t *testing.T, g *goldenCase, f *golden.File) {
	c := &g.cases
	source := c.Source
	if c.File != "" {
		text, err := examples.Files.ReadFile(c.File)
		if err != nil {
			t.Fatal(err)
		}
		source = string(text)
	}
	f.SetComment(describe(c))
	names := []string{"in.s2", "ir"}
	f.Check(t, "in.s2", source)
	s, err := c.Load(true)
	if err != nil {
		t.Fatal(err)
	}
	f.Check(t, "ir", s.Layer.String())
	digests, result := "", ""
	for _, on := range compiler.Targets {
		if !c.For(on) {
			continue
		}
		l := load(t, c, on, true)
		names = append(names, on.String()+".layout")
		f.Check(t, on.String()+".layout", l.compiled.Layout.String())
		if slices.Contains(g.ptx, on) {
			names = append(names, on.String()+".ptx")
			f.Check(t, on.String()+".ptx", l.compiled.Plan.PTX)
		}
		digests += digest(on, l.compiled.Plan.PTX)
		result += emulated(t, c, on, l)
	}
	f.Check(t, "ptx", digests)
	f.Check(t, "emu.out", result)
	f.CheckOnly(t, append(names, "ptx", "emu.out")...)
	f.Save(t)
}

// digest stands for the PTX of a target: any change of it changes the digest.
func digest(on target.Target, ptx string) string {
	version, _, _ := strings.Cut(ptx[strings.Index(ptx, ".version"):], "\n")
	return fmt.Sprintf("%s\n  %s, %d lines, sha256 %x\n", on, version, strings.Count(ptx, "\n"), sha256.Sum256([]byte(ptx)))
}

// describe says what the file is, for who reads it.
func describe(c *conformance.Case) string {
	what := "a pattern"
	if c.File != "" {
		what = fmt.Sprintf("examples/%s, layer %d", c.File, c.Layer)
	}
	batch, qLen, kLen := lengths(c)
	return fmt.Sprintf("The stages of %s, written by: S2C_UPDATE=1 go test ./tests -run TestGolden\nemu.out: %d queries of %d tokens, batch %d, seed %d\n\n",
		what, qLen, kLen, batch, c.Seed)
}

// interleavings are the further orders of warps, blocks and asynchronous
// operations that each golden case runs in.
var interleavings = []emu.Options{
	{Seed: 1, Shuffle: true}, {Seed: 2, Shuffle: true, Preempt: true, SM: 2},
}

// emulated is what the emulator made of a case on a target: the bytes, how far
// they are from the reference, and what was executed beside what was predicted.
// All interleavings must give the same bytes.
func emulated(t *testing.T, c *conformance.Case, on target.Target, l loaded) string {
	t.Helper()
	dev := emu.New(emu.Options{Workers: 1})
	defer dev.Close()
	o, e, err := c.Check(context.Background(), dev, l.subject, l.compiled)
	if err != nil {
		t.Fatalf("%s: %v", on, err)
	}
	interleave(t, c, on, l, o.Hash())
	batch, qLen, kLen := lengths(c)
	want, ok := conformance.Predict(l.compiled.Layout, batch, qLen, kLen)
	if !ok {
		t.Fatalf("there is no prediction for the code generator %q", l.compiled.Layout.Family)
	}
	round := func(x float64) string { return strconv.FormatFloat(x, 'g', 2, 64) }
	return fmt.Sprintf("%s\n  bytes       sha256 %s\n  errors      output %s, worst row %s, log-sum-exp %s\n  executed    %s\n  closed form %s\n",
		on, o.Hash(), round(e.OutRel), round(e.OutRow), round(e.LSE), conformance.Executed(o.Stats), want)
}

// interleave runs a case in the other orders, with every check on, and demands the
// same bytes.
func interleave(t *testing.T, c *conformance.Case, on target.Target, l loaded, hash string) {
	t.Helper()
	p, err := c.Problem(l.subject)
	if err != nil {
		t.Fatal(err)
	}
	for _, opt := range interleavings {
		opt.Workers = 1
		dev := emu.New(opt)
		o, err := p.Launch(dev, l.compiled.Plan)
		if err != nil {
			t.Errorf("%s, %+v: %v", on, opt, err)
		} else if o.Hash() != hash {
			t.Errorf("%s, %+v gives other bytes", on, opt)
		}
		if err := dev.Close(); err != nil {
			t.Error(err)
		}
	}
}

// leftOver reports files that no case makes any more, or removes them.
func leftOver(t *testing.T, known map[string]bool) {
	files, err := filepath.Glob("golden/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		switch {
		case known[path]:
		case golden.Update():
			if err := os.Remove(path); err != nil {
				t.Error(err)
			}
		default:
			t.Errorf("no case makes %s any more; S2C_UPDATE=1 removes it", path)
		}
	}
}
