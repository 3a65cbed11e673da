package emu

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/s2attention/s2c/codegen/ptx/inst"
)

// match resolves a statement's operands against one form.
func (d *decoder) match(f *inst.Form, ops []operand) error {
	if f.Kind == inst.ElectSync && len(ops) == 3 && ops[0].kind == opSink {
		ops = ops[1:]
	}
	if len(ops) != len(f.Operands) {
		return fmt.Errorf("%d operands, %d expected", len(ops), len(f.Operands))
	}
	d.args = slices.Grow(d.args[:0], len(ops))[:len(ops)]
	for i := range f.Operands {
		d.args[i] = argument{op: &f.Operands[i]}
		if err := d.resolve(f, &d.args[i], &ops[i]); err != nil {
			return fmt.Errorf("operand %d (%s): %v", i+1, f.Operands[i].Name, err)
		}
	}
	return nil
}

func (d *decoder) resolve(f *inst.Form, a *argument, o *operand) error {
	switch a.op.Class {
	case inst.ClassAddr, inst.ClassSAddr:
		return d.resolveAddress(a, o)
	case inst.ClassParam:
		return d.resolveParam(f, a, o)
	case inst.ClassSym:
		return d.resolveSymbol(f, a, o)
	case inst.ClassSReg:
		return d.resolveSpecial(f, a, o)
	case inst.ClassImm:
		if o.kind != opImm || o.width != 0 {
			return fmt.Errorf("an integer constant is needed")
		}
		a.imm = o.imm
		return nil
	case inst.ClassLabel:
		if _, ok := d.k.labels[o.name]; o.kind != opName || !ok {
			return fmt.Errorf("label %q is not defined", o.name)
		}
		a.name = o.name
		return nil
	}
	list := []operand{*o}
	if a.op.Vec {
		if o.kind != opVec || len(o.list) != a.op.Count {
			return fmt.Errorf("a vector of %d is needed", a.op.Count)
		}
		list = o.list
	}
	a.slots, a.ids = d.list(len(list)), d.list(len(list))
	for i := range list {
		var err error
		if a.slots[i], a.ids[i], err = d.resolveRegister(f, a.op, &list[i]); err != nil {
			return err
		}
	}
	return nil
}

// bitType says whether an operation moves bits, so that a register of any type
// of the width will do (PTX ISA 9.0 §9.2).
func bitType(f *inst.Form) bool {
	switch f.Type {
	case inst.NoType, inst.B16, inst.B32, inst.B64:
		return true
	}
	switch f.Kind {
	case inst.Mma, inst.Wgmma, inst.CvtPack:
		return true
	}
	return false
}

// resolveRegister is the slot and the number, -1 for none, of a register or a constant.
func (d *decoder) resolveRegister(f *inst.Form, op *inst.Operand, o *operand) (slot, id int32, err error) {
	want := op.Class
	switch {
	case o.kind == opReg:
		r := &d.k.regs[o.reg]
		ok := r.class == want
		if d.lenient {
			ok = ok || want == inst.ClassF32 && r.typ == "b32" ||
				want == inst.ClassB32 && r.class == inst.ClassF32 && bitType(f)
		}
		if !ok {
			return 0, 0, fmt.Errorf("%s is a .%s register", r.name, r.typ)
		}
		return d.reg(o.reg), int32(o.reg), nil
	case o.kind == opSink && op.Write && !op.Read:
		return d.next(want), -1, nil
	case o.kind == opSink:
		err = fmt.Errorf("\"_\" is no source")
	case o.kind == opImm && op.Imm:
		var c constant
		if c, err = immediate(want, o); err == nil {
			slot = d.constant(c)
		}
	case o.kind == opName && o.name[0] == '%':
		err = fmt.Errorf("register %s is not declared", o.name)
	case o.kind == opName:
		err = fmt.Errorf("%s is no register", o.name)
	default:
		err = fmt.Errorf("a register is needed")
	}
	return slot, -1, err
}

// immediate is the constant of a class that an operand stands for.
func immediate(class inst.Class, o *operand) (constant, error) {
	v, whole, why := o.imm, o.width == 0, ""
	fits := func(least, most int64) bool { return int64(v) >= least && int64(v) <= most }
	c := constant{inst.ClassB32, v & math.MaxUint32}
	switch class {
	case inst.ClassF32:
		if whole {
			why = "a float constant is needed"
		}
		if o.width != 32 {
			c.value = uint64(math.Float32bits(float32(math.Float64frombits(v))))
		}
	case inst.ClassB64:
		if o.width == 1 || o.width == 32 {
			why = "an integer constant is needed"
		}
		c = constant{class, v}
	case inst.ClassPred:
		if !whole || v > 1 {
			why = "a predicate constant is 0 or 1"
		}
		c = constant{class, -v & math.MaxUint32}
	case inst.ClassB16:
		if !whole || !fits(math.MinInt16, math.MaxUint16) {
			why = "the constant does not fit 16 bits"
		}
		c.value &= math.MaxUint16
	default:
		if o.width == 1 || o.width == 64 {
			why = "a 32-bit constant is needed"
		} else if !fits(math.MinInt32, math.MaxUint32) {
			why = "the constant does not fit 32 bits"
		}
	}
	if why != "" {
		return c, errors.New(why)
	}
	return c, nil
}

func (d *decoder) resolveAddress(a *argument, o *operand) error {
	if o.kind != opAddr {
		return fmt.Errorf("an address in brackets is needed")
	}
	class := inst.ClassB64
	if a.op.Class == inst.ClassSAddr {
		class = inst.ClassB32
	}
	a.off, a.slots, a.ids = o.off, d.list(1), d.list(1)
	if o.reg >= 0 {
		if r := &d.k.regs[o.reg]; r.class != class {
			return fmt.Errorf("%s is a .%s register, the address needs %d bits", r.name, r.typ, class.Bytes()*8)
		}
		a.slots[0], a.ids[0] = d.reg(o.reg), int32(o.reg)
		return nil
	}
	if o.name != "" {
		at, ok := d.symbol[o.name]
		if !ok || at.shared != (class == inst.ClassB32) {
			return fmt.Errorf("%s is no variable of this state space", o.name)
		}
		a.off += int64(at.addr)
	}
	a.slots[0], a.ids[0] = d.constant(constant{class, 0}), -1
	return nil
}

// findParam is the index of a parameter, -1 if there is none of the name.
func (d *decoder) findParam(name string) int {
	return slices.IndexFunc(d.k.params, func(p paramDecl) bool { return p.name == name })
}

func (d *decoder) resolveParam(f *inst.Form, a *argument, o *operand) error {
	if o.kind != opAddr || o.name == "" {
		return fmt.Errorf("a parameter in brackets is needed")
	}
	i := d.findParam(o.name)
	if i < 0 {
		return fmt.Errorf("%s is no parameter of %s", o.name, d.k.name)
	}
	p, bytes := &d.k.params[i], int64(f.Operands[0].Class.Bytes()) // of the result
	if o.off < 0 || o.off+bytes > p.size {
		return fmt.Errorf("bytes %d to %d of parameter %s, which has %d", o.off, o.off+bytes-1, p.name, p.size)
	}
	a.off = p.offset + o.off
	if a.off%bytes != 0 {
		return fmt.Errorf("parameter offset %d is no multiple of %d", a.off, bytes)
	}
	return nil
}

func (d *decoder) resolveSymbol(f *inst.Form, a *argument, o *operand) error {
	if o.kind != opName {
		return fmt.Errorf("the name of a variable is needed")
	}
	if i := d.findParam(o.name); i >= 0 {
		a.imm = uint64(d.k.params[i].offset) + paramSpace
		return nil
	}
	at, ok := d.symbol[o.name]
	switch {
	case !ok && o.name[0] == '%':
		return fmt.Errorf("special register %s is not known", o.name)
	case !ok:
		return fmt.Errorf("%s is no variable or parameter", o.name)
	}
	if f.Operands[0].Class == inst.ClassB32 && !at.shared {
		return fmt.Errorf("the address of %s needs 64 bits", o.name)
	}
	a.imm = at.addr
	return nil
}

func (d *decoder) resolveSpecial(f *inst.Form, a *argument, o *operand) error {
	if o.kind != opName || o.name == "" || o.name[0] != '%' {
		return fmt.Errorf("a special register is needed")
	}
	r := specialReg{o.name, f.Operands[0].Class, special(o.name), 0}
	if r.value == nil {
		return fmt.Errorf("special register %s is not known", o.name)
	}
	i := slices.IndexFunc(d.p.sregs, func(s specialReg) bool { return s.name == r.name && s.class == r.class })
	if i < 0 {
		r.slot, i = d.next(r.class), len(d.p.sregs)
		d.p.sregs = append(d.p.sregs, r)
	}
	a.slots, a.ids = []int32{d.p.sregs[i].slot}, []int32{-1}
	return nil
}
