package ptx

import (
	"fmt"
	"math"
	"strings"

	"github.com/s2attention/s2c/codegen/ptx/inst"
)

// Reg is a virtual register: PTX has as many as one likes, the assembler
// allocates. The zero Reg is no register.
type Reg struct {
	class inst.Class
	id    int32 // from 1
}

// Registers by class. Mixing them does not compile.
type (
	Pred struct{ Reg } // predicate
	R16  struct{ Reg } // 16 bits
	R32  struct{ Reg } // 32 bits: integers and packed 16-bit pairs
	R64  struct{ Reg } // 64 bits: addresses and long integers
	F32  struct{ Reg } // single precision
)

// Imm is an integer constant, FImm a single-precision one.
type (
	Imm  int64
	FImm float32
)

// Sources that are a register or a constant.
type (
	Src32 interface {
		src32() Arg
		asArg() Arg
	}
	Src64   interface{ src64() Arg }
	SrcF32  interface{ srcF32() Arg }
	SrcPred interface{ srcPred() Arg }
)

func (r R32) src32() Arg    { return r.Reg }
func (i Imm) src32() Arg    { return i }
func (r R64) src64() Arg    { return r.Reg }
func (i Imm) src64() Arg    { return i }
func (r F32) srcF32() Arg   { return r.Reg }
func (i FImm) srcF32() Arg  { return i }
func (r Pred) srcPred() Arg { return r.Reg }
func (i Imm) srcPred() Arg  { return i }

// Arg is one operand of an instruction as printed.
type Arg interface{ arg() string }

// Addr is [Base + Off], a global or generic address.
type Addr struct {
	Base R64
	Off  int
}

// SAddr is [Base + Off] in the shared window.
type SAddr struct {
	Base R32
	Off  int
}

// ParamAddr is [Name + Off] in the parameter space.
type ParamAddr struct {
	Name string
	Off  int
}

type (
	// Sym is the name of a variable.
	Sym string
	// SReg is a special register.
	SReg string
	// Label is a branch target.
	Label string
	// Vec is a vector operand.
	Vec []Arg
)

// Special registers (PTX ISA §10).
const (
	TidX    SReg = "%tid.x"
	CtaidX  SReg = "%ctaid.x"
	NctaidX SReg = "%nctaid.x"
	LaneID  SReg = "%laneid"
)

// At is an address in the shared window.
func (r R32) At(off int) SAddr { return SAddr{r, off} }

// At is a global or generic address.
func (r R64) At(off int) Addr { return Addr{r, off} }

// registers are the classes of registers: how their names begin, and their type.
var registers = [...]struct{ prefix, typ string }{
	inst.ClassPred: {"%p", ".pred"}, inst.ClassB16: {"%h", ".b16"}, inst.ClassB32: {"%r", ".b32"}, inst.ClassB64: {"%rd", ".b64"},
	inst.ClassF32: {"%f", ".f32"},
}

func (r Reg) arg() string       { return fmt.Sprintf("%s%d", registers[r.class].prefix, r.id) }
func (i Imm) arg() string       { return fmt.Sprintf("%d", int64(i)) }
func (i FImm) arg() string      { return fmt.Sprintf("0f%08X", math.Float32bits(float32(i))) }
func (a Addr) arg() string      { return bracket(a.Base.arg(), a.Off) }
func (a SAddr) arg() string     { return bracket(a.Base.arg(), a.Off) }
func (a ParamAddr) arg() string { return bracket(a.Name, a.Off) }
func (s Sym) arg() string       { return string(s) }
func (s SReg) arg() string      { return string(s) }
func (l Label) arg() string     { return string(l) }
func (v Vec) arg() string       { return "{" + strings.Join(texts(v), ", ") + "}" }

// texts are operands as printed.
func texts(args []Arg) []string {
	t := make([]string, len(args))
	for i, a := range args {
		t[i] = a.arg()
	}
	return t
}

func bracket(base string, off int) string {
	if off == 0 {
		return "[" + base + "]"
	}
	return fmt.Sprintf("[%s+%d]", base, off)
}

// VecOf makes a vector operand of typed registers, or of sources.
func VecOf[T interface{ asArg() Arg }](rs []T) Vec {
	v := make(Vec, len(rs))
	for i, r := range rs {
		v[i] = r.asArg()
	}
	return v
}

func (r Reg) asArg() Arg { return r }
func (i Imm) asArg() Arg { return i }
