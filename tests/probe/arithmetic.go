package probe

import (
	"math"
	"strings"

	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/codegen/ptx/inst"
)

// An operation is one row of the instruction table on a list of operands: thread
// i of round r takes the r·1024+i-th of each list.
type operation struct {
	form      string
	what      string   // tells apart two probes of one row
	operands  [][]byte // of 4 or 8 bytes an element, as the row's operands are
	ulp       int
	abs       float64
	pending   bool
	undefined bool
}

func arithmetic() []Probe {
	var probes []Probe
	for _, op := range operations() {
		probes = append(probes, op.probe())
	}
	return append(probes, immediateShifts())
}

func operations() []operation {
	fx, fy := pairs(oddFloats, oddFloats)
	fa, fb, fc := triples(fewFloats, fewFloats, fewFloats)
	ix, iy := pairs(oddInts, oddInts)
	sx, sy := pairs(oddInts, shifts)
	la, lb := longPairs(oddLongs, oddLongs)
	ls, lt := longShifts()
	ints := pad(append([]uint32(nil), oddInts...))

	var ops []operation
	float2 := func(names ...string) {
		for _, n := range names {
			ops = append(ops, operation{form: n, operands: [][]byte{words(fx...), words(fy...)}})
		}
	}
	int2 := func(undefined bool, names ...string) {
		for _, n := range names {
			ops = append(ops, operation{form: n, operands: [][]byte{words(ix...), words(iy...)}, undefined: undefined})
		}
	}
	long2 := func(undefined bool, names ...string) {
		for _, n := range names {
			ops = append(ops, operation{form: n, operands: [][]byte{la, lb}, undefined: undefined})
		}
	}
	for _, z := range []string{"", ".ftz"} {
		float2("add"+z+".f32", "sub"+z+".f32", "mul"+z+".f32", "min"+z+".f32", "max"+z+".f32")
		ops = append(ops,
			operation{form: "fma.rn" + z + ".f32", operands: [][]byte{words(fa...), words(fb...), words(fc...)}},
			operation{form: "neg" + z + ".f32", operands: [][]byte{words(pad(oddFloats)...)}})
	}
	for _, c := range []string{"eq", "ne", "lt", "le", "gt", "ge"} {
		float2("setp." + c + ".f32")
		int2(false, "setp."+c+".s32", "setp."+c+".u32")
		long2(false, "setp."+c+".s64", "setp."+c+".u64")
	}
	float2("cvt.rn.bf16x2.f32", "cvt.rn.f16x2.f32")
	for _, ty := range []string{"bf16x2", "f16x2"} {
		r := words(roundings(ty)...)
		ops = append(ops, operation{form: "cvt.rn." + ty + ".f32", what: "-ties", operands: [][]byte{r, r}})
	}
	ops = append(ops,
		operation{form: "ex2.approx.ftz.f32", operands: [][]byte{words(exponents()...)}, ulp: 2},
		// The ISA (§9.7.3.20) bounds the absolute error by 2⁻²² for inputs in (½, 2), where
		// the result is near zero and the GPU is off by many units; elsewhere the relative.
		operation{form: "lg2.approx.ftz.f32", operands: [][]byte{words(positives()...)}, ulp: 4, abs: 0x1p-22},
		operation{form: "rcp.approx.ftz.f32", operands: [][]byte{words(positives()...)}, ulp: 1})

	int2(false, "add.s32", "sub.s32", "mul.lo.s32", "mul.hi.u32", "mul.wide.s32", "mul.wide.u32", "min.s32", "min.u32", "max.s32", "max.u32")
	int2(true, "div.s32", "div.u32", "rem.s32", "rem.u32")
	long2(false, "mul.lo.s64", "min.s64", "min.u64", "max.s64", "max.u64")
	long2(true, "div.s64", "div.u64", "rem.s64", "rem.u64")
	for _, n := range []string{"abs.s32", "neg.s32", "popc.b32", "clz.b32", "cvt.rn.f32.s32", "cvt.rn.f32.u32", "cvt.s64.s32", "cvt.u64.u32"} {
		in := ints
		if strings.HasPrefix(n, "cvt.rn") {
			in = integersToRound()
		}
		ops = append(ops, operation{form: n, operands: [][]byte{words(in...)}})
	}
	for _, n := range []string{"shl.b32", "shr.u32", "shr.s32"} {
		ops = append(ops, operation{form: n, operands: [][]byte{words(sx...), words(sy...)}})
	}
	for _, n := range []string{"shl.b64", "shr.u64", "shr.s64"} {
		ops = append(ops, operation{form: n, operands: [][]byte{ls, lt}})
	}
	three := make([][]uint32, 3)
	three[0], three[1], three[2] = triples(oddInts[10:], oddInts[10:], oddInts[16:])
	addend := make([]uint64, len(three[2]))
	for i, v := range three[2] {
		addend[i] = oddLongs[(int(v>>3)+i)%len(oddLongs)]
	}
	for _, n := range []string{"mad.lo.s32", "mad.wide.s32", "mad.wide.u32"} {
		last := words(three[2]...)
		if strings.Contains(n, "wide") {
			last = longs(addend...)
		}
		ops = append(ops, operation{form: n, operands: [][]byte{words(three[0]...), words(three[1]...), last}})
	}
	least := leastNormals()
	negativeZeros := words(repeat(1<<31, len(least[0]))...)
	ops = append(ops,
		operation{form: "mul.ftz.f32", what: "-least", operands: [][]byte{words(least[0]...), words(least[1]...)}},
		operation{form: "fma.rn.ftz.f32", what: "-least", operands: [][]byte{words(least[0]...), words(least[1]...), negativeZeros}})
	for _, ty := range []string{"bf16x2", "f16x2"} { // any bits are a pair of halves
		ops = append(ops, operation{form: "fma.rn." + ty, operands: [][]byte{words(three[0]...), words(three[1]...), words(three[2]...)}},
			operation{form: "fma.rn." + ty, what: "-floats", operands: [][]byte{words(fa...), words(fb...), words(fc...)}})
	}
	sel := selectors()
	return append(ops, operation{form: "prmt.b32", operands: [][]byte{
		words(repeat(0x83c2a190, len(sel))...), words(repeat(0x07f6e5d4, len(sel))...), words(sel...)}})
}

// probe loads the operands, executes the row and stores its result, a predicate as 0 or 1.
func (op *operation) probe() Probe {
	f := inst.Lookup(op.form)
	n := 0
	for i, data := range op.operands {
		if c := len(data) / f.Operands[i+1].Class.Bytes(); i == 0 || c == n {
			n = c
		} else {
			panic("probe: operands of " + op.form + " differ in number")
		}
	}
	threads := min(n, 1024)
	k := start("op/"+op.form+op.what, threads, 0)
	k.p.ULP, k.p.Abs, k.p.Undefined, k.p.Pending = op.ulp, op.abs, op.undefined, op.pending
	from := make([]int, len(op.operands))
	for i, data := range op.operands {
		from[i] = k.add(data)
	}
	width := max(f.Operands[0].Class.Bytes(), 4)
	to := k.reserve(n * width)
	for first := 0; first < n; first += threads {
		skip := k.NewLabel("rest")
		if n-first < threads {
			k.If(k.SetpGeU32(k.tid, ptx.Imm(n-first))).Bra(skip)
		}
		k.operate(f, from, to, first)
		if n-first < threads {
			k.Place(skip)
		}
	}
	return k.finish()
}

func (k *kernel) operate(f *inst.Form, from []int, to, first int) {
	args := make([]ptx.Arg, len(f.Operands))
	for i, o := range f.Operands[1:] {
		w := o.Class.Bytes()
		at := k.AddS64(k.in, k.scaled(w)).At(from[i] + first*w)
		switch o.Class {
		case inst.ClassB64:
			args[i+1] = k.LdGlobalB64(at).Reg
		case inst.ClassF32:
			args[i+1] = k.LdGlobalF32(at).Reg
		default:
			args[i+1] = k.LdGlobalB32(at).Reg
		}
	}
	store := func(w int) ptx.Addr { return k.AddS64(k.out, k.scaled(w)).At(to + first*w) }
	switch f.Operands[0].Class {
	case inst.ClassPred:
		d := k.NewPred()
		args[0] = d.Reg
		k.Emit(f.Name, args...)
		k.StGlobalB32(store(4), k.flag(d))
	case inst.ClassB64:
		d := k.NewR64()
		args[0] = d.Reg
		k.Emit(f.Name, args...)
		k.StGlobalB64(store(8), d)
	case inst.ClassF32:
		d := k.NewF32()
		args[0] = d.Reg
		k.Emit(f.Name, args...)
		k.StGlobalF32(store(4), d)
	default:
		d := k.NewR32()
		args[0] = d.Reg
		k.Emit(f.Name, args...)
		k.StGlobalB32(store(4), d)
	}
}

// immediateShifts shifts by constants, which the assembler treats on its own.
func immediateShifts() Probe {
	k := start("op/shift-by-constants", 32, 0)
	v := k.input(words(pad(oddInts)...))
	for _, n := range []ptx.Imm{0, 31, 32, 33, 255} {
		k.put(k.ShlB32(v, n))
		k.put(k.ShrU32(v, n))
		k.put(k.ShrS32(v, n))
	}
	return k.finish()
}

func longPairs(a, b []uint64) (x, y []byte) {
	n := 0
	for _, p := range a {
		for _, q := range b {
			x, y = append(x, longs(p)...), append(y, longs(q)...)
			n++
		}
	}
	for ; n%32 != 0; n++ {
		x, y = append(x, longs(a[0])...), append(y, longs(b[1])...)
	}
	return x, y
}

func longShifts() (x, by []byte) {
	n := 0
	for _, p := range oddLongs {
		for _, q := range shifts {
			x, by = append(x, longs(p)...), append(by, words(q)...)
			n++
		}
	}
	for ; n%32 != 0; n++ {
		x, by = append(x, longs(1)...), append(by, words(1)...)
	}
	return x, by
}

// roundings are numbers on and beside the ties of a 16-bit type, near its least
// and greatest numbers too.
func roundings(ty string) []uint32 {
	drop := 16 // bits of fp32's significand that the type lacks
	exps := []uint32{1, 2, 100, 127, 128, 200, 254}
	if ty == "f16x2" {
		drop = 13
		exps = []uint32{100, 101, 102, 103, 104, 107, 111, 112, 113, 127, 130, 141, 142, 143, 150}
	}
	var v []uint32
	half := uint32(1) << (drop - 1)
	for _, e := range exps {
		for _, m := range []uint32{0, 1, 2, 3, 1<<(23-drop) - 2, 1<<(23-drop) - 1} {
			base := e<<23 | m<<drop
			for _, d := range []uint32{0, 1, half - 1, half, half + 1} {
				v = append(v, base+d, 1<<31|base+d)
			}
		}
	}
	return pad(v)
}

// exponents are inputs of ex2: odd floats, integers and numbers between them.
func exponents() []uint32 {
	v := append([]uint32(nil), oddFloats...)
	for i := -152; i <= 130; i++ {
		v = append(v, math.Float32bits(float32(i)), math.Float32bits(float32(i)+0.37))
	}
	d := draw(1)
	for range 400 {
		v = append(v, math.Float32bits(float32(int64(d.next()>>40)-1<<23)/(1<<17)))
	}
	return pad(v)
}

// positives are inputs of lg2 and rcp: odd floats and numbers of every magnitude.
func positives() []uint32 {
	v := append([]uint32(nil), oddFloats...)
	d := draw(2)
	for e := range uint32(254) {
		v = append(v, (e+1)<<23, (e+1)<<23|uint32(d.next()>>41))
	}
	for range 100 { // where lg2 is near zero
		v = append(v, 0x3f7f0000+uint32(d.next()>>47))
	}
	return pad(v)
}

// leastNormals are factors of products just below the least normal number: some
// round to it only because subnormals are coarse, some in any case.
func leastNormals() (v [2][]uint32) {
	d := draw(4)
	for range 96 {
		m := uint32(d.next() >> 41)
		inverse := math.Float32bits(float32(1 / (1 + float64(m)/(1<<23))))
		for _, y := range []uint32{inverse - 1, inverse, inverse + 1} {
			v[0], v[1] = append(v[0], (127-63)<<23|m), append(v[1], y-63<<23)
		}
	}
	v[0], v[1] = append(v[0], 0x3f7fffff, 0x00800000), append(v[1], 0x00800000, 0xbf7fffff)
	v[0], v[1] = pad(v[0]), pad(v[1])
	return v
}

// integersToRound are integers beyond fp32's 24 bits, on and beside ties.
func integersToRound() []uint32 {
	v := append([]uint32(nil), oddInts...)
	for s := uint32(0); s < 8; s++ {
		for _, m := range []uint32{0x1000000, 0x1000001, 0x1000002, 0x1000003, 0x1ffffff} {
			v = append(v, m<<s, m<<s+1, m<<s-1, -(m << s), -(m<<s + 1))
		}
	}
	return pad(v)
}

// selectors are those of prmt: every nibble at every place, signs, stray upper bits.
func selectors() []uint32 {
	var v []uint32
	for n := range uint32(16) {
		for p := range 4 {
			v = append(v, n<<(4*p), n<<(4*p)|0xffff0000)
		}
	}
	d := draw(3)
	for range 96 {
		v = append(v, uint32(d.next()>>48))
	}
	return pad(v)
}

func repeat(v uint32, n int) []uint32 {
	s := make([]uint32, n)
	for i := range s {
		s[i] = v
	}
	return s
}
