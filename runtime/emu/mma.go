package emu

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/s2attention/s2c/codegen/ptx/inst"
)

// mma.sync m16n8k16 (PTX ISA 9.0 §9.7.14.5.8): lane l is group g = l/4, member t = l%4.
//
//	A: register r holds columns 2t, 2t+1 (+8 for r ≥ 2) of row g (+8 for odd r)
//	B: register r holds rows 2t, 2t+1 (+8 for r = 1) of column g
//	C: registers 0, 1 hold columns 2t, 2t+1 of row g; 2, 3 the same of row g+8
//
// Products of 16-bit floats are exact in float32; sums are in float32.

// halves16 unpacks two 16-bit floats.
type halves16 func(v uint32) (lo, hi float32)

func halvesBF16(v uint32) (lo, hi float32) {
	return math.Float32frombits(v << 16), math.Float32frombits(v &^ 0xffff)
}

func halvesF16(v uint32) (lo, hi float32) {
	return f16Values[v&0xffff], f16Values[v>>16]
}

// tileA is A by rows, tileB is B by rows of 8 columns, tileC is C by rows.
type (
	tileA = [16][16]float32
	tileB = [16][8]float32
	tileC = [16][8]float32
)

func buildMma(_ *decoder, in *instr) error {
	if in.form.Shape != [3]int{16, 8, 16} {
		return fmt.Errorf("this shape is not executed")
	}
	switch in.form.From {
	case inst.BF16:
		in.exec = execMmaBF16
	case inst.F16:
		in.exec = execMmaF16
	default:
		return fmt.Errorf("this type is not executed")
	}
	return nil
}

func execMmaBF16(w *warp, in *instr, mask uint32) status {
	if !w.whole(in, mask) {
		return stFault
	}
	var a tileA
	var b tileB
	for r, reg := range in.va {
		v := &w.r[reg]
		row, col := r&1*8, r>>1*8
		for g := range 8 {
			dst := (*[8]float32)(a[row+g][col:])
			src := (*[4]uint32)(v[4*g:])
			dst[0], dst[1] = math.Float32frombits(src[0]<<16), math.Float32frombits(src[0]&^0xffff)
			dst[2], dst[3] = math.Float32frombits(src[1]<<16), math.Float32frombits(src[1]&^0xffff)
			dst[4], dst[5] = math.Float32frombits(src[2]<<16), math.Float32frombits(src[2]&^0xffff)
			dst[6], dst[7] = math.Float32frombits(src[3]<<16), math.Float32frombits(src[3]&^0xffff)
		}
	}
	for r, reg := range in.vb {
		v := &w.r[reg]
		for t := range 4 {
			lo, hi := &b[8*r+2*t], &b[8*r+2*t+1]
			for g := range 8 {
				x := v[4*g+t]
				lo[g], hi[g] = math.Float32frombits(x<<16), math.Float32frombits(x&^0xffff)
			}
		}
	}
	w.multiply(in.vc, in.vd, &a, &b, true)
	return stNext
}

func execMmaF16(w *warp, in *instr, mask uint32) status {
	if !w.whole(in, mask) {
		return stFault
	}
	var a tileA
	var b tileB
	for r, reg := range in.va {
		v := &w.r[reg]
		row, col := r&1*8, r>>1*8
		for l := range v {
			dst := (*[2]float32)(a[row+l>>2][col+l&3*2:])
			dst[0], dst[1] = halvesF16(v[l])
		}
	}
	for r, reg := range in.vb {
		v := &w.r[reg]
		for l := range v {
			k := 8*r + l&3*2
			b[k][l>>2], b[k+1][l>>2] = halvesF16(v[l])
		}
	}
	w.multiply(in.vc, in.vd, &a, &b, true)
	return stNext
}

// multiply is vd = A·B, plus vc if scale is set.
func (w *warp) multiply(vc, vd []int32, a *tileA, b *tileB, scale bool) {
	var c tileC
	if scale {
		c0, c1, c2, c3 := &w.r[vc[0]], &w.r[vc[1]], &w.r[vc[2]], &w.r[vc[3]]
		for l := range 32 {
			g, t := l>>2&7, l&3*2
			top, bottom := (*[2]float32)(c[g][t:]), (*[2]float32)(c[g+8][t:])
			top[0], top[1] = fromBits(c0[l]), fromBits(c1[l])
			bottom[0], bottom[1] = fromBits(c2[l]), fromBits(c3[l])
		}
	}
	multiplyTile(a, b, &c)
	d0, d1, d2, d3 := &w.r[vd[0]], &w.r[vd[1]], &w.r[vd[2]], &w.r[vd[3]]
	for l := range 32 {
		g, t := l>>2&7, l&3*2
		top, bottom := (*[2]float32)(c[g][t:]), (*[2]float32)(c[g+8][t:])
		d0[l], d1[l] = math.Float32bits(top[0]), math.Float32bits(top[1])
		d2[l], d3[l] = math.Float32bits(bottom[0]), math.Float32bits(bottom[1])
	}
}

// multiplyTileGo is C += A·B with one row of C in registers.
func multiplyTileGo(a *tileA, b *tileB, c *tileC) {
	for i := range a {
		row := &c[i]
		c0, c1, c2, c3, c4, c5, c6, c7 := row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7]
		for k := range b {
			x, y := a[i][k], &b[k]
			c0 += x * y[0]
			c1 += x * y[1]
			c2 += x * y[2]
			c3 += x * y[3]
			c4 += x * y[4]
			c5 += x * y[5]
			c6 += x * y[6]
			c7 += x * y[7]
		}
		*row = [8]float32{c0, c1, c2, c3, c4, c5, c6, c7}
	}
}

func buildLdMatrix(_ *decoder, in *instr) error {
	in.exec = execLdMatrix
	if in.form.Trans {
		in.exec = execLdMatrixTrans
	}
	return nil
}

// matrixRows checks the eight row addresses of each matrix, which lanes 8m to
// 8m+7 hold, and calls row for each.
func (w *warp) matrixRows(in *instr, mask uint32, matrices int, store bool, offs *[32]int32) bool {
	if !w.whole(in, mask) {
		return false
	}
	addr := &w.r[in.a]
	shadow := w.b.shared.shadow
	for l := range min(8*matrices, 32) {
		off, ok := w.locate(in, l, addr[l]+uint32(in.off), 16)
		if !ok {
			return false
		}
		offs[l] = int32(off)
		if !shadow {
			continue
		}
		var c *conflict
		if store {
			c = w.writeLine(off/lineBytes, lineFull, laneWarp, true)
		} else {
			c = w.readLine(off/lineBytes, lineFull, laneWarp)
		}
		if c != nil {
			verb := "read"
			if store {
				verb = "write"
			}
			w.report(in, l, off, c, verb)
			return false
		}
	}
	return true
}

// execLdMatrix: lane l gets word l%4 of row l/4 of each matrix (PTX ISA 9.0 §9.7.14.5.15).
func execLdMatrix(w *warp, in *instr, mask uint32) status {
	var offs [32]int32
	if !w.matrixRows(in, mask, len(in.vd), false, &offs) {
		return stFault
	}
	for m, reg := range in.vd {
		d := &w.r[reg]
		for r := range 8 {
			src := (*[16]byte)(w.b.shared.data[offs[8*m+r]:])
			dst := (*[4]uint32)(d[4*r:])
			dst[0] = binary.LittleEndian.Uint32(src[0:])
			dst[1] = binary.LittleEndian.Uint32(src[4:])
			dst[2] = binary.LittleEndian.Uint32(src[8:])
			dst[3] = binary.LittleEndian.Uint32(src[12:])
		}
	}
	return stNext
}

// execLdMatrixTrans: lane l gets elements 2(l%4) and 2(l%4)+1 of column l/4.
func execLdMatrixTrans(w *warp, in *instr, mask uint32) status {
	var offs [32]int32
	if !w.matrixRows(in, mask, len(in.vd), false, &offs) {
		return stFault
	}
	for m, reg := range in.vd {
		d := &w.r[reg]
		for pair := range 4 {
			lo := (*[16]byte)(w.b.shared.data[offs[8*m+2*pair]:])
			hi := (*[16]byte)(w.b.shared.data[offs[8*m+2*pair+1]:])
			for col := range 8 {
				x := uint32(lo[2*col]) | uint32(lo[2*col+1])<<8
				y := uint32(hi[2*col]) | uint32(hi[2*col+1])<<8
				d[4*col+pair] = x | y<<16
			}
		}
	}
	return stNext
}

func buildStMatrix(_ *decoder, in *instr) error {
	in.exec = execStMatrix
	if in.form.Trans {
		in.exec = execStMatrixTrans
	}
	return nil
}

func execStMatrix(w *warp, in *instr, mask uint32) status {
	var offs [32]int32
	if !w.matrixRows(in, mask, len(in.va), true, &offs) {
		return stFault
	}
	for m, reg := range in.va {
		s := &w.r[reg]
		for r := range 8 {
			dst := w.b.shared.data[offs[8*m+r]:]
			for t := range 4 {
				binary.LittleEndian.PutUint32(dst[4*t:], s[4*r+t])
			}
		}
	}
	return stNext
}

func execStMatrixTrans(w *warp, in *instr, mask uint32) status {
	var offs [32]int32
	if !w.matrixRows(in, mask, len(in.va), true, &offs) {
		return stFault
	}
	for m, reg := range in.va {
		s := &w.r[reg]
		for pair := range 4 {
			lo := w.b.shared.data[offs[8*m+2*pair]:]
			hi := w.b.shared.data[offs[8*m+2*pair+1]:]
			for col := range 8 {
				v := s[4*col+pair]
				binary.LittleEndian.PutUint16(lo[2*col:], uint16(v))
				binary.LittleEndian.PutUint16(hi[2*col:], uint16(v>>16))
			}
		}
	}
	return stNext
}
