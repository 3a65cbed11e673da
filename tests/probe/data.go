package probe

import (
	"encoding/binary"
	"math"
)

// words is 32-bit numbers as they lie in memory.
func words(v ...uint32) []byte {
	var b []byte
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, x)
	}
	return b
}

// longs is 64-bit numbers as they lie in memory.
func longs(v ...uint64) []byte {
	var b []byte
	for _, x := range v {
		b = binary.LittleEndian.AppendUint64(b, x)
	}
	return b
}

// halves is 16-bit numbers as they lie in memory.
func halves(n int, f func(i int) uint16) []byte {
	var b []byte
	for i := range n {
		b = binary.LittleEndian.AppendUint16(b, f(i))
	}
	return b
}

// small is a number of up to eight bits in a 16-bit float type, where it is exact.
func small(dtype string, v int) uint16 {
	bits := math.Float32bits(float32(v))
	if dtype == "bf16" {
		return uint16(bits >> 16)
	}
	if v == 0 {
		return 0
	}
	return uint16(bits>>16&0x8000 | (bits&0x7fffffff-112<<23)>>13)
}

// pairs is all combinations of two lists, padded to whole warps by the first.
func pairs(a, b []uint32) (x, y []uint32) {
	for _, p := range a {
		for _, q := range b {
			x, y = append(x, p), append(y, q)
		}
	}
	return pad(x), pad(y)
}

// triples is all combinations of three lists.
func triples(a, b, c []uint32) (x, y, z []uint32) {
	for _, p := range a {
		for _, q := range b {
			for _, r := range c {
				x, y, z = append(x, p), append(y, q), append(z, r)
			}
		}
	}
	return pad(x), pad(y), pad(z)
}

func pad(v []uint32) []uint32 {
	for len(v)%32 != 0 {
		v = append(v, v[0])
	}
	return v
}

// draw is a small generator of numbers that look random (SplitMix64).
type draw uint64

func (d *draw) next() uint64 {
	*d += 0x9e3779b97f4a7c15
	z := uint64(*d)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Numbers whose treatment differs from one machine to another.
var (
	// oddFloats are zeros, subnormals, the least and greatest normals, ones and
	// their neighbours, infinities, NaNs with payloads.
	oddFloats = []uint32{
		0, 1 << 31, 1, 1<<31 | 1, 0x007fffff, 0x807fffff, 0x00400000, 0x00800000, 0x80800000, 0x00800001,
		0x3f800000, 0xbf800000, 0x3f800001, 0x3f7fffff, 0x40000000, 0x3f000000, 0x4b800000, 0xcb800001,
		0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00000, 0x7f800001, 0x7fffffff,
	}
	// fewFloats are what a product of three lists can hold.
	fewFloats = []uint32{0, 1 << 31, 1, 0x007fffff, 0x00800000, 0x3f800000, 0xbf800001, 0x7f7fffff, 0x7f800000, 0xffc00001}
	// oddInts are the ends of signed and unsigned ranges, and small numbers.
	oddInts = []uint32{0, 1, 2, 3, 7, 10, 31, 32, 33, 0x7fff, 0xffff, 0x10000, 0x12345678, 0x7ffffffe, 0x7fffffff,
		0x80000000, 0x80000001, 0xdeadbeef, 0xfffffffe, 0xffffffff}
	// oddLongs are the same for 64 bits.
	oddLongs = []uint64{0, 1, 3, 10, 0xffffffff, 1 << 32, 1<<32 + 1, 0x123456789abcdef0, 1<<63 - 1, 1 << 63, 1<<63 + 1,
		0xdeadbeefcafebabe, 1<<64 - 2, 1<<64 - 1}
	shifts = []uint32{0, 1, 7, 31, 32, 33, 63, 64, 65, 255, 256, 0x7fffffff, 0x80000000, 0xffffffff}
)
