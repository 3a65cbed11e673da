package inst

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/s2attention/s2c/target"
)

// Forms is the instruction table.
var Forms = func() []Form {
	var t table
	t.moves()
	t.integers()
	t.floats()
	t.logic()
	t.comparisons()
	t.conversions()
	t.memory()
	t.sync()
	t.control()
	t.matrix()
	t.hopper()
	return t.rows
}()

type table struct{ rows []Form }

// add appends a row. A name is the opcode, and "#variant" where one opcode has
// several operand shapes. Attributes that the full opcode spells out (types, space,
// ftz, comparison) are read from it, the rest are set by the options.
func (t *table) add(name string, k Kind, section, sig string, opts ...func(*Form)) {
	opcode, _, _ := strings.Cut(name, "#")
	f := Form{Name: name, Opcode: opcode, Kind: k, Section: section, Operands: parseOperands(sig), PTX: 70, Targets: target.Since(target.SM80)}
	var types []Type
	for i, part := range strings.Split(opcode, ".") {
		if ty, ok := typeNames[part]; ok && i > 0 {
			types = append(types, ty)
		}
		switch part {
		case "ftz":
			f.Ftz = true
		case "trans":
			f.Trans = true
		case "aligned":
			f.Effects |= Aligned
		default:
			f.Space = cmp.Or(spaceNames[part], f.Space)
		}
	}
	if len(types) > 0 {
		f.Type = types[0]
	}
	if len(types) > 1 {
		f.From = types[1]
	}
	for _, o := range opts {
		o(&f)
	}
	t.rows = append(t.rows, f)
}

// each calls add once for every listed type, writing it for "T" in the opcode
// and its register class for "C" in the signature.
func (t *table) each(types, name string, k Kind, section, sig string, opts ...func(*Form)) {
	for _, ty := range strings.Fields(types) {
		t.add(strings.ReplaceAll(name, "T", ty), k, section, strings.ReplaceAll(sig, "C", classOf(ty)), opts...)
	}
}

// classOf is the register class that carries a type.
func classOf(ty string) string {
	switch {
	case ty == "pred":
		return "p"
	case ty == "f32":
		return "f32"
	case strings.HasSuffix(ty, "64"):
		return "b64"
	case strings.HasSuffix(ty, "16"):
		return "b16"
	}
	return "b32"
}

func effects(e Effects) func(*Form)      { return func(f *Form) { f.Effects |= e } }
func space(s Space) func(*Form)          { return func(f *Form) { f.Space = s } }
func vec(n int) func(*Form)              { return func(f *Form) { f.Vec = n } }
func shape(m, n, k int) func(*Form)      { return func(f *Form) { f.Shape = [3]int{m, n, k} } }
func types(ty, from Type) func(*Form)    { return func(f *Form) { f.Type, f.From = ty, from } }
func compares(c Cmp) func(*Form)         { return func(f *Form) { f.Cmp = c } }
func since(v target.Version) func(*Form) { return func(f *Form) { f.PTX = v } }
func on(s target.Set) func(*Form)        { return func(f *Form) { f.Targets = s } }

// What Hopper has and its successors kept, and what it has alone.
var (
	sm90 = target.Since(target.Target{Major: 9})
	chip = target.Only(target.SM90a)
)

func (t *table) moves() {
	t.each("b32 b64 f32 pred", "mov.T", Mov, "9.7.9.1", "=d:C, a:C/i")
	t.add("mov.u32#sreg", MovSReg, "9.7.9.1", "=d:b32, a:sreg")
	t.add("mov.u64#sym", MovSym, "9.7.9.1", "=d:b64, a:sym")
	t.add("mov.u32#sym", MovSym, "9.7.9.1", "=d:b32, a:sym")
	t.add("mov.b64#pack", MovPack, "9.7.9.1", "=d:b64, a:b32*2")
	t.add("mov.b64#unpack", MovUnpack, "9.7.9.1", "=d:b32*2, a:b64")
	t.add("mov.b32#unpack", MovUnpack, "9.7.9.1", "=d:b16*2, a:b32")
	t.add("mov.b32#f32", Mov, "9.7.9.1", "=d:b32, a:f32", types(B32, F32))
	t.add("mov.f32#b32", Mov, "9.7.9.1", "=d:f32, a:b32", types(F32, B32))
	t.each("b32 b64 f32", "selp.T", Selp, "9.7.6.2", "=d:C, a:C/i, b:C/i, c:p")
}

func (t *table) integers() {
	const s = "9.7.1"
	t.each("s32 u32 s64 u64", "add.T", Add, s+".1", "=d:C, a:C, b:C/i")
	t.each("s32 u32 s64 u64", "sub.T", Sub, s+".2", "=d:C, a:C/i, b:C/i")
	t.each("s32 u32 s64 u64", "mul.lo.T", MulLo, s+".3", "=d:C, a:C, b:C/i")
	t.each("u32", "mul.hi.T", MulHi, s+".3", "=d:C, a:C, b:C/i")
	t.each("s32 u32", "mul.wide.T", MulWide, s+".3", "=d:b64, a:C, b:C/i")
	t.each("s32 u32 s64", "mad.lo.T", MadLo, s+".4", "=d:C, a:C, b:C/i, c:C/i")
	t.each("s32 u32", "mad.wide.T", MadWide, s+".4", "=d:b64, a:C, b:C/i, c:b64")
	t.each("s32 u32 s64 u64", "div.T", Div, s+".8", "=d:C, a:C, b:C/i")
	t.each("s32 u32 s64 u64", "rem.T", Rem, s+".9", "=d:C, a:C, b:C/i")
	t.each("s32", "abs.T", Abs, s+".10", "=d:C, a:C")
	t.each("s32", "neg.T", Neg, s+".11", "=d:C, a:C")
	t.each("s32 u32 s64 u64", "min.T", Min, s+".12", "=d:C, a:C, b:C/i")
	t.each("s32 u32 s64 u64", "max.T", Max, s+".13", "=d:C, a:C, b:C/i")
	t.each("b32", "popc.T", Popc, s+".14", "=d:C, a:C")
	t.each("b32", "clz.T", Clz, s+".15", "=d:C, a:C")
}

func (t *table) floats() {
	const s = "9.7.3"
	for _, z := range []string{"", ".ftz"} {
		t.each("f32", "add"+z+".T", Add, s+".3", "=d:C, a:C, b:C/i")
		t.each("f32", "sub"+z+".T", Sub, s+".4", "=d:C, a:C, b:C/i")
		t.each("f32", "mul"+z+".T", MulLo, s+".5", "=d:C, a:C, b:C/i")
		t.each("f32", "fma.rn"+z+".T", Fma, s+".6", "=d:C, a:C, b:C/i, c:C/i")
		t.each("f32", "neg"+z+".T", Neg, s+".10", "=d:C, a:C")
		t.each("f32", "min"+z+".T", Min, s+".11", "=d:C, a:C, b:C/i")
		t.each("f32", "max"+z+".T", Max, s+".12", "=d:C, a:C, b:C/i")
	}
	t.each("f16x2 bf16x2", "fma.rn.T", Fma, "9.7.4.4", "=d:C, a:C, b:C, c:C")
	t.each("f32", "rcp.approx.ftz.T", Rcp, s+".13", "=d:C, a:C")
	t.each("f32", "lg2.approx.ftz.T", Lg2, s+".20", "=d:C, a:C")
	t.each("f32", "ex2.approx.ftz.T", Ex2, s+".21", "=d:C, a:C")
}

func (t *table) logic() {
	const s = "9.7.8"
	t.each("b32 b64 pred", "and.T", And, s+".1", "=d:C, a:C, b:C/i")
	t.each("b32 b64 pred", "or.T", Or, s+".2", "=d:C, a:C, b:C/i")
	t.each("b32 b64 pred", "xor.T", Xor, s+".3", "=d:C, a:C, b:C/i")
	t.each("b32 b64 pred", "not.T", Not, s+".4", "=d:C, a:C")
	t.each("b32 b64", "shl.T", Shl, s+".8", "=d:C, a:C, b:b32/i")
	t.each("u32 s32 u64 s64 b32", "shr.T", Shr, s+".9", "=d:C, a:C, b:b32/i")
	t.add("prmt.b32", Prmt, "9.7.9.7", "=d:b32, a:b32, b:b32, c:b32/i")
}

func (t *table) comparisons() {
	for n, name := range []string{"eq", "ne", "lt", "le", "gt", "ge"} {
		t.each("s32 u32 s64 u64 f32", "setp."+name+".T", Setp, "9.7.6.1", "=d:p, a:C, b:C/i", compares(EQ+Cmp(n)))
	}
}

func (t *table) conversions() {
	const s = "9.7.9.21"
	t.add("cvt.u32.u64", Cvt, s, "=d:b32, a:b64")
	t.add("cvt.u64.u32", Cvt, s, "=d:b64, a:b32")
	t.add("cvt.s64.s32", Cvt, s, "=d:b64, a:b32")
	t.add("cvt.rn.f32.s32", Cvt, s, "=d:f32, a:b32")
	t.add("cvt.rn.f32.u32", Cvt, s, "=d:f32, a:b32")
	t.add("cvt.f32.f16", Cvt, s, "=d:f32, a:b16")
	t.add("cvt.rn.bf16x2.f32", CvtPack, s, "=d:b32, a:f32, b:f32")
	t.add("cvt.rn.f16x2.f32", CvtPack, s, "=d:b32, a:f32, b:f32")
	t.add("cvta.to.global.u64", CvtaTo, "9.7.9.20", "=d:b64, a:b64")
	t.add("cvta.param.u64", Cvta, "9.7.9.20", "=d:b64, a:b64", since(77))
}

func (t *table) memory() {
	load, store := effects(ReadsMemory), effects(WritesMemory)
	t.each("b32 b64 f32", "ld.param.T", Ld, "9.7.9.8", "=d:C, a:param", vec(1))
	for _, sp := range []struct{ name, addr string }{
		{"global", "addr"}, {"global.nc", "addr"}, {"shared", "saddr"},
	} {
		t.each("b16 b32 b64 f32", "ld."+sp.name+".T", Ld, "9.7.9.8", "=d:C, a:"+sp.addr, load, vec(1))
		for _, n := range []int{2, 4} {
			t.each("b32 f32", fmt.Sprintf("ld.%s.v%d.T", sp.name, n), Ld, "9.7.9.8",
				fmt.Sprintf("=d:C*%d, a:%s", n, sp.addr), load, vec(n))
		}
		if sp.name == "global.nc" {
			continue
		}
		t.each("b16 b32 b64 f32", "st."+sp.name+".T", St, "9.7.9.11", "a:"+sp.addr+", b:C", store, vec(1))
		for _, n := range []int{2, 4} {
			t.each("b32 f32", fmt.Sprintf("st.%s.v%d.T", sp.name, n), St, "9.7.9.11",
				fmt.Sprintf("a:%s, b:C*%d", sp.addr, n), store, vec(n))
		}
	}
	t.add("atom.global.add.u32", AtomAdd, "9.7.13.5", "=d:b32, a:addr, b:b32/i", effects(ReadsMemory|WritesMemory))
	t.add("cp.async.cg.shared.global", CpAsync, "9.7.9.25.3.1", "d:saddr, s:addr, bytes:imm, valid:b32/i",
		effects(ReadsMemory|WritesMemory|Async), space(Shared))
	t.add("cp.async.commit_group", CpAsyncCommit, "9.7.9.25.3.2", "", effects(Async))
	t.add("cp.async.wait_group", CpAsyncWait, "9.7.9.25.3.3", "n:imm", effects(Barrier))
	t.add("cp.async.wait_all", CpAsyncWaitAll, "9.7.9.25.3.3", "", effects(Barrier))
}

func (t *table) sync() {
	bar := effects(Barrier | Aligned)
	t.add("bar.sync", BarSync, "9.7.13.1", "a:b32/i", bar)
	t.add("bar.sync#count", BarSync, "9.7.13.1", "a:b32/i, b:b32/i", bar)
	t.add("bar.arrive", BarArrive, "9.7.13.1", "a:b32/i, b:b32/i", effects(Aligned))
	t.add("bar.warp.sync", BarWarpSync, "9.7.13.2", "mask:b32/i", effects(Barrier))
	for _, mode := range []string{"bfly", "idx", "down", "up"} {
		t.add("shfl.sync."+mode+".b32", Shfl, "9.7.9.6", "=d:b32, a:b32, b:b32/i, c:b32/i, mask:b32/i", effects(Barrier))
		t.add("shfl.sync."+mode+".b32#f32", Shfl, "9.7.9.6", "=d:f32, a:f32, b:b32/i, c:b32/i, mask:b32/i", effects(Barrier))
	}
	t.add("vote.sync.any.pred", VoteAny, "9.7.13.10", "=d:p, a:p, mask:b32/i", effects(Barrier))
	t.add("vote.sync.all.pred", VoteAll, "9.7.13.10", "=d:p, a:p, mask:b32/i", effects(Barrier))
	t.add("vote.sync.ballot.b32", VoteBallot, "9.7.13.10", "=d:b32, a:p, mask:b32/i", effects(Barrier))
}

func (t *table) control() {
	t.add("bra", Bra, "9.7.12.3", "a:label", effects(Branches))
	t.add("bra.uni", Bra, "9.7.12.3", "a:label", effects(Branches))
	t.add("ret", Ret, "9.7.12.6", "", effects(Ends))
	t.add("exit", Exit, "9.7.12.7", "", effects(Ends))
	t.add("trap", Trap, "9.7.19.4", "", effects(Ends))
}

func (t *table) matrix() {
	for _, n := range []int{1, 2, 4} {
		for _, tr := range []string{"", ".trans"} {
			t.add(fmt.Sprintf("ldmatrix.sync.aligned.m8n8.x%d%s.shared.b16", n, tr), LdMatrix, "9.7.14.5.15",
				fmt.Sprintf("=d:b32*%d, a:saddr", n), effects(ReadsMemory), vec(n))
			t.add(fmt.Sprintf("stmatrix.sync.aligned.m8n8.x%d%s.shared.b16", n, tr), StMatrix, "9.7.14.5.16",
				fmt.Sprintf("a:saddr, b:b32*%d", n), effects(WritesMemory), vec(n), since(78), on(sm90))
		}
	}
	for _, ty := range []string{"bf16", "f16"} {
		t.add(fmt.Sprintf("mma.sync.aligned.m16n8k16.row.col.f32.%s.%s.f32", ty, ty), Mma, "9.7.14.5.14",
			"=d:f32*4, a:b32*4, b:b32*2, c:f32*4", shape(16, 8, 16))
	}
}

// hopper lists what sm_90 and sm_90a add.
func (t *table) hopper() {
	s90 := func(f *Form) { f.PTX, f.Targets = 80, sm90 }
	s90a := func(f *Form) { f.PTX, f.Targets = 80, chip }
	t.add("elect.sync", ElectSync, "9.7.13.14", "=d:p, mask:b32/i", s90, effects(Barrier))
	t.add("setmaxnreg.inc.sync.aligned.u32", SetMaxNRegInc, "9.7.19.5", "n:imm", s90a, effects(Warpgroup))
	t.add("setmaxnreg.dec.sync.aligned.u32", SetMaxNRegDec, "9.7.19.5", "n:imm", s90a, effects(Warpgroup))

	const mb = "9.7.13.15"
	t.add("mbarrier.init.shared.b64", MbarInit, mb+".9", "a:saddr, n:b32/i", s90, effects(WritesMemory))
	t.add("mbarrier.inval.shared.b64", MbarInval, mb+".10", "a:saddr", s90, effects(WritesMemory))
	t.add("mbarrier.arrive.shared.b64", MbarArrive, mb+".13", "=state:b64, a:saddr", s90, effects(WritesMemory))
	t.add("mbarrier.arrive.expect_tx.shared.b64", MbarArriveExpectTx, mb+".13", "=state:b64, a:saddr, tx:b32/i", s90, effects(WritesMemory))
	t.add("mbarrier.try_wait.parity.shared.b64", MbarTryWait, mb+".16", "=done:p, a:saddr, parity:b32/i", s90, effects(Barrier))
	t.add("fence.mbarrier_init.release.cluster", FenceMbarInit, "9.7.13.4", "", s90)
	t.add("fence.proxy.async.shared::cta", FenceProxyAsync, "9.7.13.4", "", s90, space(Shared))

	const tma = "9.7.9.25.5"
	for rank := 2; rank <= 5; rank++ {
		name, at := fmt.Sprintf("cp.async.bulk.tensor.%dd.", rank), fmt.Sprintf("tmap:addr, at:b32*%d/i, ", rank)
		load, copies := name+"shared::cluster.global.mbarrier::complete_tx::bytes", effects(ReadsMemory|WritesMemory|Async)
		t.add(load, TmaLoad, tma+".2", "dst:saddr, "+at+"mbar:saddr", s90, copies, vec(rank), space(Shared))
		t.add(load+".L2::cache_hint", TmaLoad, tma+".2", "dst:saddr, "+at+"mbar:saddr, hint:b64", s90, copies, vec(rank), space(Shared))
		t.add(name+"global.shared::cta.bulk_group", TmaStore, tma+".2", at+"src:saddr", s90, copies, vec(rank), space(Global))
	}
	t.add("prefetch.param.tensormap", TmaPrefetchMap, "9.7.9.15", "tmap:addr", s90)
	t.add("cp.async.bulk.commit_group", BulkCommit, "9.7.9.25.6.1", "", s90, effects(Async))
	t.add("cp.async.bulk.wait_group", BulkWait, "9.7.9.25.6.2", "n:imm", s90, effects(Barrier))
	t.add("cp.async.bulk.wait_group.read", BulkWaitRead, "9.7.9.25.6.2", "n:imm", s90, effects(Barrier))

	const wg = "9.7.15"
	t.add("wgmma.fence.sync.aligned", WgmmaFence, wg+".7.1", "", s90a, effects(Warpgroup))
	t.add("wgmma.commit_group.sync.aligned", WgmmaCommit, wg+".7.2", "", s90a, effects(Warpgroup|Async))
	t.add("wgmma.wait_group.sync.aligned", WgmmaWait, wg+".7.3", "n:imm", s90a, effects(Warpgroup|Barrier))
	for _, ty := range []string{"bf16", "f16"} {
		for n := 8; n <= 256; n += 8 {
			name := fmt.Sprintf("wgmma.mma_async.sync.aligned.m64n%dk16.f32.%s.%s", n, ty, ty)
			d := fmt.Sprintf("+d:f32*%d, ", n/2)
			const scales = ", scaleD:p, scaleA:imm, scaleB:imm"
			async := effects(Warpgroup | Async | ReadsMemory)
			t.add(name, Wgmma, wg+".5.2", d+"a:b64, b:b64"+scales+", transA:imm, transB:imm", s90a, async, shape(64, n, 16))
			t.add(name+"#ra", Wgmma, wg+".5.2", d+"a:b32*4, b:b64"+scales+", transB:imm", s90a, async, shape(64, n, 16))
		}
	}
	t.add("barrier.cluster.arrive.aligned", ClusterArrive, "9.7.13.3", "", s90)
	t.add("barrier.cluster.wait.aligned", ClusterWait, "9.7.13.3", "", s90, effects(Barrier))
	t.add("mapa.shared::cluster.u32", MapA, "9.7.9.22", "=d:b32, a:b32, cta:b32/i", s90)
}
