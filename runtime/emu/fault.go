package emu

import (
	"fmt"
	"strings"

	"github.com/s2attention/s2c/runtime"
)

// Check is one kind of defect that the emulator reports.
type Check uint32

// The checks. Bounds, Align, Divergence, Barrier, Deadlock, Budget, Const and
// Instruction defects always stop a launch; the rest can be switched off.
const (
	CheckUninit   Check = 1 << iota // a byte that nobody wrote is read from memory
	CheckRegister                   // a register is read before it is written
	CheckRace                       // two unordered accesses, one a write
	CheckAsync                      // bytes or registers of an unfinished asynchronous operation are touched
	CheckProxy                      // a missing fence between generic and asynchronous accesses
	CheckOutput                     // a byte of a marked output was never written
	CheckDivide                     // integer division by zero
	CheckBounds
	CheckAlign
	CheckDivergence
	CheckBarrier
	CheckDeadlock
	CheckBudget
	CheckConst
	CheckInstruction
	CheckTensorMap
	CheckCancel
	CheckInternal

	// NoChecks as Options.Checks leaves only those that always stop a launch.
	NoChecks Check = 1 << 31
	// AllChecks is what a zero Options.Checks means.
	AllChecks = CheckUninit | CheckRegister | CheckRace | CheckAsync | CheckProxy | CheckOutput | CheckDivide
)

var checkNames = map[Check]string{
	CheckUninit: "uninitialised read", CheckRegister: "undefined register", CheckRace: "race",
	CheckAsync: "unfinished asynchronous operation", CheckProxy: "missing proxy fence",
	CheckOutput: "unwritten output", CheckDivide: "division by zero", CheckBounds: "out of bounds",
	CheckAlign: "misaligned access", CheckDivergence: "divergence", CheckBarrier: "barrier misuse",
	CheckDeadlock: "deadlock", CheckBudget: "instruction budget exceeded", CheckConst: "write to read-only memory",
	CheckInstruction: "illegal instruction", CheckTensorMap: "bad tensor map", CheckCancel: "cancelled",
	CheckInternal: "internal error",
}

func (c Check) String() string {
	if s := checkNames[c]; s != "" {
		return s
	}
	return fmt.Sprintf("check %#x", uint32(c))
}

// Fault is what a kernel did wrong and where. It is the error of a launch.
type Fault struct {
	Check  Check
	Kernel string
	Line   int    // of the PTX text, from 1; 0 where no one line is at fault
	Text   string // that line
	Block  [3]int // %ctaid
	Thread [3]int // %tid
	Addr   uint64 // of the access, 0 if it is about no address
	Msg    string
	Cause  error // of a cancelled launch
}

func (f *Fault) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "emu: %s: kernel %s", f.Check, f.Kernel)
	if f.Line > 0 {
		fmt.Fprintf(&b, ", PTX line %d `%s`, block %v, thread %v", f.Line, f.Text, f.Block, f.Thread)
	}
	if f.Addr != 0 {
		fmt.Fprintf(&b, ", address %#x", f.Addr)
	}
	fmt.Fprintf(&b, ": %s", f.Msg)
	return b.String()
}

// Unwrap is an ErrFault, or the cause of a cancelled launch.
func (f *Fault) Unwrap() error {
	if f.Cause != nil {
		return f.Cause
	}
	return runtime.ErrFault
}
