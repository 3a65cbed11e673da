package sm90a

import (
	"fmt"

	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/codegen/ptx/kernel"
)

// producer is the state of the warp that feeds the others. All its lanes follow
// the same path; one issues.
type producer struct {
	*emitter
	issuer    ptx.Pred
	k, v      *ring
	qPhase    ptx.R32
	cursor    *kernel.Cursor
	part      ptx.R32
	cur, next tile
}

// tile is a KV tile that is about to be loaded.
type tile struct {
	valid ptx.Pred
	kernel.Chunks
}

func (e *emitter) produce() {
	b := e.b
	p := &producer{emitter: e, k: e.newRing("k"), v: e.newRing("v"), qPhase: b.Const32(0)}
	p.issuer = b.SetpEqU32(e.Lane, ptx.Imm(0))
	for _, t := range []*tile{&p.cur, &p.next} {
		t.valid = b.MovPred(ptx.Imm(0))
		t.Tokens = e.chunk
		for range e.gather {
			t.Base = append(t.Base, b.Const32(0))
			t.Member = append(t.Member, b.Const32(0))
		}
	}
	for _, m := range []string{"q_map", "k_map", "v_map"} {
		b.If(p.issuer).PrefetchParamTensormap(b.MovU64Sym(ptx.Sym(m)).At(0))
	}
	lastKey := e.LastKey()
	e.eachItem(func() {
		p.loadQuery()
		p.cursor = kernel.NewCursor(b, e.pattern, e.Head, kernel.PatternRow(b, e.K, e.Tile), lastKey)
		p.part = b.Const32(0)
		p.advance(&p.next)
		p.row()
	})
}

// mapAddress is the generic address of a tensor map in the parameters.
func (e *emitter) mapAddress(name string) ptx.R64 {
	return e.b.CvtaParamU64(e.b.MovU64Sym(ptx.Sym(name)))
}

// row loads the KV tiles of a row, at least one: a row without any gets a tile
// past the end, all zeros, so that the consumers need no case of their own.
func (p *producer) row() {
	b := p.b
	loop := b.NewLabel("load")
	b.NoUnroll()
	b.Place(loop)
	b.AndPredTo(p.cur.valid, p.next.valid, ptx.Imm(1))
	for g := range p.gather {
		b.MovB32To(p.cur.Base[g], p.next.Base[g])
		b.MovB32To(p.cur.Member[g], p.next.Member[g])
	}
	p.advance(&p.next)

	p.k.waitEmpty()
	p.tell()
	p.load(p.k, "k_map")
	p.v.waitEmpty()
	p.load(p.v, "v_map")
	p.k.next()
	p.v.next()
	b.If(p.next.valid).Bra(loop)
}

// advance finds the chunks of the next KV tile.
func (p *producer) advance(t *tile) {
	b := p.b
	if p.parts > 1 {
		same := b.NewLabel("same_block")
		b.If(b.SetpGtS32(p.part, ptx.Imm(0))).Bra(same)
		p.cursor.Next(b)
		b.Place(same)
		found := b.SetpGeS32(p.cursor.Block, ptx.Imm(0))
		b.AndPredTo(t.valid, found, ptx.Imm(1))
		at := b.MadLoS32(p.cursor.Block, ptx.Imm(p.K.Shape.Block), b.MulLoS32(p.part, ptx.Imm(p.K.KVTile)))
		b.SelpB32To(t.Base[0], at, p.Lengths.KLen, found)
		b.AddS32To(p.part, p.part, ptx.Imm(1))
		b.AndB32To(p.part, p.part, ptx.Imm(p.parts-1))
		if p.members() {
			b.MovB32To(t.Member[0], p.cursor.Members)
		}
		return
	}
	for g := range p.gather {
		p.cursor.Next(b)
		found := b.SetpGeS32(p.cursor.Block, ptx.Imm(0))
		if g == 0 {
			b.AndPredTo(t.valid, found, ptx.Imm(1))
		}
		b.SelpB32To(t.Base[g], b.MulLoS32(p.cursor.Block, ptx.Imm(p.K.Shape.Block)), p.Lengths.KLen, found)
		if p.members() {
			b.MovB32To(t.Member[g], p.cursor.Members)
		}
	}
}

// tell writes what the consumers must know of the tile. The arrival on the
// stage's full barrier, by the same thread, publishes it.
func (p *producer) tell() {
	b := p.b
	info := p.k.info()
	last := b.SelpB32(ptx.Imm(0), ptx.Imm(1), p.next.valid)
	b.If(p.issuer).StSharedB32(info.At(infoLast*4), last)
	for g := range p.gather {
		b.If(p.issuer).StSharedB32(info.At((infoBase+g)*4), p.cur.Base[g])
		if p.members() {
			b.If(p.issuer).StSharedB32(info.At((infoMember+g)*4), p.cur.Member[g])
		}
	}
}

// load copies a tile's chunks, slab by slab; tokens and columns past the end
// arrive as zeros and count as bytes.
func (p *producer) load(r *ring, tensorMap string) {
	b := p.b
	skip := b.NewLabel("loaded")
	full := r.at("_full")
	b.Unless(p.issuer).Bra(skip)
	b.MbarrierArriveExpectTxSharedB64(full, ptx.Imm(p.kv.Bytes()))
	m, buf := p.mapAddress(tensorMap), r.buffer()
	mbar := b.AddS32(full.Base, ptx.Imm(full.Off))
	for g := range p.gather {
		for _, s := range p.kv.Slabs() {
			dst := b.AddS32(buf, ptx.Imm(s.Offset+g*p.chunk*slabRowBytes))
			p.copyBox(dst, m, []ptx.Src32{ptx.Imm(s.Col), p.cur.Base[g], p.Head.KVHead, p.Tile.Batch}, mbar)
		}
	}
	b.Place(skip)
}

// copyBox issues a TMA load of a box at (column, row, head, batch entry).
func (p *producer) copyBox(dst ptx.R32, m ptx.R64, at []ptx.Src32, mbar ptx.R32) {
	p.b.CpAsyncBulkTensor4dSharedClusterGlobalMbarrierCompleteTxBytes(dst.At(0), m.At(0), at, mbar.At(0))
}

// queryBox is the query rows that one TMA box covers: those of one head.
func (e *emitter) queryBox() int { return min(groupRows, e.K.Positions) }

// loadQuery fills each warpgroup's query rows once it has let go of the last.
func (p *producer) loadQuery() {
	b := p.b
	m := p.mapAddress("q_map")
	box := p.queryBox()
	for g := range p.groups {
		p.wait(p.barrierAt("q_empty", g), b.XorB32(p.qPhase, ptx.Imm(1)))
		skip := b.NewLabel(fmt.Sprintf("query_%d", g))
		b.Unless(p.issuer).Bra(skip)
		full := p.barrierAt("q_full", g)
		b.MbarrierArriveExpectTxSharedB64(full, ptx.Imm(p.q.Bytes()))
		mbar := b.AddS32(full.Base, ptx.Imm(full.Off))
		for r := 0; r < groupRows; r += box {
			row := g*groupRows + r
			head := b.AddS32(p.Head.FirstHead, ptx.Imm(row/p.K.Positions))
			query := b.SubS32(b.AddS32(p.Tile.Position, ptx.Imm(row%p.K.Positions)), p.Lengths.Offset)
			for _, s := range p.q.Slabs() {
				dst := b.AddS32(p.smem, ptx.Imm(p.qAt+g*p.q.Bytes()+s.Offset+r*slabRowBytes))
				p.copyBox(dst, m, []ptx.Src32{ptx.Imm(s.Col), query, head, p.Tile.Batch}, mbar)
			}
		}
		b.Place(skip)
	}
	b.XorB32To(p.qPhase, p.qPhase, ptx.Imm(1))
}
