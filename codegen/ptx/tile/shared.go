package tile

import (
	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/ir/layout"
)

// Swizzled is the offset in its slab of a chunk of a row (layout.Slab.At).
func (w *Warp) Swizzled(s layout.Slab, row, chunk ptx.R32) ptx.R32 {
	b := w.B
	shift, mask := s.Swizzle()
	x := b.AndB32(b.ShrU32(row, ptx.Imm(shift)), ptx.Imm(mask))
	at := b.ShlB32(b.XorB32(chunk, x), ptx.Imm(4))
	return b.MadLoS32(row, ptx.Imm(s.RowBytes()), at)
}

// EachPair runs body for this lane's pairs of neighbours of each fragment, with their
// line's number and the address that they have when the accumulator lies in a tile
// at base, from row first on. Rows must be the queries' axis.
func (a Acc) EachPair(t layout.SmemTile, base, first ptx.R32, body func(line int, lo, hi ptx.F32, at ptx.SAddr)) {
	b := a.B
	row := a.Row()
	word := b.ShlB32(a.quarter(), ptx.Imm(2))
	for n, frag := range a.frags {
		s := t.Slab(n * 8)
		tile := b.MadLoS32(first, ptx.Imm(s.RowBytes()), base)
		chunk := b.Const32(int64((n*8 - s.Col) / s.ChunkCols()))
		at := b.AddS32(b.AddS32(tile, word), a.Swizzled(s, row, chunk))
		for r := range 2 {
			body(r, frag[2*r], frag[2*r+1], at.At(s.Offset+8*r*s.RowBytes()))
		}
	}
}

// Store rounds the accumulator to a tile's type and puts it there, from row first on.
func (a Acc) Store(t layout.SmemTile, base, first ptx.R32) {
	a.EachPair(t, base, first, func(_ int, lo, hi ptx.F32, at ptx.SAddr) {
		a.B.StSharedB32(at, a.Pack(lo, hi, t.Type))
	})
}
