package emu

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/s2attention/s2c/runtime"
)

// tensorMap is a decoded tensor map.
type tensorMap struct {
	base    uint64
	dims    []int64  // elements, innermost first
	strides []uint64 // bytes; strides[0] is an element's
	box     []int64
	swizzle uint32 // bytes, 16 for none
}

// elem is the bytes of an element, rowBytes those of a box's row.
func (m *tensorMap) elem() int64   { return int64(m.strides[0]) }
func (m *tensorMap) rowBytes() int { return int(m.elem() * m.box[0]) }

// bytes is what a copy of a box moves, elements outside the tensor included.
func (m *tensorMap) bytes() int {
	n := m.elem()
	for _, b := range m.box {
		n *= b
	}
	return int(n)
}

// pitch is how far apart a box's rows lie in shared memory: with a swizzle always
// its span, so that shorter rows leave gaps, which are not written (as recorded,
// tests/probe tma/load-narrow).
func (m *tensorMap) pitch() int {
	if m.swizzle > lineBytes {
		return int(m.swizzle)
	}
	return m.rowBytes()
}

// sharedBytes is the shared memory that a box takes, gaps included.
func (m *tensorMap) sharedBytes() int { return m.bytes() / m.rowBytes() * m.pitch() }

// mapBytes is how a tensor map is encoded, with a checksum at the end.
type mapBytes struct {
	Magic         [8]byte
	Base          uint64
	Strides       [5]uint64 // bytes; the first is an element's
	Last          [5]uint32 // dimensions less 1
	Box           [5]uint16
	Rank, Swizzle byte
}

var mapMagic = [8]byte{'s', '2', 'c', 't', 'm', 'a', 'p', '1'}

// EncodeTensorMap checks a description as cuTensorMapEncodeTiled does and makes
// the 128 bytes that this device's TMA copies understand. Rules (CUDA driver API,
// Tensor Map Object Management): rank 1 to 5; a base that is a multiple of 16;
// strides that are multiples of 16 below 2⁴⁰; dimensions 1 to 2³²; boxes 1 to 256;
// an inner box of a multiple of 16 bytes and, with a swizzle, of at most its span.
func (d *Device) EncodeTensorMap(t runtime.TensorMap) (out [128]byte, err error) {
	if err := d.open(); err != nil {
		return out, err
	}
	if err := checkMapForm(&t); err != nil {
		return out, runtime.Errorf(runtime.ErrKernel, "emu: not a tensor map: %v", err)
	}
	if err := checkTensorMap(&t); err != nil {
		return out, badArgs("tensor map: %v", err)
	}
	m := mapBytes{Magic: mapMagic, Base: uint64(t.Base), Rank: byte(len(t.Dims)), Swizzle: byte(t.Swizzle)}
	m.Strides[0] = uint64(t.DType.Bytes())
	copy(m.Strides[1:], t.Strides)
	for i := range t.Dims {
		m.Last[i], m.Box[i] = uint32(t.Dims[i]-1), uint16(t.Box[i])
	}
	if _, err = binary.Encode(out[:], binary.LittleEndian, &m); err == nil {
		binary.LittleEndian.PutUint32(out[124:], crc32.ChecksumIEEE(out[:124]))
	}
	return out, err
}

// checkMapForm refuses what no address or length could make a tensor map.
func checkMapForm(t *runtime.TensorMap) error {
	rank := len(t.Dims)
	switch {
	case rank < 1 || rank > 5:
		return fmt.Errorf("rank %d, must be 1 to 5", rank)
	case len(t.Strides) != rank-1 || len(t.Box) != rank:
		return fmt.Errorf("rank %d with %d strides and %d box dimensions", rank, len(t.Strides), len(t.Box))
	case !t.DType.Model():
		return fmt.Errorf("element type %q", t.DType)
	case t.Swizzle != 0 && t.Swizzle != 32 && t.Swizzle != 64 && t.Swizzle != 128:
		return fmt.Errorf("swizzle of %d bytes, must be 0, 32, 64 or 128", t.Swizzle)
	}
	return nil
}

// checkTensorMap refuses what the driver does.
func checkTensorMap(t *runtime.TensorMap) error {
	if t.Base == 0 || t.Base%16 != 0 {
		return fmt.Errorf("base address %#x is no multiple of 16", uint64(t.Base))
	}
	for i, n := range t.Dims {
		if n < 1 || n > 1<<32 {
			return fmt.Errorf("dimension %d has %d elements, must be 1 to 2³²", i, n)
		}
		if t.Box[i] < 1 || t.Box[i] > 256 {
			return fmt.Errorf("box dimension %d is %d, must be 1 to 256", i, t.Box[i])
		}
	}
	for i, s := range t.Strides {
		if s%16 != 0 || s >= 1<<40 {
			return fmt.Errorf("stride %d is %d bytes, must be a multiple of 16 below 2⁴⁰", i, s)
		}
	}
	inner := t.DType.Bytes() * int(t.Box[0])
	switch {
	case inner%16 != 0:
		return fmt.Errorf("an inner box of %d bytes, must be a multiple of 16", inner)
	case t.Swizzle != 0 && inner > t.Swizzle:
		return fmt.Errorf("an inner box of %d bytes exceeds the swizzle of %d", inner, t.Swizzle)
	}
	return nil
}

// decodeTensorMap reads what EncodeTensorMap made.
func decodeTensorMap(b []byte) (*tensorMap, error) {
	if [8]byte(b) != mapMagic {
		return nil, errors.New("the bytes are no tensor map")
	}
	if crc32.ChecksumIEEE(b[:124]) != binary.LittleEndian.Uint32(b[124:]) {
		return nil, errors.New("the tensor map was changed after it was encoded")
	}
	var raw mapBytes
	if _, err := binary.Decode(b, binary.LittleEndian, &raw); err != nil {
		return nil, err
	}
	m := &tensorMap{base: raw.Base, swizzle: max(uint32(raw.Swizzle), 16), strides: raw.Strides[:raw.Rank]}
	for i := range m.strides {
		m.dims, m.box = append(m.dims, int64(raw.Last[i])+1), append(m.box, int64(raw.Box[i]))
	}
	return m, nil
}

// tensorMapAt reads the tensor map at a generic address, in the parameters or
// in global memory.
func (w *warp) tensorMapAt(in *instr, lane int, addr uint64) *tensorMap {
	if addr%64 != 0 {
		w.fail(in, lane, CheckAlign, addr, "the tensor map at %#x is not aligned to 64 bytes", addr)
	}
	raw, params := make([]byte, 128), w.b.launch.params
	off := addr - paramWindow - paramSpace
	inParams := off < uint64(len(params))
	if inParams {
		if m := w.b.maps[addr]; m != nil {
			return m
		}
		if off+128 > uint64(len(params)) {
			w.fail(in, lane, CheckBounds, addr, "the parameters end within the tensor map")
		}
		raw = params[off : off+128]
	} else {
		w.loadRange(in, lane, addr, raw)
	}
	m, err := decodeTensorMap(raw)
	if err != nil {
		w.fail(in, lane, CheckTensorMap, addr, "%v", err)
	}
	if inParams {
		w.b.maps[addr] = m
	}
	return m
}
