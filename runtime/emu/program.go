package emu

import (
	"fmt"
	"math"
	"strings"

	"github.com/s2attention/s2c/codegen/ptx/inst"
)

// execFn executes one instruction for the lanes of mask.
type execFn func(w *warp, in *instr, mask uint32) status

// instr is a decoded instruction. Register operands are indices into the warp's
// register files; constants and special registers live there too, behind the
// kernel's own registers, so that an executor sees nothing but indices.
type instr struct {
	exec   execFn
	form   *inst.Form
	pc     int32
	line   int32
	guard  int32  // predicate file index, -1 without a guard
	flip   uint32 // all ones for a negated guard
	gid    int32  // the guard's register number
	d      int32
	a      int32
	b      int32
	c      int32
	vd     []int32
	va     []int32
	vb     []int32
	vc     []int32
	off    int64
	imm    []uint64
	target int32 // of a branch
	join   int32 // where the two sides of a branch meet again, -1 if nowhere
	// aligned instructions need every thread of the warp.
	aligned bool
	// hazard: a register here may be in use by an unfinished wgmma.
	hazard bool
	reads  []int32 // register numbers
	wgmma  *wgmmaRegs
	writes []int32
}

// program is a kernel ready to run.
type program struct {
	name   string
	source *kernelSource
	code   []instr
	regs   []register // by register number
	n32    int        // sizes of the register files, constants included
	n64    int
	npred  int
	init32 []constant
	init64 []constant
	initP  []constant
	sregs  []specialReg

	static  int64 // bytes of static shared memory, from sharedBase
	dynAt   int64 // offset of dynamic shared memory
	lines   []string
	target  string
	hazards bool // has wgmma
}

type constant struct {
	slot  int32
	value uint64
}

// specialReg is a file slot that holds a special register.
type specialReg struct {
	name string
	slot int32
	wide bool
}

// argument is an operand of a form after resolution.
type argument struct {
	op    *inst.Operand
	slots []int32
	ids   []int32 // register numbers, -1 for constants
	imm   uint64
	off   int64
	name  string
}

// decoder turns the statements of one kernel into a program.
type decoder struct {
	src    *source
	k      *kernelSource
	p      *program
	symbol map[string]uint64 // module and shared variables: address
	space  map[string]string
	slot   []int32 // register number → file index, -1 unseen
	c32    map[uint32]int32
	c64    map[uint64]int32
	cP     map[bool]int32
	sreg   map[string]int32
	args   []argument
	// lenient lets a register of another type stand in where PTX does.
	lenient bool
}

func (d *decoder) next(class inst.Class) int32 {
	n := &d.p.n32
	switch class {
	case inst.ClassB64:
		n = &d.p.n64
	case inst.ClassPred:
		n = &d.p.npred
	}
	*n++
	return int32(*n - 1)
}

func (d *decoder) reg(r int) int32 {
	if d.slot[r] < 0 {
		d.slot[r] = d.next(d.k.regs[r].class)
	}
	return d.slot[r]
}

func (d *decoder) const32(v uint32) int32 {
	s, ok := d.c32[v]
	if !ok {
		s = d.next(inst.ClassB32)
		d.c32[v] = s
		d.p.init32 = append(d.p.init32, constant{s, uint64(v)})
	}
	return s
}

func (d *decoder) const64(v uint64) int32 {
	s, ok := d.c64[v]
	if !ok {
		s = d.next(inst.ClassB64)
		d.c64[v] = s
		d.p.init64 = append(d.p.init64, constant{s, v})
	}
	return s
}

func (d *decoder) constPred(v bool) int32 {
	s, ok := d.cP[v]
	if !ok {
		s = d.next(inst.ClassPred)
		d.cP[v] = s
		bits := uint64(0)
		if v {
			bits = math.MaxUint32
		}
		d.p.initP = append(d.p.initP, constant{s, bits})
	}
	return s
}

// decodeKernel resolves one kernel. globals are the addresses of the module's variables.
func decodeKernel(src *source, k *kernelSource, globals map[string]uint64) (*program, error) {
	d := &decoder{
		src: src, k: k,
		p:      &program{name: k.name, source: k, regs: k.regs, lines: src.lines, target: src.target},
		symbol: map[string]uint64{}, space: map[string]string{},
		slot: make([]int32, len(k.regs)),
		c32:  map[uint32]int32{}, c64: map[uint64]int32{}, cP: map[bool]int32{}, sreg: map[string]int32{},
	}
	for i := range d.slot {
		d.slot[i] = -1
	}
	for name, addr := range globals {
		d.symbol[name], d.space[name] = addr, "global"
	}
	d.shared()
	for i := range k.body {
		in, err := d.statement(&k.body[i])
		if err != nil {
			return nil, err
		}
		in.pc = int32(i)
		d.p.code = append(d.p.code, in)
	}
	// Falling off the end is a return.
	end := instr{exec: execExit, form: inst.Lookup("ret"), pc: int32(len(d.p.code)), line: k.line, guard: -1, join: -1}
	d.p.code = append(d.p.code, end)
	d.p.reconverge()
	d.p.markHazards()
	return d.p, nil
}

// shared lays out shared memory: static variables first, the dynamic array behind them.
func (d *decoder) shared() {
	at := int64(sharedBase)
	up := func(align int64) int64 { return (at + align - 1) &^ (align - 1) }
	dynamic := int64(16)
	vars := append(append([]*variable{}, d.src.vars...), d.k.vars...)
	for _, v := range vars {
		if v.space != "shared" {
			continue
		}
		if v.extern {
			dynamic = max(dynamic, v.align)
			continue
		}
		at = up(v.align)
		d.symbol[v.name], d.space[v.name] = uint64(at), "shared"
		at += v.size
	}
	d.p.static = at - sharedBase
	at = up(dynamic)
	d.p.dynAt = at - sharedBase
	for _, v := range vars {
		if v.space == "shared" && v.extern {
			d.symbol[v.name], d.space[v.name] = uint64(at), "shared"
		}
	}
}

func (d *decoder) statement(s *statement) (instr, error) {
	candidates := inst.Candidates(s.opcode)
	if len(candidates) == 0 {
		return instr{}, syntaxError(s.line, "instruction %s is not in the table", s.opcode)
	}
	f, err := d.choose(candidates, s)
	if err != nil {
		return instr{}, err
	}
	in := instr{form: f, line: s.line, guard: -1, gid: -1, join: -1}
	in.aligned = f.Effects&inst.Aligned != 0
	if s.guard >= 0 {
		in.guard, in.gid = d.reg(s.guard), int32(s.guard)
		if s.negate {
			in.flip = math.MaxUint32
		}
	}
	d.assign(&in)
	if err := d.checkTarget(f, s); err != nil {
		return instr{}, err
	}
	if f.Kind >= inst.Kind(len(builders)) || builders[f.Kind] == nil {
		return instr{}, syntaxError(s.line, "instruction %s cannot be executed", f.Name)
	}
	if err := builders[f.Kind](d, &in); err != nil {
		return instr{}, syntaxError(s.line, "%s: %v", s.opcode, err)
	}
	return in, nil
}

// choose finds the row that takes a statement's operands: one whose register
// classes are exactly those declared, else one that the typing rules of PTX allow.
func (d *decoder) choose(candidates []*inst.Form, s *statement) (*inst.Form, error) {
	var why error
	for _, d.lenient = range [2]bool{false, true} {
		for _, f := range candidates {
			if why = d.match(f, s); why == nil {
				return f, nil
			}
		}
	}
	if len(candidates) > 1 {
		why = fmt.Errorf("no form takes these operands (the last one tried: %v)", why)
	}
	return nil, syntaxError(s.line, "%s: %v", s.opcode, why)
}

// checkTarget refuses instructions that the module's .version or .target lacks.
func (d *decoder) checkTarget(f *inst.Form, s *statement) error {
	if d.src.version < f.PTX {
		return syntaxError(s.line, "%s needs PTX %v, the module says %v", f.Opcode, f.PTX, d.src.version)
	}
	var sm int
	name := strings.TrimPrefix(d.src.target, "sm_")
	fmt.Sscanf(name, "%d", &sm)
	if sm < f.SM || f.Feature && !strings.HasSuffix(name, "a") {
		return syntaxError(s.line, "%s needs a target that %s is not", f.Opcode, d.src.target)
	}
	return nil
}

// assign fills the default places: results in d and vd, sources in a, b, c and
// va, vb, vc in order, an address's offset in off, constants in imm.
func (d *decoder) assign(in *instr) {
	in.d, in.a, in.b, in.c = -1, -1, -1, -1
	scalars := []*int32{&in.a, &in.b, &in.c}
	vectors := []*[]int32{&in.va, &in.vb, &in.vc}
	for i := range d.args {
		a := &d.args[i]
		o := a.op
		for _, id := range a.ids {
			if id < 0 {
				continue
			}
			if o.Read {
				in.reads = append(in.reads, id)
			}
			if o.Write {
				in.writes = append(in.writes, id)
			}
		}
		switch {
		case o.Class == inst.ClassImm:
			in.imm = append(in.imm, a.imm)
		case o.Class == inst.ClassLabel:
			in.target = int32(d.k.labels[a.name])
		case o.Write && o.Vec:
			in.vd = a.slots
		case o.Write:
			in.d = a.slots[0]
		case o.Vec && len(vectors) > 0:
			*vectors[0] = a.slots
			vectors = vectors[1:]
		case len(a.slots) == 1 && len(scalars) > 0:
			*scalars[0] = a.slots[0]
			scalars = scalars[1:]
			in.off += a.off
		}
	}
}

// arg finds the resolved operand of a name in the form just matched.
func (d *decoder) arg(name string) *argument {
	for i := range d.args {
		if d.args[i].op.Name == name {
			return &d.args[i]
		}
	}
	return nil
}

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

// text is a PTX line as a fault quotes it.
func (p *program) text(line int32) string {
	if line < 1 || int(line) > len(p.lines) {
		return ""
	}
	return strings.TrimSpace(p.lines[line-1])
}

// markHazards finds the instructions that touch registers which some wgmma uses.
func (p *program) markHazards() {
	used := make([]bool, len(p.regs))
	for i := range p.code {
		if w := p.code[i].wgmma; w != nil {
			p.hazards = true
			for _, list := range [2][]int32{w.d, w.aIDs} {
				for _, r := range list {
					used[r] = true
				}
			}
		}
	}
	for i := range p.code {
		in := &p.code[i]
		if in.wgmma != nil {
			continue
		}
		for _, list := range [2][]int32{in.reads, in.writes} {
			for _, r := range list {
				in.hazard = in.hazard || used[r]
			}
		}
	}
}
