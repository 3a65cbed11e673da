package sm90a

import (
	"testing"

	"github.com/s2attention/s2c/codegen/ptx/tile"
	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/ir/layout"
)

// TestSplit: what setmaxnreg hands out is what a thread block enters with, in units
// of eight (PTX ISA 9.7.19.5), as much as a consumer can use and no more.
func TestSplit(t *testing.T) {
	shape := ir.Shape{Heads: 4, KVHeads: 2, HeadDim: 64, Block: 16, DType: dtype.BF16}
	type shares struct {
		producer, consumer int
		move               bool
	}
	for _, c := range []struct {
		groups, gather int
		want           shares
	}{
		{1, 1, shares{256, 240, false}}, {1, 8, shares{256, 240, false}},
		{2, 1, shares{24, 240, true}}, {2, 2, shares{24, 240, true}},
		{2, 3, shares{40, 232, true}}, {2, 4, shares{40, 232, true}},
		{2, 5, shares{56, 224, true}}, {2, 8, shares{56, 224, true}},
		{3, 1, shares{32, 160, true}}, {3, 2, shares{32, 160, true}},
	} {
		var got shares
		got.producer, got.consumer, got.move = split(c.groups, c.gather)
		if got != c.want {
			t.Errorf("%d consumer warpgroups, %d blocks a tile: %+v, want %+v", c.groups, c.gather, got, c.want)
		}
		own := Generator{}.Registers(shape, layout.Candidate{Rows: c.groups * tile.GroupRows, KVTile: c.gather * shape.Block})
		if own.Given != c.want.consumer || own.Limit != c.want.consumer {
			t.Errorf("%d consumer warpgroups, %d blocks a tile: registers %+v, want %d", c.groups, c.gather, own, c.want.consumer)
		}
		entered := layout.Hopper.CoreRegisters / threads(c.groups) / 8 * 8 * threads(c.groups)
		if used := 128 * (got.producer + c.groups*got.consumer); got.move && used > entered {
			t.Errorf("%d consumer warpgroups, %d blocks a tile: %d registers of %d", c.groups, c.gather, used, entered)
		}
	}
}
