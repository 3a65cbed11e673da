package probe

import (
	"fmt"

	"github.com/s2attention/s2c/codegen/ptx"
)

// operand is a matrix in shared memory, as a descriptor tells it
// (PTX ISA 9.0 §9.7.15.5.1.2).
type operand struct {
	swizzle         int  // bytes; 0 for none
	mn              bool // the dimension that is not K is contiguous
	leading, stride int  // bytes
	start           int  // bytes from a multiple of 1024
	base            int  // base offset field
	bytes           int  // of the whole region
}

// canonical is an operand of so many rows, 16 deep, without gaps.
func canonical(swizzle int, mn bool, rows int) operand {
	o := operand{swizzle: swizzle, mn: mn}
	switch {
	case swizzle == 0 && !mn: // 8 rows of 16 bytes; the next 8 columns; the next 8 rows
		o.leading, o.stride, o.bytes = 128, 256, rows/8*256
	case swizzle == 0: // 8 columns of 8 rows; the next 8 columns; the next 8 rows
		o.leading, o.stride, o.bytes = 128, 256, rows/8*256
	case !mn: // rows of the swizzle's span
		o.leading, o.stride, o.bytes = 16, 8*swizzle, rows*swizzle
	default: // columns of span/2 rows, 16 of them; the next span/2 rows
		o.leading, o.stride = 16*swizzle, 8*swizzle
		o.bytes = (2*rows + swizzle - 1) / swizzle * 16 * swizzle
	}
	return o
}

func (o *operand) name() string {
	major := "K"
	if o.mn {
		major = "MN"
	}
	return major + "-" + swizzleName(o.swizzle)
}

// image is the operand's region with its elements numbered: low or high digits.
func (o *operand) image(dtype string, high bool) []byte {
	return halves(o.bytes/2, func(i int) uint16 { return small(dtype, digitOf(i, high)) })
}

func digitOf(i int, high bool) int {
	if high {
		return i / digit
	}
	return i % digit
}

// room is a region rounded up to a multiple of 1024.
func room(bytes int) int { return (bytes + 1023) &^ 1023 }

// descriptor describes an operand whose region starts at an offset of the shared memory.
func (k *kernel) descriptor(at int, o operand) ptx.R64 {
	mode := map[int]int64{0: 0, 128: 1, 64: 2, 32: 3}[o.swizzle]
	start := k.ShrU32(k.AndB32(k.AddS32(k.smem, ptx.Imm(at+o.start)), ptx.Imm(0x3ffff)), ptx.Imm(4))
	bits := int64(o.leading>>4)<<16 | int64(o.stride>>4)<<32 | int64(o.base)<<49 | mode<<62
	return k.OrB64(k.CvtU64U32(start), ptx.Imm(bits))
}

func transpose(o operand) ptx.Imm {
	if o.mn {
		return 1
	}
	return 0
}

const groupThreads = 128

// product is a warpgroup's accumulator and the shape it is for.
type product struct {
	*kernel
	dtype string
	n     int
	acc   []ptx.F32
}

func (k *kernel) product(dtype string, n int) *product {
	return &product{k, dtype, n, k.zeros(n / 2)}
}

func (p *product) form(variant string) string {
	return fmt.Sprintf("wgmma.mma_async.sync.aligned.m64n%dk16.f32.%s.%[2]s%s", p.n, p.dtype, variant)
}

// yes is a predicate with a value.
func (k *kernel) yes(v bool) ptx.Reg {
	return k.SetpNeU32(k.Const32(int64(one(1, v))), ptx.Imm(0)).Reg
}

// multiply accumulates a·b, A from shared memory.
func (p *product) multiply(a, b ptx.R64, add bool, oa, ob operand, signs [2]int) {
	p.Emit(p.form(""), ptx.VecOf(p.acc), a.Reg, b.Reg, p.yes(add), ptx.Imm(signs[0]), ptx.Imm(signs[1]), transpose(oa), transpose(ob))
}

// multiplyRegs accumulates a·b, A from registers.
func (p *product) multiplyRegs(a []ptx.R32, b ptx.R64, add bool, ob operand, signs [2]int) {
	p.Emit(p.form("#ra"), ptx.VecOf(p.acc), ptx.VecOf(a), b.Reg, p.yes(add), ptx.Imm(signs[0]), ptx.Imm(signs[1]), transpose(ob))
}

// complete commits and waits.
func (k *kernel) complete() {
	k.WgmmaCommitGroupSyncAligned()
	k.WgmmaWaitGroupSyncAligned(0)
}

// store writes the accumulators of the first so many threads, register by register.
func (p *product) store(threads int) {
	at := p.AddS64(p.out, p.scaled(4))
	to := p.reserve(4 * threads * len(p.acc))
	skip := p.NewLabel("stored")
	if threads < p.p.Threads {
		p.If(p.SetpGeU32(p.tid, ptx.Imm(threads))).Bra(skip)
	}
	for i, r := range p.acc {
		p.StGlobalF32(at.At(to+4*threads*i), r)
	}
	if threads < p.p.Threads {
		p.Place(skip)
	}
}

var plus = [2]int{1, 1}

// rows16 is A in registers that has a weight at column m mod 16 of row m.
func (k *kernel) rows16(dtype string, weight int) []ptx.R32 {
	return k.fragments(dtype, 4, func(t, r, h int) int { return one(weight, aColumn(t%32, r, h) == aRow(t%32, r)) })
}

// operandB asks which element of shared memory is B(k, n): row m of the product is
// the numbers of row m mod 16 of B. All warps have the same; the first stores.
func operandB(name, dtype string, n int, o operand) Probe {
	hi := room(o.bytes)
	k := start(name, groupThreads, 2*hi)
	k.load(0, o.image(dtype, false))
	k.load(hi, o.image(dtype, true))
	a, weighted := k.rows16(dtype, 1), k.rows16(dtype, digit)
	p := k.product(dtype, n)
	lows, highs := k.descriptor(0, o), k.descriptor(hi, o)
	k.WgmmaFenceSyncAligned()
	p.multiplyRegs(a, lows, false, o, plus)
	p.multiplyRegs(weighted, highs, true, o, plus)
	k.complete()
	p.store(32)
	return k.finish()
}

// unit is a 16 × 16 matrix with a weight on its diagonal.
func unit(dtype string, weight int) (operand, []byte) {
	o := canonical(0, false, 16)
	return o, halves(o.bytes/2, func(i int) uint16 {
		row, col := i/128*8+i%64/8, i%128/64*8+i%8
		return small(dtype, one(weight, row == col))
	})
}

// units places the unit matrix and the weighted one.
func (k *kernel) units(dtype string, at int) (o operand, low, high ptx.R64) {
	var desc [2]ptx.R64
	for i, weight := range []int{1, digit} {
		var data []byte
		o, data = unit(dtype, weight)
		k.load(at+1024*i, data)
		desc[i] = k.descriptor(at+1024*i, o)
	}
	return o, desc[0], desc[1]
}

// operandA asks which element of shared memory is A(m, k): that is the product's
// element (m, k).
func operandA(name, dtype string, o operand) Probe {
	hi := room(o.bytes)
	k := start(name, groupThreads, 2*hi+2048)
	k.load(0, o.image(dtype, false))
	k.load(hi, o.image(dtype, true))
	ob, low, high := k.units(dtype, 2*hi)
	p := k.product(dtype, 16)
	da, dh := k.descriptor(0, o), k.descriptor(hi, o)
	k.WgmmaFenceSyncAligned()
	p.multiply(da, low, false, o, ob, plus)
	p.multiply(dh, high, true, o, ob, plus)
	k.complete()
	p.store(groupThreads)
	return k.finish()
}

// registersA asks which half of which thread's register is A(m, k).
func registersA(dtype string) Probe {
	k := start("wgmma/a-registers-"+dtype, groupThreads, 2048)
	ob, low, high := k.units(dtype, 0)
	lo := k.fragments(dtype, 4, func(t, _, h int) int { return 2*(t%32) + h })
	hi := k.fragments(dtype, 4, func(t, r, _ int) int { return t/32*4 + r })
	p := k.product(dtype, 16)
	k.WgmmaFenceSyncAligned()
	p.multiplyRegs(lo, low, false, ob, plus)
	p.multiplyRegs(hi, high, true, ob, plus)
	k.complete()
	p.store(groupThreads)
	return k.finish()
}

// scales starts from accumulators that hold numbers and adds the low digits of B
// to them, or not, with signs.
func scales(name string, add bool, signs [2]int) Probe {
	const n = 16
	o := canonical(128, false, n)
	k := start("wgmma/"+name, groupThreads, room(o.bytes))
	k.load(0, o.image("bf16", false))
	a := k.rows16("bf16", 1)
	p := k.product("bf16", n)
	for i, r := range p.acc {
		k.MovF32To(r, k.CvtRnF32S32(k.AddS32(k.tid, ptx.Imm(1000*(i+1)))))
	}
	b := k.descriptor(0, o)
	k.WgmmaFenceSyncAligned()
	p.multiplyRegs(a, b, add, o, signs)
	k.complete()
	p.store(32)
	return k.finish()
}

// multiplied is a whole 64 × 64 × 64 product of small integers, as Q·Kᵀ: both
// operands K-major in 128-byte rows, four steps of 32 bytes.
func multiplied(dtype string) Probe {
	const rows = 64
	o := canonical(128, false, rows)
	k := start("wgmma/query-key-"+dtype, groupThreads, 2*o.bytes)
	for m := range 2 {
		k.load(m*o.bytes, rowImage(dtype, m+1, rows))
	}
	p := k.product(dtype, rows)
	var a, b [4]ptx.R64
	for s := range 4 {
		o.start = 32 * s
		a[s], b[s] = k.descriptor(0, o), k.descriptor(rows*128, o)
	}
	k.WgmmaFenceSyncAligned()
	for s := range 4 {
		p.multiply(a[s], b[s], s > 0, o, o, plus)
	}
	k.complete()
	p.store(groupThreads)
	return k.finish()
}

// rowImage is a matrix of small integers in rows of 128 bytes, their 16-byte
// chunks swizzled.
func rowImage(dtype string, seed, rows int) []byte {
	return halves(rows*64, func(i int) uint16 {
		row, chunk := i/64, i%64/8
		return small(dtype, smallInt(seed, row, (chunk^row%8)*8+i%8))
	})
}

// weightedValues is a 64 × 128 × 64 product, as P·V: A from registers, B as two slabs of
// 64 columns and 64 rows of 128 bytes, four steps of 16 rows. Two groups are
// committed, and the first is waited for alone.
func weightedValues() Probe {
	const dtype, depth, slab = "bf16", 64, 64 * 128
	k := start("wgmma/weight-value", groupThreads, 2*slab)
	for s := range 2 {
		k.load(s*slab, rowImage(dtype, 5+s, depth))
	}
	o := operand{swizzle: 128, mn: true, leading: slab, stride: 1024}
	var a [4][]ptx.R32
	var b [4]ptx.R64
	for s := range 4 {
		a[s] = k.fragments(dtype, 4, func(t, r, h int) int {
			return smallInt(7, t/32*16+aRow(t%32, r), 16*s+aColumn(t%32, r, h))
		})
		o.start = 16 * 128 * s
		b[s] = k.descriptor(0, o)
	}
	first, rest := k.product(dtype, 64), k.product(dtype, 128)
	k.WgmmaFenceSyncAligned()
	first.multiplyRegs(a[0], b[0], false, o, plus)
	k.WgmmaCommitGroupSyncAligned()
	for s := range 4 {
		rest.multiplyRegs(a[s], b[s], s > 0, o, plus)
	}
	k.WgmmaCommitGroupSyncAligned()
	k.WgmmaWaitGroupSyncAligned(1)
	first.store(32)
	k.WgmmaWaitGroupSyncAligned(0)
	rest.store(groupThreads)
	return k.finish()
}

// extremes multiplies a column by a row of numbers whose treatment may differ:
// one product an element, beside products of zeros.
func extremes(dtype string) Probe {
	const n = 16
	k := start("wgmma/extremes-"+dtype, groupThreads, 1024)
	o := canonical(0, false, n)
	k.load(0, halves(o.bytes/2, func(i int) uint16 {
		row, col := i/128*8+i%64/8, i%128/64*8+i%8
		return oddHalf(dtype, row, col == 0)
	}))
	a := k.oddColumn(dtype)
	p := k.product(dtype, n)
	b := k.descriptor(0, o)
	k.WgmmaFenceSyncAligned()
	p.multiplyRegs(a, b, false, o, plus)
	k.complete()
	p.store(32)
	return k.finish()
}

func wgmmas() []Probe {
	var probes []Probe
	for _, d := range dtypes() {
		probes = append(probes, registersA(d), multiplied(d), extremes(d))
		for _, s := range swizzles() {
			for _, mn := range []bool{false, true} {
				for _, n := range []int{8, 64, 96, 128, 256} {
					if d == "f16" && n > 64 { // the layout does not depend on the type
						continue
					}
					o := canonical(s, mn, n)
					probes = append(probes, operandB(fmt.Sprintf("wgmma/b-%s-n%d-%s", o.name(), n, d), d, n, o))
				}
				o := canonical(s, mn, 64)
				probes = append(probes, operandA(fmt.Sprintf("wgmma/a-%s-%s", o.name(), d), d, o))
			}
		}
	}
	probes = append(probes,
		scales("scale-d", true, plus), scales("no-scale-d", false, plus), scales("minus-a", true, [2]int{-1, 1}),
		scales("minus-b", true, [2]int{1, -1}), scales("minus-both", true, [2]int{-1, -1}), weightedValues())
	for _, p := range placements() {
		probes = append(probes, operandB("wgmma/b-"+p.o.name()+"-"+p.what, "bf16", p.n, p.o))
		if p.n == 64 {
			probes = append(probes, operandA("wgmma/a-"+p.o.name()+"-"+p.what, "bf16", p.o))
		}
	}
	return probes
}

// placement is an operand that is not laid out without gaps from its beginning.
type placement struct {
	what string
	n    int
	o    operand
}

func placements() []placement {
	var list []placement
	add := func(what string, n, swizzle int, mn bool, change func(o *operand)) {
		o := canonical(swizzle, mn, n)
		change(&o)
		list = append(list, placement{what, n, o})
	}
	// Steps along K within the atom, and half steps.
	for _, s := range []struct{ swizzle, step int }{{128, 32}, {128, 64}, {128, 96}, {128, 16}, {64, 32}, {64, 16}, {32, 16}} {
		add(fmt.Sprintf("at-%d", s.step), 64, s.swizzle, false, func(o *operand) {
			o.start = s.step
			o.bytes += 1024 // a half step may read on
		})
	}
	// Steps along K across atoms, and along N within one.
	for _, s := range []int{32, 64, 128} {
		add("next-16", 64, s, true, func(o *operand) {
			o.leading, o.start, o.bytes = 32*s, 16*s, 2*o.bytes
		})
	}
	add("at-64", 32, 128, true, func(o *operand) { o.start = 64 })
	// Starts within the swizzle's period, without and with the base offset.
	for _, s := range []int{128, 64, 32} {
		for _, row := range []int{1, 2, 4, 7} {
			for _, base := range []int{0, row} {
				for _, mn := range []bool{false, true} {
					if mn && (s != 128 || row > 2) || s != 128 && row > 2 {
						continue
					}
					add(fmt.Sprintf("row-%d-base-%d", row, base), 64, s, mn, func(o *operand) {
						o.start, o.base = 128*row, base
						o.bytes += 1024
					})
				}
			}
		}
	}
	// Gaps.
	add("gaps", 64, 0, false, func(o *operand) { o.leading, o.stride, o.bytes = 144, 400, 8*400 })
	add("gaps", 64, 0, true, func(o *operand) { o.leading, o.stride, o.bytes = 2064, 176, 4096 })
	add("gaps", 64, 128, false, func(o *operand) { o.stride, o.bytes = 2048, 8*2048 })
	add("gaps", 64, 64, false, func(o *operand) { o.stride, o.bytes = 1024, 8*1024 })
	add("gaps", 64, 32, false, func(o *operand) { o.stride, o.bytes = 512, 8*512 })
	add("slabs", 128, 128, true, func(o *operand) { o.leading, o.stride, o.bytes = 64*128, 1024, 2*64*128 })
	add("slabs", 128, 64, true, func(o *operand) { o.leading, o.stride, o.bytes = 64*64, 512, 4*64*64 })
	add("slabs", 128, 32, true, func(o *operand) { o.leading, o.stride, o.bytes = 64*32, 256, 8*64*32 })
	add("stride-2048", 64, 128, true, func(o *operand) { o.stride, o.bytes = 2048, 4096 })
	// A leading offset where none is used.
	add("odd-leading", 64, 128, false, func(o *operand) { o.leading = 4112 })
	add("odd-leading", 64, 64, false, func(o *operand) { o.leading = 4112 })
	add("odd-leading", 64, 32, false, func(o *operand) { o.leading = 4112 })
	add("odd-leading", 64, 128, true, func(o *operand) { o.leading = 4112 })
	return list
}
