package kernel

import (
	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/ir/layout"
)

// Tile says which query tile of which head tile of which batch entry a thread
// block works on.
type Tile struct {
	Batch    ptx.R32 // batch entry
	HeadTile ptx.R32 // index into the layout's head tiles
	Index    ptx.R32 // tile number, counted from position 0
	Position ptx.R32 // first query position: Index × Positions
}

// Lengths are the registers of a problem's size.
type Lengths struct {
	QLen, KLen ptx.R32
	Offset     ptx.R32 // position of the first query: KLen − QLen
	FirstTile  ptx.R32 // number of the first tile that holds a query
	Tiles      ptx.R32 // tiles that hold queries
}

// LoadLengths reads the lengths and counts the tiles.
func LoadLengths(b *ptx.Builder, positions int) Lengths {
	l := Lengths{QLen: Param32(b, "q_len"), KLen: Param32(b, "k_len")}
	l.Offset = b.SubS32(l.KLen, l.QLen)
	l.FirstTile = b.DivU32(l.Offset, ptx.Imm(positions))
	end := b.DivU32(b.AddS32(l.KLen, ptx.Imm(positions-1)), ptx.Imm(positions))
	l.Tiles = b.SubS32(end, l.FirstTile)
	return l
}

// DecodeWork turns a work item's number into a tile. The order is batch entry,
// then group of head tiles (their stripes of KV stay in L2 together), then
// query tile from the last, the longest, to the first, then head tile.
func DecodeWork(b *ptx.Builder, item ptx.R32, k *layout.Kernel, l Lengths) Tile {
	b.Comment("work item -> batch entry, group of head tiles, query tile (longest first), head tile")
	heads := len(k.HeadTiles)
	group := groupSize(b, k, l)
	perBatch := b.MulLoS32(l.Tiles, ptx.Imm(heads))
	t := Tile{Batch: b.DivU32(item, perBatch)}
	rest := b.SubS32(item, b.MulLoS32(t.Batch, perBatch))
	perGroup := b.MulLoS32(l.Tiles, group)
	g := b.DivU32(rest, perGroup)
	rest = b.SubS32(rest, b.MulLoS32(g, perGroup))
	first := b.MulLoS32(g, group)
	width := b.MinU32(b.SubS32(b.Const32(int64(heads)), first), group)
	rank := b.DivU32(rest, width)
	t.HeadTile = b.AddS32(first, b.SubS32(rest, b.MulLoS32(rank, width)))
	last := b.AddS32(l.FirstTile, b.SubS32(l.Tiles, ptx.Imm(1)))
	t.Index = b.SubS32(last, rank)
	t.Position = b.MulLoS32(t.Index, ptx.Imm(k.Positions))
	return t
}

// groupSize is the head tiles of a group: as many as fit L2 at the context's
// length, given how many do at layout.GroupTokens. Wide groups deal the longest
// tiles of all heads first, which leaves the short ones to even out the end.
func groupSize(b *ptx.Builder, k *layout.Kernel, l Lengths) ptx.R32 {
	heads := len(k.HeadTiles)
	least := min(max(k.GroupSize, 1), heads)
	times := b.DivU32(b.Const32(layout.GroupTokens), l.KLen)
	times = b.MaxU32(b.MinU32(times, ptx.Imm(heads)), ptx.Imm(1))
	return b.MinU32(b.MulLoS32(times, ptx.Imm(least)), ptx.Imm(heads))
}

// PatternRow is the row of the pattern that a tile belongs to: the tile itself
// where query blocks are merged, else its query block.
func PatternRow(b *ptx.Builder, k *layout.Kernel, t Tile) ptx.R32 {
	if k.Split > 1 {
		return b.DivU32(t.Index, ptx.Imm(k.Split))
	}
	return t.Index
}
