package probe

import (
	"fmt"

	"github.com/s2attention/s2c/codegen/ptx"
)

// copyCase is a tensor and a box of it.
type copyCase struct {
	dims []uint64
	box  []uint32
}

// copyCases are by rank. The inner box is filled in for each swizzle.
var copyCases = map[int]copyCase{
	2: {[]uint64{72, 12}, []uint32{0, 8}},
	3: {[]uint64{72, 6, 5}, []uint32{0, 4, 2}},
	4: {[]uint64{72, 3, 4, 3}, []uint32{0, 2, 2, 2}},
	5: {[]uint64{72, 3, 3, 2, 3}, []uint32{0, 2, 2, 1, 2}},
}

// innerBox is the elements of a box's inner row: the whole span of the swizzle.
func innerBox(swizzle int) uint32 {
	if swizzle == 0 {
		return 16
	}
	return uint32(swizzle / 2)
}

// tensor is a map over the whole of a tensor of ids; rows lie pad bytes apart.
func (c *copyCase) tensor(swizzle, pad int) (Map, []byte) {
	m := Map{Dims: c.dims, Box: append([]uint32{innerBox(swizzle)}, c.box[1:]...), Swizzle: swizzle}
	size := 2 * c.dims[0]
	for _, n := range c.dims[1:] {
		size += uint64(pad)
		m.Strides = append(m.Strides, size)
		size *= n
	}
	return m, ids(int(size / 2))
}

// boxBytes is what a copy moves, elements outside the tensor included.
func (m *Map) boxBytes() int {
	n := 2
	for _, b := range m.Box {
		n *= int(b)
	}
	return n
}

// reach is how far boxes lie over the sides of the inner dimension, in elements.
type reach struct{ low, high, first, last, before int }

// The address of a box has to be a multiple of 16 bytes, 8 elements (§5.5.3.1). A GPU
// refuses boxes at other places.
var (
	aligned = reach{low: -8, high: 8, first: -8, last: 8, before: -304}
	odd     = reach{low: -3, high: 5, first: -1, last: 1, before: -300}
)

// places are the coordinates at which a box is loaded: inside, over each side of
// each dimension, over a corner, and wholly outside.
func (c *copyCase) places(inner int, over reach) [][]int {
	rank := len(c.dims)
	box := append([]uint32{uint32(inner)}, c.box[1:]...)
	inside := make([]int, rank)
	for d := range inside {
		inside[d] = min(1, int(c.dims[d])-int(box[d]))
	}
	inside[0] = 8
	list := [][]int{make([]int, rank), inside}
	for d := range rank {
		low, high, far := clone(inside), clone(inside), clone(inside)
		low[d], high[d], far[d] = -1, int(c.dims[d])-int(box[d])+1, int(c.dims[d])
		if d == 0 {
			low[d], high[d] = over.low, int(c.dims[d])-int(box[d])+over.high
		}
		list = append(list, low, high, far)
	}
	first, last, before := clone(inside), clone(inside), clone(inside)
	for d := range rank {
		first[d], last[d], before[d] = -1, int(c.dims[d])-1, -300
	}
	first[0], last[0], before[0] = over.first, int(c.dims[0])-over.last, over.before
	return append(list, first, last, before)
}

func clone(v []int) []int { return append([]int(nil), v...) }

func tma() []Probe {
	var probes []Probe
	for rank := 2; rank <= 5; rank++ {
		for _, s := range swizzles() {
			probes = append(probes, loads(rank, s, odd), loads(rank, s, aligned), stores(rank, s))
		}
	}
	for _, s := range []int{32, 64, 128} {
		probes = append(probes, unaligned(s), narrow(s), narrowStore(s))
	}
	return append(probes, oddLoad(), oddStore(), tallBox(), hinted(), moreBytes(), fewerBytes(), onlyFewerBytes(), twoCopies())
}

// misplaced is what the emulator says of a box whose address is no multiple of 16 bytes.
const misplaced = "§5.5.3.1"

// loads copies boxes at all places, one after the other, into poisoned shared
// memory; each must end the phase for which the whole box was expected.
func loads(rank, swizzle int, over reach) Probe {
	c := copyCases[rank]
	m, data := c.tensor(swizzle, 16)
	name := fmt.Sprintf("tma/load-%dd-%s", rank, swizzleName(swizzle))
	if over == aligned {
		name += "-aligned"
	}
	k := start(name, 32, 4096, m)
	if over != aligned {
		k.p.Refused = misplaced
	}
	k.add(data)
	const bar = 2048
	k.initBarriers(bar, 1)
	for n, at := range c.places(int(m.Box[0]), over) {
		k.fill(0, m.boxBytes()+64, 0xcccccccc)
		k.once(func() {
			k.MbarrierArriveExpectTxSharedB64(k.smem.At(bar), ptx.Imm(m.boxBytes()))
			k.copyBox(0, 0, bar, at...)
		})
		k.put(k.poll(bar, n&1, patient))
		k.dump(0, m.boxBytes()+64)
	}
	return k.finish()
}

// stores copies a box of ids from shared memory into the poisoned output, inside
// the tensor and over its far sides. The output is a dense tensor.
func stores(rank, swizzle int) Probe {
	c := copyCases[rank]
	inner := int(innerBox(swizzle))
	var probeAt [][]int
	inside, beyond := make([]int, rank), make([]int, rank)
	inside[0] = 8
	for d := range rank {
		beyond[d] = int(c.dims[d]) - 1
	}
	beyond[0] = int(c.dims[0]) - inner + 8
	probeAt = append(probeAt, inside, beyond)

	m, _ := c.tensor(swizzle, 0)
	size := int(m.Strides[rank-2] * c.dims[rank-1])
	var maps []Map
	for n := range probeAt {
		o := m
		o.Output, o.Offset = true, n*((size+255)&^255)
		maps = append(maps, o)
	}
	k := start(fmt.Sprintf("tma/store-%dd-%s", rank, swizzleName(swizzle)), 32, 2048, maps...)
	k.reserve(len(probeAt) * ((size + 255) &^ 255))
	k.load(0, ids(m.boxBytes()/2))
	form := [...]func(ptx.Addr, []ptx.Src32, ptx.SAddr){
		2: k.CpAsyncBulkTensor2dGlobalSharedCtaBulkGroup, 3: k.CpAsyncBulkTensor3dGlobalSharedCtaBulkGroup,
		4: k.CpAsyncBulkTensor4dGlobalSharedCtaBulkGroup, 5: k.CpAsyncBulkTensor5dGlobalSharedCtaBulkGroup,
	}[rank]
	k.once(func() {
		for n, at := range probeAt {
			form(k.maps[n].At(0), k.constants(at), k.smem.At(0))
		}
		k.CpAsyncBulkCommitGroup()
		k.CpAsyncBulkWaitGroup(0)
	})
	return k.finish()
}

// unaligned loads to places that are multiples of 128 but not of the swizzle's period.
func unaligned(swizzle int) Probe {
	c := copyCases[2]
	m, data := c.tensor(swizzle, 16)
	k := start("tma/load-unaligned-"+swizzleName(swizzle), 32, 8192, m)
	k.add(data)
	const bar = 4096
	k.initBarriers(bar, 1)
	for n := range 8 {
		k.fill(0, 2048+128, 0xcccccccc)
		k.once(func() {
			k.MbarrierArriveExpectTxSharedB64(k.smem.At(bar), ptx.Imm(m.boxBytes()))
			k.copyBox(128*n, 0, bar, 8, 1)
		})
		k.put(k.poll(bar, n&1, patient))
		k.dump(128*n, m.boxBytes()+64)
	}
	return k.finish()
}

// narrow loads boxes whose rows are half of the swizzle's span.
func narrow(swizzle int) Probe {
	c := copyCases[2]
	m, data := c.tensor(swizzle, 16)
	m.Box = []uint32{uint32(swizzle / 4), 8}
	k := start("tma/load-narrow-"+swizzleName(swizzle), 32, 4096, m)
	k.add(data)
	const bar = 2048
	k.initBarriers(bar, 1)
	k.fill(0, 1024, 0xcccccccc)
	k.once(func() {
		k.MbarrierArriveExpectTxSharedB64(k.smem.At(bar), ptx.Imm(m.boxBytes()))
		k.copyBox(0, 0, bar, 8, 1)
	})
	k.put(k.poll(bar, 0, patient))
	k.dump(0, 1024)
	return k.finish()
}

// narrowStore stores such a box.
func narrowStore(swizzle int) Probe {
	m := Map{Output: true, Dims: []uint64{64, 8}, Strides: []uint64{128}, Box: []uint32{uint32(swizzle / 4), 8}, Swizzle: swizzle}
	k := start("tma/store-narrow-"+swizzleName(swizzle), 32, 2048, m)
	k.reserve(128 * 8)
	k.load(0, ids(512))
	k.once(func() {
		k.CpAsyncBulkTensor2dGlobalSharedCtaBulkGroup(k.maps[0].At(0), k.constants([]int{8, 0}), k.smem.At(0))
		k.CpAsyncBulkCommitGroup()
		k.CpAsyncBulkWaitGroup(0)
	})
	return k.finish()
}

// oddLoad loads one box inside the tensor, from an address that is no multiple of 16 bytes.
func oddLoad() Probe {
	c := copyCases[2]
	m, data := c.tensor(0, 16)
	k := start("tma/load-odd", 32, 1024, m)
	k.p.Refused = misplaced
	k.add(data)
	const bar = 512
	k.initBarriers(bar, 1)
	k.fill(0, m.boxBytes(), 0xcccccccc)
	k.once(func() {
		k.MbarrierArriveExpectTxSharedB64(k.smem.At(bar), ptx.Imm(m.boxBytes()))
		k.copyBox(0, 0, bar, 4, 1)
	})
	k.put(k.poll(bar, 0, patient))
	k.dump(0, m.boxBytes())
	return k.finish()
}

// oddStore stores one to such an address.
func oddStore() Probe {
	m := Map{Output: true, Dims: []uint64{64, 8}, Strides: []uint64{128}, Box: []uint32{16, 8}}
	k := start("tma/store-odd", 32, 1024, m)
	k.p.Refused = misplaced
	k.reserve(128 * 8)
	k.load(0, ids(128))
	k.once(func() {
		k.CpAsyncBulkTensor2dGlobalSharedCtaBulkGroup(k.maps[0].At(0), k.constants([]int{4, 0}), k.smem.At(0))
		k.CpAsyncBulkCommitGroup()
		k.CpAsyncBulkWaitGroup(0)
	})
	return k.finish()
}

// tallBox loads a box of 256 rows of 16 bytes, of which the tensor has 200.
func tallBox() Probe {
	m := Map{Dims: []uint64{8, 200}, Strides: []uint64{16}, Box: []uint32{8, 256}}
	k := start("tma/load-256-rows", 32, 8192, m)
	k.add(ids(8 * 200))
	const bar = 4096 + 128
	k.initBarriers(bar, 1)
	k.fill(0, 4096, 0xcccccccc)
	k.PrefetchParamTensormap(k.MovU64Sym(ptx.Sym(mapName(0))).At(0))
	k.once(func() {
		k.MbarrierArriveExpectTxSharedB64(k.smem.At(bar), ptx.Imm(m.boxBytes()))
		k.copyBox(0, 0, bar, 0, 0)
	})
	k.put(k.poll(bar, 0, patient))
	k.dump(0, 4096)
	return k.finish()
}

// evictFirst is the cache policy that createpolicy.fractional gives for L2::evict_first.
const evictFirst = 0x12f0000000000000

// hinted loads with a cache hint.
func hinted() Probe {
	c := copyCases[4]
	m, data := c.tensor(128, 16)
	k := start("tma/load-4d-hint", 32, 4096, m)
	k.add(data)
	const bar = 2048
	k.initBarriers(bar, 1)
	k.fill(0, m.boxBytes(), 0xcccccccc)
	k.once(func() {
		k.MbarrierArriveExpectTxSharedB64(k.smem.At(bar), ptx.Imm(m.boxBytes()))
		k.CpAsyncBulkTensor4dSharedClusterGlobalMbarrierCompleteTxBytesL2CacheHint(k.smem.At(0), k.maps[0].At(0),
			k.constants([]int{0, 1, 1, 1}), k.smem.At(bar), k.MovB64(ptx.Imm(evictFirst)))
	})
	k.put(k.poll(bar, 0, patient))
	k.dump(0, m.boxBytes())
	return k.finish()
}

// The byte-count probes load a box of 2048 bytes, and one of 16 bytes.
func byteCounts(name string) (k *kernel, big int) {
	k = start(name, 32, 8192,
		Map{Dims: []uint64{64, 16}, Strides: []uint64{128}, Box: []uint32{64, 16}, Swizzle: 128},
		Map{Dims: []uint64{64, 16}, Strides: []uint64{128}, Box: []uint32{8, 1}})
	k.add(ids(64 * 16))
	k.fill(0, 4096, 0xcccccccc)
	return k, 2048
}

// moreBytes expects 16 bytes more than the box has: the phase stays open though a
// later copy has arrived, until another copy brings the rest.
func moreBytes() Probe {
	k, big := byteCounts("tma/expect-more-bytes")
	const bar, other = 4096, 4104
	k.initBarriers(bar, 1, 1)
	k.once(func() {
		k.MbarrierArriveExpectTxSharedB64(k.smem.At(bar), ptx.Imm(big+16))
		k.copyBox(0, 0, bar, 0, 0)
		k.MbarrierArriveExpectTxSharedB64(k.smem.At(other), ptx.Imm(16))
		k.copyBox(2048, 1, other, 0, 1)
	})
	k.put(k.poll(other, 0, patient))
	k.put(k.poll(bar, 0, brief))
	k.once(func() { k.copyBox(2048+128, 1, bar, 0, 2) })
	k.put(k.poll(bar, 0, patient))
	k.dump(0, 4096)
	return k.finish()
}

// fewerBytes expects 16 bytes fewer with the first of two arrivals and the rest
// with the second, when the copy is over.
func fewerBytes() Probe {
	k, big := byteCounts("tma/expect-fewer-bytes")
	const bar, other = 4096, 4104
	k.initBarriers(bar, 2, 1)
	k.once(func() {
		k.MbarrierArriveExpectTxSharedB64(k.smem.At(bar), ptx.Imm(big-16))
		k.copyBox(0, 0, bar, 0, 0)
		k.MbarrierArriveExpectTxSharedB64(k.smem.At(other), ptx.Imm(16))
		k.copyBox(2048, 1, other, 0, 1)
	})
	k.put(k.poll(other, 0, patient))
	k.put(k.poll(bar, 0, brief))
	k.once(func() { k.MbarrierArriveExpectTxSharedB64(k.smem.At(bar), ptx.Imm(16)) })
	k.put(k.poll(bar, 0, patient))
	k.dump(0, 4096)
	return k.finish()
}

// onlyFewerBytes expects 16 bytes fewer with the only arrival: the count passes
// below zero and the phase stays open.
func onlyFewerBytes() Probe {
	k, big := byteCounts("tma/expect-fewer-bytes-only")
	k.p.Undefined = true // nobody waits for the copy
	const bar, other = 4096, 4104
	k.initBarriers(bar, 1, 1)
	k.once(func() {
		k.MbarrierArriveExpectTxSharedB64(k.smem.At(bar), ptx.Imm(big-16))
		k.copyBox(0, 0, bar, 0, 0)
		k.MbarrierArriveExpectTxSharedB64(k.smem.At(other), ptx.Imm(16))
		k.copyBox(2048, 1, other, 0, 1)
	})
	k.put(k.poll(other, 0, patient))
	k.put(k.poll(bar, 0, brief))
	return k.finish()
}

// twoCopies brings two boxes under one expectation.
func twoCopies() Probe {
	k, big := byteCounts("tma/two-copies-one-phase")
	const bar = 4096
	k.initBarriers(bar, 1)
	k.once(func() {
		k.MbarrierArriveExpectTxSharedB64(k.smem.At(bar), ptx.Imm(big+16))
		k.copyBox(0, 0, bar, 0, 0)
		k.copyBox(2048, 1, bar, 8, 3)
	})
	k.put(k.poll(bar, 0, patient))
	k.dump(0, 4096)
	return k.finish()
}
