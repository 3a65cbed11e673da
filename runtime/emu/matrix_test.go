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

// halves are the two 16-bit formats: how a test packs and unpacks them.
var halves = map[string]struct {
	pack   func(float32) uint16
	unpack func(uint16) float32
}{
	"bf16": {bf16Bits, func(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }},
	"f16":  {f16Bits, f16Value},
}

// TestMmaLayout gives every lane its fragments as the ISA's tables place them and
// compares with a plain matrix product.
func TestMmaLayout(t *testing.T) {
	for name, half := range halves {
		t.Run(name, func(t *testing.T) {
			var body strings.Builder
			body.WriteString("ld.param.b64 %rd1, [p0];\nld.param.b64 %rd2, [p1];\nmov.u32 %r1, %laneid;\n" +
				"mul.wide.u32 %rd3, %r1, 64;\nadd.s64 %rd1, %rd1, %rd3;\nadd.s64 %rd2, %rd2, %rd3;\n")
			for i := range 6 {
				fmt.Fprintf(&body, "ld.global.b32 %%r%d, [%%rd1+%d];\n", 10+i, 4*i)
			}
			for i := range 4 {
				fmt.Fprintf(&body, "ld.global.f32 %%f%d, [%%rd1+%d];\n", 10+i, 24+4*i)
			}
			fmt.Fprintf(&body, "mma.sync.aligned.m16n8k16.row.col.f32.%s.%s.f32 {%%f20, %%f21, %%f22, %%f23}, "+
				"{%%r10, %%r11, %%r12, %%r13}, {%%r14, %%r15}, {%%f10, %%f11, %%f12, %%f13};\n", name, name)
			for i := range 4 {
				fmt.Fprintf(&body, "st.global.f32 [%%rd2+%d], %%f%d;\n", 4*i, 20+i)
			}
			h := newHarness(t, Options{}, kernelText("sm_80", 2, "", body.String()), 0)

			rng := rand.New(rand.NewPCG(1, 1))
			var a [16][16]uint16
			var b [16][8]uint16
			var c [16][8]float32
			for i := range 16 {
				for k := range 16 {
					a[i][k] = half.pack(float32(rng.NormFloat64()))
				}
				for j := range 8 {
					b[i][j] = half.pack(float32(rng.NormFloat64()))
					c[i][j] = float32(rng.NormFloat64())
				}
			}
			in := make([]byte, 32*64)
			for lane := range 32 {
				group, member := lane/4, lane%4
				row := func(i int) int { return group + 8*(i%4/2) }           // of a_i and, halved, c_i
				col := func(i int) int { return member*2 + i%2 + 8*(i/4) }    // of a_i
				krow := func(i int) int { return member*2 + i%2 + 8*(i/2%2) } // of b_i
				for i := range 8 {
					binary.LittleEndian.PutUint16(in[64*lane+2*i:], a[row(i)][col(i)])
				}
				for i := range 4 {
					binary.LittleEndian.PutUint16(in[64*lane+16+2*i:], b[krow(i)][group])
					binary.LittleEndian.PutUint32(in[64*lane+24+4*i:], math.Float32bits(c[group+8*(i/2)][member*2+i%2]))
				}
			}
			out := h.upload(make([]byte, 32*64))
			h.mustLaunch(1, 32, h.upload(in), out)
			got := h.download(out, 32*64)
			for lane := range 32 {
				for i := range 4 {
					row, col := lane/4+8*(i/2), lane%4*2+i%2
					want := float64(c[row][col])
					for k := range 16 {
						want += float64(half.unpack(a[row][k])) * float64(half.unpack(b[k][col]))
					}
					v := math.Float32frombits(binary.LittleEndian.Uint32(got[64*lane+4*i:]))
					if math.Abs(float64(v)-want) > 1e-5 {
						t.Fatalf("row %d, column %d is %v, want %v", row, col, v, want)
					}
				}
			}
		})
	}
}

// TestTileVariantsAgree: the vector instructions give the bits of the portable code.
func TestTileVariantsAgree(t *testing.T) {
	if vector == nil {
		t.Skip("SKIPPED, nothing to compare with the portable code: this processor has no AVX2 and FMA")
	}
	rng := rand.New(rand.NewPCG(5, 5))
	for range 200 {
		var r [10]reg32
		for i := range r {
			for l := range r[i] {
				if r[i][l] = math.Float32bits(float32(rng.NormFloat64())); i < 6 {
					r[i][l] = uint32(f16Bits(float32(rng.NormFloat64())))<<16 | uint32(f16Bits(float32(rng.NormFloat64())))
				}
			}
		}
		var fused, fused2 reg32
		for i := range 32 { // any bits, NaN and subnormals too
			if i%2 == 0 {
				r[6][i], r[7][i], r[8][i] = rng.Uint32(), rng.Uint32(), rng.Uint32()
			}
		}
		portable.fma(&fused, &r[6], &r[7], &r[8])
		if vector.fma(&fused2, &r[6], &r[7], &r[8]); fused != fused2 {
			t.Fatalf("fma differs: %x and %x", fused, fused2)
		}
		flushed, flushed2 := reg32{}, reg32{}
		for i := range 8 { // the edges of what is subnormal, zeros and infinities
			r[6][i*4+1] = [8]uint32{leastNormal, leastNormal - 1, 1, 0, leastNormal | signBit, signBit, 0x7f800000, 0xff800000}[rng.IntN(8)]
			r[7][i*4+1] = r[6][rng.IntN(32)]
		}
		least, least2 := portable.flush(&flushed, &r[6]), vector.flush(&flushed2, &r[6])
		if flushed != flushed2 || least != least2 {
			t.Fatalf("flush differs: %x, %v and %x, %v", flushed, least, flushed2, least2)
		}
		for _, flip := range []uint32{0, fullMask} {
			var lesser, lesser2 reg32
			portable.extreme(&lesser, &r[6], &r[7], flip)
			if vector.extreme(&lesser2, &r[6], &r[7], flip); lesser != lesser2 {
				t.Fatalf("extreme differs: %x and %x", lesser, lesser2)
			}
		}
		var power, power2 reg32
		for i := range 32 { // and every range of arguments
			if i%4 == 3 {
				r[6][i] = math.Float32bits(float32(rng.NormFloat64() * math.Exp2(float64(rng.IntN(10)))))
			}
		}
		portable.exp2(&power, &r[6])
		if vector.exp2(&power2, &r[6]); power != power2 {
			t.Fatalf("exp2 of %x differs: %x and %x", r[6], power, power2)
		}
		for i := range 32 {
			r[6][i], r[7][i], r[8][i] = r[9][i], r[9][31-i], r[9][i^1]
		}
		for format := range 2 {
			var a, a2 tileA
			var b, b2 tileB
			portable.fragA[format](&a, &r[0], &r[1], &r[2], &r[3])
			vector.fragA[format](&a2, &r[0], &r[1], &r[2], &r[3])
			portable.fragB[format](&b, &r[4], &r[5])
			vector.fragB[format](&b2, &r[4], &r[5])
			if a != a2 || b != b2 {
				t.Fatalf("format %d: conversions differ", format)
			}
			if format == formatBF16 {
				continue // random halves make no sensible bfloat16 products
			}
			c := [4]*reg32{&r[6], &r[7], &r[8], &r[9]}
			var d, d2 [4]reg32
			portable.multiply(&a, &b, &c, &[4]*reg32{&d[0], &d[1], &d[2], &d[3]})
			vector.multiply(&a, &b, &c, &[4]*reg32{&d2[0], &d2[1], &d2[2], &d2[3]})
			if d != d2 {
				t.Fatalf("products differ: %x and %x", d, d2)
			}
		}
	}
}

// TestMatrixMoves checks ldmatrix and stmatrix against the ISA's fragment: lane l holds
// elements (l/4, 2(l%4)) and the next of a row, or of a column with .trans.
func TestMatrixMoves(t *testing.T) {
	for i := range inst.Forms {
		f := &inst.Forms[i]
		if f.Kind != inst.LdMatrix && f.Kind != inst.StMatrix {
			continue
		}
		t.Run(f.Name, func(t *testing.T) {
			n := f.Vec
			// Rows lie 48 bytes apart in shared memory, so that a wrong row shows.
			const pitch = 48
			var regs []string
			for k := range n {
				regs = append(regs, fmt.Sprintf("%%r%d", 20+k))
			}
			list := "{" + strings.Join(regs, ", ") + "}"
			var body strings.Builder
			body.WriteString("ld.param.b64 %rd1, [p0];\nld.param.b64 %rd2, [p1];\nmov.u32 %r1, %laneid;\nmov.u32 %r2, smem;\n" +
				"mad.lo.u32 %r3, %r1, 48, %r2;\nmul.wide.u32 %rd3, %r1, 16;\nadd.s64 %rd4, %rd1, %rd3;\nadd.s64 %rd5, %rd2, %rd3;\n")
			if f.Kind == inst.LdMatrix {
				body.WriteString("ld.global.v4.b32 {%r10, %r11, %r12, %r13}, [%rd4];\nst.shared.v4.b32 [%r3], {%r10, %r11, %r12, %r13};\nbar.warp.sync -1;\n")
				fmt.Fprintf(&body, "%s %s, [%%r3];\n", f.Opcode, list)
				for k, r := range regs {
					fmt.Fprintf(&body, "st.global.b32 [%%rd5+%d], %s;\n", 4*k, r)
				}
			} else {
				body.WriteString("mov.b32 %r10, 0;\nst.shared.v4.b32 [%r3], {%r10, %r10, %r10, %r10};\nbar.warp.sync -1;\n")
				for k, r := range regs {
					fmt.Fprintf(&body, "ld.global.b32 %s, [%%rd4+%d];\n", r, 4*k)
				}
				fmt.Fprintf(&body, "%s [%%r3], %s;\nbar.warp.sync -1;\nld.shared.v4.b32 {%%r10, %%r11, %%r12, %%r13}, [%%r3];\n", f.Opcode, list)
				body.WriteString("st.global.v4.b32 [%rd5], {%r10, %r11, %r12, %r13};\n")
			}
			h := newHarness(t, Options{}, kernelText("sm_90a", 2, externShared, body.String()), 32*pitch)
			element := func(m, row, col int) uint16 { return uint16(1000*m + 10*row + col + 1) }
			// rows is the memory image, 16 bytes a row; frags the registers, 16 bytes a lane.
			rows, frags := make([]byte, 512), make([]byte, 512)
			for m := range n {
				for r := range 8 {
					for c := range 8 {
						binary.LittleEndian.PutUint16(rows[16*(8*m+r)+2*c:], element(m, r, c))
					}
				}
				for l := range 32 {
					for e := range 2 {
						v := element(m, l/4, 2*(l%4)+e)
						if f.Trans {
							v = element(m, 2*(l%4)+e, l/4)
						}
						binary.LittleEndian.PutUint16(frags[16*l+4*m+2*e:], v)
					}
				}
			}
			in, want := rows, frags
			if f.Kind == inst.StMatrix {
				in, want = frags, rows
			}
			out := h.upload(make([]byte, 512))
			h.mustLaunch(1, 32, h.upload(in), out)
			if got := h.download(out, 512); string(got) != string(want) {
				t.Fatalf("got\n% x\nwant\n% x", got, want)
			}
		})
	}
}

// gemm is C = A·Bᵀ for 64×64 tiles with K = 64 in steps of 32, two stages of cp.async,
// four warps of 16 rows: A and B are bf16 [64][64], C is fp32 [64][64].
func gemm() string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p(`ld.param.b64 %%rd1, [p0];
ld.param.b64 %%rd2, [p1];
ld.param.b64 %%rd3, [p2];
mov.u32 %%r1, %%tid.x;
and.b32 %%r2, %%r1, 31;
shr.u32 %%r3, %%r1, 5;
mov.u32 %%r4, smem;`)
	// Thread t copies 32 bytes of row t/2 of a 64×32 slab: rows of 64 bytes, 80 apart.
	p(`shr.u32 %%r5, %%r1, 1;
and.b32 %%r6, %%r1, 1;
mul.wide.u32 %%rd4, %%r5, 128;
mul.wide.u32 %%rd5, %%r6, 32;
add.s64 %%rd4, %%rd4, %%rd5;
add.s64 %%rd6, %%rd1, %%rd4;
add.s64 %%rd7, %%rd2, %%rd4;
mul.lo.u32 %%r7, %%r5, 80;
mad.lo.u32 %%r7, %%r6, 32, %%r7;
add.u32 %%r7, %%r7, %%r4;`)
	for stage := range 2 {
		for i := range 2 {
			p("cp.async.cg.shared.global [%%r7+%d], [%%rd6+%d], 16, 16; // A", stage*10240+16*i, stage*64+16*i)
			p("cp.async.cg.shared.global [%%r7+%d], [%%rd7+%d], 16, 16; // B", stage*10240+5120+16*i, stage*64+16*i)
		}
		p("cp.async.commit_group;")
	}
	for i := range 32 {
		p("mov.f32 %%f%d, 0f00000000;", i)
	}
	// ldmatrix addresses: lane l, matrix l/8, row l%8.
	p(`and.b32 %%r8, %%r2, 15;
shr.u32 %%r9, %%r2, 4;
mad.lo.u32 %%r10, %%r3, 16, %%r8;
mul.lo.u32 %%r10, %%r10, 80;
mad.lo.u32 %%r10, %%r9, 16, %%r10;
add.u32 %%r10, %%r10, %%r4;
and.b32 %%r11, %%r2, 7;
shr.u32 %%r12, %%r2, 3;
and.b32 %%r12, %%r12, 1;
mul.lo.u32 %%r11, %%r11, 80;
mad.lo.u32 %%r11, %%r12, 16, %%r11;
add.u32 %%r11, %%r11, %%r4;`)
	for stage := range 2 {
		p("cp.async.wait_group %d;", 1-stage)
		p("bar.sync 0;")
		for k := range 2 {
			p("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%%r20, %%r21, %%r22, %%r23}, [%%r10+%d];", stage*10240+32*k)
			for n := range 8 {
				p("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%%r24, %%r25}, [%%r11+%d];", stage*10240+5120+n*640+32*k)
				f := fmt.Sprintf("{%%f%d, %%f%d, %%f%d, %%f%d}", 4*n, 4*n+1, 4*n+2, 4*n+3)
				p("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 %s, {%%r20, %%r21, %%r22, %%r23}, {%%r24, %%r25}, %s;", f, f)
			}
		}
	}
	p(`shr.u32 %%r13, %%r2, 2;
and.b32 %%r14, %%r2, 3;
mad.lo.u32 %%r13, %%r3, 16, %%r13;
mul.wide.u32 %%rd8, %%r13, 256;
mul.wide.u32 %%rd9, %%r14, 8;
add.s64 %%rd8, %%rd8, %%rd9;
add.s64 %%rd8, %%rd3, %%rd8;`)
	for n := range 8 {
		p("st.global.v2.f32 [%%rd8+%d], {%%f%d, %%f%d};", 32*n, 4*n, 4*n+1)
		p("st.global.v2.f32 [%%rd8+%d], {%%f%d, %%f%d};", 32*n+2048, 4*n+2, 4*n+3)
	}
	return kernelText("sm_80", 3, externShared, b.String())
}

// runGemm runs the kernel, perhaps mutated, and returns its fault or a wrong result as an error.
func runGemm(t testing.TB, o Options, text string) error {
	h := newHarness(t, o, text, 2*10240)
	rng := rand.New(rand.NewPCG(9, 9))
	a, b := make([]float32, 64*64), make([]float32, 64*64)
	for i := range a {
		a[i], b[i] = float32(rng.IntN(17)-8), float32(rng.IntN(17)-8)
	}
	out := h.alloc(64 * 64 * 4)
	if err := h.dev.MarkOutput(out, 64*64*4); err != nil {
		t.Fatal(err)
	}
	if err := h.launch(1, 128, h.upload(bf16Bytes(a)), h.upload(bf16Bytes(b)), out); err != nil {
		return err
	}
	if err := h.dev.CheckOutputs(); err != nil {
		return err
	}
	for i, got := range asF32(h.download(out, 64*64*4)) {
		var want float32
		for k := range 64 {
			want += a[i/64*64+k] * b[i%64*64+k]
		}
		if got != want {
			return fmt.Errorf("row %d, column %d is %v, want %v", i/64, i%64, got, want)
		}
	}
	return nil
}

func TestGemm(t *testing.T) {
	for seed := range uint64(6) {
		o := Options{Seed: seed, Shuffle: seed > 0, Preempt: seed > 2}
		if err := runGemm(t, o, gemm()); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

func TestBrokenGemm(t *testing.T) {
	for _, c := range []struct {
		mutation
		want Check
	}{
		{mutation{"first barrier dropped", `^bar\.sync`, 0, drop}, CheckAsync | CheckRace},
		{mutation{"second barrier dropped", `^bar\.sync`, 1, drop}, CheckAsync | CheckRace},
		{mutation{"first wait dropped", `wait_group`, 0, drop}, CheckAsync},
		{mutation{"last wait dropped", `wait_group`, 1, drop}, CheckAsync},
		{mutation{"last wait too weak", `wait_group 0`, 0, replace("0", "1")}, CheckAsync},
		{mutation{"commit dropped", `commit_group`, 0, drop}, CheckAsync},
		{mutation{"row of A shifted by a byte", `^ldmatrix.*x4`, 1, replace(`\+32`, "+33")}, CheckAlign},
		{mutation{"ldmatrix beyond shared memory", `^ldmatrix.*x4`, 3, replace(`\+\d+`, "+20480")}, CheckBounds},
		{mutation{"ldmatrix reads the padding", `^ldmatrix.*x4`, 1, replace(`\+32`, "+64")}, CheckUninit},
		{mutation{"copy to the wrong stage", `// A`, 2, replace(`10240`, "0")}, CheckAsync},
		{mutation{"copy to a misaligned address", `// A`, 0, replace(`r7\+0`, "r7+8")}, CheckAlign},
		{mutation{"copy from beyond the tensor", `// B`, 3, replace(`rd7\+\d+`, "rd7+4096")}, CheckBounds},
		{mutation{"copy dropped", `// B`, 2, drop}, CheckUninit},
		{mutation{"store dropped", `^st\.global`, 5, drop}, CheckOutput},
		{mutation{"two stores to one place", `^st\.global`, 3, replace(`\+\d+`, "+0")}, CheckOutput},
		{mutation{"accumulator not initialised", `^mov\.f32 %f9,`, 0, drop}, CheckRegister},
		{mutation{"rows of a warp overlap", `mad.lo.u32 %r13`, 0, replace(`16`, "8")}, CheckRace},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := c.apply(t, gemm())
			for _, o := range []Options{{}, {Shuffle: true, Seed: 11}, {Shuffle: true, Preempt: true, Seed: 12}} {
				wantFault(t, runGemm(t, o, text), c.want)
			}
		})
	}
}
