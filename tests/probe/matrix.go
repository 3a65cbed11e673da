package probe

import (
	"fmt"

	"github.com/s2attention/s2c/codegen/ptx"
)

func matrices() []Probe {
	var probes []Probe
	for _, d := range dtypes() {
		probes = append(probes, mmaA(d), mmaB(d), mmaSum(d), mmaExtremes(d))
	}
	for _, n := range []int{1, 2, 4} {
		for _, trans := range []string{"", ".trans"} {
			probes = append(probes, ldMatrix(n, trans), stMatrix(n, trans))
		}
	}
	return probes
}

// packed is a word of two small numbers, the first in the lower half.
func packed(dtype string, lo, hi int) uint32 {
	return uint32(small(dtype, lo)) | uint32(small(dtype, hi))<<16
}

// fragments is n registers of every thread: value says what the half of a register
// of a thread holds.
func (k *kernel) fragments(dtype string, n int, value func(thread, reg, half int) int) []ptx.R32 {
	r := make([]ptx.R32, n)
	for i := range r {
		var w []uint32
		for t := range k.p.Threads {
			w = append(w, packed(dtype, value(t, i, 0), value(t, i, 1)))
		}
		r[i] = k.input(words(w...))
	}
	return r
}

// The value of an element that is to tell its place: a low and a high digit, so
// that both are exact in every 16-bit type. Their products are summed with
// weights 1 and digit.
const digit = 256

// one is 1, or a weight, where two indexes agree.
func one(weight int, same bool) int {
	if same {
		return weight
	}
	return 0
}

// aColumn is the column of A of a half of a fragment register (PTX ISA 9.0
// §9.7.14.5.8), aRow its row, bRow the row of B; a thread's column of B is lane/4.
func aColumn(lane, reg, half int) int { return lane%4*2 + reg/2*8 + half }
func aRow(lane, reg int) int          { return lane/4 + reg%2*8 }
func bRow(lane, reg, half int) int    { return lane%4*2 + reg*8 + half }

func (k *kernel) zeros(n int) []ptx.F32 {
	f := k.F32s(n)
	for _, r := range f {
		k.MovF32To(r, ptx.FImm(0))
	}
	return f
}

// mma is d = a·b + c.
func (k *kernel) mma(dtype string, a, b []ptx.R32, c []ptx.F32) []ptx.F32 {
	d := k.F32s(4)
	k.Emit(fmt.Sprintf("mma.sync.aligned.m16n8k16.row.col.f32.%s.%[1]s.f32", dtype), ptx.VecOf(d), ptx.VecOf(a), ptx.VecOf(b), ptx.VecOf(c))
	return d
}

// mmaA multiplies registers that name themselves by the two halves of the
// identity: element (m, n) of the product is the name of the half that holds A(m, n).
func mmaA(dtype string) Probe {
	k := start("mma/a-"+dtype, 32, 0)
	lo := k.fragments(dtype, 4, func(t, _, h int) int { return 2*t + h })
	hi := k.fragments(dtype, 4, func(_, r, _ int) int { return r })
	for half := range 2 {
		var b [2][]ptx.R32
		for i, weight := range []int{1, digit} {
			b[i] = k.fragments(dtype, 2, func(t, r, h int) int { return one(weight, bRow(t, r, h) == t/4+8*half) })
		}
		for _, d := range k.mma(dtype, hi, b[1], k.mma(dtype, lo, b[0], k.zeros(4))) {
			k.putF(d)
		}
	}
	return k.finish()
}

// mmaB multiplies the identity by registers that name themselves.
func mmaB(dtype string) Probe {
	k := start("mma/b-"+dtype, 32, 0)
	lo := k.fragments(dtype, 2, func(t, _, h int) int { return 2*t + h })
	hi := k.fragments(dtype, 2, func(_, r, _ int) int { return r })
	var a [2][]ptx.R32
	for i, weight := range []int{1, digit} {
		a[i] = k.fragments(dtype, 4, func(t, r, h int) int { return one(weight, aColumn(t, r, h) == aRow(t, r)) })
	}
	for _, d := range k.mma(dtype, a[1], hi, k.mma(dtype, a[0], lo, k.zeros(4))) {
		k.putF(d)
	}
	return k.finish()
}

// smallInt is a number from −4 to 4 that a place decides.
func smallInt(seed, i, j int) int {
	d := draw(seed*1_000_003 + i*1009 + j)
	return int(d.next()%9) - 4
}

// mmaSum is a whole product of small integers plus C.
func mmaSum(dtype string) Probe {
	k := start("mma/sum-"+dtype, 32, 0)
	a := k.fragments(dtype, 4, func(t, r, h int) int { return smallInt(1, aRow(t, r), aColumn(t, r, h)) })
	b := k.fragments(dtype, 2, func(t, r, h int) int { return smallInt(2, bRow(t, r, h), t/4) })
	c := make([]ptx.F32, 4)
	for r := range c {
		c[r] = k.CvtRnF32S32(k.AddS32(k.MulLoS32(k.tid, ptx.Imm(4)), ptx.Imm(1000+r)))
	}
	for _, d := range k.mma(dtype, a, b, c) {
		k.putF(d)
	}
	return k.finish()
}

// oddHalves are 16-bit numbers whose treatment may differ: zeros, subnormals, the
// least and greatest normals, infinities, NaNs.
var oddHalves = map[string][]uint16{
	"bf16": {0x3f80, 0xbf80, 0, 0x8000, 1, 0x8001, 0x007f, 0x0080, 0x7f7f, 0xff7f, 0x7f80, 0xff80, 0x7fc0, 0xff81, 0x4000, 0x2000},
	"f16":  {0x3c00, 0xbc00, 0, 0x8000, 1, 0x8001, 0x03ff, 0x0400, 0x7bff, 0xfbff, 0x7c00, 0xfc00, 0x7e00, 0xfc01, 0x4000, 0x1400},
}

func oddHalf(dtype string, i int, there bool) uint16 {
	if !there {
		return 0
	}
	return oddHalves[dtype][i%16]
}

// oddColumn is A in registers with oddHalves in column 0.
func (k *kernel) oddColumn(dtype string) []ptx.R32 {
	r := make([]ptx.R32, 4)
	for i := range r {
		var w []uint32
		for t := range k.p.Threads {
			l := t % 32
			w = append(w, uint32(oddHalf(dtype, aRow(l, i), aColumn(l, i, 0) == 0)))
		}
		r[i] = k.input(words(w...))
	}
	return r
}

// mmaExtremes multiplies a column by a row of odd numbers, eight and eight; then
// adds zero products to odd sums.
func mmaExtremes(dtype string) Probe {
	k := start("mma/extremes-"+dtype, 32, 0)
	a := k.oddColumn(dtype)
	for half := range 2 {
		b := make([]ptx.R32, 2)
		for r := range b {
			var w []uint32
			for l := range 32 {
				w = append(w, uint32(oddHalf(dtype, l/4+8*half, bRow(l, r, 0) == 0)))
			}
			b[r] = k.input(words(w...))
		}
		for _, d := range k.mma(dtype, a, b, k.zeros(4)) {
			k.putF(d)
		}
	}
	none := k.fragments(dtype, 4, func(int, int, int) int { return 0 })
	c := make([]ptx.F32, 4)
	for r := range c {
		var w []uint32
		for l := range 32 {
			w = append(w, oddFloats[(4*l+r)%len(oddFloats)])
		}
		c[r] = k.MovF32B32(k.input(words(w...)))
	}
	for _, d := range k.mma(dtype, none, none[:2], c) {
		k.putF(d)
	}
	return k.finish()
}

// rowOfLane is where a lane of ldmatrix and stmatrix points to, in rows of 32 bytes.
func rowOfLane(lane int) int { return (lane*5 + 3) % 32 }

func (k *kernel) matrixRows() ptx.SAddr {
	rows := make([]uint32, 32)
	for l := range rows {
		rows[l] = uint32(32 * rowOfLane(l))
	}
	return k.AddS32(k.smem, k.input(words(rows...))).At(0)
}

func ldMatrix(n int, trans string) Probe {
	k := start(fmt.Sprintf("ldmatrix/x%d%s", n, trans), 32, 1024)
	k.load(0, ids(512))
	d := k.R32s(n)
	k.Emit(fmt.Sprintf("ldmatrix.sync.aligned.m8n8.x%d%s.shared.b16", n, trans), ptx.VecOf(d), k.matrixRows())
	for _, r := range d {
		k.put(r)
	}
	return k.finish()
}

func stMatrix(n int, trans string) Probe {
	k := start(fmt.Sprintf("stmatrix/x%d%s", n, trans), 32, 1024)
	k.fill(0, 1024, 0xcccccccc)
	var regs []ptx.R32
	for r := range n {
		v := make([]uint32, 32)
		for l := range v {
			id := uint32(r*64 + 2*l + 1)
			v[l] = id | (id+1)<<16
		}
		regs = append(regs, k.input(words(v...)))
	}
	k.Emit(fmt.Sprintf("stmatrix.sync.aligned.m8n8.x%d%s.shared.b16", n, trans), k.matrixRows(), ptx.VecOf(regs))
	k.BarSync(ptx.Imm(0))
	k.dump(0, 1024)
	return k.finish()
}
