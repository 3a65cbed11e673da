package sm90a

import (
	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/codegen/ptx/kernel"
	"github.com/s2attention/s2c/codegen/ptx/tile"
)

// producer is the state of the warp that feeds the others. All its lanes follow
// the same path; one issues.
type producer struct {
	*emitter
	issuer    ptx.Pred
	q, k, v   *tile.Ring
	final     ptx.Pred // the item is the thread block's last
	stream    *kernel.Stream
	cur, next kernel.KVTile // about to be loaded, and after it
}

func (e *emitter) produce() {
	b := e.b
	p := &producer{emitter: e, q: e.Ring(e.querySlots()), k: e.Ring(e.keySlots()), v: e.Ring(e.valueSlots())}
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

// row loads the KV tiles of a row, at least one: a row without any gets a tile
// past the end, all zeros, so that the consumers need no case of their own.
func (p *producer) row() {
	p.b.Again("load", func() ptx.Pred {
		p.MoveTo(p.cur, p.next, true)
		p.stream.Next(&p.next)

		p.k.WaitEmpty(tile.All)
		p.tell()
		p.load(p.k, "k_map")
		p.v.WaitEmpty(tile.All)
		p.load(p.v, "v_map")
		p.k.Next()
		p.v.Next()
		return p.next.Valid
	})
}

// load copies a tile's chunks, slab by slab; tokens and columns past the end
// arrive as zeros and count as bytes.
func (p *producer) load(r *tile.Ring, tensorMap string) {
	r.Fill(tile.All, p.issuer, p.kvTile.Bytes(), func(l tile.Landing) {
		boxes := l.From(p.TensorMap(tensorMap), r.Buffer())
		for g := range p.K.Gather() {
			for _, s := range p.kvTile.Slabs() {
				boxes.Copy(s.Offset+g*p.cur.Tokens*tile.SlabRowBytes, ptx.Imm(s.Col), p.cur.Base[g], p.Head.KVHead, p.Tile.Batch)
			}
		}
	})
}

// loadQuery fills each warpgroup's query rows once it has let go of the buffer.
func (p *producer) loadQuery() {
	queries, buffer := p.TensorMap("q_map"), p.q.Buffer()
	for g := range p.groups {
		p.q.WaitEmpty(ptx.Imm(g))
		p.q.Fill(ptx.Imm(g), p.issuer, p.queryTile.Bytes(), func(l tile.Landing) {
			p.loadRows(l.From(queries, buffer), g)
		})
	}
	p.q.Next()
}

// loadRows copies a warpgroup's query rows, a box for those of one head.
func (p *producer) loadRows(boxes tile.Boxes, group int) {
	b := p.b
	box := queryBox(p.K)
	for r := 0; r < tile.GroupRows; r += box {
		row := group*tile.GroupRows + r
		head := b.AddS32(p.Head.FirstHead, ptx.Imm(row/p.K.Positions))
		query := b.SubS32(b.AddS32(p.Tile.Position, ptx.Imm(row%p.K.Positions)), p.Lengths.Offset)
		for _, s := range p.queryTile.Slabs() {
			boxes.Copy(group*p.queryTile.Bytes()+s.Offset+r*tile.SlabRowBytes, ptx.Imm(s.Col), query, head, p.Tile.Batch)
		}
	}
}
