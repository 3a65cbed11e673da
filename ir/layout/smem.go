package layout

import "fmt"

// SmemTile is a tile of 16-bit elements in shared memory: Rows × Cols, stored as
// slabs of columns so that a row of a slab is 128, 64 or 32 bytes, the widths
// that the hardware can swizzle. Inside a slab the 16-byte chunks of a row are
// permuted by exclusive-or with bits of the row, which makes it the Hopper
// swizzle mode of that width (PTX ISA 9.0 §5.5.7 and §9.7.15.5.1) as long as the tile
// starts at a multiple of 1024 bytes; the permutation of the 32-byte slab needs
// 256. The laws are in the package's tests: Offset is a bijection, chunks stay
// whole, and ldmatrix reads and 16-byte stores meet no avoidable bank conflict.
type SmemTile struct {
	Rows int // a multiple of 16
	Cols int // a multiple of 16
}

// Slab is a run of columns [Col, Col+Width) of a tile at a byte offset.
type Slab struct {
	Col    int // first column
	Width  int // columns: 64, 32 or 16
	Offset int // bytes from the start of the tile
}

// ChunkBytes is the unit that stays contiguous: one ldmatrix row, one cp.async.
const ChunkBytes = 16

// elemBytes is the size of bf16 and f16.
const elemBytes = 2

// RowBytes is the distance between two rows of the slab.
func (s Slab) RowBytes() int { return s.Width * elemBytes }

// Swizzle says how chunk c of a row is placed: at c ^ (row >> shift & mask).
func (s Slab) Swizzle() (shift, mask int) {
	switch s.Width {
	case 64:
		return 0, 7
	case 32:
		return 1, 3
	default:
		return 2, 1
	}
}

// At is the byte offset, from the start of the tile, of the element at a row and
// at a column counted from the slab's first.
func (s Slab) At(row, col int) int {
	shift, mask := s.Swizzle()
	chunk := col*elemBytes/ChunkBytes ^ row>>shift&mask
	return s.Offset + row*s.RowBytes() + chunk*ChunkBytes + col*elemBytes%ChunkBytes
}

// Check reports a size that cannot be stored this way.
func (t SmemTile) Check() error {
	if t.Rows <= 0 || t.Rows%16 != 0 || t.Cols <= 0 || t.Cols%16 != 0 {
		return fmt.Errorf("layout: shared-memory tile %d × %d: both sides must be positive multiples of 16", t.Rows, t.Cols)
	}
	return nil
}

// Slabs lists the slabs from the first column on: as many of 64 columns as fit,
// then at most one of 32 and one of 16.
func (t SmemTile) Slabs() []Slab {
	var slabs []Slab
	col, offset := 0, 0
	for _, width := range []int{64, 32, 16} {
		for t.Cols-col >= width {
			slabs = append(slabs, Slab{Col: col, Width: width, Offset: offset})
			col += width
			offset += t.Rows * width * elemBytes
		}
	}
	return slabs
}

// Slab is the slab that holds a column.
func (t SmemTile) Slab(col int) Slab {
	start, width := col/64*64, 64
	if rest := t.Cols - start; rest < 64 { // the columns after the last full slab
		switch {
		case rest >= 32 && col-start < 32:
			width = 32
		case rest >= 32:
			start, width = start+32, 16
		default:
			width = 16
		}
	}
	// All earlier columns take Rows elements each, whatever their slabs' widths.
	return Slab{Col: start, Width: width, Offset: t.Rows * start * elemBytes}
}

// Offset is the byte offset of an element from the start of the tile.
func (t SmemTile) Offset(row, col int) int {
	s := t.Slab(col)
	return s.At(row, col-s.Col)
}

// Bytes is the size of the tile.
func (t SmemTile) Bytes() int { return t.Rows * t.Cols * elemBytes }
