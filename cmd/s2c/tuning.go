package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/ir/layout"
	"github.com/s2attention/s2c/runtime"
	"github.com/s2attention/s2c/target"
)

// tuningFlag names a file of measured layouts.
type tuningFlag struct {
	Tuning    string `placeholder:"FILE" help:"Take layouts from this file, which s2c tune writes, where it has them."`
	TuningGPU string `name:"tuning-gpu" placeholder:"NAME" help:"The GPU whose measurements count, as the file names it. Without it, the device's own; where no device is opened, any."`
}

// tuning reads the file; dev is the device that the code is for, or nil.
func (f *tuningFlag) tuning(s *streams, dev runtime.Device) (t compiler.Tuning, err error) {
	if f.Tuning == "" {
		if f.TuningGPU != "" {
			return t, usagef("--tuning-gpu goes with --tuning")
		}
		return t, nil
	}
	if t.File, err = layout.ReadTuningFile(f.Tuning); err != nil {
		return t, err
	}
	t.Device = f.TuningGPU
	if t.Device == "" && dev != nil {
		t.Device = gpuName(dev)
	}
	t.Missing = func(layer *ir.Layer, on target.Target) {
		device := ""
		if t.Device != "" {
			device = " on " + t.Device
		}
		fmt.Fprintf(s.err, "%s: nothing for layer %d, %v%s: the cost model decides\n", f.Tuning, layer.Numbers[0], on, device)
	}
	return t, nil
}

// onlyFlag restricts the layouts.
type onlyFlag struct {
	Only map[string]string `mapsep:"," placeholder:"CHOICE=VALUE,…" help:"Only layouts with these choices, as in kv_tile=128,stages=2; s2c bench --json names the choices of a layout."`
}

// accept is the restriction as the layout passes take it; nil where there is none.
func (f *onlyFlag) accept() (func(layout.Candidate) bool, error) {
	if len(f.Only) == 0 {
		return nil, nil
	}
	known := layout.Candidate{}.Config()
	for name := range f.Only {
		if _, ok := known[name]; !ok {
			return nil, usagef("--only: there is no choice %q; there are %s", name, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
	}
	return func(c layout.Candidate) bool {
		config := c.Config()
		for name, value := range f.Only {
			if fmt.Sprint(config[name]) != value {
				return false
			}
		}
		return true
	}, nil
}

// gpuName is a device's name without its architecture: "NVIDIA H200".
func gpuName(dev runtime.Device) string {
	name, _, _ := strings.Cut(dev.Describe(), " (")
	return name
}
