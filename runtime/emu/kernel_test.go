package emu

import (
	"testing"
)

const vectorAdd = `
ld.param.b64 %rd1, [p0];
ld.param.b64 %rd2, [p1];
ld.param.b64 %rd3, [p2];
mov.u32 %r1, %tid.x;
mov.u32 %r2, %ctaid.x;
mov.u32 %r3, %ntid.x;
mad.lo.u32 %r4, %r2, %r3, %r1;
mul.wide.u32 %rd4, %r4, 4;
add.s64 %rd1, %rd1, %rd4;
add.s64 %rd2, %rd2, %rd4;
add.s64 %rd3, %rd3, %rd4;
ld.global.f32 %f1, [%rd1];
ld.global.nc.f32 %f2, [%rd2];
add.f32 %f3, %f1, %f2;
st.global.f32 [%rd3], %f3;`

func TestVectorAdd(t *testing.T) {
	const n = 32 * 7 * 5
	for _, o := range []Options{{}, {Workers: 1}, {Shuffle: true, Seed: 5, Preempt: true}} {
		h := newHarness(t, o, kernelText("sm_80", 3, "", vectorAdd), 0)
		var a, b []float32
		for i := range n {
			a, b = append(a, float32(i)), append(b, float32(i*i))
		}
		pa, pb, pc := h.upload(f32s(a...)), h.upload(f32s(b...)), h.alloc(4*n)
		if err := h.dev.MarkOutput(pc, 4*n); err != nil {
			t.Fatal(err)
		}
		h.mustLaunch(5, 224, pa, pb, pc)
		if err := h.dev.CheckOutputs(); err != nil {
			t.Fatal(err)
		}
		for i, v := range asF32(h.download(pc, 4*n)) {
			if v != a[i]+b[i] {
				t.Fatalf("element %d is %v, want %v", i, v, a[i]+b[i])
			}
		}
		wantFault(t, h.launch(6, 224, pa, pb, pc), CheckBounds, "ld.global.f32", "line 24", "block [5 0 0]")
	}
}
