package ptx

import (
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"unicode"

	"github.com/s2attention/s2c/codegen/ptx/inst"
)

//go:generate go run ../../internal/gen/builder

// Builder appends instructions to an entry. Its methods are generated from the
// table (zbuilder.go): X returns a new register, XTo writes one that exists. A
// method is there once something calls it: write the call, then go generate.
// Mistakes are collected, with the emitter's position, and returned by Finish.
type Builder struct {
	*state
	guard Reg
	not   bool
}

type state struct {
	entry  *Entry
	labels int
	cold   []Stmt // bodies that stand behind the kernel's end
	errs   []error
}

// NewBuilder starts a kernel.
func NewBuilder(e *Entry) *Builder {
	clear(e.regs[:])
	return &Builder{state: &state{entry: e}}
}

// Finish verifies the kernel and returns what is wrong with it.
func (b *Builder) Finish() error {
	if len(b.errs) > 0 {
		return b.errs[0]
	}
	b.entry.Body, b.cold = append(b.entry.Body, b.cold...), nil
	err := VerifyEntry(b.entry)
	b.dropLabels()
	return err
}

// dropLabels drops labels that nothing branches to: to the assembler each would begin a
// basic block.
func (b *Builder) dropLabels() {
	used := map[Label]bool{}
	for _, s := range b.entry.Body {
		if in, ok := s.(*Inst); ok && in.Form.Effects&inst.Branches != 0 {
			used[in.Args[0].(Label)] = true
		}
	}
	b.entry.Body = slices.DeleteFunc(b.entry.Body, func(s Stmt) bool {
		l, ok := s.(LabelStmt)
		return ok && !used[l.Name]
	})
}

// Refuse collects a mistake of the emitter's.
func (b *Builder) Refuse(format string, args ...any) {
	var c callers
	runtime.Callers(2, c[:])
	b.errs = append(b.errs, fmt.Errorf("%s: %s", c.place(), fmt.Sprintf(format, args...)))
}

// Entry is the kernel under construction.
func (b *Builder) Entry() *Entry { return b.entry }

// If guards the next instruction with p, IfNot with its complement.
func (b *Builder) If(p Pred) *Builder    { return &Builder{state: b.state, guard: p.Reg} }
func (b *Builder) IfNot(p Pred) *Builder { return &Builder{state: b.state, guard: p.Reg, not: true} }

func (b *Builder) reg(c inst.Class) Reg {
	b.entry.regs[c]++
	return Reg{class: c, id: b.entry.regs[c]}
}

// New registers.
func (b *Builder) NewPred() Pred { return Pred{b.reg(inst.ClassPred)} }
func (b *Builder) NewR16() R16   { return R16{b.reg(inst.ClassB16)} }
func (b *Builder) NewR32() R32   { return R32{b.reg(inst.ClassB32)} }
func (b *Builder) NewR64() R64   { return R64{b.reg(inst.ClassB64)} }
func (b *Builder) NewF32() F32   { return F32{b.reg(inst.ClassF32)} }

// Several new registers.
func (b *Builder) R16s(n int) []R16 { return several(n, b.NewR16) }
func (b *Builder) R32s(n int) []R32 { return several(n, b.NewR32) }
func (b *Builder) F32s(n int) []F32 { return several(n, b.NewF32) }

func several[T any](n int, f func() T) []T {
	s := make([]T, n)
	for i := range s {
		s[i] = f()
	}
	return s
}

// Const32 is a register that holds a constant.
func (b *Builder) Const32(v int64) R32 { return b.MovB32(Imm(v)) }

// NewLabel makes a label name; hint makes the text readable.
func (b *Builder) NewLabel(hint string) Label {
	b.labels++
	return Label(fmt.Sprintf("L%d_%s", b.labels, hint))
}

// Place puts a label here.
func (b *Builder) Place(l Label) { b.entry.Body = append(b.entry.Body, LabelStmt{l}) }

// Comment writes a comment line.
func (b *Builder) Comment(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	for _, r := range text {
		if r > unicode.MaxASCII { // ptxas refuses the file
			b.Refuse("comment %q is not ASCII", text)
			break
		}
	}
	b.entry.Body = append(b.entry.Body, Comment{text})
}

// NoUnroll keeps the assembler from unrolling the loop that follows.
func (b *Builder) NoUnroll() { b.entry.Body = append(b.entry.Body, Pragma{"nounroll"}) }

// Emit appends an instruction by the name of its row in the table.
func (b *Builder) Emit(name string, args ...Arg) {
	f := inst.Lookup(name)
	in := &Inst{Form: f, Guard: b.guard, Not: b.not, Args: args}
	runtime.Callers(2, in.pcs[:])
	if f == nil {
		b.errs = append(b.errs, fmt.Errorf("%s: no instruction %q in the table", in.Pos(), name))
		return
	}
	if err := checkArgs(in); err != nil {
		b.errs = append(b.errs, err)
	}
	b.entry.Body = append(b.entry.Body, in)
}

// callers are the innermost stack frames of an emitter; those that a form of control
// flow and a generated method add leave room for the one that called them.
type callers [6]uintptr

// place is the first of the frames that is outside of this package.
func (c callers) place() string {
	n := slices.Index(c[:], 0)
	if n < 0 {
		n = len(c)
	}
	frames := runtime.CallersFrames(c[:n])
	for {
		f, more := frames.Next()
		if !strings.Contains(f.Function, "codegen/ptx.") || strings.HasSuffix(f.File, "_test.go") {
			return fmt.Sprintf("%s:%d", filepath.Base(f.File), f.Line)
		}
		if !more {
			return "?"
		}
	}
}
