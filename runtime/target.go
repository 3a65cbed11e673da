package runtime

import "github.com/s2attention/s2c/target"

// parseTarget reads the target of a kernel.
func parseTarget(name string) (target.Target, error) {
	t, err := target.Parse(name)
	if err != nil {
		return t, Errorf(ErrKernel, "%v", err)
	}
	return t, nil
}

// checkTarget is an ErrArchitecture where code for the target does not run on dev.
func checkTarget(name string, dev Device) error {
	t, err := parseTarget(name)
	if err != nil {
		return err
	}
	if major, minor := dev.ComputeCapability(); !t.RunsOn(major, minor) {
		return Errorf(ErrArchitecture, "a kernel for %s %s, but %s has %d.%d; compile for another target with --arch",
			name, t.Needs(), dev.Describe(), major, minor)
	}
	return nil
}
