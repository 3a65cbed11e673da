package tests

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/s2attention/s2c/internal/conformance"
	"github.com/s2attention/s2c/runtime"
	_ "github.com/s2attention/s2c/runtime/cuda" // registers "cuda"
)

// gpu opens the first GPU, or skips the test and says so. S2C_REQUIRE_GPU=1
// makes its absence a failure.
func gpu(t *testing.T) runtime.Device {
	t.Helper()
	dev, err := runtime.OpenDevice("cuda")
	switch {
	case err == nil:
		t.Cleanup(func() {
			if err := dev.Close(); err != nil {
				t.Error(err)
			}
		})
		return dev
	case errors.Is(err, runtime.ErrNoDevice) && os.Getenv("S2C_REQUIRE_GPU") != "1":
		t.Skipf("SKIPPED, no kernel runs on a GPU: %v", err)
	default:
		t.Fatal(err)
	}
	return nil
}

// TestDevice runs every case on a GPU, all heads and all layers, on every
// target that it executes.
func TestDevice(t *testing.T) {
	dev := gpu(t)
	t.Log(dev.Describe())
	for _, target := range conformance.Targets() {
		t.Run(target, func(t *testing.T) {
			var ran tally
			for _, c := range conformance.Cases() {
				if !c.For(target) {
					continue
				}
				t.Run(c.Name, func(t *testing.T) {
					l := load(t, &c, target, true)
					_, _, err := c.Check(context.Background(), dev, l.subject, l.compiled)
					switch {
					case errors.Is(err, runtime.ErrArchitecture):
						t.Skipf("SKIPPED: %v", err)
					case errors.Is(err, runtime.ErrOutOfMemory):
						t.Skipf("SKIPPED, too large for this GPU: %v", err)
					case err != nil:
						t.Errorf("%v\n%s", err, l.compiled.Layout)
					default:
						ran.add("run")
					}
				})
			}
			t.Logf("%s: %d cases ran on %s", target, ran.n["run"], dev.Describe())
		})
	}
}

// TestDeviceRepeats launches the same input again and again: same bytes out.
func TestDeviceRepeats(t *testing.T) {
	dev := gpu(t)
	for _, target := range conformance.Targets() {
		for _, c := range determinismCases() {
			if !c.For(target) {
				continue
			}
			t.Run(target+"/"+c.Name, func(t *testing.T) {
				l := load(t, &c, target, true)
				p, err := c.Problem(l.subject)
				if err != nil {
					t.Fatal(err)
				}
				first := ""
				for n := range 5 {
					o, err := p.Launch(dev, l.compiled.Plan)
					if errors.Is(err, runtime.ErrArchitecture) {
						t.Skipf("SKIPPED: %v", err)
					}
					if err != nil {
						t.Fatal(err)
					}
					if hash := o.Hash(); n == 0 {
						first = hash
					} else if hash != first {
						t.Fatalf("launch %d gives other bytes than the first", n)
					}
				}
			})
		}
	}
}
