package emu

import (
	"fmt"
	"math/bits"
	"testing"
)

// lanes runs a body in one warp and returns %r9 of each lane.
func lanes(t *testing.T, body string) []uint32 {
	t.Helper()
	h := newHarness(t, Options{}, kernelText("sm_90a", 1, "", `
ld.param.b64 %rd1, [p0];
mov.u32 %r1, %laneid;
mul.wide.u32 %rd2, %r1, 4;
add.s64 %rd1, %rd1, %rd2;
`+body+`
st.global.b32 [%rd1], %r9;`), 0)
	out := h.alloc(128)
	h.mustLaunch(1, 32, out)
	return asU32(h.download(out, 128))
}

func TestShuffles(t *testing.T) {
	for _, c := range []struct {
		mode string
		b, c int
		want func(lane int) int
	}{
		{"bfly", 5, 31, func(l int) int { return l ^ 5 }},
		{"idx", 7, 31, func(int) int { return 7 }},
		{"idx", 3, 0x181f, func(l int) int { return l&^7 | 3 }},
		{"down", 4, 31, func(l int) int {
			if l+4 > 31 {
				return l
			}
			return l + 4
		}},
		{"down", 2, 0x1807, func(l int) int {
			if l%8+2 > 7 {
				return l
			}
			return l + 2
		}},
		{"up", 3, 0, func(l int) int {
			if l < 3 {
				return l
			}
			return l - 3
		}},
		{"up", 1, 0x1c00, func(l int) int {
			if l%4 == 0 {
				return l
			}
			return l - 1
		}},
		{"bfly", 16, 15, func(l int) int { // out of range of the clamp in the lower half
			if l^16 > 15 {
				return l
			}
			return l ^ 16
		}},
	} {
		t.Run(fmt.Sprintf("%s/%d/%#x", c.mode, c.b, c.c), func(t *testing.T) {
			for _, body := range []string{
				fmt.Sprintf("mul.lo.u32 %%r2, %%r1, 10;\nshfl.sync.%s.b32 %%r9, %%r2, %d, %d, 0xffffffff;", c.mode, c.b, c.c),
				fmt.Sprintf("mul.lo.u32 %%r2, %%r1, 10;\nmov.f32 %%f1, %%r2;\nmov.u32 %%r3, %d;\nmov.u32 %%r4, %d;\nmov.u32 %%r5, -1;\n"+
					"shfl.sync.%s.b32 %%f2, %%f1, %%r3, %%r4, %%r5;\nmov.b32 %%r9, %%f2;", c.b, c.c, c.mode),
			} {
				if c.mode != "" {
					body = replaceMovU32(body)
				}
				for l, got := range lanes(t, body) {
					if got != uint32(10*c.want(l)) {
						t.Errorf("lane %d got %d, want %d", l, got, 10*c.want(l))
					}
				}
			}
		})
	}
}

// replaceMovU32 writes moves of constants as mov.b32: the table has mov.u32 for special registers alone.
func replaceMovU32(s string) string { return replace(`mov\.u32 (%r[345]), `, "mov.b32 $1, ")(s) }

func TestVotes(t *testing.T) {
	for _, c := range []struct {
		body string
		want func(l int) uint32
	}{
		{"setp.eq.u32 %p1, %r1, 9;\nvote.sync.any.pred %p2, %p1, 0xffffffff;\nselp.b32 %r9, 1, 0, %p2;", func(int) uint32 { return 1 }},
		{"setp.eq.u32 %p1, %r1, 99;\nvote.sync.any.pred %p2, %p1, 0xffffffff;\nselp.b32 %r9, 1, 0, %p2;", func(int) uint32 { return 0 }},
		{"setp.ne.u32 %p1, %r1, 9;\nvote.sync.all.pred %p2, %p1, 0xffffffff;\nselp.b32 %r9, 1, 0, %p2;", func(int) uint32 { return 0 }},
		{"setp.ne.u32 %p1, %r1, 99;\nvote.sync.all.pred %p2, %p1, 0xffffffff;\nselp.b32 %r9, 1, 0, %p2;", func(int) uint32 { return 1 }},
		{"and.b32 %r2, %r1, 1;\nsetp.eq.u32 %p1, %r2, 1;\nvote.sync.ballot.b32 %r9, %p1, 0xffffffff;", func(int) uint32 { return 0xaaaaaaaa }},
	} {
		for l, got := range lanes(t, c.body) {
			if got != c.want(l) {
				t.Errorf("%s: lane %d got %#x, want %#x", c.body, l, got, c.want(l))
			}
		}
	}
}

// TestDivergence: branches, loops with different counts, and nested conditions meet again.
func TestDivergence(t *testing.T) {
	collatz := func(n uint32) (steps uint32) {
		for ; n != 1; steps++ {
			if n%2 == 0 {
				n /= 2
			} else {
				n = 3*n + 1
			}
		}
		return steps
	}
	got := lanes(t, `
add.u32 %r2, %r1, 1;
mov.b32 %r9, 0;
LOOP:
setp.eq.u32 %p1, %r2, 1;
@%p1 bra DONE;
and.b32 %r3, %r2, 1;
setp.eq.u32 %p2, %r3, 0;
@%p2 bra EVEN;
mad.lo.u32 %r2, %r2, 3, 1;
bra NEXT;
EVEN:
shr.u32 %r2, %r2, 1;
NEXT:
add.u32 %r9, %r9, 1;
bra LOOP;
DONE:
vote.sync.ballot.b32 %r4, %p1, 0xffffffff;
bar.sync 0;
popc.b32 %r4, %r4;
mad.lo.u32 %r9, %r4, 1000, %r9;`)
	for l, v := range got {
		if want := collatz(uint32(l+1)) + 32000; v != want {
			t.Errorf("lane %d took %d, want %d", l, v, want)
		}
	}
}

// TestEarlyExit: lanes that leave do not keep the others from meeting.
func TestEarlyExit(t *testing.T) {
	h := newHarness(t, Options{}, kernelText("sm_80", 1, "", `
ld.param.b64 %rd1, [p0];
mov.u32 %r1, %laneid;
mul.wide.u32 %rd2, %r1, 4;
add.s64 %rd1, %rd1, %rd2;
mov.b32 %r9, 0;
setp.lt.u32 %p1, %r1, 20;
@%p1 bra STAY;
setp.lt.u32 %p2, %r1, 30;
@%p2 exit;
st.global.b32 [%rd1], %r1;
ret;
STAY:
setp.lt.u32 %p3, %r1, 10;
@%p3 bra LOW;
add.u32 %r9, %r9, 5;
LOW:
add.u32 %r9, %r9, 1;
vote.sync.ballot.b32 %r4, %p1, 0xfffff;
add.u32 %r9, %r9, %r4;
st.global.b32 [%rd1], %r9;`), 0)
	out := h.upload(make([]byte, 128))
	h.mustLaunch(1, 32, out)
	for l, v := range asU32(h.download(out, 128)) {
		want := uint32(0xfffff + 1)
		switch {
		case l >= 30:
			want = uint32(l)
		case l >= 20:
			want = 0
		case l >= 10:
			want += 5
		}
		if v != want {
			t.Errorf("lane %d has %#x, want %#x", l, v, want)
		}
	}
}

// TestDivergedSync: the two sides of a branch meet in warp synchronisations in different places.
func TestDivergedSync(t *testing.T) {
	got := lanes(t, `
mov.b32 %r9, 7;
setp.lt.u32 %p1, %r1, 13;
@%p1 bra LOW;
bar.warp.sync 0xffffffff;
bra JOIN;
LOW:
add.u32 %r9, %r9, 1;
bar.warp.sync 0xffffffff;
JOIN:
bar.warp.sync 0xffffffff;`)
	for l, v := range got {
		want := uint32(7)
		if l < 13 {
			want = 8
		}
		if v != want {
			t.Errorf("lane %d has %d, want %d", l, v, want)
		}
	}
}

// TestSpinBetweenLanes: one lane waits for another of its warp.
func TestSpinBetweenLanes(t *testing.T) {
	h := newHarness(t, Options{Budget: 1e6}, kernelText("sm_80", 1, "", `
ld.param.b64 %rd1, [p0];
mov.u32 %r1, %laneid;
setp.eq.u32 %p1, %r1, 31;
@%p1 bra SET;
WAIT:
atom.global.add.u32 %r2, [%rd1], 0;
setp.eq.u32 %p2, %r2, 0;
@%p2 bra WAIT;
bra DONE;
SET:
atom.global.add.u32 %r2, [%rd1], 1;
DONE:
bar.warp.sync 0xffffffff;`), 0)
	h.mustLaunch(1, 32, h.upload(u32s(0)))
}

func TestSpecialRegisters(t *testing.T) {
	for name, want := range map[string]func(l int) uint32{
		"%tid.x":       func(l int) uint32 { return uint32(l) },
		"%tid.y":       func(int) uint32 { return 0 },
		"%ntid.x":      func(int) uint32 { return 32 },
		"%nctaid.x":    func(int) uint32 { return 1 },
		"%ctaid.z":     func(int) uint32 { return 0 },
		"%warpid":      func(int) uint32 { return 0 },
		"%lanemask_lt": func(l int) uint32 { return 1<<l - 1 },
		"%lanemask_ge": func(l int) uint32 { return bits.Reverse32(uint32(1<<(32-l) - 1)) },
		"%nsmid":       func(int) uint32 { return 132 },
	} {
		for l, got := range lanes(t, "mov.u32 %r9, "+name+";") {
			if got != want(l) {
				t.Errorf("%s of lane %d is %#x, want %#x", name, l, got, want(l))
			}
		}
	}
}

// TestReduction: a block-wide sum through shuffles and shared memory.
func TestReduction(t *testing.T) {
	body := `
ld.param.b64 %rd1, [p0];
ld.param.b64 %rd2, [p1];
mov.u32 %r1, %tid.x;
mov.u32 %r2, %ctaid.x;
mad.lo.u32 %r3, %r2, 256, %r1;
mul.wide.u32 %rd3, %r3, 4;
add.s64 %rd3, %rd1, %rd3;
ld.global.f32 %f1, [%rd3];
`
	for _, d := range []int{16, 8, 4, 2, 1} {
		body += fmt.Sprintf("shfl.sync.bfly.b32 %%f2, %%f1, %d, 31, -1;\nadd.f32 %%f1, %%f1, %%f2;\n", d)
	}
	body += `
shr.u32 %r4, %r1, 5;
mov.u32 %r5, smem;
mad.lo.u32 %r6, %r4, 4, %r5;
and.b32 %r7, %r1, 31;
setp.eq.u32 %p1, %r7, 0;
@%p1 st.shared.f32 [%r6], %f1;
bar.sync 0;
setp.lt.u32 %p2, %r1, 32;
@!%p2 bra END;
setp.lt.u32 %p3, %r1, 8;
mov.f32 %f3, 0f00000000;
mad.lo.u32 %r8, %r1, 4, %r5;
@%p3 ld.shared.f32 %f3, [%r8];
`
	for _, d := range []int{4, 2, 1} {
		body += fmt.Sprintf("shfl.sync.down.b32 %%f2, %%f3, %d, 31, -1;\nadd.f32 %%f3, %%f3, %%f2;\n", d)
	}
	body += `
mul.wide.u32 %rd4, %r2, 4;
add.s64 %rd4, %rd2, %rd4;
setp.eq.u32 %p4, %r1, 0;
@%p4 st.global.f32 [%rd4], %f3;
END:`
	for seed := range uint64(4) {
		h := newHarness(t, Options{Shuffle: seed > 0, Seed: seed, Preempt: seed > 1}, kernelText("sm_80", 2, externShared, body), 64)
		var in []float32
		for i := range 4 * 256 {
			in = append(in, float32(i%17))
		}
		out := h.alloc(16)
		h.mustLaunch(4, 256, h.upload(f32s(in...)), out)
		for b, got := range asF32(h.download(out, 16)) {
			var want float32
			for _, x := range in[256*b : 256*b+256] {
				want += x
			}
			if got != want {
				t.Errorf("seed %d: block %d sums to %v, want %v", seed, b, got, want)
			}
		}
	}
}
