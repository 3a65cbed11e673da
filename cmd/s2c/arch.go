package main

import (
	"fmt"
	"strings"

	"github.com/s2attention/s2c"
	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/runtime"
	"github.com/s2attention/s2c/target"
)

// arch is a target on the command line; the zero value is none.
type arch struct{ target.Target }

// archList is the targets of a command.
type archList []arch

// errNoArch is of a target without a name.
var errNoArch = fmt.Errorf("no target is named; there are %s", archNames(compiler.Targets))

// Validate refuses a list of none.
func (l archList) Validate() error {
	if len(l) == 0 {
		return errNoArch
	}
	return nil
}

// UnmarshalText takes the targets that there is code for.
func (a *arch) UnmarshalText(name []byte) (err error) {
	if len(name) == 0 {
		return errNoArch
	}
	a.Target, err = compiler.ParseTarget(string(name))
	return err
}

// or is the target, or else the one that suits a device.
func (a arch) or(dev runtime.Device) (target.Target, error) {
	if a != (arch{}) {
		return a.Target, nil
	}
	return s2c.TargetFor(dev)
}

func targets(list []arch) []target.Target {
	var out []target.Target
	for _, a := range list {
		out = append(out, a.Target)
	}
	return out
}

// archNames lists targets for people.
func archNames[T fmt.Stringer](list []T) string {
	var names []string
	for _, t := range list {
		names = append(names, t.String())
	}
	return strings.Join(names, ", ")
}
