// Package inst is the table of PTX instructions that s2c knows. One row is one
// full opcode; the rows drive the builder's methods, the printer, the verifier,
// the emulator's dispatch and the reference in docs/instructions.md.
package inst

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/s2attention/s2c/target"
)

// Class is what an operand may be.
type Class uint8

const (
	ClassPred  Class = iota // .pred register
	ClassB16                // 16-bit register
	ClassB32                // 32-bit register without a float type
	ClassB64                // 64-bit register
	ClassF32                // .f32 register
	ClassAddr               // [64-bit register + offset], a generic, global or parameter address
	ClassSAddr              // [32-bit register + offset] in the shared window
	ClassParam              // [parameter + offset]
	ClassSym                // the name of a module or parameter variable
	ClassSReg               // a special register such as %tid.x
	ClassImm                // an integer constant
	ClassLabel              // a branch target
)

var classNames = map[string]Class{
	"p": ClassPred, "b16": ClassB16, "b32": ClassB32, "b64": ClassB64, "f32": ClassF32,
	"addr": ClassAddr, "saddr": ClassSAddr, "param": ClassParam, "sym": ClassSym,
	"sreg": ClassSReg, "imm": ClassImm, "label": ClassLabel,
}

// Bytes is the width of a register class, 0 for the others.
func (c Class) Bytes() int { return classBytes[c] }

var classBytes = map[Class]int{ClassB16: 2, ClassB32: 4, ClassF32: 4, ClassB64: 8}

// Operand is one operand of a form.
type Operand struct {
	Name  string
	Class Class
	Count int  // 1, or the number of registers of a vector operand {…}
	Vec   bool // printed in braces even when Count is 1
	Read  bool
	Write bool
	Imm   bool // an integer or float constant may stand for the register
}

// Effects are what an instruction does beyond its registers.
type Effects uint16

const (
	ReadsMemory Effects = 1 << iota
	WritesMemory
	Barrier   // waits for other threads
	Async     // completes later, by a group or an mbarrier
	Aligned   // all threads of the warp execute it together
	Warpgroup // all threads of the warpgroup execute it together
	Branches
	Ends // no fall-through
)

// Form is one row of the table.
type Form struct {
	ID       int    // index in Forms
	Name     string // unique: the opcode, and "#variant" where it has several shapes
	Opcode   string // as written in PTX
	Kind     Kind   // what it does; the emulator dispatches on it
	Type     Type   // type of the operation
	From     Type   // source type of a conversion; A/B type of a matrix instruction
	Space    Space
	Cmp      Cmp
	Ftz      bool
	Trans    bool    // ldmatrix, stmatrix
	Vec      int     // registers moved by ld, st, ldmatrix; tensor rank of a TMA copy
	Shape    [3]int  // m, n, k of a matrix instruction
	Effects  Effects //
	Operands []Operand
	PTX      target.Version // lowest .version
	Targets  target.Set     // that have the instruction
	Section  string         // of the PTX ISA 9.0
}

// Type is the type of an operation.
type Type uint8

const (
	NoType Type = iota
	TPred
	B16
	B32
	B64
	U16
	U32
	U64
	S32
	S64
	F16
	BF16
	F32
	F16x2
	BF16x2
)

var typeNames = map[string]Type{
	"pred": TPred, "b16": B16, "b32": B32, "b64": B64, "u16": U16, "u32": U32, "u64": U64,
	"s32": S32, "s64": S64, "f16": F16, "bf16": BF16, "f32": F32, "f16x2": F16x2, "bf16x2": BF16x2,
}

// Space is a state space.
type Space uint8

const (
	NoSpace Space = iota
	Global
	Shared
	Param
)

var spaceNames = map[string]Space{"global": Global, "shared": Shared, "param": Param}

// Cmp is a comparison.
type Cmp uint8

const (
	NoCmp Cmp = iota
	EQ
	NE
	LT
	LE
	GT
	GE
)

// Lookup finds a row by its name, nil if there is none.
func Lookup(name string) *Form { return byName[name] }

// Candidates lists the rows that one opcode may stand for; the operands decide.
func Candidates(opcode string) []*Form { return byOpcode[opcode] }

var byName, byOpcode = func() (map[string]*Form, map[string][]*Form) {
	names, opcodes := map[string]*Form{}, map[string][]*Form{}
	for i := range Forms {
		f := &Forms[i]
		if names[f.Name] != nil {
			panic("inst: two rows for " + f.Name)
		}
		f.ID, names[f.Name] = i, f
		opcodes[f.Opcode] = append(opcodes[f.Opcode], f)
	}
	return names, opcodes
}()

// parseOperands reads the table's operand notation: a comma-separated list of
// [=|+]name:class[*count][/i]; "=" marks a result, "+" one that is also read,
// "*n" a vector in braces, "/i" that a constant may stand in.
func parseOperands(sig string) (ops []Operand) {
	for field := range strings.FieldsFuncSeq(sig, func(r rune) bool { return r == ',' }) {
		field, imm := strings.CutSuffix(strings.TrimSpace(field), "/i")
		name, class, _ := strings.Cut(strings.TrimLeft(field, "=+"), ":")
		class, number, vec := strings.Cut(class, "*")
		count, err := strconv.Atoi(cmp.Or(number, "1"))
		c, known := classNames[class]
		if !known || err != nil {
			panic("inst: " + field + " is no operand, in " + sig)
		}
		ops = append(ops, Operand{
			Name: name, Class: c, Count: count, Vec: vec, Imm: imm, Read: field[0] != '=', Write: strings.ContainsRune("=+", rune(field[0])),
		})
	}
	return ops
}

// WarpSize is the number of lanes of a warp.
const WarpSize = 32
