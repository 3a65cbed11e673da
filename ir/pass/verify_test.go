package pass_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/ir/layout"
	"github.com/s2attention/s2c/ir/pass"
	"github.com/s2attention/s2c/target"
)

// Every law of a tile program is checked: each broken one is named.
func TestVerifyKernel(t *testing.T) {
	l, s := phi3()
	good := mustRun(t, l, s, pass.Options{Model: "m"})
	for _, c := range []struct {
		want string
		do   func(*layout.Kernel)
	}{
		{"query heads over", func(k *layout.Kernel) { k.Shape.KVHeads = 3 }},
		{"head dimension 12", func(k *layout.Kernel) { k.Shape.HeadDim = 12 }},
		{"head dimension 264", func(k *layout.Kernel) { k.Shape.HeadDim = 264 }},
		{"blocks of 96", func(k *layout.Kernel) { k.Shape.Block = 96 }},
		{"padded to 120", func(k *layout.Kernel) { k.DimPadded = 120 }},
		{"none for sm_80", func(k *layout.Kernel) { k.Target = target.SM90a }},
		{"no code generator", func(k *layout.Kernel) { k.Family = "sm90a" }},
		{"must be positive", func(k *layout.Kernel) { k.KVTile = 0 }},
		{"exclude each other", func(k *layout.Kernel) { k.Merge, k.Split = 2, 2 }},
		{"members have 32 bits", func(k *layout.Kernel) { k.Merge = 33 }},
		{"positions a tile, want", func(k *layout.Kernel) { k.Positions = 32 }},
		{"rows, want 1 heads", func(k *layout.Kernel) { k.Rows = 32 }},
		{"span two heads", func(k *layout.Kernel) { k.Split, k.Positions, k.Rows = 8, 8, 8 }},
		{"do not divide the group", func(k *layout.Kernel) { k.Pack, k.Rows = 8, 512 }},
		{"neither divides nor gathers", func(k *layout.Kernel) { k.KVTile = 48 }},
		{"3 warps for 64 rows", func(k *layout.Kernel) { k.Warps = 3 }},
		{"bytes of shared memory of 101376", func(k *layout.Kernel) { k.Memory.Add("more", 1<<20) }},
		{"no map of shared memory", func(k *layout.Kernel) { k.Memory = nil }},
		{"shared region v0 at", func(k *layout.Kernel) { k.Memory[3].Offset += 16 }},
		{"16 bytes holds a tile", func(k *layout.Kernel) { k.Memory[4].Bytes = 16 }},
		{"registers of 240", func(k *layout.Kernel) { k.KVTile = 256 }},
		{"not laid out for this tile", func(k *layout.Kernel) { k.Stages = 1 }},
		{"has 2 heads, want 1", func(k *layout.Kernel) { k.HeadTiles[0].Heads = []int{0, 1} }},
		{"unknown or taken", func(k *layout.Kernel) { k.HeadTiles[2].Heads = []int{32} }},
		{"unknown or taken", func(k *layout.Kernel) { k.HeadTiles[2].Heads = []int{-1} }},
		{"unknown or taken", func(k *layout.Kernel) { k.HeadTiles[2].Heads = []int{1} }},
		{"does not read KV head", func(k *layout.Kernel) { k.HeadTiles[2].KVHead = 1 }},
		{"in no head tile", func(k *layout.Kernel) { k.HeadTiles = k.HeadTiles[:28] }},
		{"members 0b10", func(k *layout.Kernel) {
			k.HeadTiles[0].Pattern = ir.Pattern{Cells: []ir.Cell{{Rows: ir.Rows{Hi: ir.Inf, Mod: 1}, Step: 1, Members: 2}}}
		}},
		{"table entry 0", func(k *layout.Kernel) {
			k.HeadTiles[0].Pattern = ir.Pattern{Table: &ir.Table{Rows: 1, Crow: []int64{0, 1}, Col: []int32{0}, Members: []uint32{0}}}
		}},
		{"groups of 3", func(k *layout.Kernel) { k.GroupSize = 3 }},
		{"groups of 0", func(k *layout.Kernel) { k.GroupSize = 0 }},
		{"KV head 0 is in groups 0 and 1", func(k *layout.Kernel) { k.GroupSize = 2 }},
		{"has no entry name", func(k *layout.Kernel) { k.Entry = "" }},
		{"not a PTX identifier", func(k *layout.Kernel) { k.Entry = "a b" }},
	} {
		k := *good
		k.HeadTiles, k.Memory = slices.Clone(good.HeadTiles), slices.Clone(good.Memory)
		c.do(&k)
		if err := k.Verify(ampere); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("want %q, got: %v", c.want, err)
		}
	}
}
