package emu_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/s2attention/s2c/runtime/emu"
	"github.com/s2attention/s2c/tests/probe"
)

// recorded is what a GPU answered to the probes.
const recorded = "testdata/probes/h200.json"

// TestProbes holds the emulator against a GPU: the same kernels, the same bytes,
// whatever order the emulator executes in. tests/probe/cmd makes the recording.
func TestProbes(t *testing.T) {
	rec, err := probe.ReadRecording(recorded)
	if err != nil {
		t.Fatalf("%v: on a machine with a GPU,\n\tgo run ./tests/probe/cmd -out runtime/emu/%s", err, recorded)
	}
	t.Logf("%s, driver for CUDA %s: %d answers", rec.Device, rec.Driver, len(rec.Answers))
	list := probe.All()
	var pending []string
	for name := range rec.Answers {
		if probe.Find(name) == nil {
			t.Errorf("there is an answer to %s, which is no probe", name)
		}
	}
	for i := range list {
		p := &list[i]
		t.Run(p.Name, func(t *testing.T) {
			a, ok := rec.Answers[p.Name]
			switch {
			case !ok && p.Pending:
				pending = append(pending, p.Name)
				if p.Refused != "" {
					refuses(t, p)
				} else {
					agree(t, p)
				}
				t.Skip("SKIPPED, not compared with a GPU: the probe AWAITS A RECORDING")
			case !ok:
				t.Fatal("the probe has not been recorded")
			case p.Pending:
				t.Fatal("the probe is recorded: it is pending no more")
			case a.Key != p.Key():
				t.Fatalf("the probe is not the one that was recorded (%s, now %s): record it again", a.Key, p.Key())
			case p.Refused != "":
				if !strings.Contains(a.Error, "CUDA_ERROR_ILLEGAL_INSTRUCTION") {
					t.Fatalf("the GPU does not refuse the probe: error %q", a.Error)
				}
				refuses(t, p)
				return
			case a.Error != "":
				t.Fatalf("the GPU failed: %s", a.Error)
			case a.Varies:
				t.Fatal("the GPU's answer was not the same each time")
			}
			want, err := a.Output(p.Out)
			if err != nil {
				t.Fatal(err)
			}
			compareRuns(t, p, want)
		})
	}
	if len(pending) > 0 {
		t.Logf("%d of %d probes AWAIT A RECORDING, go run ./tests/probe/cmd -pending -out runtime/emu/%s:\n\t%s",
			len(pending), len(list), recorded, strings.Join(pending, "\n\t"))
	}
}

// refuses checks that the emulator stops a probe that a GPU stops, for its reason,
// whatever is checked.
func refuses(t *testing.T, p *probe.Probe) {
	for _, o := range orders {
		for _, o.Checks = range []emu.Check{emu.AllChecks, emu.NoChecks} {
			o.Workers = 1
			_, err := p.Run(emu.New(o), 1)
			var fault *emu.Fault
			if !errors.As(err, &fault) || fault.Check != emu.CheckAlign || !strings.Contains(fault.Msg, p.Refused) {
				t.Fatalf("seed %d: got %v, want a fault that says %q", o.Seed, err, p.Refused)
			}
		}
	}
}

// agree checks that the order of execution does not matter to a probe.
func agree(t *testing.T, p *probe.Probe) {
	o := orders[0]
	o.Workers = 1
	out, err := p.Run(emu.New(o), 1)
	if err != nil {
		t.Fatal(err)
	}
	compareRuns(t, p, out[0])
}

// orders are ways to execute: in order, and left to chance under several seeds.
var orders = []emu.Options{
	{}, {Shuffle: true, Seed: 1}, {Shuffle: true, Preempt: true, Seed: 2}, {Shuffle: true, Preempt: true, Seed: 3},
}

func compareRuns(t *testing.T, p *probe.Probe, want []byte) {
	for _, o := range orders {
		if p.Choice && o.Shuffle {
			continue
		}
		if p.Undefined {
			o.Checks = emu.NoChecks
		}
		o.Workers = 1
		out, err := p.Run(emu.New(o), 1)
		if err != nil {
			t.Fatalf("seed %d: %v", o.Seed, err)
		}
		if diff := p.Compare(out[0], want); diff != "" {
			t.Fatalf("shuffle %v, seed %d: %s", o.Shuffle, o.Seed, diff)
		}
	}
}

// TestProbesReport checks that probes of undefined behaviour, and those that a GPU
// refuses, are just those that the emulator reports.
func TestProbesReport(t *testing.T) {
	var got, want []string
	for _, p := range probe.All() {
		if p.Undefined || p.Refused != "" {
			want = append(want, p.Name)
		}
		_, err := p.Run(emu.New(emu.Options{Workers: 1}), 1)
		var fault *emu.Fault
		switch {
		case errors.As(err, &fault):
			got = append(got, p.Name)
		case err != nil:
			t.Error(fmt.Errorf("%s: %w", p.Name, err))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the emulator reports\n%q, but the undefined and the refused probes are\n%q", got, want)
	}
}
