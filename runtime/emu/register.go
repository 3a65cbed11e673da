package emu

import "github.com/s2attention/s2c/runtime"

// capabilities are what "emu:…" can be: the devices whose code it executes.
var capabilities = map[string][2]int{"": {9, 0}, "sm_80": {8, 0}, "sm_90a": {9, 0}}

func init() {
	runtime.Register("emu", 90, func(arg string) (runtime.Device, error) {
		capability, ok := capabilities[arg]
		if !ok {
			return nil, runtime.Errorf(runtime.ErrNoDevice, "the emulator is no %q; emu:sm_80 and emu:sm_90a are possible", arg)
		}
		return New(Options{Capability: capability}), nil
	})
}
