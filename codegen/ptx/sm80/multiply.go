package sm80

import (
	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/ir/layout"
)

// Fragment layouts: PTX ISA 9.0 §9.7.14.5.8 (mma.m16n8k16) and §9.7.14.5.15
// (ldmatrix). A lane addresses one row of one 8×8 matrix; matrix number
// lane / 8 becomes register lane / 8 of the result.

// matrixLane says how the four matrices of an ldmatrix.x4 lie: which bit of the
// matrix number moves eight rows down, the other one chunk right.
type matrixLane struct{ rowBit, chunkBit int }

var (
	aOperand  = matrixLane{rowBit: 0, chunkBit: 1} // queries: rows 0–7, 8–15, then the next 8 columns
	bOperand  = matrixLane{rowBit: 1, chunkBit: 0} // keys: both k halves of 8 tokens, then the next 8 tokens
	bOperandT = matrixLane{rowBit: 0, chunkBit: 1} // values, transposed: both k halves of 8 columns, then the next 8
)

// lanes are a lane's offsets into a tile for each pair of chunks of each kind of
// slab that the tile has, rows counted from the first row of a matrix.
type lanes map[int][]ptx.R32 // slab width → offset by pair of chunks

// laneOffsets computes them. The swizzle depends on row mod 8, so an offset
// serves all rows that are a multiple of 8 away.
func (e *emitter) laneOffsets(t layout.SmemTile, m matrixLane) lanes {
	b := e.b
	bit := func(n int) ptx.R32 { return b.AndB32(b.ShrU32(e.Lane, ptx.Imm(3+n)), ptx.Imm(1)) }
	row := b.MadLoS32(bit(m.rowBit), ptx.Imm(8), b.AndB32(e.Lane, ptx.Imm(7)))
	half := bit(m.chunkBit)
	out := lanes{}
	for _, s := range t.Slabs() {
		if out[s.Width] != nil {
			continue
		}
		for pair := range s.Width / 16 {
			out[s.Width] = append(out[s.Width], e.Swizzled(s, row, b.AddS32(half, ptx.Imm(2*pair))))
		}
	}
	return out
}

// at is the address of the matrices at (row, column) of a tile; the column is a
// multiple of 16.
func (e *emitter) at(t layout.SmemTile, l lanes, tile ptx.R32, row, col int) ptx.SAddr {
	s := t.Slab(col)
	reg := e.b.AddS32(tile, l[s.Width][(col-s.Col)/16])
	return reg.At(s.Offset + row*s.RowBytes())
}

// queryFragment loads the A fragment of this warp's rows for 16 columns.
func (e *emitter) queryFragment(l lanes, step int) []ptx.R32 {
	b := e.b
	s := e.qTile.Slab(step * 16)
	tile := b.MadLoS32(e.Warp, ptx.Imm(layout.WarpRows*s.RowBytes()), e.smem)
	frag := b.R32s(4)
	b.LdmatrixSyncAlignedM8n8X4SharedB16(frag, e.at(e.qTile, l, tile, 0, step*16))
	return frag
}

// keepQuery loads the query fragments once, when registers allow.
func (e *emitter) keepQuery() {
	if !e.K.QInRegisters {
		return
	}
	e.b.Comment("query fragments stay in registers")
	l := e.laneOffsets(e.qTile, aOperand)
	for step := range e.K.DimPadded / 16 {
		e.qFrag = append(e.qFrag, e.queryFragment(l, step))
	}
}

// queryKey computes S = Q Kᵀ of this warp's 16 rows: an accumulator for every
// 8 tokens.
func (e *emitter) queryKey() [][]ptx.F32 {
	b := e.b
	b.Comment("S = Q K^T")
	var queries lanes
	if !e.K.QInRegisters {
		queries = e.laneOffsets(e.qTile, aOperand)
	}
	s := make([][]ptx.F32, e.K.KVTile/8)
	for n := range s {
		s[n] = b.F32s(4)
	}
	for step := range e.K.DimPadded / 16 {
		var q []ptx.R32
		if e.K.QInRegisters {
			q = e.qFrag[step]
		} else {
			q = e.queryFragment(queries, step)
		}
		for n := 0; n < len(s); n += 2 {
			k := b.R32s(4)
			b.LdmatrixSyncAlignedM8n8X4SharedB16(k, e.at(e.kvTile, e.keyLanes, e.kBuf, n*8, step*16))
			for i := range 2 {
				from := s[n+i]
				if step == 0 {
					from = e.zero
				}
				e.multiply(s[n+i], q, k[2*i:2*i+2], from)
			}
		}
	}
	return s
}

// weightValue adds P V to the output accumulators; p are the weights' fragments
// by 16 tokens.
func (e *emitter) weightValue(p [][]ptx.R32) {
	b := e.b
	b.Comment("O += P V")
	for step := range e.K.KVTile / 16 {
		for n := 0; n < len(e.acc); n += 2 {
			v := b.R32s(4)
			b.LdmatrixSyncAlignedM8n8X4TransSharedB16(v, e.at(e.kvTile, e.valLanes, e.vBuf, step*16, n*8))
			e.multiply(e.acc[n], p[step], v[:2], e.acc[n])
			e.multiply(e.acc[n+1], p[step], v[2:], e.acc[n+1])
		}
	}
}

func (e *emitter) multiply(d []ptx.F32, a, bb []ptx.R32, c []ptx.F32) {
	e.b.Emit(e.mma, ptx.VecOf(d), ptx.VecOf(a), ptx.VecOf(bb), ptx.VecOf(c))
}
