package ptx_test

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/target"
)

// TestPrint shows every kind of statement and operand as text.
func TestPrint(t *testing.T) {
	e := &ptx.Entry{
		Name: "k", Threads: 64, Shared: "smem",
		Params: []ptx.Param{{Name: "p", Type: "u64", Bytes: 8}, {Name: "m", Type: "b8", Bytes: 128, Align: 64}},
	}
	b := ptx.NewBuilder(e)
	b.Comment("a comment")
	at := b.CvtaToGlobalU64(b.LdParamB64(ptx.ParamAddr{Name: "p"}))
	tid := b.MovU32Sreg(ptx.TidX)
	f := b.MovF32(ptx.FImm(float32(math.Inf(-1))))
	p := b.SetpLtS32(tid, ptx.Imm(-5))
	loop := b.NewLabel("loop")
	b.NoUnroll()
	b.Place(loop)
	b.If(p).StGlobalF32(at.At(16), f)
	b.IfNot(p).Bra(loop)
	s := b.MovU32Sym("smem")
	v := b.R32s(2)
	b.LdSharedV2B32(v, s.At(0))
	b.StGlobalV2B32(at.At(-8), v)
	b.Ret()
	if err := b.Finish(); err != nil {
		t.Fatal(err)
	}
	m := &ptx.Module{
		Target: target.SM80, Header: []string{"a header"},
		Globals: []ptx.Global{{Name: "words", Align: 16, Words: []int32{1, -2, 3}}},
		Entries: []*ptx.Entry{e},
	}
	want := `// a header
.version 7.0
.target sm_80
.address_size 64

.global .align 16 .b32 words[3] = {
	1, -2, 3
};

.extern .shared .align 1024 .b8 smem[];

.visible .entry k(
	.param .u64 p,
	.param .align 64 .b8 m[128]
)
.reqntid 64
{
	.reg .pred %p<2>;
	.reg .b32 %r<5>;
	.reg .b64 %rd<3>;
	.reg .f32 %f<2>;

	// a comment
	ld.param.b64 %rd1, [p];
	cvta.to.global.u64 %rd2, %rd1;
	mov.u32 %r1, %tid.x;
	mov.f32 %f1, 0fFF800000;
	setp.lt.s32 %p1, %r1, -5;
	.pragma "nounroll";
L1_loop:
	@%p1 st.global.f32 [%rd2+16], %f1;
	@!%p1 bra L1_loop;
	mov.u32 %r2, smem;
	ld.shared.v2.b32 {%r3, %r4}, [%r2];
	st.global.v2.b32 [%rd2+-8], {%r3, %r4};
	ret;
}
`
	for range 2 { // same module, same bytes
		if diff := cmp.Diff(want, m.String()); diff != "" {
			t.Errorf("printed text (-want +got):\n%s", diff)
		}
	}
}

// TestVersion: a module asks for the lowest .version that it can.
func TestVersion(t *testing.T) {
	for _, c := range []struct {
		target target.Target
		want   string
		build  func(b *ptx.Builder)
	}{
		{target.SM80, "7.0", func(b *ptx.Builder) { b.BarSync(ptx.Imm(0)) }},
		{target.SM80, "7.7", func(b *ptx.Builder) { b.CvtaParamU64(b.MovU64Sym("p")) }},
		{target.SM90a, "8.0", func(b *ptx.Builder) { b.BarSync(ptx.Imm(0)) }},
		{target.SM90a, "8.0", func(b *ptx.Builder) { b.WgmmaFenceSyncAligned() }},
	} {
		e, b := entry()
		c.build(b)
		b.Ret()
		if got := (&ptx.Module{Target: c.target, Entries: []*ptx.Entry{e}}).Version().String(); got != c.want {
			t.Errorf("%v: .version %s, want %s", c.target, got, c.want)
		}
	}
}
