package inst_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/codegen/ptx/inst"
	"github.com/s2attention/s2c/internal/ptxas"
	"github.com/s2attention/s2c/target"
)

// targets are those that the table's rows are assembled for.
var targets = []target.Target{target.SM80, target.SM90a}

// TestAssembleForms feeds every row of the table that a target has to the real
// assembler, one kernel a row: once with registers, and once with a constant for
// each operand that takes one.
func TestAssembleForms(t *testing.T) {
	path := ptxas.Find(t)
	for _, on := range targets {
		t.Run(on.String(), func(t *testing.T) {
			t.Parallel()
			m := &ptx.Module{Target: on}
			rows := 0
			for i := range inst.Forms {
				f := &inst.Forms[i]
				if !f.Targets.Has(on) {
					continue
				}
				rows++
				m.Entries = append(m.Entries, kernel(t, f, fmt.Sprintf("form_%d", i), false))
				if takesConstant(f) {
					m.Entries = append(m.Entries, kernel(t, f, fmt.Sprintf("form_%d_constant", i), true))
				}
			}
			if t.Failed() {
				return
			}
			if err := ptx.VerifyModule(m); err != nil {
				t.Fatal(err)
			}
			r, err := ptxas.Run(path, m.String(), on.String(), t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Entries) != len(m.Entries) {
				t.Errorf("%d kernels assembled, want %d", len(r.Entries), len(m.Entries))
			}
			t.Logf("%d rows of the table, .version %s", rows, m.Version())
		})
	}
}

// TestLowestVersion: each row is legal at the .version that the table gives it.
func TestLowestVersion(t *testing.T) {
	path := ptxas.Find(t)
	byVersion := map[target.Version]*ptx.Module{}
	for i := range inst.Forms {
		f := &inst.Forms[i]
		if !f.Targets.Has(target.SM80) {
			continue // sm_90a itself needs 8.0, and no row of it more
		}
		m := byVersion[f.PTX]
		if m == nil {
			m = &ptx.Module{Target: target.SM80}
			byVersion[f.PTX] = m
		}
		m.Entries = append(m.Entries, kernel(t, f, fmt.Sprintf("form_%d", i), false))
	}
	for v, m := range byVersion {
		if m.Version() != v {
			t.Errorf("the rows since %s make a module of version %s", v, m.Version())
		}
		if _, err := ptxas.Run(path, m.String(), "sm_80", t.TempDir()); err != nil {
			t.Errorf(".version %s: %v", v, err)
		}
	}
}

func takesConstant(f *inst.Form) bool {
	for _, o := range f.Operands {
		if o.Imm {
			return true
		}
	}
	return false
}

// kernel is one instruction between the definitions of what it reads and stores
// of what it writes.
func kernel(t *testing.T, f *inst.Form, name string, constants bool) *ptx.Entry {
	t.Helper()
	e := &ptx.Entry{
		Name: name, Threads: 128, MinCTAs: 1, Shared: "smem_" + name,
		Params: []ptx.Param{{Name: name + "_out", Type: "u64", Bytes: 8}, {Name: name + "_map", Type: "b8", Bytes: 128, Align: 64}},
	}
	b := ptx.NewBuilder(e)
	out := b.CvtaToGlobalU64(b.LdParamB64(ptx.ParamAddr{Name: name + "_out"}))
	g := &generator{b: b, f: f, name: name, out: out, constants: constants, end: b.NewLabel("end")}
	var args []ptx.Arg
	for _, o := range f.Operands {
		args = append(args, g.operand(o))
	}
	b.Emit(f.Name, args...)
	b.Place(g.end)
	if f.Effects&inst.Ends != 0 { // what follows is another block
		b.Ret()
	} else {
		g.keep()
		b.Ret()
	}
	if err := b.Finish(); err != nil {
		t.Errorf("%s: %v", f.Name, err)
	}
	return e
}

// generator makes operands and remembers the results.
type generator struct {
	b         *ptx.Builder
	f         *inst.Form
	name      string
	out       ptx.R64
	constants bool
	end       ptx.Label
	results   []any
}

func (g *generator) operand(o inst.Operand) ptx.Arg {
	if !o.Vec {
		return g.one(o)
	}
	var v ptx.Vec
	for range o.Count {
		v = append(v, g.one(o))
	}
	return v
}

// one is a single operand: a constant where one is wanted and may stand there,
// else a register with a value.
func (g *generator) one(o inst.Operand) ptx.Arg {
	b := g.b
	if g.constants && o.Imm {
		if o.Class == inst.ClassF32 {
			return ptx.FImm(2)
		}
		return g.constant(o)
	}
	switch o.Class {
	case inst.ClassPred:
		r := b.MovPred(ptx.Imm(1))
		return g.result(o, r, r.Reg)
	case inst.ClassB16:
		r := b.NewR16()
		b.Emit("ld.global.b16", r.Reg, g.out.At(0))
		return g.result(o, r, r.Reg)
	case inst.ClassB32:
		r := b.MovB32(g.constant(o))
		return g.result(o, r, r.Reg)
	case inst.ClassB64:
		r := b.MovB64(g.out)
		return g.result(o, r, r.Reg)
	case inst.ClassF32:
		r := b.MovF32(ptx.FImm(1))
		return g.result(o, r, r.Reg)
	case inst.ClassAddr:
		if o.Name == "tmap" {
			at := b.MovU64Sym(ptx.Sym(g.name + "_map"))
			if !strings.Contains(g.f.Opcode, ".param.") {
				at = b.CvtaParamU64(at)
			}
			return at.At(0)
		}
		return g.out.At(16)
	case inst.ClassSAddr:
		return b.MovU32Sym(ptx.Sym(b.Entry().Shared)).At(1024)
	case inst.ClassParam:
		return ptx.ParamAddr{Name: g.name + "_out"}
	case inst.ClassSym:
		return ptx.Sym(b.Entry().Shared)
	case inst.ClassSReg:
		return ptx.TidX
	case inst.ClassImm:
		return g.constant(o)
	}
	return g.end // ClassLabel
}

// result notes a register that the instruction writes.
func (g *generator) result(o inst.Operand, typed any, reg ptx.Reg) ptx.Arg {
	if o.Write {
		g.results = append(g.results, typed)
	}
	return reg
}

// constant is a value that the operand may have.
func (g *generator) constant(o inst.Operand) ptx.Imm {
	switch f := g.f; {
	case f.Kind == inst.SetMaxNRegInc || f.Kind == inst.SetMaxNRegDec:
		return 64
	case f.Kind == inst.CpAsync:
		return 16
	case o.Name == "mask":
		return 0xffffffff
	case o.Class == inst.ClassPred:
		return 1
	case (f.Kind == inst.BarSync || f.Kind == inst.BarArrive) && o.Name == "b":
		return 128
	}
	return 1
}

// keep stores the results, so that the assembler cannot leave the instruction out.
func (g *generator) keep() {
	b := g.b
	if g.f.Effects&inst.Async != 0 && g.f.Kind == inst.Wgmma {
		b.WgmmaCommitGroupSyncAligned()
		b.WgmmaWaitGroupSyncAligned(ptx.Imm(0))
	}
	for n, r := range g.results {
		at := g.out.At(8 * n)
		switch r := r.(type) {
		case ptx.Pred:
			b.StGlobalB32(at, b.SelpB32(ptx.Imm(1), ptx.Imm(0), r))
		case ptx.R16:
			b.StGlobalB16(at, r)
		case ptx.R32:
			b.StGlobalB32(at, r)
		case ptx.R64:
			b.StGlobalB64(at, r)
		case ptx.F32:
			b.StGlobalF32(at, r)
		}
	}
}
