package tile

import (
	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/ir/layout"
)

// A lane addresses one row of one of the four 8 × 8 matrices that ldmatrix and
// stmatrix move at once, and matrix number lane / 8 is register lane / 8 of the
// result (PTX ISA 9.0 §9.7.14.5.15, §9.7.14.5.16).

// order says how the four matrices lie: which bit of the matrix number moves eight
// rows down, the other one chunk right.
type order struct{ rowBit, chunkBit int }

// Where the matrices of each operand lie in a tile that holds its rows as rows, or,
// transposed, as columns.
var (
	orderA = [2]order{{rowBit: 0, chunkBit: 1}, {rowBit: 1, chunkBit: 0}} // rows 0 to 7, 8 to 15, then the next 8 of the depth
	orderB = [2]order{{rowBit: 1, chunkBit: 0}, {rowBit: 0, chunkBit: 1}} // both halves of the depth of 8 columns, then the next 8
)

// matrices are this lane's offsets into tiles of one shape. The swizzle depends on
// the row mod 8, so an offset serves all rows that are a multiple of 8 away.
type matrices struct {
	*Warp
	tile       layout.SmemTile
	transposed bool
	offsets    map[int][]ptx.R32 // slab width → offset by pair of chunks
}

func (w *Warp) matrices(t layout.SmemTile, orders [2]order, transposed bool) matrices {
	b, o := w.B, orders[0]
	if transposed {
		o = orders[1]
	}
	bit := func(n int) ptx.R32 { return b.AndB32(b.ShrU32(w.Lane, ptx.Imm(3+n)), ptx.Imm(1)) }
	row := b.MadLoS32(bit(o.rowBit), ptx.Imm(8), b.AndB32(w.Lane, ptx.Imm(7)))
	half := bit(o.chunkBit)
	m := matrices{Warp: w, tile: t, transposed: transposed, offsets: map[int][]ptx.R32{}}
	for _, s := range t.Slabs() {
		if m.offsets[s.Width] != nil {
			continue
		}
		for pair := range s.Width / 16 {
			m.offsets[s.Width] = append(m.offsets[s.Width], w.Swizzled(s, row, b.AddS32(half, ptx.Imm(2*pair))))
		}
	}
	return m
}

// at is the address of the matrices at (row, column) of a tile; the column is a
// multiple of 16.
func (m matrices) at(tile ptx.R32, row, col int) ptx.SAddr {
	s := m.tile.Slab(col)
	reg := m.B.AddS32(tile, m.offsets[s.Width][(col-s.Col)/16])
	return reg.At(s.Offset + row*s.RowBytes())
}

// depth is what a product sums over that takes the tile as an operand, in steps of 16.
func (m matrices) depth() int {
	if m.transposed {
		return m.tile.Rows / 16
	}
	return m.tile.Cols / 16
}

// load reads the four matrices at an address, those of a transposed tile transposed.
func (m matrices) load(frag []ptx.R32, at ptx.SAddr) []ptx.R32 {
	if m.transposed {
		m.B.LdmatrixSyncAlignedM8n8X4TransSharedB16(frag, at)
	} else {
		m.B.LdmatrixSyncAlignedM8n8X4SharedB16(frag, at)
	}
	return frag
}

// ShapeA is how a warp reads and writes its 16 rows of A operands in tiles of one
// shape. A transposed tile has them as columns.
type ShapeA struct{ matrices }

// ShapeA prepares it.
func (w *Warp) ShapeA(t layout.SmemTile, transposed bool) ShapeA {
	if slabs := t.Slabs(); transposed && slabs[0].Width != slabs[len(slabs)-1].Width {
		w.B.Refuse("a transposed operand in %d columns, which are slabs of two widths", t.Cols)
	}
	return ShapeA{w.matrices(t, orderA, transposed)}
}

// At is the operand in a tile at base, of the n-th 16 rows.
func (s ShapeA) At(base, n ptx.R32) A { return A{s, base, n} }

// A is a warp's 16 rows of a product's A operand in shared memory.
type A struct {
	ShapeA
	base, n ptx.R32
}

// address is where the matrices of a step lie.
func (a A) address(step int) ptx.SAddr {
	b := a.B
	if !a.transposed {
		tile := b.MadLoS32(a.n, ptx.Imm(Rows*a.tile.Slab(step*16).RowBytes()), a.base)
		return a.at(tile, 0, step*16)
	}
	// The warp's columns: which slab, which pair of its chunks. The pair flips bits of
	// the chunk's number that no other summand has, as slabs are aligned.
	s := a.tile.Slab(0)
	pairs := s.Width / 16
	slab := b.DivU32(a.n, ptx.Imm(pairs))
	pair := b.SubS32(a.n, b.MulLoS32(slab, ptx.Imm(pairs)))
	offset := b.XorB32(a.offsets[s.Width][0], b.ShlB32(pair, ptx.Imm(5)))
	at := b.AddS32(b.MadLoS32(slab, ptx.Imm(a.tile.Rows*s.RowBytes()), a.base), offset)
	return at.At(step * 16 * s.RowBytes())
}

// Step loads the registers of the n-th 16 of the depth.
func (a A) Step(n int) []ptx.R32 { return a.load(a.B.R32s(4), a.address(n)) }

// Load is the operand in registers.
func (a A) Load() Fragments {
	f := Fragments{Warp: a.Warp, Type: a.tile.Type}
	for n := range a.depth() {
		f.regs = append(f.regs, a.Step(n))
	}
	return f
}

// Store writes fragments to where Load finds them, into a transposed tile
// transposed (sm_90).
func (a A) Store(f Fragments) {
	for n, step := range f.regs {
		if a.transposed {
			a.B.StmatrixSyncAlignedM8n8X4TransSharedB16(a.address(n), step)
		} else {
			a.B.StmatrixSyncAlignedM8n8X4SharedB16(a.address(n), step)
		}
	}
}

// ShapeB is how a warp reads B operands in tiles of one shape: their rows are the
// product's columns, or, transposed, its depth.
type ShapeB struct{ matrices }

// ShapeB prepares it.
func (w *Warp) ShapeB(t layout.SmemTile, transposed bool) ShapeB {
	return ShapeB{w.matrices(t, orderB, transposed)}
}

// At is the operand in a tile at base.
func (s ShapeB) At(base ptx.R32) B { return B{s, base} }

// B is a product's B operand in shared memory.
type B struct {
	ShapeB
	base ptx.R32
}

// step loads the operand of 16 columns from the n-th eight on, for 16 of the depth:
// two registers for the first eight columns, two for the others.
func (b B) step(n, step int) []ptx.R32 {
	row, column := n*8, step*16
	if b.transposed {
		row, column = column, row
	}
	return b.load(b.B.R32s(4), b.at(b.base, row, column))
}
