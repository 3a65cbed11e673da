package emu

import (
	"github.com/s2attention/s2c/codegen/ptx/inst"
	"github.com/s2attention/s2c/target"
)

// The syntax tree of a PTX module.

type source struct {
	version target.Version
	target  target.Target
	vars    []*variable
	kernels []*kernelSource
	lines   []string
}

// variable is a module or kernel variable outside registers and parameters.
type variable struct {
	name   string
	space  string // "global", "const", "shared"
	extern bool
	align  int64
	size   int64 // bytes, 0 for an extern array
	init   []byte
	line   int32
}

// paramDecl is one kernel parameter at its offset in the parameter block.
type paramDecl struct {
	name   string
	offset int64
	size   int64
	align  int64
}

type kernelSource struct {
	name       string
	line       int32
	params     []paramDecl
	paramBytes int64
	vars       []*variable
	regs       []register
	body       []statement
	labels     map[string]int // index into body of the next statement
	maxntid    [3]int
	reqntid    [3]int
	minnctapsm int
	maxnreg    int
}

// register is a virtual register that the text mentions.
type register struct {
	name  string
	class inst.Class
	typ   string // as declared: "b32", "f32"
}

type statement struct {
	line   int32
	guard  int // index of the guard predicate, -1 without one
	negate bool
	opcode string
	ops    []operand
}

type operandKind uint8

const (
	opReg operandKind = iota
	opImm
	opName // variable, parameter, label or special register
	opAddr
	opVec
	opSink // "_"
)

// operand is one operand as written.
type operand struct {
	kind  operandKind
	reg   int       // opReg, and the base of opAddr (-1 without one)
	name  string    // opName, and the base of opAddr
	imm   uint64    // opImm: two's complement, or the bits of a float
	width int       // opImm: 32 or 64 for a float constant in hexadecimal, 1 for a decimal one, else 0
	off   int64     // opAddr
	list  []operand // opVec; the coordinates of opAddr, which are an operand of their own
}
