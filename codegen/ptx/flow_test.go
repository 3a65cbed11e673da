package ptx_test

import (
	"strings"
	"testing"

	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/internal/ptxtest"
)

// Each form of control flow, written in PTX and in Go: lanes with all inputs from 0
// on go through it side by side.
var flows = []struct {
	name string
	emit func(b *ptxtest.Builder, x, y ptx.R32)
	want func(x int32) int32
}{
	{"when", func(b *ptxtest.Builder, x, y ptx.R32) {
		b.When(b.SetpGtS32(x, ptx.Imm(5)), "low", func() { b.AddS32To(y, y, x) })
	}, func(x int32) int32 {
		if x > 5 {
			return x
		}
		return 0
	}},
	{"unless", func(b *ptxtest.Builder, x, y ptx.R32) {
		b.Unless(b.SetpGtS32(x, ptx.Imm(5)), "high", func() { b.AddS32To(y, y, x) })
	}, func(x int32) int32 {
		if x > 5 {
			return 0
		}
		return x
	}},
	{"choose", func(b *ptxtest.Builder, x, y ptx.R32) {
		b.Choose(b.SetpLtS32(x, ptx.Imm(9)), "low", func() { b.MovB32To(y, ptx.Imm(1)) }, func() { b.MovB32To(y, ptx.Imm(2)) })
	}, func(x int32) int32 {
		if x < 9 {
			return 1
		}
		return 2
	}},
	{"repeat", func(b *ptxtest.Builder, x, y ptx.R32) { // until done, at least once
		b.Repeat("halve", func() ptx.Pred {
			b.AddS32To(y, y, ptx.Imm(1))
			b.MovB32To(x, b.ShrU32(x, ptx.Imm(1)))
			return b.SetpEqS32(x, ptx.Imm(0))
		})
	}, func(x int32) (n int32) {
		for {
			n, x = n+1, x/2
			if x == 0 {
				return n
			}
		}
	}},
	{"again", func(b *ptxtest.Builder, x, y ptx.R32) {
		b.Again("add", func() ptx.Pred {
			b.AddS32To(y, y, x)
			b.SubS32To(x, x, ptx.Imm(3))
			return b.SetpGtS32(x, ptx.Imm(0))
		})
	}, func(x int32) (y int32) {
		for {
			y, x = y+x, x-3
			if x <= 0 {
				return y
			}
		}
	}},
	{"endless", func(b *ptxtest.Builder, x, y ptx.R32) {
		b.Endless("count", "counted", func(end ptx.Point) {
			end.If(b.SetpGeS32(y, x))
			b.AddS32To(y, y, ptx.Imm(4))
		})
	}, func(x int32) (y int32) {
		for ; y < x; y += 4 {
		}
		return y
	}},
	{"block and loop", func(b *ptxtest.Builder, x, y ptx.R32) {
		b.Block("done", func(done ptx.Point) {
			b.Loop("head", func(head ptx.Point) {
				b.AddS32To(y, y, ptx.Imm(1))
				done.Unless(b.SetpLtS32(y, x))
				head.Unless(b.SetpEqS32(y, ptx.Imm(7)))
			})
			b.AddS32To(y, y, ptx.Imm(100))
		})
	}, func(x int32) int32 {
		for y := int32(1); ; y++ {
			if y >= x {
				return y
			}
			if y == 7 {
				return 107
			}
		}
	}},
	{"cold", func(b *ptxtest.Builder, x, y ptx.R32) {
		b.Cold(b.SetpGtS32(x, ptx.Imm(20)), "rare", func() {
			b.AddS32To(y, y, ptx.Imm(1000))
			b.Cold(b.SetpGtS32(x, ptx.Imm(28)), "rarer", func() { b.AddS32To(y, y, ptx.Imm(10000)) })
		})
		b.AddS32To(y, y, x)
	}, func(x int32) int32 {
		switch {
		case x > 28:
			return x + 11000
		case x > 20:
			return x + 1000
		}
		return x
	}},
}

func TestFlow(t *testing.T) {
	for _, f := range flows {
		t.Run(f.name, func(t *testing.T) {
			kernel := ptxtest.Load(t, ptxtest.Shape{Params: []ptx.Param{ptxtest.U64("out")}}, func(b *ptxtest.Builder) {
				x, y := b.MovB32(b.Index), b.Const32(0)
				f.emit(b, x, y)
				b.StGlobalB32(b.Word("out", b.Index).At(0), y)
			})
			out := make([]int32, 32)
			kernel.Launch(t, 1, ptxtest.Out(out))
			for x, got := range out {
				if want := f.want(int32(x)); got != want {
					t.Errorf("%d gives %d, not %d", x, got, want)
				}
			}
		})
	}
}

// TestCold holds that a cold body stands behind the kernel's end, and that the text
// has no label that nothing branches to.
func TestCold(t *testing.T) {
	text := ptxtest.Text(t, ptxtest.Shape{}, func(b *ptxtest.Builder) {
		b.Loop("never", func(ptx.Point) {})
		b.Cold(b.SetpEqS32(b.Index, ptx.Imm(0)), "rare", func() { b.MovB32(ptx.Imm(77)) })
	})
	if end, cold := strings.Index(text, "\tret;"), strings.Index(text, "77;"); end < 0 || cold < end {
		t.Errorf("the cold body is not behind the end:\n%s", text)
	}
	if strings.Contains(text, "never") {
		t.Errorf("nothing branches to a label that is there:\n%s", text)
	}
}
