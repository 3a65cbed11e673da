package emu

import (
	"github.com/s2attention/s2c/runtime"
	"github.com/s2attention/s2c/target"
)

func init() {
	runtime.Register("emu", 90, func(arg string) (runtime.Device, error) {
		if arg == "" {
			return New(Options{}), nil
		}
		t, err := target.Parse(arg)
		if err != nil || !target.SM80.RunsOn(t.Major, t.Minor) {
			return nil, runtime.Errorf(runtime.ErrNoDevice, "the emulator is no %q; emu:sm_80 and emu:sm_90a are possible", arg)
		}
		return New(Options{Capability: [2]int{t.Major, t.Minor}}), nil
	})
}
