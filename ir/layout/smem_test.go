package layout_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/google/go-cmp/cmp"
	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/ir/layout"
)

// tiles draws every kind of tile: full slabs, and each remainder.
var tiles = rapid.Custom(func(t *rapid.T) layout.SmemTile {
	typ := rapid.SampledFrom([]dtype.Type{dtype.BF16, dtype.F32}).Draw(t, "type")
	return layout.SmemTile{
		Rows: 16 * rapid.IntRange(1, 8).Draw(t, "rows/16"),
		Cols: 32 / typ.Bytes() * rapid.IntRange(1, 16).Draw(t, "bytes/32"),
		Type: typ,
	}
})

func TestSmemTileSlabs(t *testing.T) {
	for _, c := range []struct {
		tile layout.SmemTile
		want []layout.Slab
	}{
		{layout.SmemTile{Rows: 64, Cols: 128, Type: dtype.BF16}, []layout.Slab{{0, 64, 0, 2}, {64, 64, 8192, 2}}},
		{layout.SmemTile{Rows: 64, Cols: 96, Type: dtype.F16}, []layout.Slab{{0, 64, 0, 2}, {64, 32, 8192, 2}}},
		{layout.SmemTile{Rows: 32, Cols: 112, Type: dtype.BF16}, []layout.Slab{{0, 64, 0, 2}, {64, 32, 4096, 2}, {96, 16, 6144, 2}}},
		{layout.SmemTile{Rows: 16, Cols: 16, Type: dtype.BF16}, []layout.Slab{{0, 16, 0, 2}}},
		{layout.SmemTile{Rows: 16, Cols: 80, Type: dtype.BF16}, []layout.Slab{{0, 64, 0, 2}, {64, 16, 2048, 2}}},
		{layout.SmemTile{Rows: 16, Cols: 56, Type: dtype.F32}, []layout.Slab{{0, 32, 0, 4}, {32, 16, 2048, 4}, {48, 8, 3072, 4}}},
	} {
		if diff := cmp.Diff(c.want, c.tile.Slabs()); diff != "" {
			t.Errorf("%+v: slabs (-want +got):\n%s", c.tile, diff)
		}
	}
}

func TestSmemTileSlabOfColumn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tile := tiles.Draw(t, "tile")
		for _, s := range tile.Slabs() {
			for col := s.Col; col < s.Col+s.Width; col++ {
				if got := tile.Slab(col); got != s {
					t.Fatalf("%+v: column %d lies in %+v, want %+v", tile, col, got, s)
				}
			}
		}
	})
}

func TestSmemTileBijective(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tile := tiles.Draw(t, "tile")
		seen := make([]bool, tile.Bytes())
		for row := range tile.Rows {
			for col := range tile.Cols {
				at := tile.Offset(row, col)
				if at < 0 || at%tile.Type.Bytes() != 0 || at >= len(seen) || seen[at] {
					t.Fatalf("%+v: (%d, %d) at byte %d: misaligned, taken or outside %d bytes", tile, row, col, at, len(seen))
				}
				seen[at] = true
			}
		}
		// As many distinct multiples of an element's size as there are elements: nothing is left over.
	})
}

func TestSmemTileChunksContiguous(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tile := tiles.Draw(t, "tile")
		row := rapid.IntRange(0, tile.Rows-1).Draw(t, "row")
		elem := tile.Type.Bytes()
		for col := 0; col < tile.Cols; col += layout.ChunkBytes / elem {
			start := tile.Offset(row, col)
			if start%layout.ChunkBytes != 0 {
				t.Fatalf("%+v: chunk (%d, %d) at byte %d is misaligned", tile, row, col, start)
			}
			for e := range layout.ChunkBytes / elem {
				if got := tile.Offset(row, col+e); got != start+elem*e {
					t.Fatalf("%+v: (%d, %d) at byte %d, want %d", tile, row, col+e, got, start+elem*e)
				}
			}
		}
	})
}

// banks counts the distinct 4-byte banks that 16-byte accesses touch; 8 of them
// without a conflict touch all 32.
func banks(offsets []int) int {
	seen := map[int]bool{}
	for _, at := range offsets {
		for b := range 4 {
			seen[at/4%32+b] = true
		}
	}
	return len(seen)
}

// ldmatrix reads 8×8 matrices: 8 consecutive rows at one chunk of columns.
func TestSmemTileLdmatrixWithoutConflict(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tile := tiles.Draw(t, "tile")
		for row := 0; row < tile.Rows; row += 8 {
			for col := 0; col < tile.Cols; col += layout.ChunkBytes / tile.Type.Bytes() {
				var at []int
				for r := range 8 {
					at = append(at, tile.Offset(row+r, col))
				}
				if n := banks(at); n != 32 {
					t.Fatalf("%+v: matrix at (%d, %d) touches %d banks of 32", tile, row, col, n)
				}
			}
		}
	})
}

// A warp's 16-byte accesses go in four phases of eight lanes, which read a slab
// in row-major order: 128 bytes of it at a time.
func TestSmemTileRowMajorWithoutConflict(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tile := tiles.Draw(t, "tile")
		for _, s := range tile.Slabs() {
			chunks := s.RowBytes() / layout.ChunkBytes
			for first := 0; first < tile.Rows*chunks; first += 8 {
				var at []int
				for lane := range 8 {
					i := first + lane
					at = append(at, s.At(i/chunks, i%chunks*s.ChunkCols()))
				}
				if n := banks(at); n != 32 {
					t.Fatalf("%+v: eight lanes from chunk %d of slab %+v touch %d banks of 32", tile, first, s, n)
				}
			}
		}
	})
}

// The Hopper modes permute address bits: 4–6 by 7–9 for 128 bytes, 4–5 by 7–8 for
// 64 bytes, 4 by 7 for 32 bytes, over the plain row-major address.
func TestSmemTileIsHopperSwizzle(t *testing.T) {
	mode := map[int]int{128: 7, 64: 3, 32: 1} // by bytes of a row
	rapid.Check(t, func(t *rapid.T) {
		tile := tiles.Draw(t, "tile")
		base := 1024 * rapid.IntRange(0, 64).Draw(t, "base/1024")
		for _, s := range tile.Slabs() {
			for row := range tile.Rows {
				for col := range s.Width {
					plain := base + s.Offset + (row*s.Width+col)*s.Elem
					want := plain ^ plain>>7&mode[s.RowBytes()]<<4
					if got := base + tile.Offset(row, s.Col+col); got != want {
						t.Fatalf("%+v: (%d, %d) at %#x, the hardware puts it at %#x", tile, row, s.Col+col, got, want)
					}
				}
			}
		}
	})
}

func TestSmemTileCheck(t *testing.T) {
	for _, tile := range []layout.SmemTile{
		{}, {Rows: 8, Cols: 64, Type: dtype.BF16}, {Rows: 16, Cols: 40, Type: dtype.BF16}, {Rows: -16, Cols: 16, Type: dtype.BF16},
		{Rows: 16, Cols: 64}, {Rows: 16, Cols: 12, Type: dtype.F32},
	} {
		if tile.Check() == nil {
			t.Errorf("%+v passes", tile)
		}
	}
	if err := (layout.SmemTile{Rows: 16, Cols: 48, Type: dtype.F16}).Check(); err != nil {
		t.Error(err)
	}
}
