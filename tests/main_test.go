package tests

import (
	"fmt"
	"os"
	"runtime/debug"
	"testing"
	"time"

	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/internal/conformance"
	"github.com/s2attention/s2c/target"
)

// full is whether all heads and all layers run.
var full = os.Getenv("S2C_FULL") == "1"

func TestMain(m *testing.M) {
	start := time.Now()
	// Kernels and tensors are made and dropped by the thousand: collecting them less often
	// costs memory that there is.
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(4 << 30)
	code := m.Run()
	for _, text := range summaries {
		fmt.Println(text)
	}
	fmt.Printf("tests: took %.1f s (S2C_FULL=1 is %v)\n", time.Since(start).Seconds(), full)
	os.Exit(code)
}

// loaded is a case's pattern and its kernel for a target.
type loaded struct {
	subject  *conformance.Subject
	compiled *compiler.Compiled
}

// load reads and compiles a case.
func load(t testing.TB, c *conformance.Case, on target.Target, full bool) loaded {
	t.Helper()
	s, err := c.Load(full)
	if err != nil {
		t.Fatal(err)
	}
	k, err := s.Compile(on, c.Only)
	if err != nil {
		t.Fatal(err)
	}
	return loaded{s, k}
}

// eachCase runs f, in parallel, for every case on every target that a filter
// lets pass.
func eachCase(t *testing.T, keep func(*conformance.Case) bool, f func(t *testing.T, c *conformance.Case, on target.Target)) {
	for _, on := range compiler.Targets {
		t.Run(on.String(), func(t *testing.T) {
			t.Parallel()
			for _, c := range conformance.Cases() {
				if c.For(on) && keep(&c) {
					t.Run(c.Name, func(t *testing.T) {
						t.Parallel()
						f(t, &c, on)
					})
				}
			}
		})
	}
}
