package emu

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkInstruction measures one warp instruction in a long straight run.
func BenchmarkInstruction(b *testing.B) {
	const copies, rounds = 64, 200
	setup := `mov.u32 %r1, %laneid; mov.u32 %r2, smem; mad.lo.u32 %r3, %r1, 16, %r2;
mov.b32 %r4, 0; st.shared.v4.b32 [%r3], {%r4, %r4, %r4, %r4}; bar.warp.sync -1;
mov.b64 %rd1, 0; mov.f32 %f1, 0f3F800000; mov.f32 %f2, 0f3F000000; mov.f32 %f3, 0f00000000;
setp.eq.u32 %p1, %r1, 3;
mov.b32 %r10, 0; mov.b32 %r11, 0; mov.b32 %r12, 0; mov.b32 %r13, 0;
mov.f32 %f10, %f3; mov.f32 %f11, %f3; mov.f32 %f12, %f3; mov.f32 %f13, %f3;
`
	for name, text := range map[string]string{
		"add.u32":      "add.u32 %r5, %r1, %r3;",
		"mad.lo.u32":   "mad.lo.u32 %r5, %r1, %r3, %r4;",
		"add.s64":      "add.s64 %rd2, %rd1, 16;",
		"add.f32":      "add.f32 %f4, %f1, %f2;",
		"fma.rn.f32":   "fma.rn.ftz.f32 %f4, %f1, %f2, %f3;",
		"max.f32":      "max.f32 %f4, %f1, %f2;",
		"ex2":          "ex2.approx.ftz.f32 %f4, %f2;",
		"setp":         "setp.lt.s32 %p2, %r1, 7;",
		"setp.f32":     "setp.lt.f32 %p2, %f1, %f2;",
		"selp":         "selp.f32 %f4, %f1, %f2, %p1;",
		"guarded":      "@%p1 add.u32 %r4, %r1, %r3;",
		"cvt pack":     "cvt.rn.bf16x2.f32 %r5, %f1, %f2;",
		"shfl":         "shfl.sync.bfly.b32 %f4, %f1, 1, 31, -1;",
		"st.shared":    "st.shared.b32 [%r3], %r1;",
		"ld.shared.v4": "ld.shared.v4.b32 {%r20, %r21, %r22, %r23}, [%r3];",
		"ldmatrix":     "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r20, %r21, %r22, %r23}, [%r3];",
		"ldmatrix.t":   "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%r20, %r21, %r22, %r23}, [%r3];",
		"mma": "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f10, %f11, %f12, %f13}, " +
			"{%r10, %r11, %r12, %r13}, {%r10, %r11}, {%f10, %f11, %f12, %f13};",
	} {
		b.Run(strings.ReplaceAll(name, " ", "_"), func(b *testing.B) {
			body := setup + "mov.b32 %r100, 0;\nLOOP:\n" + strings.Repeat(text+"\n", copies) +
				fmt.Sprintf("add.u32 %%r100, %%r100, 1;\nsetp.lt.u32 %%p3, %%r100, %d;\n@%%p3 bra LOOP;\n", rounds)
			h := newHarness(b, Options{Workers: 1}, kernelText("sm_90a", 0, externShared, body), 1024)
			for b.Loop() {
				h.mustLaunch(1, 32)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(copies*rounds), "ns/inst")
			b.ReportMetric(0, "ns/op")
		})
	}
}
