package kernel

import (
	"math/bits"

	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/codegen/ptx/tile"
	"github.com/s2attention/s2c/ir/layout"
)

// Frame are the registers that say who a thread is and what it works on.
type Frame struct {
	*tile.Warp
	K *layout.Kernel

	Rank ptx.R32 // this warp's number among those that compute

	Lengths  Lengths
	Tile     Tile
	Head     HeadTile
	WarpHead ptx.R32 // this warp's query head
	WarpPos  ptx.R32 // position of this warp's first row
}

// Open decodes a work item and places this warp in its tile.
func (f *Frame) Open(words ptx.Sym, item ptx.R32) {
	b := f.B
	f.Tile = DecodeWork(b, item, f.K, f.Lengths)
	f.Head = LoadHeadTile(b, words, f.Tile.HeadTile)
}

// PlaceWarp finds the warp's query head and first position.
func (f *Frame) PlaceWarp() {
	b := f.B
	b.Comment("this warp's rows: query head, first position")
	first := f.FirstRow()
	slot := b.DivU32(first, ptx.Imm(f.K.Positions))
	f.WarpHead = b.AddS32(f.Head.FirstHead, slot)
	f.WarpPos = b.AddS32(f.Tile.Position, b.SubS32(first, b.MulLoS32(slot, ptx.Imm(f.K.Positions))))
}

// FirstRow is the first of the thread block's rows that this warp has.
func (f *Frame) FirstRow() ptx.R32 { return f.B.ShlB32(f.Rank, ptx.Imm(4)) }

// warpBlock is which of the tile's merged query blocks holds this warp's rows.
func (f *Frame) warpBlock() ptx.R32 {
	b := f.B
	return b.DivU32(b.SubS32(f.WarpPos, f.Tile.Position), ptx.Imm(f.K.Shape.Block))
}

// LastKey is the last key block that exists.
func (f *Frame) LastKey() ptx.R32 {
	b := f.B
	return b.DivU32(b.SubS32(f.Lengths.KLen, ptx.Imm(1)), ptx.Imm(f.K.Shape.Block))
}

// Query is the query row of a position and whether it exists.
func (f *Frame) Query(pos ptx.R32) (row ptx.R32, ok ptx.Pred) {
	b := f.B
	// The lengths are constants to the assembler; their difference would take a register.
	row = b.SubS32(b.AddS32(pos, f.Lengths.QLen), f.Lengths.KLen)
	return row, b.AndPred(b.SetpGeS32(row, ptx.Imm(0)), b.SetpLtS32(pos, f.Lengths.KLen))
}

// TensorBase is the address of (batch entry, head) of a tensor.
func (f *Frame) TensorBase(name string, head ptx.R32) ptx.R64 {
	b := f.B
	at := b.CvtaToGlobalU64(Param64(b, name))
	at = b.MadLoS64(b.CvtU64U32(f.Tile.Batch), f.Stride(name+"_batch"), at)
	return b.MadLoS64(b.CvtU64U32(head), f.Stride(name+"_head"), at)
}

// Stride is a stride parameter, turned from elements into bytes.
func (f *Frame) Stride(name string) ptx.R64 {
	return f.B.ShlB64(Param64(f.B, name), ptx.Imm(bits.TrailingZeros(uint(f.K.Shape.DType.Bytes()))))
}

// Members says whether a KV chunk may concern only some of a tile's query blocks.
func Members(k *layout.Kernel, p *Pattern) bool { return k.Merge > 1 && p.Members }
