package sm90a_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/s2attention/s2c/codegen/ptx/sm90a"
	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/ir/layout"
	"github.com/s2attention/s2c/target"
)

// stripes is a head of the S2 pattern: local blocks, and a stripe before them.
func stripes(local, stride, phase int64) ir.Pattern {
	return ir.Pattern{Cells: []ir.Cell{
		{Rows: ir.Rows{Hi: ir.Inf, Mod: 1}, Lo: ir.Line{A: 1, C: 1 - local}, Hi: ir.Line{A: 1}, Step: 1, Members: 1},
		{Rows: ir.Rows{Lo: local, Hi: ir.Inf, Mod: 1}, Hi: ir.Line{A: 1, C: -local}, Step: stride, Phase: ir.Line{C: phase}, Members: 1},
	}}
}

// packed is the layout of 32 query heads on 8 KV heads, two equal heads a block.
func packed(dim, kvTile int) *layout.Kernel {
	k := &layout.Kernel{
		Target: target.SM90a, Entry: "s2c_test",
		Shape:     ir.Shape{Heads: 32, KVHeads: 8, HeadDim: dim, Block: 64, DType: dtype.BF16, Causal: true, Scale: 0.1},
		DimPadded: (dim + 15) / 16 * 16, GroupSize: 4,
	}
	k.Choose(sm90a.Generator{}, layout.Candidate{Rows: 128, Warps: 8, Pack: 2, Merge: 1, Split: 1, KVTile: kvTile, Stages: 2})
	for h := range 16 {
		k.HeadTiles = append(k.HeadTiles, layout.HeadTile{Heads: []int{2 * h, 2*h + 1}, KVHead: h / 2, Pattern: stripes(16, 8, int64(8-h/2%8)%8)})
	}
	return k
}

func TestEmit(t *testing.T) {
	for _, dim := range []int{64, 128, 256} {
		kvTile := 128
		if dim > 128 {
			kvTile = 64
		}
		k := packed(dim, kvTile)
		m, _, err := sm90a.Generator{}.Emit(k)
		if err != nil {
			t.Fatal(err)
		}
		t.Log(dim, "shared", k.Memory.Bytes())
		if dir := os.Getenv("S2C_DUMP"); dir != "" {
			os.WriteFile(fmt.Sprintf("%s/h%d.ptx", dir, dim), []byte(m.String()), 0o644)
		}
	}
}

func TestEmitRefuses(t *testing.T) {
	k := packed(64, 64)
	k.Rows, k.Warps, k.Shape.Block, k.Merge, k.Positions = 192, 12, 32, 3, 96
	if _, _, err := (sm90a.Generator{}).Emit(k); err == nil || !strings.Contains(err.Error(), "96 positions") {
		t.Errorf("boxes across two heads: %v", err)
	}
	k = packed(64, 64)
	k.Stages++
	if _, _, err := (sm90a.Generator{}).Emit(k); err == nil || !strings.Contains(err.Error(), "not laid out") {
		t.Errorf("another map of shared memory: %v", err)
	}
}
