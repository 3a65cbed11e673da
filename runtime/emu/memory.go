package emu

import (
	"fmt"
	"iter"
	"math/bits"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/s2attention/s2c/runtime"
)

// Windows of the address space. Device allocations start at globalBase.
const (
	paramSpace  = 0x200          // offset of the parameter block in the param space
	paramWindow = 0x7e0000000000 // generic address of param space 0
	globalBase  = 0x7f0000000000 // first device allocation
	guardBytes  = 1 << 20        // no allocation lies closer to another
	allocAlign  = 256            // of device allocations
	maxAlloc    = int64(1) << 40 // bytes of one allocation; pages exist once touched
	pageBytes   = 1 << 16        //
	chunkPages  = 1 << 9         //
	chunkBytes  = int64(pageBytes) * chunkPages
	poisonByte  = 0xff // a NaN in every float type
	maxAddress  = uint64(1) << 62
	wordsOfPage = pageBytes / 4
)

// memory is the device's global memory: sparse allocations at 64-bit addresses.
type memory struct {
	mu     sync.RWMutex
	allocs []*alloc // by address
	next   uint64
}

// alloc is one allocation.
type alloc struct {
	base     uint64
	size     int64
	readOnly bool
	freed    atomic.Bool
	chunks   []atomic.Pointer[chunk]
}

type chunk [chunkPages]atomic.Pointer[page]

// page is 64 KiB of an allocation, made when it is first touched.
type page struct {
	data []byte

	// full says that every byte has a value; it makes init superfluous.
	full atomic.Bool
	// writtenBy is the last launch that wrote here.
	writtenBy atomic.Uint32

	mu    sync.Mutex
	init  []uint64 // bit per byte
	count int      // bits set in init
	tags  []tag    // of the launch writtenBy, per 4-byte word
	more  map[int32][]tag

	readBy atomic.Uint32 // launch of the marks in reads
	reads  []readMark    // per 16 bytes
}

// readMark says which bytes of a line the first block to come has read (its number
// plus 1 in the upper half, then 16 bits), and which any other block (16 bits).
type readMark struct{ bits atomic.Uint64 }

// markRead notes a read by a block.
func (p *page) markRead(launch, block uint32, off, n int) {
	if p.readBy.Load() != launch {
		p.mu.Lock()
		if p.readBy.Load() != launch {
			if p.reads == nil {
				p.reads = make([]readMark, pageBytes/lineBytes)
			}
			for i := range p.reads {
				p.reads[i].bits.Store(0)
			}
			p.readBy.Store(launch)
		}
		p.mu.Unlock()
	}
	bytes := uint64(span(off%lineBytes, n))
	m := &p.reads[off/lineBytes].bits
	for {
		old := m.Load()
		next := old
		switch first := uint32(old >> 32); first {
		case 0:
			next = uint64(block+1)<<32 | bytes<<16
		case block + 1:
			next |= bytes << 16
		default:
			next |= bytes
		}
		if next == old || m.CompareAndSwap(old, next) {
			return
		}
	}
}

// readByOther says whether a block other than the given one has surely read bytes of
// [off, off+n) in the launch.
func (p *page) readByOther(launch, block uint32, off, n int) bool {
	if p.readBy.Load() != launch {
		return false
	}
	m := p.reads[off/lineBytes].bits.Load()
	bytes := uint64(span(off%lineBytes, n))
	if uint32(m>>32) == block+1 {
		return m&bytes != 0
	}
	return m>>16&bytes != 0
}

// tag says which thread wrote bytes of a word in this launch.
type tag struct {
	block  uint32 // plus 1; 0 is nobody
	time   uint32
	warp   uint8
	lane   uint8
	bytes  uint8
	atomic bool
}

// create makes an allocation at a given address.
func (m *memory) create(base uint64, size int64) (*alloc, error) {
	if size <= 0 {
		return nil, badArgs("allocation of %d bytes", size)
	}
	if size > maxAlloc {
		return nil, runtime.Errorf(runtime.ErrOutOfMemory, "emu: allocation of %d bytes, at most %d are possible", size, maxAlloc)
	}
	if base == 0 || base > maxAddress {
		return nil, badArgs("allocation at %#x is outside the address space", base)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	i := m.above(base - 1)
	if i < len(m.allocs) && base+uint64(size) > m.allocs[i].base ||
		i > 0 && m.allocs[i-1].base+uint64(m.allocs[i-1].size) > base {
		return nil, badArgs("allocation at %#x overlaps another", base)
	}
	a := &alloc{base: base, size: size, chunks: make([]atomic.Pointer[chunk], (size+chunkBytes-1)/chunkBytes)}
	m.allocs = slices.Insert(m.allocs, i, a)
	return a, nil
}

// above is the index of the first allocation that starts behind an address.
func (m *memory) above(addr uint64) int {
	return sort.Search(len(m.allocs), func(i int) bool { return m.allocs[i].base > addr })
}

// alloc makes an allocation behind all others.
func (m *memory) alloc(size int64) (*alloc, error) {
	m.mu.Lock()
	at := max(m.next, globalBase)
	for _, a := range m.allocs {
		if a.base >= globalBase {
			at = max(at, a.base+uint64(a.size)+guardBytes)
		}
	}
	at = (at + allocAlign - 1) &^ (allocAlign - 1)
	if size > 0 && size <= maxAlloc {
		m.next = at + uint64(size) + guardBytes
	}
	m.mu.Unlock()
	return m.create(at, size)
}

func (m *memory) release(base uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := m.above(base) - 1
	if i < 0 || m.allocs[i].base != base {
		return badArgs("%#x is no allocation", base)
	}
	m.allocs[i].freed.Store(true)
	m.allocs = slices.Delete(m.allocs, i, i+1)
	return nil
}

// find returns the live allocation that holds [addr, addr+n), or nil.
func (m *memory) find(addr uint64, n int64) *alloc {
	m.mu.RLock()
	defer m.mu.RUnlock()
	i := m.above(addr) - 1
	if i < 0 || !m.allocs[i].holds(addr, n) {
		return nil
	}
	return m.allocs[i]
}

func (a *alloc) holds(addr uint64, n int64) bool {
	return addr >= a.base && n <= a.size && addr-a.base <= uint64(a.size-n)
}

// near describes where an address lies, for a fault.
func (m *memory) near(addr uint64) string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	i := m.above(addr)
	var before, after *alloc
	if i > 0 {
		before = m.allocs[i-1]
	}
	if i < len(m.allocs) {
		after = m.allocs[i]
	}
	switch {
	case before != nil && (after == nil || addr-before.base-uint64(before.size) < after.base-addr):
		return fmt.Sprintf("%d bytes past the start of the allocation of %d bytes at %#x", addr-before.base, before.size, before.base)
	case after != nil:
		return fmt.Sprintf("%d bytes before the allocation of %d bytes at %#x", after.base-addr, after.size, after.base)
	}
	return "there is no allocation"
}

// page returns the page at an offset of the allocation, making it if asked to.
func (a *alloc) page(off int64, touch bool) *page {
	slot := &a.chunks[off/chunkBytes]
	c := slot.Load()
	if c == nil {
		if !touch {
			return nil
		}
		slot.CompareAndSwap(nil, new(chunk))
		c = slot.Load()
	}
	place := &c[off/pageBytes%chunkPages]
	p := place.Load()
	if p == nil && touch {
		p = &page{data: make([]byte, pageBytes), init: make([]uint64, pageBytes/64)}
		if rest := a.size - off&^(pageBytes-1); rest < pageBytes {
			p.mark(int(rest), pageBytes-int(rest)) // beyond the end nothing is missing
		}
		if !place.CompareAndSwap(nil, p) {
			p = place.Load()
		}
	}
	return p
}

// words goes through the words of a set of bits that hold [off, off+n), with those bits.
func words(off, n int) iter.Seq2[int, uint64] {
	return func(yield func(int, uint64) bool) {
		for end := off + n; off < end; off = off&^63 + 64 {
			if !yield(off/64, ^uint64(0)<<(off%64)&(^uint64(0)>>(64-min(end-off&^63, 64)))) {
				return
			}
		}
	}
}

// mark sets the init bits of [off, off+n); the page is locked or private.
func (p *page) mark(off, n int) {
	if p.full.Load() {
		return
	}
	for word, mask := range words(off, n) {
		p.count += bits.OnesCount64(mask &^ p.init[word])
		p.init[word] |= mask
	}
	if p.count == pageBytes {
		p.full.Store(true)
	}
}

// missing returns the first of n bytes from off that has no value, or -1.
func (p *page) missing(off, n int) int {
	if p.full.Load() {
		return -1
	}
	for word, mask := range words(off, n) {
		if gap := mask &^ p.init[word]; gap != 0 {
			return word*64 + bits.TrailingZeros64(gap)
		}
	}
	return -1
}

// unmark clears the init bits of [off, off+n).
func (p *page) unmark(off, n int) {
	p.full.Store(false)
	for word, mask := range words(off, n) {
		p.count -= bits.OnesCount64(mask & p.init[word])
		p.init[word] &^= mask
	}
}

// each calls f for the parts of [addr, addr+n), for what the host does to it, that lie in
// one page each, with the page locked; it is nil where nobody touched it, unless touch is set.
func (m *memory) each(what string, addr uint64, n int64, touch bool, f func(p *page, at uint64, off, size int)) error {
	a := m.find(addr, n)
	if a == nil {
		return badArgs("%s of %d bytes at %#x is outside live memory: %s", what, n, addr, m.near(addr))
	}
	for n > 0 {
		at := int64(addr - a.base)
		off := int(at % pageBytes)
		size := int(min(int64(pageBytes-off), n))
		p := a.page(at, touch)
		if p != nil {
			p.mu.Lock()
		}
		f(p, addr, off, size)
		if p != nil {
			p.mu.Unlock()
		}
		addr, n = addr+uint64(size), n-int64(size)
	}
	return nil
}

// write copies host bytes to the device.
func (m *memory) write(addr uint64, src []byte) error {
	return m.each("upload", addr, int64(len(src)), true, func(p *page, _ uint64, off, size int) {
		copy(p.data[off:off+size], src)
		p.mark(off, size)
		src = src[size:]
	})
}

// read copies device bytes to the host; bytes that nobody wrote read as poison.
func (m *memory) read(dst []byte, addr uint64) error {
	return m.each("download", addr, int64(len(dst)), false, func(p *page, _ uint64, off, size int) {
		if p != nil {
			copy(dst[:size], p.data[off:])
		}
		for i := range dst[:size] {
			if p == nil || !p.full.Load() && p.missing(off+i, 1) >= 0 {
				dst[i] = poisonByte
			}
		}
		dst = dst[size:]
	})
}

// forget makes bytes unwritten again.
func (m *memory) forget(addr uint64, n int64) error {
	return m.each("output", addr, n, false, func(p *page, _ uint64, off, size int) {
		if p != nil {
			p.unmark(off, size)
			poison(p.data[off : off+size])
		}
	})
}

// poison fills memory with what is no sensible number.
func poison(data []byte) {
	for i := range data {
		data[i] = poisonByte
	}
}

// gap returns the first address of [addr, addr+n) that nobody wrote.
func (m *memory) gap(addr uint64, n int64) (gap uint64, found bool, err error) {
	err = m.each("output", addr, n, false, func(p *page, at uint64, off, size int) {
		if i := off; !found {
			if p != nil {
				i = p.missing(off, size)
			}
			gap, found = at+uint64(i-off), i >= 0
		}
	})
	return gap, found, err
}

func ptr(p runtime.Ptr) uint64 { return uint64(p) }
