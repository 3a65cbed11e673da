package ptx_test

import (
	"strings"
	"testing"

	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/target"
)

// entry is an empty kernel and its builder.
func entry() (*ptx.Entry, *ptx.Builder) {
	e := &ptx.Entry{Name: "k", Threads: 32, Params: []ptx.Param{{Name: "p", Type: "u64", Bytes: 8}}}
	return e, ptx.NewBuilder(e)
}

// TestFinishReports: each mistake in a kernel is reported, with the line of the
// emitter that made it.
func TestFinishReports(t *testing.T) {
	for _, c := range []struct {
		name  string
		build func(b *ptx.Builder)
		want  string
	}{
		{"an instruction that does not exist", func(b *ptx.Builder) { b.Emit("mov.b128"); b.Ret() }, `no instruction "mov.b128"`},
		{"too few operands", func(b *ptx.Builder) { b.Emit("add.s32", b.NewR32().Reg); b.Ret() }, "add.s32 takes 3 operands, not 1"},
		{"a register of the wrong class", func(b *ptx.Builder) {
			b.Emit("add.s32", b.NewR32().Reg, b.MovF32(ptx.FImm(1)).Reg, ptx.Imm(1))
			b.Ret()
		}, "operand a: %f1 does not fit"},
		{"an address in the wrong window", func(b *ptx.Builder) {
			b.Emit("ld.shared.b32", b.NewR32().Reg, b.MovB64(ptx.Imm(0)).At(0))
			b.Ret()
		}, "operand a: [%rd1] does not fit"},
		{"a constant where a register must be", func(b *ptx.Builder) {
			b.Emit("neg.s32", b.NewR32().Reg, ptx.Imm(1))
			b.Ret()
		}, "operand a: 1 does not fit"},
		{"a float constant for an integer", func(b *ptx.Builder) {
			b.Emit("mov.b32", b.NewR32().Reg, ptx.FImm(1))
			b.Ret()
		}, "does not fit"},
		{"no register at all", func(b *ptx.Builder) { b.MovB32To(ptx.R32{}, ptx.Imm(0)); b.Ret() }, "does not fit"},
		{"a vector of the wrong length", func(b *ptx.Builder) {
			b.Emit("ld.global.v2.b32", ptx.VecOf(b.R32s(3)), b.MovB64(ptx.Imm(0)).At(0))
			b.Ret()
		}, "want a vector of 2"},
		{"a register of the wrong class in a vector", func(b *ptx.Builder) {
			b.Emit("ld.global.v2.b32", ptx.Vec{b.NewR32().Reg, b.NewF32().Reg}, b.MovB64(ptx.Imm(0)).At(0))
			b.Ret()
		}, "operand d: %f1 does not fit"},
		{"a constant in a vector of registers", func(b *ptx.Builder) {
			b.Emit("ld.global.v2.b32", ptx.Vec{ptx.Imm(0), b.NewR32().Reg}, b.MovB64(ptx.Imm(0)).At(0))
			b.Ret()
		}, "operand d: 0 does not fit"},
		{"a vector in a vector", func(b *ptx.Builder) {
			b.Emit("ld.global.v2.b32", ptx.Vec{ptx.VecOf(b.R32s(2)), b.NewR32().Reg}, b.MovB64(ptx.Imm(0)).At(0))
			b.Ret()
		}, "does not fit"},
		{"no predicate at all", func(b *ptx.Builder) { b.MovPredTo(ptx.Pred{}, ptx.Imm(0)); b.Ret() }, "does not fit"},
		{"an address without a register", func(b *ptx.Builder) { b.LdGlobalB32(ptx.Addr{Off: 4}); b.Ret() }, "does not fit"},
		{"a shared address without a register", func(b *ptx.Builder) { b.LdSharedB32(ptx.SAddr{Off: 4}); b.Ret() }, "does not fit"},
		{"a shared address in the global window", func(b *ptx.Builder) {
			b.Emit("ld.global.b32", b.NewR32().Reg, b.Const32(0).At(0))
			b.Ret()
		}, "does not fit"},
		{"a register where a vector must be", func(b *ptx.Builder) {
			b.Emit("ld.global.v2.b32", b.NewR32().Reg, b.MovB64(ptx.Imm(0)).At(0))
			b.Ret()
		}, "want a vector of 2, got %r1"},
		{"a comment that is not ASCII", func(b *ptx.Builder) { b.Comment("½"); b.Ret() }, "is not ASCII"},
		{"a read before any write", func(b *ptx.Builder) { b.AddS32(b.NewR32(), ptx.Imm(1)); b.Ret() }, "reads %r1, which may be unwritten"},
		{"a read that one path leaves unwritten", func(b *ptx.Builder) {
			p, r, over := b.MovPred(ptx.Imm(1)), b.NewR32(), b.NewLabel("over")
			b.If(p).Bra(over)
			b.MovB32To(r, ptx.Imm(1))
			b.Place(over)
			b.AddS32(r, ptx.Imm(1))
			b.Ret()
		}, "reads %r1, which may be unwritten"},
		{"a read that the second path to a join leaves unwritten", func(b *ptx.Builder) {
			p, r, other, join := b.MovPred(ptx.Imm(1)), b.NewR32(), b.NewLabel("other"), b.NewLabel("join")
			b.If(p).Bra(other)
			b.MovB32To(r, ptx.Imm(1))
			b.Bra(join)
			b.Place(other)
			b.Place(join)
			b.AddS32(r, ptx.Imm(1))
			b.Ret()
		}, "reads %r1, which may be unwritten"},
		{"a read after a guarded write alone", func(b *ptx.Builder) {
			p, r := b.MovPred(ptx.Imm(1)), b.NewR32()
			b.If(p).MovB32To(r, ptx.Imm(1))
			b.AddS32(r, ptx.Imm(1))
			b.Ret()
		}, "reads %r1, which may be unwritten"},
		{"an unwritten guard", func(b *ptx.Builder) { b.If(b.NewPred()).Ret(); b.Ret() }, "reads %p1, which may be unwritten"},
		{"an unwritten address", func(b *ptx.Builder) { b.LdGlobalB32(b.NewR64().At(4)); b.Ret() }, "reads %rd1, which may be unwritten"},
		{"an unwritten element of a vector", func(b *ptx.Builder) {
			b.StGlobalV2B32(b.MovB64(ptx.Imm(0)).At(0), []ptx.R32{b.Const32(1), b.NewR32()})
			b.Ret()
		}, "reads %r2, which may be unwritten"},
		{"a label that is nowhere", func(b *ptx.Builder) { b.Bra(b.NewLabel("gone")); b.Ret() }, "no label L1_gone"},
		{"a label placed twice", func(b *ptx.Builder) {
			l := b.NewLabel("twice")
			b.Place(l)
			b.Place(l)
			b.Ret()
		}, "label L1_twice is placed twice"},
		{"running off the end", func(b *ptx.Builder) { b.Const32(1) }, "control runs off the end"},
		{"a guarded end", func(b *ptx.Builder) { b.If(b.MovPred(ptx.Imm(1))).Ret() }, "control runs off the end"},
		{"an empty kernel", func(*ptx.Builder) {}, "the kernel is empty"},
	} {
		_, b := entry()
		c.build(b)
		err := b.Finish()
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
			continue
		}
		if strings.Contains(c.want, "does not fit") && !strings.Contains(err.Error(), "verify_test.go:") {
			t.Errorf("%s: %v does not say which line made it", c.name, err)
		}
	}
}

// TestFinishAccepts: code that is right on every path passes.
func TestFinishAccepts(t *testing.T) {
	_, b := entry()
	p, r := b.MovPred(ptx.Imm(1)), b.NewR32()
	other, join, loop := b.NewLabel("other"), b.NewLabel("join"), b.NewLabel("loop")
	b.If(p).Bra(other)
	b.MovB32To(r, ptx.Imm(1))
	b.Bra(join)
	b.Place(other)
	b.MovB32To(r, ptx.Imm(2))
	b.Place(join)
	b.NoUnroll()
	b.Place(loop)
	b.AddS32To(r, r, ptx.Imm(1))
	b.If(b.SetpLtS32(r, ptx.Imm(9))).Bra(loop)
	b.Ret()
	if err := b.Finish(); err != nil {
		t.Error(err)
	}
}

// TestVerifyModule: an instruction that the target lacks is reported.
func TestVerifyModule(t *testing.T) {
	for _, c := range []struct {
		target target.Target
		build  func(b *ptx.Builder)
		want   string
	}{
		{target.Target{Major: 10, Rule: target.Chip}, func(b *ptx.Builder) { b.FenceProxyAsyncSharedCta() }, ""},
		{target.Target{Major: 10, Rule: target.Chip}, func(b *ptx.Builder) { b.WgmmaFenceSyncAligned() }, "not available on sm_100a"},
		{target.SM80, func(b *ptx.Builder) { b.FenceProxyAsyncSharedCta() }, "not available on sm_80"},
		{target.SM80, func(b *ptx.Builder) { b.WgmmaFenceSyncAligned() }, "not available on sm_80"},
		{target.SM90a, func(b *ptx.Builder) { b.FenceProxyAsyncSharedCta(); b.WgmmaFenceSyncAligned() }, ""},
		{target.SM80, func(b *ptx.Builder) { b.BarSync(ptx.Imm(0)) }, ""},
	} {
		e, b := entry()
		c.build(b)
		b.Ret()
		if err := b.Finish(); err != nil {
			t.Fatal(err)
		}
		err := ptx.VerifyModule(&ptx.Module{Target: c.target, Entries: []*ptx.Entry{e}})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%v: %v, want %q", c.target, err, c.want)
		}
	}
}
