package main

import (
	"slices"
	"strings"

	"github.com/s2attention/s2c"
	"github.com/s2attention/s2c/runtime"
	"github.com/s2attention/s2c/runtime/emu"
)

// checkDevice refuses a name of no kind of device, before any work.
func checkDevice(name string) error {
	kinds := runtime.DeviceKinds()
	if kind, _, _ := strings.Cut(name, ":"); name != "auto" && !slices.Contains(kinds, kind) {
		return usagef("there is no kind of device %q; there are auto, %s", name, strings.Join(kinds, ", "))
	}
	return nil
}

// deviceText names a device beside the target that it runs. The emulator's own name
// gives the GPU that it answers as, which is not the target of the kernel.
func deviceText(dev runtime.Device) string {
	if dev.Kind() == "emu" {
		return "PTX emulator, which runs the code of every target"
	}
	return dev.Describe()
}

// openDevice opens the device of a run; progress hears of an emulator's thread
// blocks.
func openDevice(name string, progress func(done, total int)) (runtime.Device, error) {
	dev, err := s2c.OpenDevice(name)
	if e, ok := dev.(*emu.Device); ok {
		e.OnProgress(func(_ string, done, total int) { progress(done, total) })
	}
	return dev, err
}
