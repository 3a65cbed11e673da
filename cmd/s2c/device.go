package main

import (
	"errors"

	"github.com/s2attention/s2c/runtime"
	_ "github.com/s2attention/s2c/runtime/cuda" // registers "cuda"
	"github.com/s2attention/s2c/runtime/emu"
)

// deviceKinds are what --device takes besides auto.
var deviceKinds = []string{"cuda", "emu"}

// openDevice opens the device of a run; progress hears of an emulator's thread
// blocks. With auto it is a GPU, and the emulator where there is none; a GPU that
// fails otherwise is an error, never a slow run without a word.
func openDevice(name string, progress func(done, total int)) (runtime.Device, error) {
	if name == "auto" {
		dev, err := runtime.OpenDevice("cuda")
		if !errors.Is(err, runtime.ErrNoDevice) {
			return dev, err
		}
		name = "emu"
	}
	if name == "emu" {
		return emu.New(emu.Options{
			Progress: func(_ string, done, total int) { progress(done, total) },
		}), nil
	}
	return runtime.OpenDevice(name)
}
