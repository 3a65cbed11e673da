package emu

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Random programs of loads, stores, warp barriers and block barriers are checked
// against a plain happens-before oracle: the emulator must report a race exactly
// where there is one, in every interleaving.

// memOp is one step of a warp in a program of the race test.
type memOp struct {
	kind  int // 0 load, 1 store, 2 bar.warp.sync, 3 matrix load, 4 named barrier
	width int // bytes a lane
	lane  int // the one lane that executes, -1 for all
	at    int // byte offset
	step  int // bytes from lane to lane
}

const raceBytes = 256

func genOp(t *rapid.T) memOp {
	width := rapid.SampledFrom([]int{2, 4, 4, 8, 16, 16}).Draw(t, "width")
	op := memOp{
		kind:  rapid.SampledFrom([]int{0, 0, 0, 1, 1, 1, 2, 3}).Draw(t, "kind"),
		width: width,
		lane:  rapid.SampledFrom([]int{0, 1, 2, 3, -1}).Draw(t, "lane"),
	}
	if op.kind == 3 {
		op.width, op.lane = 16, -1
	}
	slots := raceBytes / op.width
	if op.lane < 0 {
		op.step = rapid.SampledFrom([]int{0, op.width}).Draw(t, "step")
		if op.kind == 1 {
			op.step = op.width // lanes that write one place race by themselves
		}
		if op.step != 0 { // four lanes take part
			slots -= 3
		}
	}
	op.at = rapid.IntRange(0, slots-1).Draw(t, "slot") * op.width
	return op
}

// raceText is a kernel of one warp a column: phases of operations, a block barrier between them.
func raceText(warps [][][]memOp) string {
	var b strings.Builder
	b.WriteString(`mov.u32 %r1, %tid.x;
and.b32 %r2, %r1, 31;
shr.u32 %r3, %r1, 5;
mov.u32 %r4, smem;
mov.b32 %r10, 1; mov.b32 %r11, 2; mov.b32 %r12, 3; mov.b32 %r13, 4;
mad.lo.u32 %r5, %r1, 16, %r4;
setp.lt.u32 %p1, %r1, 16;
@%p1 st.shared.v4.b32 [%r5], {%r10, %r11, %r12, %r13};
ld.shared.b16 %h2, [%r4+0];
`)
	text := b.String()
	b.Reset()
	b.WriteString(strings.Replace(text, "ld.shared.b16 %h2, [%r4+0];", "bar.sync 0;\nld.shared.b16 %h2, [%r4+0];\nbar.sync 0;", 1))
	for l := range 4 {
		fmt.Fprintf(&b, "setp.eq.u32 %%p%d, %%r2, %d;\n", 10+l, l)
	}
	b.WriteString("setp.lt.u32 %p14, %r2, 4;\n")
	for w, phases := range warps {
		fmt.Fprintf(&b, "setp.eq.u32 %%p2, %%r3, %d;\n@!%%p2 bra W%d;\n", w, w)
		for k, ops := range phases {
			if k > 0 {
				b.WriteString("bar.sync 0;\n")
			}
			for _, op := range ops {
				writeOp(&b, op)
			}
		}
		fmt.Fprintf(&b, "W%d:\n", w)
	}
	return kernelText("sm_80", 0, externShared, b.String())
}

func writeOp(b *strings.Builder, op memOp) {
	guard := "%p14"
	if op.lane >= 0 {
		guard = fmt.Sprintf("%%p%d", 10+op.lane)
	}
	fmt.Fprintf(b, "mad.lo.u32 %%r6, %%r2, %d, %d;\nadd.u32 %%r6, %%r6, %%r4;\n", op.step, op.at)
	ty := map[int]string{2: "b16", 4: "b32", 8: "v2.b32", 16: "v4.b32"}[op.width]
	dst := map[int]string{2: "%h1", 4: "%r20", 8: "{%r20, %r21}", 16: "{%r20, %r21, %r22, %r23}"}[op.width]
	src := map[int]string{2: "%h2", 4: "%r10", 8: "{%r10, %r11}", 16: "{%r10, %r11, %r12, %r13}"}[op.width]
	switch op.kind {
	case 0:
		fmt.Fprintf(b, "@%s ld.shared.%s %s, [%%r6];\n", guard, ty, dst)
	case 1:
		fmt.Fprintf(b, "@%s st.shared.%s [%%r6], %s;\n", guard, ty, src)
	case 2:
		b.WriteString("bar.warp.sync -1;\n")
	case 3: // rows of lanes 0 to 3, twice
		fmt.Fprintf(b, "and.b32 %%r7, %%r2, 3;\nmad.lo.u32 %%r6, %%r7, %d, %d;\nadd.u32 %%r6, %%r6, %%r4;\n", op.step, op.at)
		b.WriteString("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r20}, [%r6];\n")
	}
}

// memEvent is an access of one thread in the oracle.
type memEvent struct {
	warp, lane   int // lane 32: the whole warp at once
	phase, epoch int
	order        int // within the warp
	from, to     int
	write        bool
}

// unordered says whether neither of two events of a program happens before the other.
func unordered(a, b memEvent) bool {
	switch {
	case a.phase != b.phase:
		return false
	case a.warp != b.warp:
		return true
	case a.epoch != b.epoch:
		return false
	case a.lane == b.lane:
		return a.order == b.order && a.lane != 32
	case a.lane == 32: // a matrix load is done when it returns, but it does not order what came before
		return b.order < a.order
	case b.lane == 32:
		return a.order < b.order
	}
	return true
}

func hasRace(warps [][][]memOp) bool {
	var events []memEvent
	for w, phases := range warps {
		epoch, order := 0, 0
		for phase, ops := range phases {
			for _, op := range ops {
				order++
				if op.kind == 2 {
					epoch++
					continue
				}
				for l := range 4 {
					if op.lane >= 0 && op.lane != l {
						continue
					}
					e := memEvent{w, l, phase, epoch, order, op.at + l*op.step, 0, op.kind == 1}
					e.to = e.from + op.width
					if op.kind == 3 {
						e.lane = 32
					}
					events = append(events, e)
				}
			}
		}
	}
	for i, a := range events {
		for _, b := range events[:i] {
			if (a.write || b.write) && a.from < b.to && b.from < a.to && unordered(a, b) {
				return true
			}
		}
	}
	return false
}

func TestRacesAgainstOracle(t *testing.T) {
	races, clean := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		nw := rapid.IntRange(1, 3).Draw(t, "warps")
		np := rapid.IntRange(1, 3).Draw(t, "phases")
		warps := make([][][]memOp, nw)
		for w := range warps {
			for range np {
				warps[w] = append(warps[w], rapid.SliceOfN(rapid.Custom(genOp), 0, 4).Draw(t, "ops"))
			}
		}
		want := hasRace(warps)
		text := raceText(warps)
		for seed := range uint64(3) {
			err := launchText(text, Options{Workers: 1, Seed: seed, Shuffle: seed > 0, Preempt: seed > 1}, 32*nw)
			var f *Fault
			if got := errors.As(err, &f) && f.Check == CheckRace; got != want || err != nil && !got {
				t.Fatalf("race: want %v, got %v\n%s", want, err, numbered(text))
			}
		}
		if want {
			races++
		} else {
			clean++
		}
	})
	t.Logf("%d programs with a race, %d without", races, clean)
	if races < 10 || clean < 10 {
		t.Errorf("%d programs with a race and %d without do not test much", races, clean)
	}
}

// launchText runs kernel k without parameters.
func launchText(text string, o Options, threads int) error {
	dev := New(o)
	m, err := dev.LoadModule(text)
	if err != nil {
		return err
	}
	fn, err := m.Function("k", raceBytes)
	if err != nil {
		return err
	}
	return fn.Launch(nil, [3]int{1, 1, 1}, [3]int{threads, 1, 1}, nil)
}

// TestAsyncCopyWaits: every way to order an asynchronous copy before its readers.
func TestAsyncCopyWaits(t *testing.T) {
	const copyIn = "mul.wide.u32 %rd2, %r1, 16; add.s64 %rd2, %rd1, %rd2; mad.lo.u32 %r6, %r1, 16, %r4;\n" +
		"cp.async.cg.shared.global [%r6], [%rd2], 16, 16;\n"
	for _, f := range []faulty{
		{"own bytes after wait_all", 1, 32, copyIn + "cp.async.wait_all; ld.shared.b32 %r9, [%r6];", 0, ""},
		{"own bytes after wait_group", 1, 32, copyIn + "cp.async.commit_group; cp.async.wait_group 0; ld.shared.b32 %r9, [%r6];", 0, ""},
		{"uncommitted", 1, 32, copyIn + "cp.async.wait_group 0; ld.shared.b32 %r9, [%r6];", CheckAsync, "ld.shared"},
		{"not waited for", 1, 32, copyIn + "cp.async.commit_group; ld.shared.b32 %r9, [%r6];", CheckAsync, "ld.shared"},
		{"an older group", 1, 32, copyIn + "cp.async.commit_group; cp.async.commit_group; cp.async.wait_group 1; ld.shared.b32 %r9, [%r6];", 0, ""},
		{"the last group", 1, 32, copyIn + "cp.async.commit_group; cp.async.wait_group 1; ld.shared.b32 %r9, [%r6];", CheckAsync, ""},
		{"a neighbour's bytes", 1, 32, copyIn + "cp.async.wait_all; xor.b32 %r6, %r6, 16; ld.shared.b32 %r9, [%r6];", CheckRace | CheckAsync, ""},
		{"a neighbour's bytes after a warp barrier", 1, 32, copyIn + "cp.async.wait_all; bar.warp.sync -1; xor.b32 %r6, %r6, 16; ld.shared.b32 %r9, [%r6];", 0, ""},
		{"written while in flight", 1, 32, copyIn + "st.shared.b32 [%r6], %r1; cp.async.wait_all;", CheckAsync, "st.shared"},
		{"read while in flight from elsewhere", 1, 32, "mad.lo.u32 %r6, %r1, 16, %r4; st.shared.b32 [%r6], %r1; ld.shared.b32 %r9, [%r6];" + copyIn + "cp.async.wait_all;", 0, ""},
		{"over a neighbour's unread bytes", 1, 32, "mad.lo.u32 %r6, %r1, 16, %r4; xor.b32 %r6, %r6, 16; st.shared.b32 [%r6], %r1; " + copyIn + "cp.async.wait_all;", CheckRace | CheckAsync, ""},
		{"zero fill", 1, 32, strings.ReplaceAll(copyIn, "16, 16;", "16, 0;") + "cp.async.wait_all; ld.shared.b32 %r9, [%r6]; div.u32 %r9, %r9, %r9;", CheckDivide, ""},
		{"source size beyond the copy", 1, 32, strings.ReplaceAll(copyIn, "16, 16;", "16, 20;") + "cp.async.wait_all;", CheckInstruction, "20"},
		{"diverged groups", 1, 32, copyIn + "setp.lt.u32 %p1, %r2, 9; @%p1 cp.async.commit_group; @%p1 cp.async.wait_group 0; @%p1 ld.shared.b32 %r9, [%r6]; @!%p1 cp.async.wait_all; @!%p1 ld.shared.b32 %r9, [%r6];", 0, ""},
		{"diverged groups, one side without a wait", 1, 32, copyIn + "setp.lt.u32 %p1, %r2, 9; @%p1 cp.async.commit_group; @%p1 cp.async.wait_group 0; ld.shared.b32 %r9, [%r6];", CheckAsync, "thread [9 0 0]"},
	} {
		t.Run(f.name, func(t *testing.T) {
			for seed := range uint64(6) {
				err := runFaulty(t, f, Options{Seed: seed, Shuffle: seed > 0, Preempt: seed > 2})
				if f.want != 0 {
					wantFault(t, err, f.want, f.at)
				} else if err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
			}
		})
	}
}
