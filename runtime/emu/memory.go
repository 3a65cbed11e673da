package emu

import (
	"fmt"
	"math/bits"
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

func newPage() *page {
	p := &page{data: make([]byte, pageBytes), init: make([]uint64, pageBytes/64)}
	return p
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
	i := sort.Search(len(m.allocs), func(i int) bool { return m.allocs[i].base >= base })
	if i < len(m.allocs) && base+uint64(size) > m.allocs[i].base ||
		i > 0 && m.allocs[i-1].base+uint64(m.allocs[i-1].size) > base {
		return nil, badArgs("allocation at %#x overlaps another", base)
	}
	a := &alloc{base: base, size: size, chunks: make([]atomic.Pointer[chunk], (size+chunkBytes-1)/chunkBytes)}
	m.allocs = append(m.allocs, nil)
	copy(m.allocs[i+1:], m.allocs[i:])
	m.allocs[i] = a
	return a, nil
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
	for i, a := range m.allocs {
		if a.base == base {
			a.freed.Store(true)
			m.allocs = append(m.allocs[:i:i], m.allocs[i+1:]...)
			return nil
		}
	}
	return badArgs("%#x is no allocation", base)
}

// find returns the live allocation that holds [addr, addr+n), or nil.
func (m *memory) find(addr uint64, n int64) *alloc {
	m.mu.RLock()
	defer m.mu.RUnlock()
	i := sort.Search(len(m.allocs), func(i int) bool { return m.allocs[i].base > addr }) - 1
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
	i := sort.Search(len(m.allocs), func(i int) bool { return m.allocs[i].base > addr })
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
func (a *alloc) page(off int64, make bool) *page {
	slot := &a.chunks[off/chunkBytes]
	c := slot.Load()
	if c == nil {
		if !make {
			return nil
		}
		slot.CompareAndSwap(nil, new(chunk))
		c = slot.Load()
	}
	place := &c[off/pageBytes%chunkPages]
	p := place.Load()
	if p == nil && make {
		p = newPage()
		if rest := a.size - off&^(pageBytes-1); rest < pageBytes {
			p.mark(int(rest), pageBytes-int(rest)) // beyond the end nothing is missing
		}
		if !place.CompareAndSwap(nil, p) {
			p = place.Load()
		}
	}
	return p
}

// mark sets the init bits of [off, off+n); the page is locked or private.
func (p *page) mark(off, n int) {
	if p.full.Load() {
		return
	}
	for n > 0 {
		word, bit := off/64, off%64
		k := min(64-bit, n)
		mask := uint64(1<<k-1) << bit
		if k == 64 {
			mask = ^uint64(0)
		}
		p.count += bits.OnesCount64(mask &^ p.init[word])
		p.init[word] |= mask
		off, n = off+k, n-k
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
	for n > 0 {
		word, bit := off/64, off%64
		k := min(64-bit, n)
		mask := uint64(1<<k-1) << bit
		if k == 64 {
			mask = ^uint64(0)
		}
		if gap := mask &^ p.init[word]; gap != 0 {
			return word*64 + bits.TrailingZeros64(gap)
		}
		off, n = off+k, n-k
	}
	return -1
}

// unmark clears the init bits of [off, off+n).
func (p *page) unmark(off, n int) {
	if p.full.Load() {
		for i := range p.init {
			p.init[i] = ^uint64(0)
		}
		p.full.Store(false)
	}
	for i := off; i < off+n; i++ {
		if p.init[i/64]>>(i%64)&1 != 0 {
			p.init[i/64] &^= 1 << (i % 64)
			p.count--
		}
	}
}

// each calls f for the parts of [addr, addr+n) that lie in one page each.
func (a *alloc) each(addr uint64, n int64, f func(off int64, within, size int) error) error {
	for at := int64(addr - a.base); n > 0; {
		within := int(at % pageBytes)
		size := int(min(int64(pageBytes-within), n))
		if err := f(at, within, size); err != nil {
			return err
		}
		at, n = at+int64(size), n-int64(size)
	}
	return nil
}

// write copies host bytes to the device.
func (m *memory) write(addr uint64, src []byte) error {
	a := m.find(addr, int64(len(src)))
	if a == nil {
		return m.outside("upload", addr, int64(len(src)))
	}
	return a.each(addr, int64(len(src)), func(off int64, within, size int) error {
		p := a.page(off, true)
		p.mu.Lock()
		defer p.mu.Unlock()
		copy(p.data[within:within+size], src)
		p.mark(within, size)
		src = src[size:]
		return nil
	})
}

// read copies device bytes to the host; bytes that nobody wrote read as poison.
func (m *memory) read(dst []byte, addr uint64) error {
	a := m.find(addr, int64(len(dst)))
	if a == nil {
		return m.outside("download", addr, int64(len(dst)))
	}
	return a.each(addr, int64(len(dst)), func(off int64, within, size int) error {
		if p := a.page(off, false); p != nil {
			copy(dst[:size], p.data[within:])
			p.mu.Lock()
			for i := 0; !p.full.Load() && i < size; i++ {
				if p.init[(within+i)/64]>>((within+i)%64)&1 == 0 {
					dst[i] = poisonByte
				}
			}
			p.mu.Unlock()
		} else {
			for i := range dst[:size] {
				dst[i] = poisonByte
			}
		}
		dst = dst[size:]
		return nil
	})
}

// forget makes bytes unwritten again.
func (m *memory) forget(addr uint64, n int64) error {
	a := m.find(addr, n)
	if a == nil {
		return m.outside("output", addr, n)
	}
	return a.each(addr, n, func(off int64, within, size int) error {
		if p := a.page(off, false); p != nil {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.unmark(within, size)
			for i := within; i < within+size; i++ {
				p.data[i] = poisonByte
			}
		}
		return nil
	})
}

// gap returns the first address of [addr, addr+n) that nobody wrote.
func (m *memory) gap(addr uint64, n int64) (at uint64, found bool, err error) {
	a := m.find(addr, n)
	if a == nil {
		return 0, false, m.outside("output", addr, n)
	}
	err = a.each(addr, n, func(off int64, within, size int) error {
		if found {
			return nil
		}
		p := a.page(off, false)
		if p == nil {
			at, found = a.base+uint64(off), true
			return nil
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if i := p.missing(within, size); i >= 0 {
			at, found = a.base+uint64(off)+uint64(i-within), true
		}
		return nil
	})
	return at, found, err
}

func (m *memory) outside(what string, addr uint64, n int64) error {
	return badArgs("%s of %d bytes at %#x is outside live memory: %s", what, n, addr, m.near(addr))
}

func ptr(p runtime.Ptr) uint64 { return uint64(p) }
