package kernel_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/codegen/ptx/kernel"
	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/ir/layout"
	"github.com/s2attention/s2c/launch"
	"github.com/s2attention/s2c/target"
)

// TestLaunch: a launch is what the layout says, and the entry is declared as it is
// launched.
func TestLaunch(t *testing.T) {
	k := tiles(plain(16, 2, 1), make([]ir.Pattern, 3)...)
	k.Entry = "s2c_x"
	k.Memory.Add("q", 4096)
	params := []launch.Param{{Name: "a", Type: launch.U32}, {Name: "b", Type: launch.Float32}, {Name: "c", Type: launch.S64}, {Name: "d", Type: launch.Blob}}
	l := kernel.Launch(k, 96, 2, params)
	want := launch.Kernel{Entry: "s2c_x", SharedBytes: 4096, BlockThreads: 96, Params: params,
		Grid: launch.GridRule{Over: launch.QueryTiles, Positions: 32, HeadTiles: 3, Persistent: 2}}
	if !reflect.DeepEqual(l, want) {
		t.Errorf("launch %+v, want %+v", l, want)
	}
	e := kernel.Entry(l, 3)
	if !reflect.DeepEqual(e, &ptx.Entry{Name: "s2c_x", Threads: 96, MinCTAs: 3, Shared: "smem_s2c_x", Params: []ptx.Param{
		{Name: "a", Type: "u32", Bytes: 4, Align: 4}, {Name: "b", Type: "f32", Bytes: 4, Align: 4},
		{Name: "c", Type: "s64", Bytes: 8, Align: 8}, {Name: "d", Type: "b8", Bytes: 128, Align: 64},
	}}) {
		t.Errorf("entry %+v", e)
	}
}

// TestModule: a module holds the entry and its pattern; a kernel that is not right
// is reported with its family.
func TestModule(t *testing.T) {
	k := &layout.Kernel{Entry: "s2c_x", Family: "sm80", Target: target.SM80}
	build := func(body func(b *ptx.Builder)) (*ptx.Module, error) {
		b := ptx.NewBuilder(&ptx.Entry{Name: k.Entry, Threads: 32})
		body(b)
		b.Ret()
		return kernel.Module(k, b, &kernel.Pattern{Words: []int32{4, 5}})
	}
	m, err := build(func(b *ptx.Builder) { b.MovU64Sym(kernel.PatternSym(k)) })
	if err != nil {
		t.Fatal(err)
	}
	if want := []ptx.Global{{Name: "s2c_x_pattern", Align: 16, Words: []int32{4, 5}}}; !reflect.DeepEqual(m.Globals, want) || m.Target != k.Target || len(m.Entries) != 1 {
		t.Errorf("module %+v", m)
	}
	if _, err := build(func(b *ptx.Builder) { b.AddS32(b.NewR32(), ptx.Imm(1)) }); err == nil || !strings.HasPrefix(err.Error(), "sm80: module_test.go:") {
		t.Errorf("a register without a value: %v", err)
	}
	if _, err := build(func(b *ptx.Builder) { b.FenceProxyAsyncSharedCta() }); err == nil || !strings.Contains(err.Error(), "not available on sm_80") {
		t.Errorf("an instruction that the target lacks: %v", err)
	}
}
