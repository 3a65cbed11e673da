package emu

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/s2attention/s2c/runtime"
)

// prologue gives %rd1 = p0, %r1 = tid, %r2 = lane, %r3 = warp, %r4 = smem, %r5 = smem + 4·tid.
const prologue = `ld.param.b64 %rd1, [p0];
mov.u32 %r1, %tid.x;
and.b32 %r2, %r1, 31;
shr.u32 %r3, %r1, 5;
mov.u32 %r4, smem;
mad.lo.u32 %r5, %r1, 4, %r4;
`

// faulty is a kernel body run by threads threads in grid blocks, with 1 KiB of
// shared memory and p0 a buffer of 1 KiB whose second half nobody wrote.
type faulty struct {
	name    string
	grid    int
	threads int
	body    string
	want    Check // 0: the kernel is right
	at      string
}

var faults = []faulty{
	{"global read past the end", 1, 32, "ld.global.b32 %r9, [%rd1+1024];", CheckBounds, "ld.global.b32"},
	{"global read before the start", 1, 32, "ld.global.b32 %r9, [%rd1-4];", CheckBounds, "4 bytes before the allocation of 1024 bytes"},
	{"vector straddles the end", 1, 1, "mov.b32 %r9, 1; st.global.v4.b32 [%rd1+1016], {%r9, %r9, %r9, %r9};", CheckAlign, "v4"},
	{"null pointer", 1, 1, "mov.b64 %rd2, 0; ld.global.b32 %r9, [%rd2];", CheckBounds, "ld.global"},
	{"shared past the end", 1, 32, "mov.b32 %r9, 1; st.shared.b32 [%r4+1024], %r9;", CheckBounds, "st.shared"},
	{"shared below the window", 1, 32, "mov.b32 %r9, 8; ld.shared.b32 %r10, [%r9];", CheckBounds, "ld.shared"},
	{"misaligned global", 1, 32, "ld.global.b64 %rd2, [%rd1+4];", CheckAlign, "b64"},
	{"misaligned shared", 1, 32, "ld.shared.b32 %r9, [%r4+2];", CheckAlign, "ld.shared"},
	{"unwritten shared", 1, 32, "ld.shared.b32 %r9, [%r5];", CheckUninit, "address 0x400"},
	{"unwritten shared byte", 1, 1, "mov.u32 %r9, %tid.x; st.shared.b32 [%r4], %r9; ld.shared.v2.b32 {%r9, %r10}, [%r4];", CheckUninit, "address 0x404"},
	{"unwritten global", 1, 32, "ld.global.b32 %r9, [%rd1+512];", CheckUninit, "ld.global"},
	{"unwritten register", 1, 32, "add.u32 %r9, %r10, 1;", CheckRegister, "%r10"},
	{"register of half a warp", 1, 32, "setp.lt.u32 %p1, %r2, 16; @%p1 mov.b32 %r9, 1; add.u32 %r10, %r9, 1;", CheckRegister, "thread [16 0 0]"},
	{"unwritten guard", 1, 32, "@%p3 mov.b32 %r9, 1;", CheckRegister, "%p3"},
	{"divide by a zero lane", 1, 32, "mov.b32 %r8, 7; div.u32 %r9, %r8, %r2;", CheckDivide, "thread [0 0 0]"},
	{"remainder by zero", 1, 32, "cvt.u64.u32 %rd2, %r2; rem.u64 %rd3, %rd2, %rd2;", CheckDivide, "rem.u64"},
	{"trap", 1, 32, "trap;", CheckInstruction, "trap"},

	// Shared memory.
	{"neighbour without a barrier", 1, 64, `st.shared.b32 [%r5], %r1; xor.b32 %r6, %r5, 128;
ld.shared.b32 %r9, [%r6];`, CheckRace | CheckUninit, "ld.shared"},
	{"neighbour with a barrier", 1, 64, `st.shared.b32 [%r5], %r1; xor.b32 %r6, %r5, 128; bar.sync 0;
ld.shared.b32 %r9, [%r6];`, 0, ""},
	{"lane without a warp barrier", 1, 32, `st.shared.b32 [%r5], %r1; xor.b32 %r6, %r5, 4;
ld.shared.b32 %r9, [%r6];`, CheckRace, "thread [1 0 0]"},
	{"lane with a warp barrier", 1, 32, `st.shared.b32 [%r5], %r1; xor.b32 %r6, %r5, 4; bar.warp.sync -1;
ld.shared.b32 %r9, [%r6];`, 0, ""},
	{"a warp barrier for the wrong lanes", 1, 32, `st.shared.b32 [%r5], %r1; xor.b32 %r6, %r5, 64; setp.lt.u32 %p1, %r2, 16;
@%p1 bra A; bar.warp.sync 0xffff0000; bra B; A: bar.warp.sync 0xffff; B:
ld.shared.b32 %r9, [%r6];`, CheckRace | CheckUninit, "ld.shared"},
	{"a warp barrier for half the lanes", 1, 32, `st.shared.b32 [%r5], %r1; xor.b32 %r6, %r5, 4; setp.lt.u32 %p1, %r2, 16;
@%p1 bra A; bar.warp.sync 0xffff0000; bra B; A: bar.warp.sync 0xffff; B:
ld.shared.b32 %r9, [%r6];`, 0, ""},
	{"write after read", 1, 64, `st.shared.b32 [%r5], %r1; bar.sync 0; xor.b32 %r6, %r5, 128;
ld.shared.b32 %r9, [%r6]; st.shared.b32 [%r5], %r9;`, CheckRace, ".shared"},
	{"write after read and barrier", 1, 64, `st.shared.b32 [%r5], %r1; bar.sync 0; xor.b32 %r6, %r5, 128;
ld.shared.b32 %r9, [%r6]; bar.sync 0; st.shared.b32 [%r5], %r9;`, 0, ""},
	{"two lanes write one word", 1, 32, `st.shared.b32 [%r4], %r1;`, CheckRace, "st.shared"},
	{"two lanes write halves of a word", 1, 2, `mov.b32 %r9, 0; ld.global.b16 %h1, [%rd1]; mad.lo.u32 %r6, %r2, 2, %r4; st.shared.b16 [%r6], %h1;`, 0, ""},
	{"a barrier of other warps", 1, 96, `setp.eq.u32 %p1, %r1, 0; @%p1 st.shared.b32 [%r4+512], %r3; setp.ne.u32 %p1, %r3, 0; @!%p1 bra END;
bar.sync 1, 64; setp.eq.u32 %p2, %r1, 64; @%p2 ld.shared.b32 %r9, [%r4+512]; END:`, CheckRace | CheckUninit, ""},
	{"producer and consumer", 1, 64, `setp.eq.u32 %p1, %r3, 0; @%p1 bra P; bar.sync 3, 64; ld.shared.b32 %r9, [%r5-128]; bra END;
P: st.shared.b32 [%r5], %r1; bar.arrive 3, 64; END:`, 0, ""},
	{"consumer only arrives", 1, 64, `setp.eq.u32 %p1, %r3, 0; @%p1 bra P; bar.arrive 3, 64; ld.shared.b32 %r9, [%r5-128]; bra END;
P: st.shared.b32 [%r5], %r1; bar.sync 3, 64; END:`, CheckRace | CheckUninit, ""},
	{"producer overwrites after arriving", 1, 64, `setp.eq.u32 %p1, %r3, 0; @%p1 bra P; bar.sync 3, 64; ld.shared.b32 %r9, [%r5-128]; bra END;
P: st.shared.b32 [%r5], %r1; bar.arrive 3, 64; st.shared.b32 [%r5], %r1; END:`, CheckRace, ""},

	// Global memory.
	{"two blocks write one word", 2, 32, `setp.eq.u32 %p1, %r1, 0; @%p1 st.global.b32 [%rd1], %r1;`, CheckRace, "block"},
	{"two threads write one word", 1, 64, `setp.eq.u32 %p1, %r2, 0; @%p1 st.global.b32 [%rd1], %r1;`, CheckRace, "thread"},
	{"ordered threads write one word", 1, 64, `setp.eq.u32 %p1, %r1, 0; setp.eq.u32 %p2, %r1, 32; @%p1 st.global.b32 [%rd1], %r1; bar.sync 0; @%p2 st.global.b32 [%rd1], %r1;`, 0, ""},
	{"a block reads what another writes", 2, 1, `mov.u32 %r9, %ctaid.x; setp.eq.u32 %p1, %r9, 0; @%p1 st.global.b32 [%rd1], %r1; @!%p1 ld.global.b32 %r10, [%rd1];`, CheckRace, "block"},
	{"a block writes what another reads", 2, 1, `mov.u32 %r9, %ctaid.x; setp.eq.u32 %p1, %r9, 1; @%p1 st.global.b32 [%rd1], %r1; @!%p1 ld.global.b32 %r10, [%rd1];`, CheckRace, "block"},
	{"blocks read and write halves of a word", 2, 1, `mov.u32 %r9, %ctaid.x; setp.eq.u32 %p1, %r9, 0; ld.global.b16 %h1, [%rd1+2]; @%p1 st.global.b16 [%rd1], %h1;`, 0, ""},
	{"every block reads and writes its own word", 40, 1, `mov.u32 %r9, %ctaid.x; mul.wide.u32 %rd2, %r9, 4; add.s64 %rd2, %rd1, %rd2; ld.global.b32 %r10, [%rd2]; st.global.b32 [%rd2], %r10;`, 0, ""},
	{"blocks write halves of a word", 2, 1, `mov.u32 %r9, %ctaid.x; mul.wide.u32 %rd2, %r9, 2; add.s64 %rd2, %rd1, %rd2; ld.global.b16 %h1, [%rd1+256]; st.global.b16 [%rd2], %h1;`, 0, ""},
	{"atomic and plain", 2, 1, `mov.u32 %r9, %ctaid.x; setp.eq.u32 %p1, %r9, 0; @%p1 st.global.b32 [%rd1], %r1; @!%p1 atom.global.add.u32 %r10, [%rd1], 1;`, CheckRace, ""},
	{"constant data read after a write", 1, 1, `st.global.b32 [%rd1], %r1; ld.global.nc.b32 %r9, [%rd1];`, CheckRace, "nc"},
	{"store to a constant", 1, 1, `mov.u64 %rd2, table; st.global.b32 [%rd2], %r1;`, CheckConst, "st.global"},
	{"store to a parameter", 1, 1, `mov.u64 %rd2, p0; cvta.param.u64 %rd2, %rd2; st.global.b32 [%rd2], %r1;`, CheckConst, "st.global"},

	// Convergence and barriers.
	{"barrier in half a warp", 1, 32, `setp.lt.u32 %p1, %r2, 16; @%p1 bra A; bar.sync 0; A:`, CheckDivergence, "bar.sync"},
	{"guarded barrier", 1, 32, `setp.lt.u32 %p1, %r2, 16; @%p1 bar.sync 0;`, CheckDivergence, "bar.sync"},
	{"barrier guarded for a whole warp", 1, 64, `setp.eq.u32 %p1, %r3, 0; @%p1 bar.sync 1, 32;`, 0, ""},
	{"barrier after an exit", 1, 32, `setp.lt.u32 %p1, %r2, 16; @%p1 exit; bar.sync 0;`, CheckDivergence, "exited"},
	{"uniform branch that is not", 1, 32, `setp.lt.u32 %p1, %r2, 16; @%p1 bra.uni A; mov.b32 %r9, 1; A:`, CheckDivergence, "bra.uni"},
	{"uniform branch", 1, 64, `setp.eq.u32 %p1, %r3, 0; @%p1 bra.uni A; mov.b32 %r9, 1; A: bar.sync 0;`, 0, ""},
	{"shuffle with an absent lane", 1, 32, `setp.lt.u32 %p1, %r2, 16; @%p1 bra A; bra B; A: shfl.sync.bfly.b32 %r9, %r2, 16, 31, 0xffff; B:`, CheckDivergence, "shfl"},
	{"shuffle outside the member mask", 1, 32, `shfl.sync.bfly.b32 %r9, %r2, 1, 31, 0xffff;`, CheckDivergence, "member mask"},
	{"shuffle that lanes never reach", 1, 32, `setp.lt.u32 %p1, %r2, 16; @%p1 bra A; shfl.sync.bfly.b32 %r9, %r2, 1, 31, -1; A:`, CheckDeadlock | CheckDivergence, "shfl"},
	{"matrix instruction in a short warp", 1, 16, `mov.b32 %r9, 0; st.shared.v4.b32 [%r4], {%r9,%r9,%r9,%r9}; ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r9}, [%r4];`, CheckRace | CheckDivergence, ""},
	{"one warp misses the barrier", 1, 64, `setp.eq.u32 %p1, %r3, 0; @%p1 bra A; bar.sync 0; A:`, CheckDeadlock, "barrier 0 has 32 of 64 threads"},
	{"barriers in opposite order", 1, 64, `setp.eq.u32 %p1, %r3, 0; @%p1 bra A; bar.sync 1; bar.sync 2; bra B; A: bar.sync 2; bar.sync 1; B:`, CheckDeadlock, "no warp can go on"},
	{"barrier number too large", 1, 32, `bar.sync 16;`, CheckBarrier, "16"},
	{"barrier count no multiple of a warp", 1, 64, `bar.sync 1, 48;`, CheckBarrier, "48"},
	{"barrier count above the block", 1, 64, `bar.sync 1, 96;`, CheckBarrier, "96"},
	{"barrier counts disagree", 1, 96, `mad.lo.u32 %r6, %r3, 32, 32; bar.sync 1, %r6;`, CheckBarrier, "count"},
	{"lanes name different barriers", 1, 32, `and.b32 %r6, %r2, 1; bar.sync %r6;`, CheckBarrier, "different"},
	{"a warp arrives twice", 1, 64, `setp.eq.u32 %p1, %r3, 0; @!%p1 bra A; bar.arrive 1, 64; bar.arrive 1, 64; A:`, CheckBarrier, "twice"},
	{"endless loop", 1, 32, `L: bra L;`, CheckBudget, "bra L"},
}

func runFaulty(t testing.TB, f faulty, o Options) error {
	extra := externShared + "\n.const .b32 table[4] = {1, 2, 3, 4};"
	body := strings.ReplaceAll(f.body, ";", ";\n")
	h := newHarness(t, o, kernelText("sm_80", 1, extra, prologue+body), 1024)
	p := h.alloc(1024)
	if err := h.dev.Upload(p, make([]byte, 512)); err != nil {
		t.Fatal(err)
	}
	return h.launch(f.grid, f.threads, p)
}

func TestFaults(t *testing.T) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			for seed := range uint64(6) {
				err := runFaulty(t, f, Options{Seed: seed, Shuffle: seed > 0, Preempt: seed > 2, Budget: 1e5})
				if f.want == 0 {
					if err != nil {
						t.Fatalf("seed %d: %v", seed, err)
					}
					continue
				}
				fault := wantFault(t, err, f.want, f.at)
				if fault.Kernel != "k" || fault.Line == 0 || fault.Text == "" {
					t.Errorf("%+v does not say where", fault)
				}
			}
		})
	}
}

func TestChecksCanBeSwitchedOff(t *testing.T) {
	for _, f := range faults {
		if f.want&^AllChecks != 0 || f.want == 0 {
			continue
		}
		if err := runFaulty(t, f, Options{Checks: NoChecks}); err != nil {
			t.Errorf("%s: %v", f.name, err)
		}
	}
}

func TestAFaultSpoilsOneLaunchOnly(t *testing.T) {
	h := newHarness(t, Options{}, kernelText("sm_80", 1, "", "ld.param.b64 %rd1, [p0];\nst.global.b64 [%rd1], %rd1;"), 0)
	p := h.alloc(8)
	s, err := h.dev.NewStream()
	if err != nil {
		t.Fatal(err)
	}
	block := func(p runtime.Ptr) []byte { return u32s(uint32(p), uint32(p>>32)) }
	start, _ := s.Record()
	for _, at := range []runtime.Ptr{p + 8, p} {
		if err := h.fn.Launch(s, [3]int{1, 1, 1}, [3]int{1, 1, 1}, block(at)); err != nil {
			t.Fatal(err)
		}
	}
	end, _ := s.Record()
	wantFault(t, s.Wait(), CheckBounds)
	if err := s.Wait(); err != nil {
		t.Errorf("the fault is reported twice: %v", err)
	}
	if ms, err := end.Since(start); err != nil || ms < 0 {
		t.Errorf("Since is %v, %v", ms, err)
	}
	if got := asU32(h.download(p, 8)); got[0] != uint32(p) {
		t.Errorf("the second launch wrote %#x", got)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := h.fn.Launch(s, [3]int{1, 1, 1}, [3]int{1, 1, 1}, block(p)); err == nil {
		t.Error("a closed stream takes launches")
	}
}

func TestCancelAndProgress(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	calls := 0
	h := newHarness(t, Options{Workers: 2, Context: ctx}, kernelText("sm_80", 0, "", ""), 0)
	h.dev.OnProgress(func(kernel string, done, total int) {
		if calls++; kernel != "k" || total != 1000 || done < 1 {
			t.Errorf("progress %s %d of %d", kernel, done, total)
		}
		if done >= 10 {
			cancel()
		}
	})
	f := wantFault(t, h.launch(1000, 32), CheckCancel)
	if f.Unwrap() != context.Canceled {
		t.Errorf("the cause is %v", f.Unwrap())
	}
	if calls > 20 {
		t.Errorf("%d blocks ran after the cancellation", calls)
	}
}

func TestCancelStopsALongBlock(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	h := newHarness(t, Options{Context: ctx}, kernelText("sm_80", 0, "", "L:\nbra L;"), 0)
	s, _ := h.dev.NewStream()
	if err := h.fn.Launch(s, [3]int{1, 1, 1}, [3]int{32, 1, 1}, nil); err != nil {
		t.Fatal(err)
	}
	cancel()
	wantFault(t, s.Wait(), CheckCancel)
}

func TestLaunchRefuses(t *testing.T) {
	text := kernelText("sm_80", 1, externShared, "")
	text = strings.Replace(text, ")\n{", ")\n.maxntid 64, 2\n.minnctapersm 1\n{", 1)
	h := newHarness(t, Options{Capability: [2]int{8, 0}}, text, 0)
	one := [3]int{1, 1, 1}
	for _, c := range []struct {
		grid, block [3]int
		params      int
		want        string
	}{
		{[3]int{0, 1, 1}, one, 8, "grid"},
		{[3]int{1, 70000, 1}, one, 8, "grid"},
		{[3]int{1 << 30, 60000, 1}, one, 8, "too many blocks"},
		{one, [3]int{1, 1, 65}, 8, "block"},
		{one, [3]int{1024, 2, 1}, 8, "at most 1024"},
		{one, [3]int{129, 1, 1}, 8, ".maxntid allows 128"},
		{one, one, 4, "4 bytes of parameters, the kernel has 8"},
	} {
		err := h.fn.Launch(nil, c.grid, c.block, make([]byte, c.params))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("grid %v, block %v: %v, want %q", c.grid, c.block, err, c.want)
		}
	}
	m, err := h.dev.LoadModule(text)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Function("k", 200<<10); err == nil {
		t.Error("200 KiB of shared memory are granted on sm_80")
	}
	if _, err := m.Function("missing", 0); err == nil || !strings.Contains(err.Error(), "it has k") {
		t.Errorf("missing kernel: %v", err)
	}
	if _, err := h.dev.LoadModule(strings.Replace(text, "sm_80", "sm_90a", 1)); err == nil {
		t.Error("sm_90a code loads on sm_80")
	}
	if err := m.Unload(); err != nil {
		t.Error(err)
	}
}

func TestNoModuleBesideAnError(t *testing.T) {
	for _, body := range []string{"mov.b32 %r1, %r2", "mov.b32 %rd1, %r2;", "setmaxnreg.inc.sync.aligned.u32 20;"} {
		m, err := New(Options{}).LoadModule(kernelText("sm_90a", 0, "", body))
		if err == nil || m != nil {
			t.Errorf("%s: module %v, error %v", body, m, err)
		}
	}
}

func TestSameSeedSameFault(t *testing.T) {
	f := faulty{"", 64, 64, `setp.eq.u32 %p1, %r2, 0; @%p1 st.shared.b32 [%r4], %r1;`, CheckRace, ""}
	for seed := range uint64(3) {
		o := Options{Seed: seed, Shuffle: true, Preempt: true}
		first := fmt.Sprint(runFaulty(t, f, o))
		for range 5 {
			if again := fmt.Sprint(runFaulty(t, f, o)); again != first {
				t.Fatalf("seed %d: %s, then %s", seed, first, again)
			}
		}
	}
}
