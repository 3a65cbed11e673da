package emu

import (
	"encoding/binary"
	"fmt"

	"github.com/s2attention/s2c/codegen/ptx/inst"
)

// mma.sync m16n8k16 (PTX ISA 9.0 §9.7.14.5.8): lane l is group g = l/4, member t = l%4.
//
//	A: register r holds columns 2t, 2t+1 (+8 for r ≥ 2) of row g (+8 for odd r)
//	B: register r holds rows 2t, 2t+1 (+8 for r = 1) of column g
//	C: registers 0, 1 hold columns 2t, 2t+1 of row g; 2, 3 the same of row g+8
//
// Products of 16-bit floats are exact in float32; sums are in float32.

func buildMma(_ *decoder, in *instr) error {
	if in.form.Shape != [3]int{16, 8, 16} {
		return fmt.Errorf("this shape is not executed")
	}
	format, ok := formats[in.form.From]
	if !ok {
		return fmt.Errorf("this type is not executed")
	}
	in.exec = func(w *warp, in *instr, mask uint32) status {
		w.whole(in, mask)
		a, b, r := &w.tile.a, &w.tile.b, w.r
		tiles.fragA[format](a, &r[in.va[0]], &r[in.va[1]], &r[in.va[2]], &r[in.va[3]])
		tiles.fragB[format](b, &r[in.vb[0]], &r[in.vb[1]])
		w.multiply(in.vc, in.vd, a, b)
		return stNext
	}
	return nil
}

var formats = map[inst.Type]int{inst.BF16: formatBF16, inst.F16: formatF16}

// multiply is vd = A·B + vc on registers.
func (w *warp) multiply(vc, vd []int32, a *tileA, b *tileB) {
	c, d := &w.tile.c, &w.tile.d
	for i := range c {
		c[i], d[i] = &w.r[vc[i]], &w.r[vd[i]]
	}
	tiles.multiply(a, b, c, d)
}

// matrixRows checks the eight row addresses of each matrix, which lanes 8m to
// 8m+7 hold, and finds their lines.
func (w *warp) matrixRows(in *instr, mask uint32, matrices int, store bool) (lines [32]int32) {
	w.whole(in, mask)
	addr := &w.r[in.a]
	for l := range min(8*matrices, 32) {
		at := addr[l] + uint32(in.off)
		lines[l] = int32(at-sharedBase) / lineBytes
		if !store && w.plainRow(at) {
			continue
		}
		off := w.locate(in, l, at, 16)
		switch {
		case !w.b.shared.shadow:
		case store:
			w.writeLine(use{in, l, off / lineBytes, lineFull, "write"}, laneWarp, true)
		default:
			w.readLine(use{in, l, off / lineBytes, lineFull, "read"}, laneWarp)
		}
	}
	return lines
}

// plainRow is the usual case of a matrix row, for speed: an aligned line without
// a log, written before the warp's clock, and read at most by the warp itself.
// It records the read, or leaves everything to the caller.
func (w *warp) plainRow(addr uint32) bool {
	s := &w.b.shared
	i := (addr - sharedBase) / lineBytes
	if addr%lineBytes != 0 || uint(i) >= uint(len(s.lines)) || (i+1)*lineBytes > uint32(len(s.data)) || w.lanes != nil {
		return false
	}
	ln := &s.lines[i]
	agent := ln.write.agent()
	if ln.log != 0 || ln.pend != 0 || ln.bars != 0 || ln.init != lineFull ||
		uint(agent) >= uint(len(w.clock.base)) || ln.write.time() >= w.clock.base[agent] {
		return false
	}
	last := &s.reads[int(i)*s.warps+w.id]
	if ln.readers>>w.id&1 != 0 && *last&0xff != laneWarp {
		return false
	}
	*last = makeStamp(w.time, w.id, laneWarp)
	ln.readers |= 1 << w.id
	return true
}

// execLdMatrix: lane l gets word l%4 of row l/4 of each matrix (PTX ISA 9.0
// §9.7.14.5.15), with .trans elements 2(l%4) and 2(l%4)+1 of column l/4.
func execLdMatrix(w *warp, in *instr, mask uint32) status {
	lines := w.matrixRows(in, mask, len(in.vd), false)
	for m, reg := range in.vd {
		if in.form.Trans {
			transposed(w.b.shared.data, lines[:], 8*m, &w.r[reg])
		} else {
			fragment(w.b.shared.data, lines[:], 8*m, 1, &w.r[reg])
		}
	}
	return stNext
}

// fragment copies 16-byte chunks into the layout of a register: chunk i is lanes 4i to 4i+3.
func fragment(data []byte, lines []int32, first, step int, r *reg32) {
	for i := range 8 {
		src := (*[16]byte)(data[int(lines[first+i*step])*lineBytes:])
		dst := (*[4]uint32)(r[4*i:])
		dst[0] = binary.LittleEndian.Uint32(src[0:])
		dst[1] = binary.LittleEndian.Uint32(src[4:])
		dst[2] = binary.LittleEndian.Uint32(src[8:])
		dst[3] = binary.LittleEndian.Uint32(src[12:])
	}
}

// transposed turns eight rows, or the chunks of one group of eight rows, eight values
// of K from first, into the register that holds them column by column.
func transposed(data []byte, lines []int32, first int, r *reg32) {
	for k := 0; k < 8; k += 2 {
		lo := (*[16]byte)(data[int(lines[first+k])*lineBytes:])
		hi := (*[16]byte)(data[int(lines[first+k+1])*lineBytes:])
		interleave(r, k/2, lo, hi)
	}
}

// interleave puts elements c of two rows into lane 4c + pair.
func interleave(d *reg32, pair int, lo, hi *[16]byte) {
	for half := range 2 {
		x, y := binary.LittleEndian.Uint64(lo[8*half:]), binary.LittleEndian.Uint64(hi[8*half:])
		out := d[16*half : 16*half+16]
		out[pair&3] = uint32(x&0xffff) | uint32(y&0xffff)<<16
		out[pair&3+4] = uint32(x>>16&0xffff) | uint32(y>>16&0xffff)<<16
		out[pair&3+8] = uint32(x>>32&0xffff) | uint32(y>>32&0xffff)<<16
		out[pair&3+12] = uint32(x>>48) | uint32(y>>48)<<16
	}
}

// execStMatrix is execLdMatrix the other way round.
func execStMatrix(w *warp, in *instr, mask uint32) status {
	lines := w.matrixRows(in, mask, len(in.va), true)
	for m, reg := range in.va {
		for l, v := range &w.r[reg] {
			for half := range 2 {
				row, col := l/4, l%4*2+half
				if in.form.Trans {
					row, col = col, row
				}
				at := int(lines[8*m+row])*lineBytes + 2*col
				binary.LittleEndian.PutUint16(w.b.shared.data[at:], uint16(v>>(16*half)))
			}
		}
	}
	return stNext
}
