package sm80_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/s2attention/s2c/codegen/ptx/sm80"
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

func plain(dim, kvTile, stages int) *layout.Kernel {
	k := &layout.Kernel{
		Target: target.SM80, Entry: "s2c_test",
		Shape:     ir.Shape{Heads: 4, KVHeads: 2, HeadDim: dim, Block: 64, DType: dtype.BF16, Causal: true, Scale: 0.1},
		DimPadded: (dim + 15) / 16 * 16, GroupSize: 2,
	}
	k.Choose(sm80.Generator{}, layout.Candidate{
		Rows: 64, Warps: 4, Pack: 1, Merge: 1, Split: 1, KVTile: kvTile, Stages: stages, QInRegisters: dim <= 128,
	})
	for h := range 4 {
		k.HeadTiles = append(k.HeadTiles, layout.HeadTile{Heads: []int{h}, KVHead: h / 2, Pattern: stripes(4, 4, int64(h))})
	}
	return k
}

func TestEmit(t *testing.T) {
	for _, dim := range []int{8, 64, 72, 96, 120, 128, 256} {
		kvTile := 64
		if dim > 128 {
			kvTile = 32
		}
		k := plain(dim, kvTile, 2)
		m, _, err := sm80.Generator{}.Emit(k)
		if err != nil {
			t.Fatal(err)
		}
		if dir := os.Getenv("S2C_DUMP"); dir != "" {
			os.WriteFile(fmt.Sprintf("%s/d%d.ptx", dir, dim), []byte(m.String()), 0o644)
		}
	}
}

func TestEmitRefuses(t *testing.T) {
	k := plain(64, 64, 2)
	k.Rows, k.Warps, k.Merge, k.Positions = 192, 12, 3, 192
	if _, _, err := (sm80.Generator{}).Emit(k); err == nil || !strings.Contains(err.Error(), "192 rows") {
		t.Errorf("192 rows: %v", err)
	}
	k = plain(64, 64, 1)
	k.Stages++
	if _, _, err := (sm80.Generator{}).Emit(k); err == nil || !strings.Contains(err.Error(), "not laid out") {
		t.Errorf("another map of shared memory: %v", err)
	}
}
