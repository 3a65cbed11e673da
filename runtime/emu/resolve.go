package emu

import (
	"fmt"
	"math"

	"github.com/s2attention/s2c/codegen/ptx/inst"
)

// flatten splits [map, {x, y}] into its two operands and drops an unused first result.
func flatten(f *inst.Form, ops []operand) []operand {
	var out []operand
	for i, o := range ops {
		if i == 0 && o.kind == opSink && f.Kind == inst.ElectSync {
			continue
		}
		if !o.tuple {
			out = append(out, o)
			continue
		}
		addr := o
		addr.tuple, addr.list = false, nil
		out = append(out, addr, operand{kind: opVec, list: o.list})
	}
	return out
}

// match resolves a statement's operands against one form.
func (d *decoder) match(f *inst.Form, s *statement) error {
	ops := flatten(f, s.ops)
	if len(ops) != len(f.Operands) {
		return fmt.Errorf("%d operands, %d expected", len(ops), len(f.Operands))
	}
	d.args = d.args[:0]
	for i := range f.Operands {
		a := argument{op: &f.Operands[i]}
		if err := d.resolve(f, &a, &ops[i]); err != nil {
			return fmt.Errorf("operand %d (%s): %v", i+1, f.Operands[i].Name, err)
		}
		d.args = append(d.args, a)
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
	if !a.op.Vec {
		return d.resolveRegister(f, a, o)
	}
	if o.kind != opVec || len(o.list) != a.op.Count {
		return fmt.Errorf("a vector of %d is needed", a.op.Count)
	}
	for i := range o.list {
		if err := d.resolveRegister(f, a, &o.list[i]); err != nil {
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

func (d *decoder) resolveRegister(f *inst.Form, a *argument, o *operand) error {
	want := a.op.Class
	switch o.kind {
	case opReg:
		r := d.k.regs[o.reg]
		ok := r.class == want
		if d.lenient {
			ok = ok || want == inst.ClassF32 && r.typ == "b32" ||
				want == inst.ClassB32 && r.class == inst.ClassF32 && bitType(f)
		}
		if !ok {
			return fmt.Errorf("%s is a .%s register", r.name, r.typ)
		}
		a.slots = append(a.slots, d.reg(o.reg))
		a.ids = append(a.ids, int32(o.reg))
		return nil
	case opSink:
		if !a.op.Write || a.op.Read {
			return fmt.Errorf("\"_\" is no source")
		}
		a.slots = append(a.slots, d.next(want))
		a.ids = append(a.ids, -1)
		return nil
	case opImm:
		if !a.op.Imm {
			return fmt.Errorf("a register is needed")
		}
		slot, err := d.constant(want, o)
		if err != nil {
			return err
		}
		a.slots = append(a.slots, slot)
		a.ids = append(a.ids, -1)
		return nil
	case opName:
		if o.name[0] == '%' {
			return fmt.Errorf("register %s is not declared", o.name)
		}
		return fmt.Errorf("%s is no register", o.name)
	}
	return fmt.Errorf("a register is needed")
}

func (d *decoder) constant(class inst.Class, o *operand) (int32, error) {
	switch class {
	case inst.ClassF32:
		switch o.width {
		case 32:
			return d.const32(uint32(o.imm)), nil
		case 1, 64:
			return d.const32(math.Float32bits(float32(math.Float64frombits(o.imm)))), nil
		}
		return 0, fmt.Errorf("a float constant is needed")
	case inst.ClassB64:
		if o.width == 1 || o.width == 32 {
			return 0, fmt.Errorf("an integer constant is needed")
		}
		return d.const64(o.imm), nil
	case inst.ClassPred:
		if o.width != 0 || o.imm > 1 {
			return 0, fmt.Errorf("a predicate constant is 0 or 1")
		}
		return d.constPred(o.imm == 1), nil
	case inst.ClassB16:
		if o.width != 0 || int64(o.imm) < math.MinInt16 || int64(o.imm) > math.MaxUint16 {
			return 0, fmt.Errorf("the constant does not fit 16 bits")
		}
		return d.const32(uint32(uint16(o.imm))), nil
	}
	if o.width == 1 || o.width == 64 {
		return 0, fmt.Errorf("a 32-bit constant is needed")
	}
	if int64(o.imm) < math.MinInt32 || int64(o.imm) > math.MaxUint32 {
		return 0, fmt.Errorf("the constant does not fit 32 bits")
	}
	return d.const32(uint32(o.imm)), nil
}

func (d *decoder) resolveAddress(a *argument, o *operand) error {
	if o.kind != opAddr {
		return fmt.Errorf("an address in brackets is needed")
	}
	shared := a.op.Class == inst.ClassSAddr
	a.off = o.off
	switch {
	case o.reg >= 0:
		r := d.k.regs[o.reg]
		if want := map[bool]inst.Class{true: inst.ClassB32, false: inst.ClassB64}[shared]; r.class != want {
			return fmt.Errorf("%s is a .%s register, the address needs %d bits", r.name, r.typ, want.Bytes()*8)
		}
		a.slots, a.ids = []int32{d.reg(o.reg)}, []int32{int32(o.reg)}
		return nil
	case o.name != "":
		addr, ok := d.symbol[o.name]
		if !ok || (d.space[o.name] == "shared") != shared {
			return fmt.Errorf("%s is no variable of this state space", o.name)
		}
		a.off += int64(addr)
	}
	a.ids = []int32{-1}
	if shared {
		a.slots = []int32{d.const32(0)}
	} else {
		a.slots = []int32{d.const64(0)}
	}
	return nil
}

func (d *decoder) findParam(name string) *paramDecl {
	for i := range d.k.params {
		if d.k.params[i].name == name {
			return &d.k.params[i]
		}
	}
	return nil
}

func (d *decoder) resolveParam(f *inst.Form, a *argument, o *operand) error {
	if o.kind != opAddr || o.name == "" {
		return fmt.Errorf("a parameter in brackets is needed")
	}
	p := d.findParam(o.name)
	if p == nil {
		return fmt.Errorf("%s is no parameter of %s", o.name, d.k.name)
	}
	bytes := int64(0)
	for i := range f.Operands {
		if f.Operands[i].Write {
			bytes = int64(f.Operands[i].Class.Bytes() * f.Operands[i].Count)
		}
	}
	if o.off < 0 || o.off+bytes > p.size {
		return fmt.Errorf("bytes %d to %d of parameter %s, which has %d", o.off, o.off+bytes-1, p.name, p.size)
	}
	a.off = p.offset + o.off
	if bytes > 0 && a.off%bytes != 0 {
		return fmt.Errorf("parameter offset %d is no multiple of %d", a.off, bytes)
	}
	a.imm = uint64(a.off)
	return nil
}

func (d *decoder) resolveSymbol(f *inst.Form, a *argument, o *operand) error {
	if o.kind != opName {
		return fmt.Errorf("the name of a variable is needed")
	}
	if p := d.findParam(o.name); p != nil {
		a.imm = uint64(p.offset) + paramSpace
		return nil
	}
	addr, ok := d.symbol[o.name]
	switch {
	case !ok && o.name[0] == '%':
		return fmt.Errorf("special register %s is not known", o.name)
	case !ok:
		return fmt.Errorf("%s is no variable or parameter", o.name)
	}
	if f.Operands[0].Class == inst.ClassB32 && d.space[o.name] != "shared" {
		return fmt.Errorf("the address of %s needs 64 bits", o.name)
	}
	a.imm = addr
	return nil
}

func (d *decoder) resolveSpecial(f *inst.Form, a *argument, o *operand) error {
	if o.kind != opName || o.name == "" || o.name[0] != '%' {
		return fmt.Errorf("a special register is needed")
	}
	if !knownSpecial(o.name) {
		return fmt.Errorf("special register %s is not known", o.name)
	}
	wide := f.Operands[0].Class == inst.ClassB64
	key := fmt.Sprint(o.name, wide)
	slot, ok := d.sreg[key]
	if !ok {
		slot = d.next(f.Operands[0].Class)
		d.sreg[key] = slot
		d.p.sregs = append(d.p.sregs, specialReg{o.name, slot, wide})
	}
	a.slots, a.ids = []int32{slot}, []int32{-1}
	return nil
}
