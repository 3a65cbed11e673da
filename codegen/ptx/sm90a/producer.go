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
	q, k, v   *ring
	final     ptx.Pred // the item is the thread block's last
	stream    *kernel.Stream
	cur, next kernel.KVTile // about to be loaded, and after it
}

func (e *emitter) produce() {
	b := e.b
	p := &producer{emitter: e, q: e.newRing("q"), k: e.newRing("k"), v: e.newRing("v")}
	p.issuer = b.SetpEqU32(e.Lane, ptx.Imm(0))
	p.cur, p.next = e.NewKVTile(), e.NewKVTile()
	for _, m := range []string{"q_map", "k_map", "v_map"} {
		b.If(p.issuer).PrefetchParamTensormap(b.MovU64Sym(ptx.Sym(m)).At(0))
	}
	lastKey := e.LastKey()
	p.eachItem(func(final ptx.Pred) {
		p.final = final
		p.loadQuery()
		p.stream = e.NewStream(e.pattern, lastKey)
		p.stream.Next(&p.next)
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
	b.AndPredTo(p.cur.Valid, p.next.Valid, ptx.Imm(1))
	for g := range p.K.Gather() {
		b.MovB32To(p.cur.Base[g], p.next.Base[g])
		b.MovB32To(p.cur.Member[g], p.next.Member[g])
	}
	p.stream.Next(&p.next)

	p.k.waitEmpty(all)
	p.tell()
	p.load(p.k, "k_map")
	p.v.waitEmpty(all)
	p.load(p.v, "v_map")
	p.k.next()
	p.v.next()
	b.If(p.next.Valid).Bra(loop)
}

// tell writes what the consumers must know of the tile. The arrival on the
// stage's full barrier, by the same thread, publishes it.
func (p *producer) tell() {
	b := p.b
	flags := b.SelpB32(ptx.Imm(flagMask), ptx.Imm(0), p.needsMask())
	last := b.SelpB32(ptx.Imm(flagLast|flagFinal), ptx.Imm(flagLast), p.final)
	b.OrB32To(flags, flags, b.SelpB32(ptx.Imm(0), last, p.next.Valid))
	info := p.k.info()
	word := func(n int, v ptx.R32) { b.If(p.issuer).StSharedB32(info.At(n*4), v) }
	word(infoFlags, flags)
	word(infoHead, p.Head.FirstHead)
	word(infoPos, p.Tile.Position)
	word(infoBatch, p.Tile.Batch)
	for g := range p.K.Gather() {
		word(infoBase+g, p.cur.Base[g])
		if p.members() {
			word(infoMember+g, p.cur.Member[g])
		}
	}
}

// needsMask says whether the tile touches the diagonal or the end, lacks a
// chunk, or has one that not all query blocks attend.
func (p *producer) needsMask() ptx.Pred {
	b := p.b
	last := p.cur.Base[0]
	for _, base := range p.cur.Base[1:] {
		last = b.MaxS32(last, base)
	}
	last = b.AddS32(last, ptx.Imm(p.cur.Tokens-1))
	need := b.SetpGeS32(last, p.Lengths.KLen)
	if p.K.Shape.Causal {
		need = b.OrPred(need, b.SetpGtS32(last, p.Tile.Position))
	}
	if p.members() {
		every := p.cur.Member[0]
		for _, m := range p.cur.Member[1:] {
			every = b.AndB32(every, m)
		}
		need = b.OrPred(need, b.SetpNeS32(every, ptx.Imm(1<<p.K.Merge-1)))
	}
	return need
}

// load copies a tile's chunks, slab by slab; tokens and columns past the end
// arrive as zeros and count as bytes.
func (p *producer) load(r *ring, tensorMap string) {
	b := p.b
	skip := b.NewLabel("loaded")
	full := r.at("_full", all)
	b.Unless(p.issuer).Bra(skip)
	b.MbarrierArriveExpectTxSharedB64(full, ptx.Imm(p.kvTile.Bytes()))
	m, buf := p.mapAddress(tensorMap), r.buffer()
	mbar := b.AddS32(full.Base, ptx.Imm(full.Off))
	for g := range p.K.Gather() {
		for _, s := range p.kvTile.Slabs() {
			dst := b.AddS32(buf, ptx.Imm(s.Offset+g*p.cur.Tokens*slabRowBytes))
			p.copyBox(dst, m, []ptx.Src32{ptx.Imm(s.Col), p.cur.Base[g], p.Head.KVHead, p.Tile.Batch}, mbar)
		}
	}
	b.Place(skip)
}

// copyBox issues a TMA load of a box at (column, row, head, batch entry).
func (p *producer) copyBox(dst ptx.R32, m ptx.R64, at []ptx.Src32, mbar ptx.R32) {
	p.b.CpAsyncBulkTensor4dSharedClusterGlobalMbarrierCompleteTxBytes(dst.At(0), m.At(0), at, mbar.At(0))
}

// loadQuery fills each warpgroup's query rows once it has let go of the buffer.
func (p *producer) loadQuery() {
	b := p.b
	m := p.mapAddress("q_map")
	box := queryBox(p.K)
	buf := p.q.buffer()
	for g := range p.groups {
		p.q.waitEmpty(ptx.Imm(g))
		full := p.q.at("_full", ptx.Imm(g))
		skip := b.NewLabel(fmt.Sprintf("query_%d", g))
		b.Unless(p.issuer).Bra(skip)
		b.MbarrierArriveExpectTxSharedB64(full, ptx.Imm(p.queryTile.Bytes()))
		mbar := b.AddS32(full.Base, ptx.Imm(full.Off))
		for r := 0; r < groupRows; r += box {
			row := g*groupRows + r
			head := b.AddS32(p.Head.FirstHead, ptx.Imm(row/p.K.Positions))
			query := b.SubS32(b.AddS32(p.Tile.Position, ptx.Imm(row%p.K.Positions)), p.Lengths.Offset)
			for _, s := range p.queryTile.Slabs() {
				dst := b.AddS32(buf, ptx.Imm(g*p.queryTile.Bytes()+s.Offset+r*slabRowBytes))
				p.copyBox(dst, m, []ptx.Src32{ptx.Imm(s.Col), query, head, p.Tile.Batch}, mbar)
			}
		}
		b.Place(skip)
	}
	p.q.next()
}
