package emu

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/s2attention/s2c/codegen/ptx/inst"
)

// wgmmaCase places the operands of one wgmma in shared memory. The placement is written
// from the layouts of the ISA, without the emulator's descriptor arithmetic.
type wgmmaCase struct {
	form           *inst.Form
	swizzleA       int // bytes; 0 for none
	swizzleB       int
	transA, transB bool
	column         int // 32-byte step within a swizzled row, for K-major operands
	scaleA, scaleB int
	scaleD         bool
}

func (c *wgmmaCase) inRegisters() bool { return strings.HasSuffix(c.form.Name, "#ra") }

// place writes a matrix of rows × 16 into memory from base, a multiple of 1024, and
// returns its descriptor: element (i, k) of set is the value.
func place(mem []byte, base, rows, swizzle, column int, trans bool, value func(i, k int) uint16) uint64 {
	put := func(at, span int, v uint16) {
		if span > 16 { // chunks of a 128-byte row trade places by the row's number
			at ^= at / 128 % 8 * 16 & (span - 16)
		}
		binary.LittleEndian.PutUint16(mem[at:], v)
	}
	var start, leading, stride int
	mode := map[int]uint64{0: 0, 128: 1, 64: 2, 32: 3}[swizzle]
	switch {
	case swizzle == 0 && !trans: // cores of 8 rows of 16 bytes; the two along K lie 64 bytes beyond 128
		start, leading, stride = base, 192, 384
		for i := range rows {
			for k := range 16 {
				put(base+i/8*stride+k/8*leading+i%8*16+k%8*2, 16, value(i, k))
			}
		}
	case swizzle == 0: // cores of 8 values of K, 8 rows each
		leading = rows/8*144 + 16
		start, stride = base, 144
		for i := range rows {
			for k := range 16 {
				put(base+i/8*stride+k/8*leading+k%8*16+i%8*2, 16, value(i, k))
			}
		}
	case !trans: // a row of the swizzle's width for each row
		start, stride = base+column*32, 8*swizzle
		for i := range rows {
			for k := range 16 {
				put(base+i*swizzle+column*32+2*k, swizzle, value(i, k))
			}
		}
	default: // a row of the swizzle's width for each value of K
		start, stride, leading = base, 8*swizzle, 1024*((16*swizzle+1023)/1024)
		for i := range rows {
			for k := range 16 {
				put(base+i/(swizzle/2)*leading+k*swizzle+i%(swizzle/2)*2, swizzle, value(i, k))
			}
		}
	}
	shared := start + sharedBase
	return uint64(shared>>4) | uint64(leading>>4)<<16 | uint64(stride>>4)<<32 | mode<<62
}

const (
	wgmmaA     = 0
	wgmmaB     = 16 << 10
	wgmmaBytes = 64 << 10
)

// text is a kernel of one warpgroup: p0 holds the shared image, then the descriptors,
// A's registers and the accumulators of each thread; p1 receives the accumulators.
func (c *wgmmaCase) text() string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	n := c.form.Shape[1]
	p(`ld.param.b64 %%rd1, [p0];
ld.param.b64 %%rd2, [p1];
mov.u32 %%r1, %%tid.x;
mov.u32 %%r2, smem;
mul.wide.u32 %%rd3, %%r1, 16;
add.s64 %%rd4, %%rd1, %%rd3;
mad.lo.u32 %%r3, %%r1, 16, %%r2;
mov.b32 %%r4, 0;
COPY:
ld.global.v4.b32 {%%r5, %%r6, %%r7, %%r8}, [%%rd4];
st.shared.v4.b32 [%%r3], {%%r5, %%r6, %%r7, %%r8};
add.s64 %%rd4, %%rd4, 2048;
add.u32 %%r3, %%r3, 2048;
add.u32 %%r4, %%r4, 2048;
setp.lt.u32 %%p1, %%r4, %d;
@%%p1 bra COPY;
fence.proxy.async.shared::cta; // image
bar.sync 0;
ld.global.b64 %%rd5, [%%rd1+%d];
ld.global.b64 %%rd6, [%%rd1+%d];
mul.wide.u32 %%rd7, %%r1, 16;
add.s64 %%rd7, %%rd1, %%rd7;
mul.wide.u32 %%rd8, %%r1, 512;
add.s64 %%rd9, %%rd1, %%rd8;
add.s64 %%rd10, %%rd2, %%rd8;`, wgmmaBytes, wgmmaBytes, wgmmaBytes+8)
	var acc []string
	for i := range n / 2 {
		acc = append(acc, fmt.Sprintf("%%f%d", 100+i))
		p("ld.global.f32 %%f%d, [%%rd9+%d];", 100+i, wgmmaBytes+16+2048+4*i)
	}
	a := "%rd5"
	if c.inRegisters() {
		a = "{%r10, %r11, %r12, %r13}"
		p("ld.global.v4.b32 %s, [%%rd7+%d];", a, wgmmaBytes+16)
	}
	p("mov.pred %%p2, %d;", bit(c.scaleD))
	p("wgmma.fence.sync.aligned;")
	trans := fmt.Sprintf("%d, %d", bit(c.transA), bit(c.transB))
	if c.inRegisters() {
		trans = fmt.Sprint(bit(c.transB))
	}
	p("%s {%s}, %s, %%rd6, %%p2, %d, %d, %s;", c.form.Opcode, strings.Join(acc, ", "), a, c.scaleA, c.scaleB, trans)
	p("wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;")
	for i := range n / 2 {
		p("st.global.f32 [%%rd10+%d], %%f%d;", 4*i, 100+i)
	}
	return kernelText("sm_90a", 2, externShared, b.String())
}

// run executes the case and compares with a plain product.
func (c *wgmmaCase) run(t *testing.T, o Options, rng *rand.Rand) {
	t.Helper()
	half := halves["bf16"]
	if c.form.From == inst.F16 {
		half = halves["f16"]
	}
	n := c.form.Shape[1]
	a, b := make([]uint16, 64*16), make([]uint16, n*16)
	for i := range a {
		a[i] = half.pack(float32(rng.NormFloat64()))
	}
	for i := range b {
		b[i] = half.pack(float32(rng.NormFloat64()))
	}
	in := make([]byte, wgmmaBytes+16+2048+128*512)
	rng2 := rand.New(rand.NewPCG(1, 2))
	for i := range wgmmaBytes {
		in[i] = byte(rng2.Uint32()) // garbage around the operands
	}
	elementA := func(i, k int) uint16 { return a[16*i+k] }
	elementB := func(i, k int) uint16 { return b[16*i+k] }
	descA := place(in, wgmmaA, 64, c.swizzleA, c.column, c.transA, elementA)
	descB := place(in, wgmmaB, n, c.swizzleB, c.column, c.transB, elementB)
	binary.LittleEndian.PutUint64(in[wgmmaBytes:], descA)
	binary.LittleEndian.PutUint64(in[wgmmaBytes+8:], descB)
	acc := make([]float32, 64*n)
	for i := range acc {
		acc[i] = float32(rng.NormFloat64())
	}
	// Fragments (ISA 9.7.15.5.1.1): thread t holds rows 16·(t/32) + (t%32)/4 and 8 below.
	row := func(t, i int) int { return t/32*16 + t%32/4 + 8*i }
	for th := range 128 {
		for r := range 4 {
			for e := range 2 {
				binary.LittleEndian.PutUint16(in[wgmmaBytes+16+16*th+4*r+2*e:], a[16*row(th, r%2)+th%4*2+e+8*(r/2)])
			}
		}
		for i := range n / 2 {
			at := row(th, i/2%2)*n + i/4*8 + th%4*2 + i%2
			binary.LittleEndian.PutUint32(in[wgmmaBytes+16+2048+512*th+4*i:], math.Float32bits(acc[at]))
		}
	}
	h := newHarness(t, o, c.text(), wgmmaBytes)
	out := h.alloc(128 * 512)
	h.mustLaunch(1, 128, h.upload(in), out)
	got := asF32(h.download(out, 128*512))
	for th := range 128 {
		for i := range n / 2 {
			r, col := row(th, i/2%2), i/4*8+th%4*2+i%2
			want := 0.0
			for k := range 16 {
				want += float64(half.unpack(a[16*r+k])) * float64(half.unpack(b[16*col+k]))
			}
			want *= float64(c.scaleA * c.scaleB)
			if c.scaleD {
				want += float64(acc[r*n+col])
			}
			if v := float64(got[128*th+i]); !(math.Abs(v-want) < 2e-5) {
				t.Fatalf("%+v: row %d, column %d is %v, want %v", *c, r, col, v, want)
			}
		}
	}
}

// TestWgmmaForms executes every row of the table with a layout of its own.
func TestWgmmaForms(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	swizzles := []int{0, 32, 64, 128}
	for i := range inst.Forms {
		f := &inst.Forms[i]
		if f.Kind != inst.Wgmma {
			continue
		}
		c := &wgmmaCase{
			form: f, swizzleA: swizzles[rng.IntN(4)], swizzleB: swizzles[rng.IntN(4)],
			transA: rng.IntN(2) == 0, transB: rng.IntN(2) == 0, scaleA: 1, scaleB: 1, scaleD: rng.IntN(2) == 0,
		}
		// A transposed operand comes in whole rows of the swizzle.
		if c.transB && f.Shape[1]%max(c.swizzleB/2, 8) != 0 {
			c.swizzleB = 0
		}
		c.run(t, Options{Seed: uint64(i), Shuffle: i%2 == 0}, rng)
	}
}

// TestWgmmaLayouts sweeps swizzles, major-nesses, steps within a row, and signs.
func TestWgmmaLayouts(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	for _, name := range []string{"bf16", "f16"} {
		f := inst.Lookup("wgmma.mma_async.sync.aligned.m64n128k16.f32." + name + "." + name)
		for _, swizzle := range []int{0, 32, 64, 128} {
			for mode := range 16 {
				c := &wgmmaCase{form: f, swizzleA: swizzle, swizzleB: swizzle, transA: mode&1 != 0, transB: mode&2 != 0,
					scaleA: 1 - mode&4/2, scaleB: 1 - mode&8/4, scaleD: mode&1 == 0}
				for c.column = 0; c.column*32 < max(swizzle, 32); c.column++ {
					c.run(t, Options{Shuffle: mode&2 != 0, Seed: uint64(mode)}, rng)
				}
			}
		}
	}
}
