package emu

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/s2attention/s2c/codegen/ptx/inst"
)

// registerList names the registers of an operand, n from first.
func registerList(o inst.Operand, first int) []string {
	var names []string
	for i := range o.Count {
		names = append(names, fmt.Sprintf("%%%s%d", classReg[o.Class], first+i))
	}
	return names
}

func braces(o inst.Operand, names []string) string {
	if o.Vec {
		return "{" + strings.Join(names, ", ") + "}"
	}
	return names[0]
}

// staged is a prologue that copies p0 to shared memory, 16 bytes a thread, with
// %rd1 = p0, %rd2 = p1, %r2 = shared address, each of this thread's 16 bytes.
const staged = `ld.param.b64 %rd1, [p0];
ld.param.b64 %rd2, [p1];
mov.u32 %r1, %tid.x;
mul.wide.u32 %rd3, %r1, 16;
add.s64 %rd1, %rd1, %rd3;
add.s64 %rd2, %rd2, %rd3;
mov.u32 %r2, smem;
mad.lo.u32 %r2, %r1, 16, %r2;
`

const externShared = ".extern .shared .align 1024 .b8 smem[];"

func TestLoadAndStoreForms(t *testing.T) {
	const threads = 64
	for i := range inst.Forms {
		f := &inst.Forms[i]
		if f.Kind != inst.Ld && f.Kind != inst.St || f.Space == inst.Param {
			continue
		}
		t.Run(f.Name, func(t *testing.T) {
			value := f.Operands[0]
			if f.Kind == inst.St {
				value = f.Operands[1]
			}
			names := registerList(value, 20)
			each := value.Class.Bytes()
			all := each * value.Count
			at := 0
			if all < 16 {
				at = all // exercise the offset
			}
			addr, copyIn, copyOut := "%rd1", "", ""
			if f.Space == inst.Shared {
				addr = "%r2"
				copyIn = "ld.global.v4.b32 {%r10, %r11, %r12, %r13}, [%rd1];\nst.shared.v4.b32 [%r2], {%r10, %r11, %r12, %r13};\n"
			}
			var body strings.Builder
			body.WriteString(staged)
			if f.Kind == inst.Ld {
				body.WriteString(copyIn)
				fmt.Fprintf(&body, "%s %s, [%s+%d];\n", f.Opcode, braces(value, names), addr, at)
				for k, n := range names {
					fmt.Fprintf(&body, "st.global.%s [%%rd2+%d], %s;\n", classType[value.Class], at+k*each, n)
				}
			} else {
				for k, n := range names {
					fmt.Fprintf(&body, "ld.global.%s %s, [%%rd1+%d];\n", classType[value.Class], n, at+k*each)
				}
				if f.Space == inst.Shared {
					fmt.Fprintf(&body, "%s [%%r2+%d], %s;\n", f.Opcode, at, braces(value, names))
					for k, n := range names {
						fmt.Fprintf(&body, "ld.shared.%s %s, [%%r2+%d];\nst.global.%s [%%rd2+%d], %s;\n",
							classType[value.Class], n, at+k*each, classType[value.Class], at+k*each, n)
					}
				} else {
					fmt.Fprintf(&body, "%s [%%rd2+%d], %s;\n", f.Opcode, at, braces(value, names))
				}
			}
			_ = copyOut
			h := newHarness(t, Options{}, kernelText("sm_80", 2, externShared, body.String()), 16*threads)
			rng := rand.New(rand.NewPCG(1, uint64(i)))
			in := make([]byte, 16*threads)
			for k := range in {
				in[k] = byte(rng.Uint32())
			}
			pi, po := h.upload(in), h.upload(make([]byte, 16*threads))
			h.mustLaunch(1, threads, pi, po)
			out := h.download(po, 16*threads)
			for l := range threads {
				want := make([]byte, 16)
				copy(want[at:], in[16*l+at:16*l+at+all])
				if !bytes.Equal(out[16*l:16*l+16], want) {
					t.Fatalf("thread %d got % x, want % x", l, out[16*l:16*l+16], want)
				}
			}
		})
	}
}

func TestParameters(t *testing.T) {
	text := header("sm_80") + `.visible .entry k(.param .u32 a, .param .align 16 .b8 m[24], .param .u64 out, .param .f32 x)
{
.reg .b32 %r<8>; .reg .b64 %rd<8>; .reg .f32 %f<2>;
ld.param.b64 %rd1, [out];
ld.param.b32 %r1, [a];
ld.param.b64 %rd2, [m+8];
ld.param.f32 %f1, [x];
st.global.b32 [%rd1], %r1;
st.global.b64 [%rd1+8], %rd2;
st.global.f32 [%rd1+16], %f1;
}
`
	h := newHarness(t, Options{}, text, 0)
	out := h.alloc(64)
	params := make([]byte, 52)
	params[0] = 77
	for i := range 24 {
		params[16+i] = byte(i)
	}
	copy(params[40:], u32s(uint32(out), uint32(out>>32)))
	copy(params[48:], f32s(1.5))
	err := h.fn.Launch(nil, [3]int{1, 1, 1}, [3]int{1, 1, 1}, params)
	cover(h.dev)
	if err != nil {
		t.Fatal(err)
	}
	got := h.download(out, 24)
	want := append(u32s(77), 0xff, 0xff, 0xff, 0xff, 8, 9, 10, 11, 12, 13, 14, 15)
	want = append(append(want, f32s(1.5)...), 0xff, 0xff, 0xff, 0xff)
	if !bytes.Equal(got, want) {
		t.Fatalf("got % x, want % x", got, want)
	}
	if err := h.fn.Launch(nil, [3]int{1, 1, 1}, [3]int{1, 1, 1}, params[:48]); err == nil {
		t.Error("a short parameter block is accepted")
	}
}

func TestVariablesAndSymbols(t *testing.T) {
	extra := `.global .align 8 .b32 numbers[4] = {1, 2, -3, 0x10};
.global .b8 bytes[3] = {7, 8};
.const .u64 big = 81985529216486895;
.shared .align 16 .b8 scratch[64];
` + externShared
	h := newHarness(t, Options{}, kernelText("sm_80", 1, extra, `
ld.param.b64 %rd1, [p0];
mov.u64 %rd2, numbers;
cvta.to.global.u64 %rd2, %rd2;
ld.global.b32 %r1, [%rd2+8];
st.global.b32 [%rd1], %r1;
ld.global.b64 %rd3, [numbers];
st.global.b64 [%rd1+8], %rd3;
mov.u32 %r2, scratch;
mov.u32 %r3, smem;
sub.s32 %r4, %r3, %r2;
st.global.b32 [%rd1+16], %r4;
st.shared.b32 [scratch+4], %r1;
ld.shared.b32 %r5, [%r2+4];
st.global.b32 [%rd1+20], %r5;
mov.u64 %rd4, big;
ld.global.b64 %rd5, [%rd4];
st.global.b64 [%rd1+24], %rd5;
mov.u64 %rd6, p0;
cvta.param.u64 %rd7, %rd6;
sub.s64 %rd8, %rd7, %rd6;
setp.eq.u64 %p1, %rd8, 0;
selp.b32 %r6, 1, 0, %p1;
st.global.b32 [%rd1+4], %r6;
`), 16)
	out := h.alloc(32)
	err := h.launch(1, 1, out)
	if err == nil || !strings.Contains(err.Error(), "cvta.param") {
		// .version 8.0 has cvta.param
		if err != nil {
			t.Fatal(err)
		}
	}
	got := asU32(h.download(out, 32))
	want := []uint32{0xfffffffd, 0, 1, 2, 1024, 0xfffffffd, 0x89abcdef, 0x01234567}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("got %#x, want %#x", got, want)
	}
}

func TestAtomics(t *testing.T) {
	h := newHarness(t, Options{Shuffle: true}, kernelText("sm_80", 2, "", `
ld.param.b64 %rd1, [p0];
ld.param.b64 %rd2, [p1];
atom.global.add.u32 %r1, [%rd1], 3;
div.u32 %r2, %r1, 3;
mul.wide.u32 %rd3, %r2, 4;
add.s64 %rd2, %rd2, %rd3;
st.global.b32 [%rd2], %r1;`), 0)
	const n = 8 * 96
	counter, out := h.upload(u32s(0)), h.alloc(4*n)
	h.mustLaunch(8, 96, counter, out)
	for i, v := range asU32(h.download(out, 4*n)) { // every ticket was given once
		if v != uint32(3*i) {
			t.Fatalf("slot %d holds %d", i, v)
		}
	}
	if got := asU32(h.download(counter, 4))[0]; got != 3*n {
		t.Fatalf("the counter is %d, want %d", got, 3*n)
	}
}

func TestSparseAllocation(t *testing.T) {
	dev := New(Options{})
	p, err := dev.Alloc(64 << 30)
	if err != nil {
		t.Fatal(err)
	}
	far := p + 63<<30 + 12345
	if err := dev.Upload(far, []byte("far away")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 10)
	if err := dev.Download(got, far-1); err != nil {
		t.Fatal(err)
	}
	if string(got) != "\xfffar away\xff" {
		t.Fatalf("got %q", got)
	}
	if err := dev.Upload(p+64<<30-4, []byte("12345")); err == nil {
		t.Error("an upload past the end is accepted")
	}
	if _, err := dev.Alloc(1 << 50); err == nil {
		t.Error("a petabyte is granted")
	}
	if err := dev.AllocAt(p+16, 16); err == nil {
		t.Error("overlapping allocations are accepted")
	}
	if err := dev.AllocAt(1<<40, 16); err != nil {
		t.Error(err)
	}
	if err := dev.Free(p); err != nil {
		t.Fatal(err)
	}
	if err := dev.Free(p); err == nil {
		t.Error("memory is freed twice")
	}
	if err := dev.Download(got, far); err == nil {
		t.Error("freed memory can be read")
	}
}
