package runtime

import "github.com/s2attention/s2c/target"

// checkTarget is an ErrArchitecture where code for the target does not run on dev.
func checkTarget(t target.Target, dev Device) error {
	if major, minor := dev.ComputeCapability(); !t.RunsOn(major, minor) {
		return Errorf(ErrArchitecture, "a kernel for %v %s, but %s has %d.%d; compile for another target with --arch",
			t, t.Needs(), dev.Describe(), major, minor)
	}
	return nil
}
