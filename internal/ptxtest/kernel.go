// Package ptxtest runs small kernels in the emulator: tests of what emits PTX see
// what a few emitted instructions do, without a kernel around them.
package ptxtest

import (
	"fmt"

	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/runtime"
	"github.com/s2attention/s2c/runtime/emu"
	"github.com/s2attention/s2c/target"
)

// TB is what a test must be able to do; testing.T and rapid.T are.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
}

// Shape is what a kernel is beside its instructions. Its target is sm_80 where
// it needs no other.
type Shape struct {
	Params  []ptx.Param
	Warps   int // of a thread block; 0 is one
	Shared  int // bytes of dynamic shared memory
	Globals []ptx.Global
	Target  target.Target
}

// Builder is a builder that knows the thread and the kernel's arrays.
type Builder struct {
	*ptx.Builder
	Thread     ptx.R32 // number in the grid
	Index      ptx.R32 // number in the thread block
	Lane       ptx.R32 // number in the warp
	BlockIndex ptx.R32 // number of the thread block
}

const (
	entry = "small"
	smem  = "smem"
	warp  = 32

	// budget is the instructions of a warp after which it surely hangs.
	budget = 1 << 22
)

// Kernel is a small kernel, loaded.
type Kernel struct {
	dev    *emu.Device
	fn     runtime.Function
	params []ptx.Param
	block  int
}

// Load makes a kernel of what body emits, up to its end, and loads its text. All
// checks of the emulator are on, and warps and asynchronous copies are in no order.
func Load(t TB, s Shape, body func(b *Builder)) *Kernel {
	t.Helper()
	k := &Kernel{params: s.Params, block: s.threads()}
	text := Text(t, s, body)
	var err error
	k.dev = emu.New(emu.Options{Workers: 1, Shuffle: true, Preempt: true, Budget: budget})
	m, err := k.dev.LoadModule(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if k.fn, err = m.Function(entry, s.Shared); err != nil {
		t.Fatalf("%v", err)
	}
	return k
}

// Text is the verified module of a kernel.
func Text(t TB, s Shape, body func(b *Builder)) string {
	t.Helper()
	text, err := s.text(body)
	if err != nil {
		t.Fatalf("a kernel that is not right: %v", err)
	}
	return text
}

func (s Shape) threads() int { return warp * max(s.Warps, 1) }

func (s Shape) text(body func(b *Builder)) (string, error) {
	if s.Target == (target.Target{}) {
		s.Target = target.SM80
	}
	e := &ptx.Entry{Name: entry, Params: s.Params, Threads: s.threads()}
	if s.Shared > 0 {
		e.Shared = smem
	}
	b := &Builder{Builder: ptx.NewBuilder(e)}
	b.Index, b.BlockIndex = b.MovU32Sreg(ptx.TidX), b.MovU32Sreg(ptx.CtaidX)
	b.Lane = b.AndB32(b.Index, ptx.Imm(warp-1))
	b.Thread = b.MadLoS32(b.BlockIndex, ptx.Imm(s.threads()), b.Index)
	body(b)
	b.Ret()
	if err := b.Finish(); err != nil {
		return "", err
	}
	m := &ptx.Module{Target: s.Target, Globals: s.Globals, Entries: []*ptx.Entry{e}}
	return m.String(), ptx.VerifyModule(m)
}

// Shared is the address of dynamic shared memory.
func (b *Builder) Shared() ptx.R32 { return b.MovU32Sym(smem) }

// Word is the address of a 32-bit word of the array that a parameter names.
func (b *Builder) Word(array string, index ptx.R32) ptx.R64 {
	base := b.CvtaToGlobalU64(b.LdParamB64(ptx.ParamAddr{Name: array}))
	return b.MadWideU32(index, ptx.Imm(4), base)
}

// Flag is 1 where p holds, else 0.
func (b *Builder) Flag(p ptx.Pred) ptx.R32 { return b.SelpB32(ptx.Imm(1), ptx.Imm(0), p) }

// Launch runs so many thread blocks with an argument for each parameter. Buffers
// hold afterwards what the kernel has left there.
func (k *Kernel) Launch(t TB, blocks int, args ...any) {
	t.Helper()
	if err := k.launch(blocks, args); err != nil {
		t.Fatalf("%v", err)
	}
}

func (k *Kernel) launch(blocks int, args []any) error {
	if len(args) != len(k.params) {
		return fmt.Errorf("ptxtest: %d arguments for %d parameters", len(args), len(k.params))
	}
	p, err := k.place(args)
	if err != nil {
		return err
	}
	if err := k.fn.Launch(nil, [3]int{blocks, 1, 1}, [3]int{k.block, 1, 1}, p.block); err != nil {
		return err
	}
	if err := k.dev.CheckOutputs(); err != nil {
		return err
	}
	return p.collect(k.dev)
}

// Executed is how many warps have executed an instruction of the table in the
// latest launch.
func (k *Kernel) Executed(form string) int64 { return k.dev.LastLaunch().Forms[form] }
