package cuda

import (
	"fmt"
	"runtime"
	"unsafe"

	s2c "github.com/s2attention/s2c/runtime"
)

// CUtensorMapDataType, CUtensorMapSwizzle and CUtensorMapL2promotion.
const (
	mapFloat16     = 6
	mapBFloat16    = 9
	mapInterleave0 = 0
	mapPromote256  = 3
	mapFillZero    = 0
)

var mapTypes = map[s2c.DType]uintptr{s2c.F16: mapFloat16, s2c.BF16: mapBFloat16}

var mapSwizzles = map[int]uintptr{0: 0, 32: 1, 64: 2, 128: 3}

// maxRank is the greatest number of dimensions of a tensor map.
const maxRank = 5

// mapFrame is the memory that an encode reads and writes, in one object. The
// map itself must lie at a multiple of 64 bytes, of 128 with newer headers.
type mapFrame struct {
	dims     [maxRank]uint64
	strides  [maxRank]uint64
	box      [maxRank]uint32
	elements [maxRank]uint32
	out      [128 + 127]byte
}

// EncodeTensorMap fills the object that TMA copies take. The driver must be
// for CUDA 12.0 or later, else it is an ErrOldDriver.
func (d *Device) EncodeTensorMap(m s2c.TensorMap) (out [128]byte, err error) {
	err = d.With(func() error { out, err = d.lib.encodeTensorMap(m); return err })
	return out, err
}

func (l *Library) encodeTensorMap(m s2c.TensorMap) (out [128]byte, err error) {
	if err := l.has(cuTensorMapEncodeTiled, "tensor maps"); err != nil {
		return out, err
	}
	rank := len(m.Dims)
	dtype, okType := mapTypes[m.DType]
	swizzle, okSwizzle := mapSwizzles[m.Swizzle]
	if !okType || !okSwizzle || rank < 1 || rank > maxRank || len(m.Strides) != rank-1 || len(m.Box) != rank {
		return out, s2c.Errorf(s2c.ErrKernel, "not a tensor map: %+v", m)
	}
	f := new(mapFrame)
	copy(f.dims[:], m.Dims)
	copy(f.strides[:], m.Strides)
	copy(f.box[:], m.Box)
	for i := range f.elements {
		f.elements[i] = 1
	}
	base := uintptr(unsafe.Pointer(f))
	at := (base + unsafe.Offsetof(f.out) + 127) &^ 127
	r := l.call(cuTensorMapEncodeTiled, at, dtype, uintptr(rank), uintptr(m.Base),
		uintptr(unsafe.Pointer(&f.dims[0])), uintptr(unsafe.Pointer(&f.strides[0])),
		uintptr(unsafe.Pointer(&f.box[0])), uintptr(unsafe.Pointer(&f.elements[0])),
		mapInterleave0, swizzle, mapPromote256, mapFillZero)
	runtime.KeepAlive(f)
	if r != success {
		return out, s2c.Errorf(s2c.ErrArgs, "the driver refuses the tensor map %s: %v", describeMap(m), l.fail(cuTensorMapEncodeTiled, r))
	}
	start := at - base - unsafe.Offsetof(f.out)
	copy(out[:], f.out[start:])
	return out, nil
}

func describeMap(m s2c.TensorMap) string {
	return fmt.Sprintf("at %#x, dims %v, strides %v bytes, box %v, swizzle %d", uint64(m.Base), m.Dims, m.Strides, m.Box, m.Swizzle)
}
