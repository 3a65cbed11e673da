package kernel

import "github.com/s2attention/s2c/codegen/ptx"

// KVTile are the registers of one KV tile: KVTile tokens of a layout, gathered
// from several key blocks or cut from one.
type KVTile struct {
	Valid ptx.Pred // the tile has at least one chunk
	Chunks
}

// NewKVTile makes the registers of a tile without chunks.
func (f *Frame) NewKVTile() KVTile {
	b := f.B
	t := KVTile{Valid: b.MovPred(ptx.Imm(0)), Chunks: Chunks{Tokens: f.K.ChunkTokens()}}
	for range f.K.Gather() {
		t.Base = append(t.Base, b.Const32(0))
		t.Member = append(t.Member, b.Const32(0))
	}
	return t
}

// MoveTo copies a tile to another's registers.
func (f *Frame) MoveTo(to, from KVTile, members bool) {
	b := f.B
	b.AndPredTo(to.Valid, from.Valid, ptx.Imm(1))
	for g := range to.Base {
		b.MovB32To(to.Base[g], from.Base[g])
		if members {
			b.MovB32To(to.Member[g], from.Member[g])
		}
	}
}

// Stream turns the key blocks of a row into KV tiles.
type Stream struct {
	frame   *Frame
	cursor  *Cursor
	part    ptx.R32 // which part of the key block comes next, where blocks are larger than tiles
	members bool
}

// NewStream places a stream before a row's first KV tile; lastKey is LastKey's.
func (f *Frame) NewStream(p *Pattern, lastKey ptx.R32) *Stream {
	s := &Stream{frame: f, members: Members(f.K, p), part: f.B.Const32(0)}
	var live *ptx.R32
	if s.members {
		blocks := f.liveBlocks()
		live = &blocks
	}
	s.cursor = NewCursor(f.B, p, f.Head, PatternRow(f.B, f.K, f.Tile), lastKey, live)
	return s
}

// liveBlocks has a bit for each merged query block that holds a query of the
// call: a key block that no such block attends must not be read.
func (f *Frame) liveBlocks() ptx.R32 {
	b := f.B
	b.Comment("which merged query blocks hold queries")
	first := b.MaxS32(b.SubS32(f.Lengths.Offset, f.Tile.Position), ptx.Imm(0))
	first = b.DivU32(first, ptx.Imm(f.K.Shape.Block))
	last := b.SubS32(b.SubS32(f.Lengths.KLen, ptx.Imm(1)), f.Tile.Position)
	last = b.MinU32(b.DivU32(last, ptx.Imm(f.K.Shape.Block)), ptx.Imm(f.K.Merge-1))
	upTo := b.SubS32(b.ShlB32(b.Const32(2), last), ptx.Imm(1))
	return b.AndB32(upTo, b.ShlB32(b.Const32(-1), first))
}

// Next finds the chunks of the next KV tile. A missing chunk starts at k_len.
func (s *Stream) Next(t *KVTile) {
	if s.frame.K.Parts() > 1 {
		s.cut(t)
		return
	}
	b := s.frame.B
	for g := range t.Base {
		s.cursor.Next()
		found := b.SetpGeS32(s.cursor.Block, ptx.Imm(0))
		if g == 0 {
			b.AndPredTo(t.Valid, found, ptx.Imm(1))
		}
		b.SelpB32To(t.Base[g], b.MulLoS32(s.cursor.Block, ptx.Imm(s.frame.K.Shape.Block)), s.frame.Lengths.KLen, found)
		s.keepMembers(t, g)
	}
}

// cut steps through the parts of a key block that is larger than the tile.
func (s *Stream) cut(t *KVTile) {
	b, k := s.frame.B, s.frame.K
	b.Unless(b.SetpGtS32(s.part, ptx.Imm(0)), "same_block", s.cursor.Next)
	found := b.SetpGeS32(s.cursor.Block, ptx.Imm(0))
	b.AndPredTo(t.Valid, found, ptx.Imm(1))
	at := b.MadLoS32(s.cursor.Block, ptx.Imm(k.Shape.Block), b.MulLoS32(s.part, ptx.Imm(k.KVTile)))
	b.SelpB32To(t.Base[0], at, s.frame.Lengths.KLen, found)
	b.AddS32To(s.part, s.part, ptx.Imm(1))
	b.AndB32To(s.part, s.part, ptx.Imm(k.Parts()-1))
	s.keepMembers(t, 0)
}

func (s *Stream) keepMembers(t *KVTile, g int) {
	if s.members {
		s.frame.B.MovB32To(t.Member[g], s.cursor.Members)
	}
}
