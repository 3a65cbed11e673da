package compiler

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/ir/layout"
	"github.com/s2attention/s2c/target"
)

func tuningUnit(t *testing.T) *Unit {
	t.Helper()
	path := filepath.Join(t.TempDir(), "m.s2")
	text := "model m { heads 4  kv_heads 2  head_dim 64  block 64  dtype bf16  causal  layers 2 }\nlayer 0 -> dense\nlayer 1 -> window(2) | stride(4)\n"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	u, list := Load(path, dsl.Options{})
	if u == nil {
		t.Fatal(list)
	}
	return u
}

// TestTuning lets a file choose what the model puts last, on every target, for
// one layer of two.
func TestTuning(t *testing.T) {
	u := tuningUnit(t)
	for _, arch := range Targets {
		layer := &u.Module.Layers[1]
		k, err := u.Layout(layer, arch, Options{})
		if err != nil {
			t.Fatal(err)
		}
		var worst layout.Candidate
		for _, c := range k.Choice {
			if c.Cost > worst.Cost {
				worst = c
			}
		}
		e := layout.TuningEntry{TuningKey: layout.NewTuningKey(*layer, u.Module.Shape, arch, "GPU"), Config: worst.Config()}
		file := layout.NewTuning()
		file.Put(e)
		var missing []int
		opt := Options{Tuning: Tuning{File: file, Missing: func(l *ir.Layer, _ target.Target) { missing = append(missing, l.Numbers[0]) }}}
		tuned, err := u.Layout(layer, arch, opt)
		if err != nil {
			t.Fatal(err)
		}
		if tuned.Rows != worst.Rows || tuned.KVTile != worst.KVTile || tuned.Stages != worst.Stages || tuned.Pack != worst.Pack {
			t.Errorf("%s: layout %d rows, KV tile %d, want %d, %d", arch, tuned.Rows, tuned.KVTile, worst.Rows, worst.KVTile)
		}
		var chosen, models int
		for n, c := range tuned.Choice {
			if c.Cost != k.Choice[n].Cost {
				t.Errorf("%s: candidate %d costs %v, %v without the file", arch, n, c.Cost, k.Choice[n].Cost)
			}
			if c.Verdict == "chosen" {
				chosen++
				if !e.Config.Matches(c) {
					t.Errorf("%s: chosen %+v", arch, c)
				}
			}
			if strings.HasPrefix(c.Verdict, "the cost model's choice") {
				models++
			}
		}
		if chosen != 1 || models != 1 {
			t.Errorf("%s: %d candidates chosen, %d of the model", arch, chosen, models)
		}
		if len(missing) != 0 {
			t.Errorf("%s: the file has nothing for layers %v", arch, missing)
		}
		b, err := u.Bundle([]target.Target{arch}, "", opt)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := u.Bundle([]target.Target{arch}, "", Options{})
		if err != nil {
			t.Fatal(err)
		}
		if b.Plans[0].PTX != plain.Plans[0].PTX || b.Plans[1].PTX == plain.Plans[1].PTX {
			t.Errorf("%s: the file must change layer 1 and not layer 0", arch)
		}
		if len(missing) != 1 || missing[0] != 0 {
			t.Errorf("%s: the file has nothing for layers %v, want layer 0", arch, missing)
		}

		file.Entries[0].Config["kv_tile"] = 48
		if _, err := u.Layout(layer, arch, opt); err == nil || !strings.Contains(err.Error(), "kv_tile 48") || !strings.Contains(err.Error(), "s2c tune") {
			t.Errorf("%s: a layout that there is not: %v", arch, err)
		}
		opt.Tuning.Device = "another"
		if _, err := u.Layout(layer, arch, opt); err != nil {
			t.Errorf("%s: another device's entry is taken: %v", arch, err)
		}
	}
}
