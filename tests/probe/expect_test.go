package probe

import (
	"encoding/binary"
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/s2attention/s2c/internal/tensor"
	"github.com/s2attention/s2c/runtime/emu"
)

// The expectations are written from the text of the PTX ISA 9.0, apart from both
// the probes' kernels and the emulator: they check the recording, so that an error
// in a probe does not become a golden, and the emulator where a probe waits for one.

// answers returns what the GPU answered, or the emulator to a pending probe.
func answers(t *testing.T) func(t *testing.T, p *Probe) []byte {
	rec, err := ReadRecording("../../runtime/emu/testdata/probes/h200.json")
	if err != nil {
		t.Fatal(err)
	}
	return func(t *testing.T, p *Probe) []byte {
		t.Helper()
		if p.Pending {
			o := emu.Options{Workers: 1}
			if p.Undefined {
				o.Checks = emu.NoChecks
			}
			out, err := p.Run(emu.New(o), 1)
			if err != nil {
				t.Fatalf("%s: %v", p.Name, err)
			}
			return out[0]
		}
		a := rec.Answers[p.Name]
		if a.Key != p.Key() || a.Error != "" {
			t.Fatalf("%s: no answer is recorded (key %s, want %s; error %q)", p.Name, a.Key, p.Key(), a.Error)
		}
		out, err := a.Output(p.Out)
		if err != nil {
			t.Fatalf("%s: %v", p.Name, err)
		}
		return out
	}
}

func word(b []byte, i int) uint32 { return binary.LittleEndian.Uint32(b[4*i:]) }
func half(b []byte, i int) uint16 { return binary.LittleEndian.Uint16(b[2*i:]) }
func single(b []byte, i int) float32 {
	return math.Float32frombits(word(b, i))
}

// TestExpectations holds every probe of an expected answer against it.
func TestExpectations(t *testing.T) {
	answer := answers(t)
	held := 0
	for i := range All() {
		p := &All()[i]
		want := expectation(p)
		if want == nil || p.Refused != "" {
			continue
		}
		held++
		t.Run(p.Name, func(t *testing.T) {
			if diff := p.Compare(answer(t, p), want); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Logf("%d of %d probes have an expected answer", held, len(All()))
	if held < 170 {
		t.Errorf("only %d probes have an expected answer", held)
	}
}

// expectation is what a probe must answer, nil where the ISA leaves it open or
// this test does not say.
func expectation(p *Probe) []byte {
	group, rest, _ := strings.Cut(p.Name, "/")
	switch group {
	case "wgmma":
		return expectWgmma(rest)
	case "mma":
		return expectMma(rest)
	case "ldmatrix", "stmatrix":
		return expectMatrixMove(group, rest)
	case "tma":
		return expectTma(rest)
	case "mbarrier":
		return expectMbarrier(rest)
	case "op":
		if strings.HasSuffix(rest, "-least") {
			return expectLeast()
		}
	}
	return nil
}

// expectLeast: products that, rounded, are below the least normal number are zeros.
// The ISA does not say whether they are rounded to a subnormal's bits first; by
// mul.ftz.f32 as recorded (2⁻¹²⁶ − 2⁻¹⁵⁰ gives 0) they are not.
func expectLeast() []byte {
	var b []byte
	v := leastNormals()
	for i := range v[0] {
		x := new(big.Float).SetPrec(24) // rounds to nearest even, with any exponent
		x.Mul(big.NewFloat(float64(math.Float32frombits(v[0][i]))), big.NewFloat(float64(math.Float32frombits(v[1][i]))))
		f, _ := x.Float32()
		if x.Cmp(big.NewFloat(0x1p-126)) < 0 && x.Cmp(big.NewFloat(-0x1p-126)) > 0 {
			f = float32(math.Copysign(0, float64(f)))
		}
		b = append(b, words(math.Float32bits(f))...)
	}
	return b
}

// swizzledAt is Swizzle<B, 4, 3> of the canonical layouts' table: bits 4… of an
// address are exchanged by its bits 7….
func swizzledAt(at, span int) int {
	bits := map[int]int{0: 0, 32: 1, 64: 2, 128: 3}[span]
	return at ^ at>>3&((1<<bits-1)<<4)
}

// elementAt is the byte of element (i, k), i along M or N, of a canonical layout
// (§9.7.15.5.1.2.1.3), with T = 8 elements: the shape's strides are multiplied out
// by hand.
func elementAt(o operand, i, k int) int {
	const T = 8
	var at int // in elements
	sbo, lbo := o.stride/2, o.leading/2
	switch {
	case o.mn && o.swizzle == 0: // ((T,1,m),(8,k)):((1,T,SBO),(1T,LBO))
		at = i%T + i/T*sbo + k%8*T + k/8*lbo
	case o.mn: // ((T,s,m),(8,k)):((1,T,LBO),(sT,SBO)), s chunks of 16 bytes
		s := o.swizzle / 16
		at = i%T + i/T%s*T + i/T/s*lbo + k%8*s*T + k/8*sbo
	case o.swizzle == 0: // ((8,m),(T,2k)):((1T,SBO),(1,LBO))
		at = i%8*T + i/8*sbo + k%T + k/T*lbo
	default: // ((8,m),(T,2k)):((sT,SBO),(1,T))
		s := o.swizzle / 16
		at = i%8*s*T + i/8*sbo + k%T + k/T*T
	}
	return swizzledAt(2*at+o.start, o.swizzle)
}

// accumulator is the row and column of D that a register of a thread holds
// (§9.7.15.5.1.1.1, figure 149).
func accumulator(thread, reg int) (row, col int) {
	return thread/32*16 + thread%32/4 + reg/2%2*8, reg/4*8 + thread%4*2 + reg%2
}

// fragments lists f(row, col) register by register, thread by thread.
func accumulators(threads, n int, f func(row, col int) float32) []byte {
	var b []byte
	for r := range n / 2 {
		for t := range threads {
			b = append(b, words(math.Float32bits(f(accumulator(t, r))))...)
		}
	}
	return b
}

func expectWgmma(name string) []byte {
	for _, d := range dtypes() {
		for _, s := range swizzles() {
			for _, mn := range []bool{false, true} {
				for _, n := range []int{8, 64, 96, 128, 256} {
					o := canonical(s, mn, n)
					if name == "b-"+o.name()+"-n"+itoa(n)+"-"+d {
						return expectB(o, n)
					}
				}
				if o := canonical(s, mn, 64); name == "a-"+o.name()+"-"+d {
					return expectA(o)
				}
			}
		}
		switch name {
		case "a-registers-" + d:
			// Figure 148: a0, a1 and a2, a3 are rows g and g+8, a4… the same 8 columns on.
			return accumulators(128, 16, func(row, col int) float32 {
				lane := row%8*4 + col%8/2
				reg := row%16/8 + col/8*2
				return float32(2*lane + col%2 + digit*(row/16*4+reg))
			})
		case "query-key-" + d:
			return accumulators(128, 64, func(row, col int) float32 {
				sum := 0
				for k := range 64 {
					sum += smallInt(1, row, k) * smallInt(2, col, k)
				}
				return float32(sum)
			})
		}
	}
	for _, p := range placements() {
		if p.o.start%1024 != 0 && p.o.start >= 128 && strings.Contains(p.what, "row") {
			continue // the ISA's words on the base offset leave open what the GPU does
		}
		if strings.HasPrefix(p.what, "at-16") {
			continue // half a step reads over the row's end, which no layout covers
		}
		switch name {
		case "b-" + p.o.name() + "-" + p.what:
			return expectB(p.o, p.n)
		case "a-" + p.o.name() + "-" + p.what:
			return expectA(p.o)
		}
	}
	return expectScales(name)
}

func expectB(o operand, n int) []byte {
	return accumulators(32, n, func(row, col int) float32 { return float32(elementAt(o, col, row) / 2) })
}

func expectA(o operand) []byte {
	return accumulators(128, 16, func(row, col int) float32 { return float32(elementAt(o, row, col) / 2) })
}

func expectScales(name string) []byte {
	o := canonical(128, false, 16)
	c := func(thread, reg int) float32 { return float32(thread + 1000*(reg+1)) }
	sign, keep := float32(1), float32(1)
	switch name {
	case "scale-d", "minus-both":
	case "no-scale-d":
		keep = 0
	case "minus-a", "minus-b":
		sign = -1
	case "weight-value":
		return expectWeightValue()
	default:
		return nil
	}
	var b []byte
	for r := range 8 {
		for t := range 32 {
			row, col := accumulator(t, r)
			v := float32(elementAt(o, col, row) / 2 % digit)
			b = append(b, words(math.Float32bits(keep*c(t, r)+sign*v))...)
		}
	}
	return b
}

func expectWeightValue() []byte {
	value := func(depth, n int) func(row, col int) float32 {
		return func(row, col int) float32 {
			sum := 0
			for k := range depth {
				sum += smallInt(7, row, k) * smallInt(5+col/64, k, col%64)
			}
			return float32(sum)
		}
	}
	return append(accumulators(32, 64, value(16, 64)), accumulators(128, 128, value(64, 128))...)
}

// mmaC is the row and column of C and D (§9.7.14.5.8): c0, c1 in row g, c2, c3 in g+8.
func mmaC(lane, reg int) (row, col int) { return lane/4 + reg/2*8, lane%4*2 + reg%2 }

func expectMma(name string) []byte {
	list := func(f func(row, col, lane, reg int) float32) (b []byte) {
		for r := range 4 {
			for l := range 32 {
				row, col := mmaC(l, r)
				b = append(b, words(math.Float32bits(f(row, col, l, r)))...)
			}
		}
		return b
	}
	what, _, _ := strings.Cut(name, "-")
	switch what {
	case "a": // A: a0,a1 (g, 2t), a2,a3 (g+8, 2t), a4,a5 (g, 2t+8), a6,a7 (g+8, 2t+8)
		var b []byte
		for h := range 2 {
			b = append(b, list(func(row, col, _, _ int) float32 {
				reg := row/8 + 2*h
				return float32(2*(row%8*4+col/2) + col%2 + digit*reg)
			})...)
		}
		return b
	case "b": // B: b0,b1 rows 2t, 2t+1 of column g; b2,b3 eight rows on. Row m of D is row m of B.
		return list(func(row, col, _, _ int) float32 {
			return float32(2*(col*4+row%8/2) + row%2 + digit*(row/8))
		})
	case "sum":
		return list(func(row, col, lane, reg int) float32 {
			sum := 4*lane + 1000 + reg
			for k := range 16 {
				sum += smallInt(1, row, k) * smallInt(2, k, col)
			}
			return float32(sum)
		})
	}
	return nil
}

// expectMatrixMove: lanes 8i…8i+7 point to the rows of matrix i; a thread holds
// elements 2·(l mod 4) and the next of row l/4, or of column l/4 with .trans
// (§9.7.14.5.15, .16).
func expectMatrixMove(group, name string) []byte {
	trans := strings.HasSuffix(name, ".trans")
	n := int(name[1] - '0')
	at := func(matrix, lane, h int) int { // element of shared memory
		row, col := lane/4, lane%4*2+h
		if trans {
			row, col = col, row
		}
		return 16*rowOfLane(8*matrix+row) + col
	}
	if group == "ldmatrix" {
		var b []byte
		for m := range n {
			for l := range 32 {
				b = append(b, words(uint32(at(m, l, 0)+1)|uint32(at(m, l, 1)+1)<<16)...)
			}
		}
		return b
	}
	b := halves(512, func(int) uint16 { return 0xcccc })
	for m := range n {
		for l := range 32 {
			for h := range 2 {
				binary.LittleEndian.PutUint16(b[2*at(m, l, h):], uint16(m*64+2*l+1+h))
			}
		}
	}
	return b
}

func expectTma(name string) []byte {
	for rank := 2; rank <= 5; rank++ {
		for _, s := range swizzles() {
			switch name {
			case "load-" + itoa(rank) + "d-" + swizzleName(s):
				return expectLoads(rank, s, odd)
			case "load-" + itoa(rank) + "d-" + swizzleName(s) + "-aligned":
				return expectLoads(rank, s, aligned)
			case "store-" + itoa(rank) + "d-" + swizzleName(s):
				return expectStores(rank, s)
			case "load-narrow-" + swizzleName(s):
				return expectNarrow(s)
			case "store-narrow-" + swizzleName(s):
				return expectNarrowStore(s)
			}
		}
	}
	return nil
}

// expectNarrow: rows of half a swizzle's span lie the whole span apart, which the
// ISA's figures do not show; the gaps stay as they were.
func expectNarrow(swizzle int) []byte {
	c := copyCases[2]
	m, data := c.tensor(swizzle, 16)
	m.Box = []uint32{uint32(swizzle / 4), 8}
	box := halves(512, func(int) uint16 { return 0xcccc })
	boxElements(m.Box, func(_ int, i []int) {
		binary.LittleEndian.PutUint16(box[swizzledAt(swizzle*i[1]+2*i[0], swizzle):], half(data, inTensor(m, []int{8, 1}, i)/2))
	})
	return append(words(slices.Repeat([]uint32{1}, 32)...), box...)
}

func expectNarrowStore(swizzle int) []byte {
	b := slices.Repeat([]byte{Poison}, 128*8)
	boxElements([]uint32{uint32(swizzle / 4), 8}, func(_ int, i []int) {
		binary.LittleEndian.PutUint16(b[128*i[1]+2*(8+i[0]):], uint16(swizzledAt(swizzle*i[1]+2*i[0], swizzle)/2+1))
	})
	return b
}

// boxElements calls f for each element of a box in order, the first dimension
// fastest, with its coordinates.
func boxElements(box []uint32, f func(n int, i []int)) {
	total := 1
	for _, b := range box {
		total *= int(b)
	}
	for n := range total {
		i, rest := make([]int, len(box)), n
		for d, b := range box {
			i[d], rest = rest%int(b), rest/int(b)
		}
		f(n, i)
	}
}

// inTensor is the byte of an element, or −1 outside (§5.5.3).
func inTensor(m Map, at, i []int) int {
	off := 0
	for d := range i {
		x := at[d] + i[d]
		if x < 0 || x >= int(m.Dims[d]) {
			return -1
		}
		if d == 0 {
			off += 2 * x
		} else {
			off += int(m.Strides[d-1]) * x
		}
	}
	return off
}

func expectLoads(rank, swizzle int, over reach) []byte {
	c := copyCases[rank]
	m, data := c.tensor(swizzle, 16)
	var b []byte
	for _, at := range c.places(int(m.Box[0]), over) {
		b = append(b, words(slices.Repeat([]uint32{1}, 32)...)...) // the phase ends, zeros count
		box := halves(m.boxBytes()/2+32, func(int) uint16 { return 0xcccc })
		boxElements(m.Box, func(n int, i []int) {
			v := uint16(0)
			if off := inTensor(m, at, i); off >= 0 {
				v = half(data, off/2)
			}
			binary.LittleEndian.PutUint16(box[swizzledAt(2*n, swizzle):], v)
		})
		b = append(b, box...)
	}
	return b
}

func expectStores(rank, swizzle int) []byte {
	c := copyCases[rank]
	m, _ := c.tensor(swizzle, 0)
	size := (int(m.Strides[rank-2]*m.Dims[rank-1]) + 255) &^ 255
	b := slices.Repeat([]byte{Poison}, 2*size)
	inside, beyond := make([]int, rank), make([]int, rank)
	for d := range rank {
		beyond[d] = int(m.Dims[d]) - 1
	}
	inside[0], beyond[0] = 8, int(m.Dims[0])-int(m.Box[0])+8
	for n, at := range [][]int{inside, beyond} {
		boxElements(m.Box, func(e int, i []int) {
			if off := inTensor(m, at, i); off >= 0 {
				binary.LittleEndian.PutUint16(b[n*size+off:], uint16(swizzledAt(2*e, swizzle)/2+1))
			}
		})
	}
	return b
}

func expectMbarrier(name string) []byte {
	flags := map[string][]uint32{
		"parity":                 {1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0},
		"pending-count":          {0, 0, 1, 0, 0, 1},
		"expected-bytes-missing": {0, 1},
		"all-threads":            {1, 1, 1, 1},
	}[name]
	threads := 32
	if name == "all-threads" {
		threads = 64
	}
	var b []byte
	for _, f := range flags {
		b = append(b, words(slices.Repeat([]uint32{f}, threads)...)...)
	}
	return b
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + itoa(n%10)
}

// TestByteCounts looks at the flags alone: which counts of bytes end a phase.
func TestByteCounts(t *testing.T) {
	answer := answers(t)
	for name, want := range map[string][]uint32{
		"tma/expect-more-bytes":       {1, 0, 1},
		"tma/expect-fewer-bytes":      {1, 0, 1},
		"tma/expect-fewer-bytes-only": {1, 0},
		"tma/two-copies-one-phase":    {1},
		"mbarrier/expect-after-copy":  {0, 1},
		"tma/load-256-rows":           {1},
		"tma/load-4d-hint":            {1},
	} {
		got := answer(t, Find(name))
		for i, w := range want {
			for lane := range 32 {
				if g := word(got, 32*i+lane); g != w {
					t.Fatalf("%s: poll %d of lane %d gives %d, want %d", name, i, lane, g, w)
				}
			}
		}
	}
}

// TestRounding checks the packed conversions against an encoder of another package.
func TestRounding(t *testing.T) {
	answer := answers(t)
	for ty, encode := range map[string]func(float32) uint16{"bf16x2": tensor.BF16FromFloat32, "f16x2": tensor.F16FromFloat32} {
		p := Find("op/cvt.rn." + ty + ".f32")
		got := answer(t, p)
		n := len(got) / 4
		for i := range n {
			hi, lo := single(p.In, i), single(p.In[len(p.In)-4*n:], i)
			for h, f := range []float32{lo, hi} {
				if f != f {
					continue
				}
				if g, w := uint16(word(got, i)>>(16*h)), encode(f); g != w {
					t.Fatalf("%s: half %d of pair %d, of %v, is %#04x, want %#04x", ty, h, i, f, g, w)
				}
			}
		}
	}
}
