package ptxtest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/internal/ptxtest"
	"github.com/s2attention/s2c/target"
)

// recorder is a test that stops at what it reports.
type recorder struct{}

type report string

func (recorder) Helper()                           {}
func (recorder) Fatalf(format string, args ...any) { panic(report(fmt.Sprintf(format, args...))) }

// reported is what run reports, "" for nothing.
func reported(run func(t ptxtest.TB)) (what string) {
	defer func() {
		if r, ok := recover().(report); ok {
			what = string(r)
		}
	}()
	run(recorder{})
	return ""
}

// add is out = a·scale + b + shift over arrays of a word a thread, by way of shared
// memory where it has any.
func add(b *ptxtest.Builder) {
	word := func(array string) ptx.Addr { return b.Word(array, b.Thread).At(0) }
	sum := b.MadLoS32(b.LdGlobalB32(word("a")), b.LdParamB32(ptx.ParamAddr{Name: "scale"}), b.LdGlobalB32(word("b")))
	at := b.AddS32(b.Shared(), b.ShlB32(b.Index, ptx.Imm(2))).At(0)
	b.StSharedB32(at, sum)
	b.StGlobalB32(word("out"), b.AddS32(b.LdSharedB32(at), b.Lane))
}

var addShape = ptxtest.Shape{
	Params: []ptx.Param{ptxtest.U64("a"), ptxtest.U32("scale"), ptxtest.U64("b"), ptxtest.U64("out")}, Warps: 2, Shared: 256,
}

func TestLaunch(t *testing.T) {
	const n = 3 * 64
	a, b, out := make([]int32, n), make([]uint32, n), make([]int32, n)
	for i := range a {
		a[i], b[i] = int32(-i), uint32(1000*i)
	}
	k := ptxtest.Load(t, addShape, add)
	for _, scale := range []int{7, -2} {
		k.Launch(t, 3, ptxtest.In(a), scale, ptxtest.In(b), ptxtest.Out(out))
		for i, got := range out {
			if want := int32(1000*i - scale*i + i%32); got != want {
				t.Fatalf("element %d is %d, want %d", i, got, want)
			}
		}
		if got := k.Executed("mad.lo.s32"); got != 2*3*2 { // one makes the thread's number
			t.Errorf("%d multiplications", got)
		}
	}
}

// TestBuffers: an address before a buffer reaches it, a float is itself, and what a
// kernel leaves alone is as it was.
func TestBuffers(t *testing.T) {
	const far = 1 << 40
	k := ptxtest.Load(t, ptxtest.Shape{Params: []ptx.Param{ptxtest.F32("f"), ptxtest.U64("at"), ptxtest.U64("far")}}, func(b *ptxtest.Builder) {
		first := b.SetpEqS32(b.Lane, ptx.Imm(0))
		at := b.AddS64(b.Word("at", b.Lane), b.LdParamB64(ptx.ParamAddr{Name: "far"}))
		b.If(first).StGlobalF32(at.At(4), b.LdParamF32(ptx.ParamAddr{Name: "f"}))
	})
	data := []float32{1, 2, 3}
	k.Launch(t, 1, float32(0.5), ptxtest.InOut(data).Before(far), uint64(far))
	if data[0] != 1 || data[1] != 0.5 || data[2] != 3 {
		t.Errorf("%v", data)
	}
}

func TestReports(t *testing.T) {
	words := func(n int) ptxtest.Buffer { return ptxtest.In(make([]int32, n)) }
	launch := func(body func(b *ptxtest.Builder), args ...any) func(ptxtest.TB) {
		return func(t ptxtest.TB) { ptxtest.Load(t, addShape, body).Launch(t, 1, args...) }
	}
	out := func() ptxtest.Buffer { return ptxtest.Out(make([]int32, 64)) }
	for _, c := range []struct {
		name, want string
		run        func(t ptxtest.TB)
	}{
		{"nothing", "", launch(add, words(64), 1, words(64), out())},
		{"a kernel that does not verify", "which may be unwritten", launch(func(b *ptxtest.Builder) { b.AddS32(b.NewR32(), ptx.Imm(1)) })},
		{"an instruction that the target lacks", "not available on sm_80", launch(func(b *ptxtest.Builder) { b.FenceProxyAsyncSharedCta() })},
		{"a read outside of a buffer", "out of bounds", launch(add, words(63), 1, words(64), out())},
		{"a buffer that the kernel may not read yet", "uninitialised", launch(add, out(), 1, words(64), out())},
		{"an output with a gap", "unwritten output", launch(add, words(64), 1, words(64), ptxtest.Out(make([]int32, 65)))},
		{"a loop without an end", "budget", launch(func(b *ptxtest.Builder) {
			loop := b.NewLabel("loop")
			b.Place(loop)
			b.If(b.SetpGeS32(b.Lane, ptx.Imm(0))).Bra(loop)
		}, words(1), 1, words(1), words(1))},
		{"too few arguments", "3 arguments for 4 parameters", launch(add, words(64), 1, words(64))},
		{"an argument of another type", "parameter scale: an argument of type string", launch(add, words(64), "1", words(64), out())},
		{"an empty buffer", "parameter b: a buffer of []int32 without a byte", launch(add, words(64), 1, words(0), out())},
		{"a buffer of numbers without a size", "parameter b: a buffer of []int without a byte", launch(add, words(64), 1, ptxtest.In([]int{1}), out())},
	} {
		if got := reported(c.run); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	hopper := addShape
	hopper.Target = target.SM90a
	if got := reported(func(t ptxtest.TB) {
		ptxtest.Load(t, hopper, func(b *ptxtest.Builder) { b.FenceProxyAsyncSharedCta() })
	}); got != "" {
		t.Errorf("sm_90a: %s", got)
	}
}
