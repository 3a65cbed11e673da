package compiler_test

import (
	"strings"
	"testing"

	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/examples"
	"github.com/s2attention/s2c/target"
)

// BenchmarkCompile takes each example from its text to the PTX of every distinct
// layer, for each target: the whole of `s2c compile`, but for reading the file.
// An example has to take less than 50 ms.
func BenchmarkCompile(b *testing.B) {
	files, err := examples.Files.ReadDir(".")
	if err != nil {
		b.Fatal(err)
	}
	for _, arch := range compiler.Targets {
		for _, f := range files {
			b.Run(arch.String()+"/"+strings.TrimSuffix(f.Name(), ".s2"), func(b *testing.B) {
				for b.Loop() {
					compileAll(b, f.Name(), arch)
				}
				b.ReportMetric(float64(b.Elapsed().Microseconds())/1e3/float64(b.N), "ms/op")
			})
		}
	}
}

func compileAll(tb testing.TB, file string, arch target.Target) {
	unit, list := compiler.Load(file, dsl.Options{ReadFile: examples.Files.ReadFile})
	if unit == nil {
		tb.Fatal(list)
	}
	for n := range unit.Module.Layers {
		c, err := unit.Compile(&unit.Module.Layers[n], arch, compiler.Options{})
		if err != nil {
			tb.Fatal(err)
		}
		if c.Plan.PTX == "" {
			tb.Fatal("no PTX")
		}
	}
}

// TestCompileExamples keeps what the benchmark measures from breaking unseen.
func TestCompileExamples(t *testing.T) {
	files, err := examples.Files.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, arch := range compiler.Targets {
		for _, f := range files {
			compileAll(t, f.Name(), arch)
		}
	}
}
