package ptx

import (
	"fmt"
	"math/big"

	"github.com/s2attention/s2c/codegen/ptx/inst"
)

// checkArgs holds one instruction against its row of the table.
func checkArgs(in *Inst) error {
	f := in.Form
	if len(in.Args) != len(f.Operands) {
		return fmt.Errorf("%s: %s takes %d operands, not %d", in.Pos(), f.Name, len(f.Operands), len(in.Args))
	}
	for i, o := range f.Operands {
		if err := checkArg(o, in.Args[i]); err != nil {
			return fmt.Errorf("%s: %s: operand %s: %w", in.Pos(), f.Name, o.Name, err)
		}
	}
	return nil
}

func checkArg(o inst.Operand, a Arg) error {
	if o.Vec {
		v, ok := a.(Vec)
		if !ok || len(v) != o.Count {
			return fmt.Errorf("want a vector of %d, got %s", o.Count, a.arg())
		}
		o.Vec, o.Count = false, 1
		for _, e := range v {
			if err := checkArg(o, e); err != nil {
				return err
			}
		}
		return nil
	}
	ok := false
	switch a := a.(type) {
	case Reg:
		ok = a.class == o.Class && a.id > 0
	case Imm:
		ok = o.Class == inst.ClassImm || o.Imm
	case FImm:
		ok = o.Imm && o.Class == inst.ClassF32
	case Addr:
		ok = o.Class == inst.ClassAddr && a.Base.id > 0
	case SAddr:
		ok = o.Class == inst.ClassSAddr && a.Base.id > 0
	case ParamAddr:
		ok = o.Class == inst.ClassParam
	case Sym:
		ok = o.Class == inst.ClassSym
	case SReg:
		ok = o.Class == inst.ClassSReg
	case Label:
		ok = o.Class == inst.ClassLabel
	}
	if !ok {
		return fmt.Errorf("%s does not fit", a.arg())
	}
	return nil
}

// VerifyModule checks that every instruction is legal for the module's target
// and that every entry is well formed.
func VerifyModule(m *Module) error {
	for _, e := range m.Entries {
		for _, s := range e.Body {
			in, ok := s.(*Inst)
			if ok && !in.Form.Targets.Has(m.Target) {
				return fmt.Errorf("%s: %s is not available on %v", in.Pos(), in.Form.Name, m.Target)
			}
		}
		if err := VerifyEntry(e); err != nil {
			return fmt.Errorf("%s: %w", e.Name, err)
		}
	}
	return nil
}

// VerifyEntry checks labels, and that no register can be read before it is
// written on any path.
func VerifyEntry(e *Entry) error {
	labels := map[Label]int{}
	for i, s := range e.Body {
		if l, ok := s.(LabelStmt); ok {
			if _, dup := labels[l.Name]; dup {
				return fmt.Errorf("label %s is placed twice", l.Name)
			}
			labels[l.Name] = i
		}
	}
	if err := checkEnd(e); err != nil {
		return err
	}
	return checkDefined(e, labels)
}

func checkEnd(e *Entry) error {
	for i := len(e.Body) - 1; i >= 0; i-- {
		if in, ok := e.Body[i].(*Inst); ok {
			if in.Form.Effects&(inst.Ends|inst.Branches) == 0 || in.Guard != (Reg{}) {
				return fmt.Errorf("%s: control runs off the end of the kernel", in.Pos())
			}
			return nil
		}
	}
	return fmt.Errorf("the kernel is empty")
}

// checkDefined is a forward data flow over statements: the set of registers
// that are certainly written on entry to each basic block.
func checkDefined(e *Entry, labels map[Label]int) error {
	at := map[int]*big.Int{0: new(big.Int)} // block start → defined on entry
	work := []int{0}
	merge := func(to int, set *big.Int) {
		old, seen := at[to]
		both := new(big.Int).Set(set)
		if seen {
			both.And(both, old)
		}
		if !seen || both.Cmp(old) != 0 {
			at[to] = both
			work = append(work, to)
		}
	}
	for len(work) > 0 {
		start := work[len(work)-1]
		work = work[:len(work)-1]
		set := new(big.Int).Set(at[start])
	block:
		for i := start; i < len(e.Body); i++ {
			switch s := e.Body[i].(type) {
			case LabelStmt:
				if i != start {
					merge(i, set)
					break block
				}
			case *Inst:
				if err := useAndDefine(s, set); err != nil {
					return err
				}
				if s.Form.Effects&inst.Branches != 0 {
					l := s.Args[0].(Label)
					to, ok := labels[l]
					if !ok {
						return fmt.Errorf("%s: no label %s", s.Pos(), l)
					}
					merge(to, set)
				}
				ends := s.Form.Effects&(inst.Branches|inst.Ends) != 0
				if ends && s.Guard == (Reg{}) {
					break block
				}
			}
		}
	}
	return nil
}

// bit is a register's place in a set.
func (r Reg) bit() int { return int(r.id)*len(registers) + int(r.class) }

// useAndDefine checks an instruction's reads against the set and adds its writes.
func useAndDefine(in *Inst, set *big.Int) (err error) {
	read := func(r Reg) {
		if set.Bit(r.bit()) == 0 && err == nil {
			err = fmt.Errorf("%s: %s reads %s, which may be unwritten", in.Pos(), in.Form.Name, r.arg())
		}
	}
	if in.Guard != (Reg{}) {
		read(in.Guard)
	}
	for i, o := range in.Form.Operands {
		if o.Read {
			eachReg(in.Args[i], read)
		}
	}
	for i, o := range in.Form.Operands {
		// A guarded write to a register without a value leaves it unwritten on
		// the other lanes; the emitters initialise such registers first.
		if o.Write && (in.Guard == Reg{}) {
			eachReg(in.Args[i], func(r Reg) { set.SetBit(set, r.bit(), 1) })
		}
	}
	return err
}

func eachReg(a Arg, f func(Reg)) {
	switch a := a.(type) {
	case Reg:
		f(a)
	case Addr:
		f(a.Base.Reg)
	case SAddr:
		f(a.Base.Reg)
	case Vec:
		for _, e := range a {
			eachReg(e, f)
		}
	}
}
