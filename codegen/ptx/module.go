// Package ptx builds, verifies and prints PTX modules. Instructions are
// structs until the printer; what each may take is said by the table in
// codegen/ptx/inst.
package ptx

import (
	"fmt"

	"github.com/s2attention/s2c/codegen/ptx/inst"
	"github.com/s2attention/s2c/target"
)

// Module is one PTX file.
type Module struct {
	Target  target.Target
	Header  []string
	Globals []Global
	Entries []*Entry
}

// Version is the lowest .version that the module's instructions and target need.
func (m *Module) Version() target.Version {
	v := m.Target.PTX()
	for _, e := range m.Entries {
		for _, s := range e.Body {
			if in, ok := s.(*Inst); ok && in.Form.PTX > v {
				v = in.Form.PTX
			}
		}
	}
	return v
}

// Global is an initialised module variable of 32-bit words.
type Global struct {
	Name  string
	Align int
	Words []int32
}

// Param is a kernel parameter: Bytes 4, 8, or a blob with its own alignment.
type Param struct {
	Name  string
	Type  string // "u32", "u64", "s64", "f32"; "b8" for a blob
	Bytes int
	Align int
}

// Entry is a kernel.
type Entry struct {
	Name    string
	Params  []Param
	Threads int    // .reqntid or .maxntid
	MinCTAs int    // .minnctapersm, 0 for none
	Shared  string // name of the dynamic shared array, "" for none
	Body    []Stmt

	regs [len(registers)]int32 // by class
}

// Stmt is a line of a kernel's body, as printed.
type Stmt interface{ line() string }

// Inst is one instruction.
type Inst struct {
	Form  *inst.Form
	Guard Reg // predicate register, or none
	Not   bool
	Args  []Arg
	pcs   callers // where in the emitter it was made
}

// Pos is where in the emitter the instruction was made.
func (in *Inst) Pos() string { return in.pcs.place() }

// LabelStmt marks a branch target.
type LabelStmt struct{ Name Label }

// Comment is a line of its own.
type Comment struct{ Text string }

// Pragma is a .pragma directive, such as "nounroll".
type Pragma struct{ Text string }

func (in *Inst) line() string    { return "\t" + in.String() }
func (l LabelStmt) line() string { return string(l.Name) + ":" }
func (c Comment) line() string   { return "\t// " + c.Text }
func (p Pragma) line() string    { return fmt.Sprintf("\t.pragma %q;", p.Text) }
