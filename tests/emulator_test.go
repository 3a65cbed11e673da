package tests

import (
	"context"
	"testing"

	"github.com/s2attention/s2c/internal/conformance"
	"github.com/s2attention/s2c/runtime/emu"
	"github.com/s2attention/s2c/target"
)

// inEmulator is whether a case runs in the emulator.
func inEmulator(c *conformance.Case) bool { return !c.Huge && (full || !c.Slow) }

// device is an emulator with every check on; the cases run side by side, so one
// worker each is enough.
func device() *emu.Device { return emu.New(emu.Options{Workers: 1}) }

// TestEmulator runs every case, on every target, with every check of the
// emulator, and compares with the reference.
func TestEmulator(t *testing.T) {
	eachCase(t, inEmulator, func(t *testing.T, c *conformance.Case, on target.Target) {
		l := load(t, c, on, full)
		dev := device()
		defer dev.Close()
		if _, _, err := c.Check(context.Background(), dev, l.subject, l.compiled); err != nil {
			t.Errorf("%v\n%s", err, l.compiled.Layout)
		}
	})
}
