package layout_test

import (
	"testing"

	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/ir/layout"
)

// TestLive compares with an enumeration of the call's positions.
func TestLive(t *testing.T) {
	for _, c := range []struct{ block, merge, split int }{{16, 1, 1}, {16, 2, 1}, {16, 3, 1}, {16, 8, 1}, {2, 32, 1}, {64, 1, 4}} {
		k := &layout.Kernel{
			Shape: ir.Shape{Block: c.block}, Merge: c.merge, Split: c.split, Positions: c.block * c.merge / c.split,
		}
		for kLen := int64(1); kLen < 140; kLen += 3 {
			for qLen := int64(1); qLen <= kLen; qLen++ {
				want := map[int64]uint32{}
				for pos := kLen - qLen; pos < kLen; pos++ {
					tile := pos / int64(k.Positions)
					want[tile] |= 1 << (pos % int64(k.Positions) / int64(c.block))
				}
				if first := k.FirstTile(kLen, qLen); int64(len(want)) != k.Tiles(kLen)-first || want[first] == 0 {
					t.Fatalf("%+v, %d of %d tokens: tiles [%d, %d), want those of %b", c, qLen, kLen, first, k.Tiles(kLen), want)
				}
				for tile, bits := range want {
					if got := k.Live(tile, kLen, qLen); got != bits {
						t.Fatalf("%+v, %d of %d tokens, tile %d: %b are live, want %b", c, qLen, kLen, tile, got, bits)
					}
				}
			}
		}
	}
}
