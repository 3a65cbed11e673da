package layout

import (
	"fmt"

	"github.com/s2attention/s2c/dtype"
)

// SmemTile is a tile of elements in shared memory: Rows × Cols, stored as
// slabs of columns so that a row of a slab is 128, 64 or 32 bytes, the widths
// that the hardware can swizzle. Inside a slab the 16-byte chunks of a row are
// permuted by exclusive-or with bits of the row, which makes it the Hopper
// swizzle mode of that width (PTX ISA 9.0 §5.5.7 and §9.7.15.5.1) as long as the tile
// starts at a multiple of 1024 bytes; the permutation of the 32-byte slab needs
// 256. The laws are in the package's tests: Offset is a bijection, chunks stay
// whole, and ldmatrix reads and 16-byte stores meet no avoidable bank conflict.
type SmemTile struct {
	Rows int // a multiple of 16
	Cols int // a multiple of 32 bytes
	Type dtype.Type
	// Hardware: the copy engine and wgmma swizzle it, by address.
	Hardware bool
}

// Slab is a run of columns [Col, Col+Width) of a tile at a byte offset.
type Slab struct {
	Col    int // first column
	Width  int // columns: 128, 64 or 32 bytes
	Offset int // bytes from the start of the tile
	Elem   int // bytes of an element
}

// ChunkBytes is the unit that stays contiguous: one ldmatrix row, one cp.async.
const ChunkBytes = 16

// slabBytes are the widths of a slab, leastBytes is the least.
var slabBytes = []int{128, 64, leastBytes}

const leastBytes = 32

// RowBytes is the distance between two rows of the slab.
func (s Slab) RowBytes() int { return s.Width * s.Elem }

// ChunkCols is the columns of a chunk.
func (s Slab) ChunkCols() int { return ChunkBytes / s.Elem }

// Swizzle says how chunk c of a row is placed: at c ^ (row >> shift & mask).
func (s Slab) Swizzle() (shift, mask int) {
	switch s.RowBytes() {
	case 128:
		return 0, 7
	case 64:
		return 1, 3
	default:
		return 2, 1
	}
}

// At is the byte offset, from the start of the tile, of the element at a row and
// at a column counted from the slab's first.
func (s Slab) At(row, col int) int {
	shift, mask := s.Swizzle()
	chunk := col*s.Elem/ChunkBytes ^ row>>shift&mask
	return s.Offset + row*s.RowBytes() + chunk*ChunkBytes + col*s.Elem%ChunkBytes
}

// Check reports a size that cannot be stored this way.
func (t SmemTile) Check() error {
	if t.Rows <= 0 || t.Rows%16 != 0 || t.Type.Bytes() == 0 || t.Cols <= 0 || t.Cols*t.Type.Bytes()%leastBytes != 0 {
		return fmt.Errorf("layout: shared-memory tile %d × %d of %q: rows must be a positive multiple of 16, a row of %d bytes",
			t.Rows, t.Cols, t.Type, leastBytes)
	}
	return nil
}

// Slabs lists the slabs from the first column on: as many of 128 bytes as fit,
// then at most one of 64 and one of 32.
func (t SmemTile) Slabs() []Slab {
	var slabs []Slab
	col, elem := 0, t.Type.Bytes()
	for _, bytes := range slabBytes {
		for t.Cols-col >= bytes/elem {
			slabs = append(slabs, Slab{Col: col, Width: bytes / elem, Offset: t.Rows * col * elem, Elem: elem})
			col += bytes / elem
		}
	}
	return slabs
}

// Slab is the slab that holds a column.
func (t SmemTile) Slab(col int) Slab {
	slabs := t.Slabs()
	n := 0
	for slabs[n].Col+slabs[n].Width <= col {
		n++
	}
	return slabs[n]
}

// Offset is the byte offset of an element from the start of the tile.
func (t SmemTile) Offset(row, col int) int {
	s := t.Slab(col)
	return s.At(row, col-s.Col)
}

// Bytes is the size of the tile.
func (t SmemTile) Bytes() int { return t.Rows * t.Cols * t.Type.Bytes() }
