package emu

import (
	"fmt"
	"strings"
	"testing"

	"github.com/s2attention/s2c/codegen/ptx/inst"
)

func TestElect(t *testing.T) {
	got := lanes(t, "elect.sync _|%p1, 0xffffffff;\nselp.b32 %r9, 1, 0, %p1;\nelect.sync _|%p2, 0xffffffff;\n@%p2 add.u32 %r9, %r9, 1;")
	sum := uint32(0)
	for _, v := range got {
		if v != 0 && v != 2 {
			t.Errorf("a lane was elected %d of 2 times", v)
		}
		sum += v
	}
	if sum != 2 {
		t.Errorf("%d lanes were elected", sum/2)
	}
}

func TestMapA(t *testing.T) {
	for l, v := range lanes(t, "mov.b32 %r3, 0;\nmapa.shared::cluster.u32 %r9, %r1, 0;\nmapa.shared::cluster.u32 %r9, %r9, %r3;") {
		if v != uint32(l) {
			t.Errorf("lane %d maps to %d", l, v)
		}
	}
}

// ring is a producer warp and a consumer warp over two slots of shared memory with
// ordinary stores: full and empty mbarriers, ten rounds.
const ring = `
setp.eq.u32 %p1, %r1, 0;
@%p1 mbarrier.init.shared.b64 [%r4+512], 32; // full 0
@%p1 mbarrier.init.shared.b64 [%r4+520], 32;
@%p1 mbarrier.init.shared.b64 [%r4+528], 1; // empty 0
@%p1 mbarrier.init.shared.b64 [%r4+536], 1;
bar.sync 0;
mov.b32 %r10, 0; // round
mov.b32 %r11, 0; // slot
mov.b32 %r12, 0; // parity
setp.eq.u32 %p2, %r3, 0;
@!%p2 bra CONSUME;
PRODUCE:
mad.lo.u32 %r13, %r11, 8, %r4;
xor.b32 %r14, %r12, 1;
WAITE:
mbarrier.try_wait.parity.shared.b64 %p3, [%r13+528], %r14;
@!%p3 bra WAITE;
mad.lo.u32 %r15, %r11, 128, %r4;
mad.lo.u32 %r15, %r2, 4, %r15;
mad.lo.u32 %r16, %r10, 100, %r2;
st.shared.b32 [%r15], %r16;
mbarrier.arrive.shared.b64 _, [%r13+512]; // filled
add.u32 %r10, %r10, 1;
xor.b32 %r11, %r11, 1;
setp.eq.u32 %p4, %r11, 0;
@%p4 xor.b32 %r12, %r12, 1;
setp.lt.u32 %p5, %r10, 10;
@%p5 bra PRODUCE;
bra END;
CONSUME:
mad.lo.u32 %r13, %r11, 8, %r4;
WAITF:
mbarrier.try_wait.parity.shared.b64 %p3, [%r13+512], %r12;
@!%p3 bra WAITF;
mad.lo.u32 %r15, %r11, 128, %r4;
xor.b32 %r17, %r2, 5;
mad.lo.u32 %r15, %r17, 4, %r15;
ld.shared.b32 %r16, [%r15];
mad.lo.u32 %r18, %r10, 32, %r2;
mul.wide.u32 %rd2, %r18, 4;
add.s64 %rd2, %rd1, %rd2;
st.global.b32 [%rd2], %r16;
bar.warp.sync -1; // read
elect.sync _|%p6, -1;
@%p6 mbarrier.arrive.shared.b64 %rd3, [%r13+528]; // freed
add.u32 %r10, %r10, 1;
xor.b32 %r11, %r11, 1;
setp.eq.u32 %p4, %r11, 0;
@%p4 xor.b32 %r12, %r12, 1;
setp.lt.u32 %p5, %r10, 10;
@%p5 bra CONSUME;
END:
bar.sync 0;
@%p1 mbarrier.inval.shared.b64 [%r4+512];
@%p1 st.shared.b64 [%r4+512], %rd1;`

func runRing(t testing.TB, o Options, body string) error {
	h := newHarness(t, o, kernelText("sm_90a", 1, externShared, prologue+body), 1024)
	out := h.alloc(10 * 32 * 4)
	if err := h.launch(1, 64, out); err != nil {
		return err
	}
	for i, v := range asU32(h.download(out, 10*32*4)) {
		if want := uint32(i/32*100 + i%32 ^ 5); v != uint32(i/32*100)+uint32(i%32^5) {
			return fmt.Errorf("element %d is %d, want %d", i, v, want)
		}
	}
	return nil
}

func TestRing(t *testing.T) {
	for seed := range uint64(10) {
		o := Options{Seed: seed, Shuffle: seed > 0, Preempt: seed > 5}
		if err := runRing(t, o, ring); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
	for _, c := range []struct {
		mutation
		want Check
	}{
		{mutation{"producer starts with the wrong parity", `xor.b32 %r14`, 0, replace("1;", "0;")}, CheckDeadlock},
		{mutation{"producer does not wait", `@!%p3 bra WAITE`, 0, drop}, CheckRace | CheckBarrier | CheckDeadlock},
		{mutation{"consumer does not wait", `@!%p3 bra WAITF`, 0, drop}, CheckRace | CheckUninit},
		{mutation{"consumer keeps its parity", `@%p4 xor.b32 %r12`, 1, drop}, CheckRace | CheckDeadlock | CheckBarrier},
		{mutation{"slot freed before it is read", `// read`, 0, drop}, CheckRace},
		{mutation{"slot never freed", `// freed`, 0, drop}, CheckDeadlock},
		{mutation{"every lane frees the slot", `// freed`, 0, replace("@%p6 ", "")}, CheckBarrier | CheckDeadlock},
		{mutation{"too few expected arrivals", `// full 0`, 0, replace("32;", "31;")}, CheckBarrier | CheckRace | CheckDeadlock},
		{mutation{"too many expected arrivals", `// full 0`, 0, replace("32;", "33;")}, CheckDeadlock},
		{mutation{"no arrivals expected", `// full 0`, 0, replace("32;", "0;")}, CheckBarrier},
		{mutation{"no barrier after the initialisation", `bar.sync 0`, 0, drop}, CheckRace | CheckBarrier},
		{mutation{"not invalidated", `inval`, 0, drop}, CheckBarrier},
		{mutation{"mbarrier in the slots", `// full 0`, 0, replace("512", "0")}, CheckBarrier},
		{mutation{"mbarrier misaligned", `// full 0`, 0, replace("512", "516")}, CheckAlign},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := c.apply(t, ring)
			for seed := range uint64(6) {
				o := Options{Seed: seed, Shuffle: seed > 0, Preempt: seed > 2, Budget: 1e6}
				wantFault(t, runRing(t, o, text), c.want)
			}
		})
	}
}

func TestClusterBarrier(t *testing.T) {
	for _, f := range []faulty{
		{"orders the block", 1, 64, `st.shared.b32 [%r5], %r1; barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;
xor.b32 %r6, %r5, 128; ld.shared.b32 %r9, [%r6]; barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;`, 0, ""},
		{"no wait", 1, 64, `st.shared.b32 [%r5], %r1; barrier.cluster.arrive.aligned; xor.b32 %r6, %r5, 128; ld.shared.b32 %r9, [%r6];`, CheckRace | CheckUninit, ""},
		{"no arrival", 1, 64, `barrier.cluster.wait.aligned;`, CheckBarrier, "without having arrived"},
		{"arrives twice", 1, 64, `barrier.cluster.arrive.aligned; barrier.cluster.arrive.aligned;`, CheckBarrier, "twice"},
		{"one warp stays away", 1, 64, `setp.eq.u32 %p1, %r3, 0; @%p1 bra E; barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned; E:`, CheckDeadlock, "barrier.cluster.wait"},
		{"another block", 1, 32, `mapa.shared::cluster.u32 %r9, %r4, 1;`, CheckInstruction, "mapa"},
	} {
		runFaults90(t, f, "")
	}
}

// runFaults90 runs a faulty kernel for sm_90a with directives before its body.
func runFaults90(t *testing.T, f faulty, directives string) {
	t.Helper()
	t.Run(f.name, func(t *testing.T) {
		text := kernelText("sm_90a", 1, externShared, prologue+strings.ReplaceAll(f.body, ";", ";\n"))
		text = strings.Replace(text, ")\n{", ")\n"+directives+"\n{", 1)
		for seed := range uint64(5) {
			h := newHarness(t, Options{Seed: seed, Shuffle: seed > 0, Preempt: seed > 2, Budget: 1e5}, text, 1024)
			err := h.launch(f.grid, f.threads, h.upload(make([]byte, 1024)))
			if f.want != 0 {
				wantFault(t, err, f.want, f.at)
			} else if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
	})
}

func TestSetMaxNReg(t *testing.T) {
	const fixed = ".maxntid 384\n.minnctapersm 1"
	const roles = `setp.lt.u32 %p1, %r3, 4; @%p1 bra P; setmaxnreg.inc.sync.aligned.u32 240; bra E; P: `
	for _, f := range []faulty{
		{"one producer, two consumers", 1, 384, roles + `setmaxnreg.dec.sync.aligned.u32 24; E:`, 0, ""},
		{"nothing given back", 1, 384, roles + `E:`, CheckDeadlock, "setmaxnreg.inc"},
		{"too little given back", 1, 384, roles + `setmaxnreg.dec.sync.aligned.u32 40; E:`, CheckDeadlock, "setmaxnreg.inc"},
		{"a decrease that raises", 1, 384, `setmaxnreg.dec.sync.aligned.u32 200;`, CheckInstruction, "168"},
		{"an increase that lowers", 1, 384, `setmaxnreg.inc.sync.aligned.u32 104;`, CheckInstruction, "168"},
		{"part of a warpgroup", 1, 384, `setp.eq.u32 %p1, %r3, 0; @%p1 bra P; setmaxnreg.dec.sync.aligned.u32 40; bra E; P: setmaxnreg.dec.sync.aligned.u32 24; E:`,
			CheckDivergence, "another warp"},
		{"half a warp", 1, 384, `setp.lt.u32 %p1, %r2, 16; @%p1 setmaxnreg.dec.sync.aligned.u32 24;`, CheckDivergence, "setmaxnreg"},
	} {
		runFaults90(t, f, fixed)
	}
	runFaults90(t, faulty{"registers at entry not fixed", 1, 384, `setmaxnreg.dec.sync.aligned.u32 24;`, CheckInstruction, "not fixed"}, "")
	runFaults90(t, faulty{"a warpgroup of three warps", 1, 96, `setmaxnreg.dec.sync.aligned.u32 24;`, CheckDivergence, "has 3 warps"}, ".maxntid 96\n.minnctapersm 1")
	for _, n := range []int{16, 264, 25} {
		text := kernelText("sm_90a", 0, "", fmt.Sprintf("setmaxnreg.dec.sync.aligned.u32 %d;", n))
		if _, err := New(Options{}).LoadModule(text); err == nil {
			t.Errorf("setmaxnreg takes %d registers", n)
		}
	}
}

// TestBrokenWgmma breaks one wgmma in one place each.
func TestBrokenWgmma(t *testing.T) {
	ss := &wgmmaCase{form: inst.Lookup("wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16"),
		swizzleA: 128, swizzleB: 128, scaleA: 1, scaleB: 1, scaleD: true}
	rs := *ss
	rs.form = inst.Lookup("wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16#ra")
	before := func(text string) func(string) string { return func(s string) string { return text + "\n" + s } }
	after := func(text string) func(string) string { return func(s string) string { return s + "\n" + text } }
	const mma = `^wgmma\.mma_async`
	for _, c := range []struct {
		mutation
		base *wgmmaCase
		want Check
	}{
		{mutation{"no fence", `^wgmma\.fence`, 0, drop}, ss, CheckAsync},
		{mutation{"no commit", `^wgmma\.commit`, 0, drop}, ss, CheckAsync},
		{mutation{"no wait", `^wgmma\.wait`, 0, drop}, ss, CheckAsync},
		{mutation{"wait for too little", `^wgmma\.wait`, 0, replace("0;", "1;")}, ss, CheckAsync},
		{mutation{"accumulator written after the fence", mma, 0, before("mov.f32 %f105, 0f00000000;")}, ss, CheckAsync},
		{mutation{"accumulator read after the fence", mma, 0, before("mov.f32 %f99, %f105;")}, ss, CheckAsync},
		{mutation{"accumulator read in flight", mma, 0, after("mov.f32 %f99, %f105;")}, ss, CheckAsync},
		{mutation{"A written in flight", mma, 0, after("mov.b32 %r11, 0;")}, &rs, CheckAsync},
		{mutation{"A read in flight", mma, 0, after("mov.b32 %r99, %r11;")}, &rs, CheckAsync},
		{mutation{"A written after the fence", mma, 0, before("mov.b32 %r11, 0;")}, &rs, CheckAsync},
		{mutation{"accumulator without a value", `^ld.global.f32 %f105`, 0, drop}, ss, CheckRegister},
		{mutation{"A without a value", `^ld.global.v4.b32 {%r10`, 0, drop}, &rs, CheckRegister},
		{mutation{"no proxy fence", `// image`, 0, drop}, ss, CheckProxy},
		{mutation{"no barrier", `^bar\.sync`, 0, drop}, ss, CheckRace | CheckUninit},
		{mutation{"B overwritten in flight", `^wgmma\.commit`, 0, after("bar.warp.sync -1;\nst.shared.b32 [%r2+16384], %r1;")}, ss, CheckAsync},
		{mutation{"A overwritten in flight", `^wgmma\.commit`, 0, after("bar.sync 0;\nst.shared.b32 [%r2], %r1;")}, ss, CheckAsync},
		{mutation{"B overwritten while other warps may read it", `^wgmma\.wait`, 0, after("setp.eq.u32 %p5, %r1, 0;\n@%p5 st.shared.b32 [%r2+16384], %r1;")}, ss, CheckAsync | CheckRace},
		{mutation{"descriptor differs between threads", mma, 0, before("setp.eq.u32 %p5, %r1, 70;\n@%p5 add.s64 %rd6, %rd6, 2;")}, ss, CheckInstruction},
		{mutation{"descriptor differs between warps", mma, 0, before("setp.lt.u32 %p5, %r1, 32;\n@%p5 add.s64 %rd6, %rd6, 2;")}, ss, CheckInstruction},
		{mutation{"scale-d differs between threads", mma, 0, before("setp.eq.u32 %p2, %r1, 70;")}, ss, CheckInstruction},
		{mutation{"matrix past the end of shared memory", mma, 0, before("add.s64 %rd6, %rd6, 3072;")}, ss, CheckBounds},
		{mutation{"one warp leaves out the operation", `^wgmma\.fence`, 0, after("setp.lt.u32 %p5, %r1, 32;\n@%p5 bra SKIP;")}, ss, CheckDivergence | CheckAsync},
		{mutation{"another shape on the same accumulators", mma, 0, func(s string) string {
			list := strings.Split(s[strings.Index(s, "{")+1:strings.Index(s, "}")], ", ")
			return s + "\nwgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {" + strings.Join(list[:4], ", ") + "}, %rd5, %rd6, %p2, 1, 1, 0, 0;"
		}}, ss, CheckAsync},
		{mutation{"accumulator in flight as A of another", mma, 0, after("mov.pred %p6, 0;\n" +
			"wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%f90, %f91, %f92, %f93}, {%f100, %f101, %f102, %f103}, %rd6, %p6, 1, 1, 0;")}, ss, CheckAsync},
		{mutation{"A in flight as accumulator of another", mma, 0, after("mov.pred %p6, 0;\n" +
			"wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%r10, %r11, %r12, %r13}, %rd5, %rd6, %p6, 1, 1, 0, 0;")}, &rs, CheckAsync},
		{mutation{"half a warp", mma, 0, before("and.b32 %r98, %r1, 1;\nsetp.eq.u32 %p5, %r98, 0;\n@%p5 bra SKIP;")}, ss, CheckDivergence},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(c.base.text(), "wgmma.commit_group", "SKIP:\nwgmma.commit_group", 1)
			text = c.apply(t, text)
			for seed := range uint64(5) {
				o := Options{Seed: seed, Shuffle: seed > 0, Preempt: seed > 2, Budget: 1e6}
				wantFault(t, runWgmmaText(t, o, c.base, text), c.want)
			}
		})
	}
	for _, c := range []*wgmmaCase{ss, &rs} {
		if err := runWgmmaText(t, Options{}, c, c.text()); err != nil {
			t.Errorf("unbroken: %v", err)
		}
	}
}

// runWgmmaText runs a text made from a case on zero operands.
func runWgmmaText(t testing.TB, o Options, c *wgmmaCase, text string) error {
	in := make([]byte, wgmmaBytes+16+2048+128*512)
	zero := func(int, int) uint16 { return 0 }
	descA := place(in, wgmmaA, 64, c.swizzleA, 0, false, zero)
	descB := place(in, wgmmaB, c.form.Shape[1], c.swizzleB, 0, false, zero)
	copy(in[wgmmaBytes:], u32s(uint32(descA), uint32(descA>>32), uint32(descB), uint32(descB>>32)))
	h := newHarness(t, o, text, wgmmaBytes)
	return h.launch(1, 128, h.upload(in), h.alloc(128*512))
}

// TestBrokenHopperAttention breaks a whole warp-specialised kernel in one place each.
func TestBrokenHopperAttention(t *testing.T) {
	a := newAttention(attentionSM90a, 200, 330)
	a.blocks = 1
	text := attentionSM90a.text(t)
	for _, c := range []struct {
		mutation
		want Check
	}{
		{mutation{"scores without a wgmma.fence", `wgmma\.fence`, 0, drop}, CheckAsync},
		{mutation{"last values without a wgmma.fence", `wgmma\.fence`, 3, drop}, CheckAsync},
		{mutation{"scores not committed", `wgmma\.commit`, 1, drop}, CheckAsync},
		{mutation{"scores not waited for", `wgmma\.wait`, 1, drop}, CheckAsync},
		{mutation{"values not waited for", `wgmma\.wait`, 3, drop}, CheckAsync},
		{mutation{"wait for the values too weak", `wgmma\.wait`, 4, replace("0;", "1;")}, CheckAsync},
		{mutation{"mbarrier not initialised", `mbarrier\.init`, 0, drop}, CheckBarrier},
		{mutation{"initialisation not fenced", `fence\.mbarrier`, 0, drop}, CheckProxy},
		{mutation{"output staged without a proxy fence", `fence\.proxy`, 0, drop}, CheckProxy},
		{mutation{"slots not announced to the block", `bar\.sync 0`, 0, drop}, CheckRace | CheckBarrier},
		{mutation{"a turn is not passed on", `bar\.arrive`, 1, drop}, CheckDeadlock},
		{mutation{"a turn is not waited for", `bar\.sync %r`, 0, drop}, CheckBarrier},
		{mutation{"slot released while lanes still read it", `bar\.warp`, 0, drop}, CheckRace},
		{mutation{"a box is not copied", `^\s*cp\.async\.bulk\.tensor`, 5, drop}, CheckDeadlock},
		{mutation{"bytes not expected", `expect_tx`, 2, drop}, CheckDeadlock | CheckBarrier},
		{mutation{"registers not given back", `setmaxnreg\.dec`, 0, drop}, CheckDeadlock},
		{mutation{"scores read before the copy", `@%p\d+ bra L50_ready`, 0, replace(`@%p\d+ `, "")}, CheckAsync | CheckRace},
		{mutation{"slot refilled before it is released", `@%p\d+ bra L41_ready`, 0, replace(`@%p\d+ `, "")}, CheckAsync | CheckRace | CheckBarrier | CheckProxy},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := a.run(t, New(Options{Budget: 1e7}), c.apply(t, text))
			wantFault(t, err, c.want)
		})
	}
}
