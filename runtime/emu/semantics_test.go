package emu

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/s2attention/s2c/codegen/ptx/inst"
)

// Scalar forms are tested by generated kernels: every lane loads its operands, the
// form is executed plainly, with constants where it takes them, and under a
// guard; the results are compared with a model written from the ISA.

var interesting = []uint64{
	0, 1, 2, 3, 7, 8, 31, 32, 33, 63, 64, 0x7f, 0x80, 0xff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000,
	0x80000001, 0xfffffffe, 0xffffffff, 0x100000000, 0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffff,
	0x3210, 0x7654, 0xba98, 0xfedc,
}

var interestingF32 = []uint32{
	0, 1 << 31, 0x3f800000, 0xbf800000, 0x40000000, 0x40490fdb, 0x7f800000, 0xff800000, 0x7fc00000, 0x7f7fffff, 0xff7fffff,
	0x00800000, 0x80800000, 0x007fffff, 0x00000001, 0x80000001, 0x33800000, 0x3f7fffff, 0x3f800001, 0x4b000000, 0xc3150000,
	0x42fe0000, 0xc2fc0000, 0x3effffff, 0x5f000000, 0x1f800000, 0x20000000,
}

func sample(rng *rand.Rand, class inst.Class) uint64 {
	if class == inst.ClassF32 {
		switch rng.IntN(3) {
		case 0:
			return uint64(interestingF32[rng.IntN(len(interestingF32))])
		case 1:
			return uint64(rng.Uint32())
		}
		return uint64(math.Float32bits(float32(rng.NormFloat64() * 4)))
	}
	v := rng.Uint64() >> rng.IntN(64)
	if rng.IntN(2) == 0 {
		v = interesting[rng.IntN(len(interesting))]
	}
	switch class {
	case inst.ClassPred:
		return v & 1
	case inst.ClassB16:
		return v & 0xffff
	case inst.ClassB32:
		return v & math.MaxUint32
	}
	return v
}

// model is the result of a scalar form for operands in the order of the table;
// tolerance is in units of the last place of a float32.
func model(f *inst.Form, a []uint64) (want []uint64, tolerance int) {
	signed := f.Type == inst.S32 || f.Type == inst.S64
	wide := f.Type == inst.S64 || f.Type == inst.U64 || f.Type == inst.B64
	width := 32
	if wide {
		width = 64
	}
	value := func(i int) *big.Int {
		x := new(big.Int).SetUint64(a[i])
		if signed && !wide {
			x.SetInt64(int64(int32(a[i])))
		} else if signed {
			x.SetInt64(int64(a[i]))
		}
		return x
	}
	wrap := func(x *big.Int, width int) []uint64 {
		m := new(big.Int).Lsh(big.NewInt(1), uint(width))
		return []uint64{new(big.Int).Mod(x, m).Uint64()}
	}
	if f.Type == inst.F32 && f.Kind != inst.Mov && f.Kind != inst.Selp && f.Kind != inst.Cvt {
		return modelF32(f, a)
	}
	switch f.Kind {
	case inst.Fma:
		return []uint64{pairwise(f.Type, a[0], a[1], a[2])}, 0
	case inst.Mov:
		return []uint64{a[0]}, 0
	case inst.MovPack:
		return []uint64{a[0] | a[1]<<32}, 0
	case inst.MovUnpack:
		half := width / 2
		return []uint64{a[0] & (1<<half - 1), a[0] >> half}, 0
	case inst.Selp:
		if a[2] != 0 {
			return []uint64{a[0]}, 0
		}
		return []uint64{a[1]}, 0
	case inst.Add:
		return wrap(value(0).Add(value(0), value(1)), width), 0
	case inst.Sub:
		return wrap(value(0).Sub(value(0), value(1)), width), 0
	case inst.MulLo:
		return wrap(value(0).Mul(value(0), value(1)), width), 0
	case inst.MulHi:
		p := value(0).Mul(value(0), value(1))
		return wrap(p.Rsh(p, uint(width)), width), 0
	case inst.MulWide:
		return wrap(value(0).Mul(value(0), value(1)), 64), 0
	case inst.MadLo:
		p := value(0).Mul(value(0), value(1))
		return wrap(p.Add(p, value(2)), width), 0
	case inst.MadWide:
		p := value(0).Mul(value(0), value(1))
		return wrap(p.Add(p, new(big.Int).SetUint64(a[2])), 64), 0
	case inst.Div:
		return wrap(value(0).Quo(value(0), value(1)), width), 0
	case inst.Rem:
		return wrap(value(0).Rem(value(0), value(1)), width), 0
	case inst.Abs:
		return wrap(value(0).Abs(value(0)), width), 0
	case inst.Neg:
		return wrap(value(0).Neg(value(0)), width), 0
	case inst.Min, inst.Max:
		if (value(0).Cmp(value(1)) < 0) == (f.Kind == inst.Min) {
			return []uint64{a[0]}, 0
		}
		return []uint64{a[1]}, 0
	case inst.Popc:
		return []uint64{uint64(bits.OnesCount32(uint32(a[0])))}, 0
	case inst.Clz:
		return []uint64{uint64(32 - bits.Len32(uint32(a[0])))}, 0
	case inst.And:
		return []uint64{a[0] & a[1]}, 0
	case inst.Or:
		return []uint64{a[0] | a[1]}, 0
	case inst.Xor:
		return []uint64{a[0] ^ a[1]}, 0
	case inst.Not:
		if f.Type == inst.TPred {
			return []uint64{1 - a[0]}, 0
		}
		return wrap(value(0).Not(value(0)), width), 0
	case inst.Shl:
		return wrap(value(0).Lsh(value(0), uint(min(a[1], 64))), width), 0
	case inst.Shr:
		return wrap(value(0).Rsh(value(0), uint(min(a[1], 64))), width), 0
	case inst.Prmt:
		var buf [8]byte
		binary.LittleEndian.PutUint32(buf[:], uint32(a[0]))
		binary.LittleEndian.PutUint32(buf[4:], uint32(a[1]))
		var v uint64
		for i := range 4 {
			sel := a[2] >> (4 * i) & 15
			b := buf[sel&7]
			if sel >= 8 {
				b = byte(int8(b) >> 7)
			}
			v |= uint64(b) << (8 * i)
		}
		return []uint64{v}, 0
	case inst.Setp:
		c := value(0).Cmp(value(1))
		return []uint64{truth(compares(f.Cmp, c < 0, c == 0))}, 0
	case inst.Cvt:
		return modelCvt(f, a[0]), 0
	case inst.CvtPack:
		return []uint64{roundTo(f.Type, a[0])<<16 | roundTo(f.Type, a[1])}, 0
	case inst.CvtaTo:
		return []uint64{a[0]}, 0
	}
	return nil, 0
}

func truth(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func compares(c inst.Cmp, less, equal bool) bool {
	switch c {
	case inst.EQ:
		return equal
	case inst.NE:
		return !equal
	case inst.LT:
		return less
	case inst.LE:
		return less || equal
	case inst.GT:
		return !less && !equal
	}
	return !less
}

func modelCvt(f *inst.Form, a uint64) []uint64 {
	switch {
	case f.Type == inst.F32 && f.From == inst.S32:
		return []uint64{uint64(math.Float32bits(float32(float64(int32(a)))))}
	case f.Type == inst.F32 && f.From == inst.U32:
		return []uint64{uint64(math.Float32bits(float32(float64(uint32(a)))))}
	case f.Type == inst.F32 && f.From == inst.F16:
		return []uint64{halfBits(a)}
	case f.Type == inst.S64 && f.From == inst.S32:
		return []uint64{uint64(int64(int32(a)))}
	case f.Type == inst.U32 || f.Type == inst.U64:
		return []uint64{a & math.MaxUint32}
	}
	return nil
}

// halfBits is the float32 of a half, by its definition.
func halfBits(a uint64) uint64 {
	sign, exp, frac := a>>15&1, int(a>>10&31), float64(a&1023)
	x := math.Ldexp(frac+1024, exp-25)
	switch {
	case exp == 31 && frac != 0:
		return 0x7fffffff
	case exp == 31:
		x = math.Inf(1)
	case exp == 0:
		x = math.Ldexp(frac, -24)
	}
	return uint64(math.Float32bits(float32(x))) | sign<<31
}

// roundTo rounds a float32 to a 16-bit format by searching its values.
func roundTo(ty inst.Type, a uint64) uint64 {
	x := float64(math.Float32frombits(uint32(a)))
	if x != x {
		return 0x7fff
	}
	value := func(h int) float64 {
		if ty == inst.BF16x2 {
			return float64(math.Float32frombits(uint32(h) << 16))
		}
		exp, frac := h>>10, float64(h&1023)
		switch exp {
		case 0:
			return math.Ldexp(frac, -24)
		case 31:
			return math.Inf(1)
		}
		return math.Ldexp(1024+frac, exp-25)
	}
	inf := 0x7c00
	if ty == inst.BF16x2 {
		inf = 0x7f80
	}
	lo, hi := 0, inf
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; value(mid) <= math.Abs(x) {
			lo = mid
		} else {
			hi = mid
		}
	}
	next := value(hi)
	if hi == inf { // the value that would follow the largest one
		next = 2*value(lo) - value(lo-1)
	}
	below, above := math.Abs(x)-value(lo), next-math.Abs(x)
	h := lo
	if math.IsInf(x, 0) || above < below || above == below && hi&1 == 0 {
		h = hi
	}
	if math.Signbit(x) {
		h |= 0x8000
	}
	return uint64(h)
}

func modelF32(f *inst.Form, a []uint64) ([]uint64, int) {
	x := make([]float64, len(a))
	for i, v := range a {
		bits := uint32(v)
		if f.Ftz && bits&0x7f800000 == 0 {
			bits &= 1 << 31
		}
		x[i] = float64(math.Float32frombits(bits))
	}
	var r float64
	tolerance := 0
	switch f.Kind {
	case inst.Add:
		r = x[0] + x[1]
	case inst.Sub:
		r = x[0] - x[1]
	case inst.MulLo:
		r = x[0] * x[1]
	case inst.Fma:
		r = fmaExact(x[0], x[1], x[2])
	case inst.Neg:
		r = -x[0]
	case inst.Min, inst.Max:
		switch {
		case x[0] != x[0]:
			r = x[1]
		case x[1] != x[1]:
			r = x[0]
		case f.Kind == inst.Min:
			r = math.Min(x[0], x[1])
		default:
			r = math.Max(x[0], x[1])
		}
	case inst.Rcp:
		r, tolerance = 1/x[0], 1
	case inst.Lg2:
		r, tolerance = math.Log2(x[0]), 2
	case inst.Ex2:
		r, tolerance = math.Exp2(x[0]), 2
	case inst.Setp:
		if x[0] != x[0] || x[1] != x[1] {
			return []uint64{0}, 0
		}
		return []uint64{truth(compares(f.Cmp, x[0] < x[1], x[0] == x[1]))}, 0
	default:
		return nil, 0
	}
	bits := math.Float32bits(float32(r))
	if f.Ftz && bits&0x7f800000 == 0 {
		bits &= 1 << 31
	}
	return []uint64{uint64(bits)}, tolerance
}

// pairwise is a·b + c on both halves of 32 bits.
func pairwise(ty inst.Type, a, b, c uint64) uint64 {
	var d uint64
	for shift := 0; shift < 32; shift += 16 {
		x := [3]float64{}
		for i, v := range []uint64{a, b, c} {
			h := v >> shift & 0xffff
			bits := h << 16
			if ty == inst.F16x2 {
				bits = halfBits(h)
			}
			x[i] = float64(math.Float32frombits(uint32(bits)))
		}
		d |= roundExact(ty, x[0], x[1], x[2]) << shift
	}
	return d
}

// roundExact is a·b + c, rounded once to a 16-bit format, by comparing it with the
// format's values.
func roundExact(ty inst.Type, a, b, c float64) uint64 {
	if s := a*b + c; s != s {
		return 0x7fff
	} else if s-s != 0 || a*b == 0 {
		return roundTo(ty, uint64(math.Float32bits(float32(s))))
	}
	exact := func(v float64) *big.Float { return new(big.Float).SetPrec(600).SetFloat64(v) }
	x := exact(a * b) // two halves have few bits
	x.Add(x, exact(c))
	if x.Sign() == 0 {
		return 0
	}
	// The two values of float32 around it: where they round alike, so does it; else
	// the format's values that they round to decide by which is nearer.
	f, accuracy := x.Float32()
	inner, outer := f, f
	switch away := (accuracy == big.Above) == (x.Sign() > 0); {
	case accuracy == big.Exact:
	case away && f != 0:
		inner = math.Nextafter32(f, 0)
	default:
		outer = math.Nextafter32(f, float32(math.Copysign(math.Inf(1), float64(x.Sign()))))
	}
	low, high := roundTo(ty, uint64(math.Float32bits(inner))), roundTo(ty, uint64(math.Float32bits(outer)))
	value := func(h uint64) *big.Float {
		bits := h << 16 &^ (1 << 31)
		if ty == inst.F16x2 {
			bits = halfBits(h &^ (1 << 15))
		}
		if v := math.Float32frombits(uint32(bits)); !math.IsInf(float64(v), 0) {
			return exact(float64(v))
		}
		return exact(map[inst.Type]float64{inst.F16x2: 0x1p16, inst.BF16x2: 0x1p128}[ty])
	}
	twice := new(big.Float).SetPrec(600).Add(value(low), value(high))
	if new(big.Float).SetPrec(600).Mul(x.Abs(x), exact(2)).Cmp(twice) > 0 {
		return high
	}
	return low
}

// fmaExact is a·b + c rounded to float32 once.
func fmaExact(a, b, c float64) float64 {
	if p := a * b; p-p != 0 || c-c != 0 {
		return a*b + c
	}
	p := new(big.Float).SetPrec(600).Mul(big.NewFloat(a), big.NewFloat(b))
	p.Add(p, new(big.Float).SetPrec(600).SetFloat64(c))
	r, _ := p.Float32()
	if r == 0 {
		return a*b + c // for the sign of zero
	}
	return float64(r)
}

// near compares results; tolerance counts float32 values.
func near(got, want uint64, isFloat bool, tolerance int) bool {
	if got == want {
		return true
	}
	if !isFloat {
		return false
	}
	g, w := math.Float32frombits(uint32(got)), math.Float32frombits(uint32(want))
	if g != g || w != w {
		return g != g && w != w
	}
	d := int64(ordinal(uint32(got))) - int64(ordinal(uint32(want)))
	return max(d, -d) <= int64(tolerance)
}

var classReg = map[inst.Class]string{
	inst.ClassPred: "p", inst.ClassB16: "h", inst.ClassB32: "r", inst.ClassF32: "f", inst.ClassB64: "rd",
}

var classType = map[inst.Class]string{
	inst.ClassB16: "b16", inst.ClassB32: "b32", inst.ClassF32: "f32", inst.ClassB64: "b64",
}

// isScalar says whether a form computes on registers alone.
func isScalar(f *inst.Form) bool {
	if f.Effects != 0 || f.Kind == inst.Cvta {
		return false
	}
	for _, o := range f.Operands {
		if classReg[o.Class] == "" {
			return false
		}
	}
	return len(f.Operands) > 0
}

// scalarKernel executes a form on operands at p0 + lane·64 and stores results at p1 + lane·64.
// Operands whose bit in constants is set are written as the constants in text.
func scalarKernel(f *inst.Form, constants int, text []string, guard bool) string {
	var b strings.Builder
	b.WriteString(`ld.param.b64 %rd1, [p0];
ld.param.b64 %rd2, [p1];
mov.u32 %r1, %tid.x;
mul.wide.u32 %rd3, %r1, 64;
add.s64 %rd1, %rd1, %rd3;
add.s64 %rd2, %rd2, %rd3;
and.b32 %r2, %r1, 1;
setp.ne.u32 %p1, %r2, 0;
`)
	src, n := 0, 10
	var ops []string
	var results []string
	var after strings.Builder
	reg := func(c inst.Class) string {
		n++
		return fmt.Sprintf("%%%s%d", classReg[c], n)
	}
	for _, o := range f.Operands {
		var names []string
		for range o.Count {
			if o.Write {
				r := reg(o.Class)
				names = append(names, r)
				at := 8 * len(results)
				results = append(results, r)
				if o.Class == inst.ClassPred {
					if guard {
						fmt.Fprintf(&b, "mov.pred %s, 1;\n", r)
					}
					fmt.Fprintf(&after, "selp.b32 %%r9, 1, 0, %s;\nst.global.b32 [%%rd2+%d], %%r9;\n", r, at)
					continue
				}
				if guard {
					fmt.Fprintf(&b, "ld.global.%s %s, [%%rd1];\n", classType[o.Class], r)
				}
				fmt.Fprintf(&after, "st.global.%s [%%rd2+%d], %s;\n", classType[o.Class], at, r)
				continue
			}
			if constants>>src&1 != 0 {
				names = append(names, text[src])
				src++
				continue
			}
			r := reg(o.Class)
			names = append(names, r)
			if o.Class == inst.ClassPred {
				fmt.Fprintf(&b, "ld.global.b32 %%r8, [%%rd1+%d];\nsetp.ne.u32 %s, %%r8, 0;\n", 8*src, r)
			} else {
				fmt.Fprintf(&b, "ld.global.%s %s, [%%rd1+%d];\n", classType[o.Class], r, 8*src)
			}
			src++
		}
		if o.Vec {
			ops = append(ops, "{"+strings.Join(names, ", ")+"}")
		} else {
			ops = append(ops, names[0])
		}
	}
	if guard {
		b.WriteString("@%p1 ")
	}
	fmt.Fprintf(&b, "%s %s;\n", f.Opcode, strings.Join(ops, ", "))
	b.WriteString(after.String())
	return kernelText("sm_90a", 2, "", b.String())
}

// sources are the read operands of a scalar form, vectors spread out.
func sources(f *inst.Form) []inst.Operand {
	var list []inst.Operand
	for _, o := range f.Operands {
		for range o.Count {
			if o.Read {
				list = append(list, o)
			}
		}
	}
	return list
}

func constantText(rng *rand.Rand, class inst.Class, v uint64) string {
	switch class {
	case inst.ClassF32:
		return fmt.Sprintf("0f%08X", uint32(v))
	case inst.ClassB32:
		if rng.IntN(2) == 0 {
			return fmt.Sprint(int32(v))
		}
	case inst.ClassB64:
		if rng.IntN(2) == 0 {
			return fmt.Sprint(int64(v))
		}
	}
	return fmt.Sprintf("0x%x", v)
}

func TestScalarForms(t *testing.T) {
	for i := range inst.Forms {
		f := &inst.Forms[i]
		if !isScalar(f) || f.Kind == inst.MapA {
			continue
		}
		t.Run(f.Name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(7, uint64(i)))
			runScalar(t, f, rng, 0, false)
			runScalar(t, f, rng, 0, true)
			for k, o := range sources(f) {
				if o.Imm {
					for range 3 {
						runScalar(t, f, rng, 1<<k, false)
					}
				}
			}
		})
	}
}

func runScalar(t *testing.T, f *inst.Form, rng *rand.Rand, constants int, guard bool) {
	t.Helper()
	const threads = 256
	src := sources(f)
	fixed := make([]uint64, len(src))
	text := make([]string, len(src))
	divides := f.Kind == inst.Div || f.Kind == inst.Rem
	pick := func(k int) uint64 {
		for {
			v := sample(rng, src[k].Class)
			if !(divides && k == 1 && v == 0) {
				return v
			}
		}
	}
	for k, o := range src {
		fixed[k] = pick(k)
		text[k] = constantText(rng, o.Class, fixed[k])
	}
	in := make([]byte, 64*threads)
	args := make([][]uint64, threads)
	for l := range threads {
		for k := range src {
			v := pick(k)
			binary.LittleEndian.PutUint64(in[64*l+8*k:], v)
			if constants>>k&1 != 0 {
				v = fixed[k]
			}
			args[l] = append(args[l], v)
		}
	}
	h := newHarness(t, Options{Workers: 1}, scalarKernel(f, constants, text, guard), 0)
	pi, po := h.upload(in), h.upload(make([]byte, 64*threads))
	h.mustLaunch(1, threads, pi, po)
	out := h.download(po, 64*threads)
	result := f.Operands[0]
	for l := range threads {
		want, tolerance := model(f, args[l])
		if want == nil {
			t.Fatalf("the test has no model of %s", f.Name)
		}
		for k := range want {
			if guard && l&1 == 0 { // keeps what it had
				want[k] = binary.LittleEndian.Uint64(in[64*l:])
				if result.Class == inst.ClassPred {
					want[k] = 1
				}
			}
			got := binary.LittleEndian.Uint64(out[64*l+8*k:])
			switch result.Class {
			case inst.ClassB64:
			case inst.ClassB16:
				want[k] &= math.MaxUint16
			default:
				want[k] &= math.MaxUint32
			}
			if !near(got, want[k], result.Class == inst.ClassF32, tolerance) {
				t.Fatalf("%s %#x (constants %b, guard %v) is %#x, want %#x", f.Opcode, args[l], constants, guard, got, want[k])
			}
		}
	}
}

func TestFmaRoundsOnce(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 200000 {
		a, b := math.Float32frombits(rng.Uint32()), math.Float32frombits(rng.Uint32())
		c := math.Float32frombits(rng.Uint32())
		if rng.IntN(2) == 0 { // near a tie, or near the subnormals
			c = float32(math.Ldexp(float64(a)*float64(b), rng.IntN(60)-30))
		}
		want := float32(fmaExact(float64(a), float64(b), float64(c)))
		if got := fma32(a, b, c); got != want && (got == got || want == want) {
			t.Fatalf("fma(%x, %x, %x) is %x, want %x", a, b, c, got, want)
		}
	}
}

func TestExp2IsClose(t *testing.T) {
	for x := float32(-151); x < 130; x += 0.00137 {
		got, want := exp2(x), float64(float32(math.Exp2(float64(x))))
		if float64(got) == want {
			continue
		}
		if d := math.Abs(float64(got) - want); d > want*6.1e-8 && d > 0x1p-149 {
			t.Fatalf("2^%v is %v, want %v", x, got, want)
		}
	}
}

func TestHalvesRoundTrip(t *testing.T) {
	for h := range 1 << 16 {
		v := f16Value(uint16(h))
		if v == v && f16Bits(v) != uint16(h) {
			t.Fatalf("half %#x is %v and comes back as %#x", h, v, f16Bits(v))
		}
	}
}
