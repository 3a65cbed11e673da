package emu

import (
	"fmt"
	"math"
	"slices"
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
	consts map[constant]int32 // slots
	sregs  []specialReg

	static  int64 // bytes of static shared memory, from sharedBase
	dynAt   int64 // offset of dynamic shared memory
	lines   []string
	hazards bool // has wgmma
}

// constant is a value in the file of a class.
type constant struct {
	class inst.Class // ClassB64, ClassPred, or ClassB32 for the rest
	value uint64
}

// specialReg is a file slot that holds a special register.
type specialReg struct {
	name  string
	class inst.Class
	value func(w *warp, l int) uint64
	slot  int32
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
	symbol map[string]symbol // module and shared variables
	slot   []int32           // register number → file index, -1 unseen
	consts map[constant]int32
	args   []argument
	ints   []int32 // room for lists of slots and register numbers
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

// constant is the slot of a constant.
func (d *decoder) constant(c constant) int32 {
	s, ok := d.consts[c]
	if !ok {
		s = d.next(c.class)
		d.consts[c] = s
	}
	return s
}

func (d *decoder) const32(v uint32) int32 { return d.constant(constant{inst.ClassB32, uint64(v)}) }
func (d *decoder) const64(v uint64) int32 { return d.constant(constant{inst.ClassB64, v}) }

// list is room for n numbers.
func (d *decoder) list(n int) []int32 {
	if len(d.ints) < n {
		d.ints = make([]int32, max(n, 1<<12))
	}
	l := d.ints[:n:n]
	d.ints = d.ints[n:]
	return l
}

// symbol is where a variable lies.
type symbol struct {
	addr   uint64
	shared bool
}

// decodeKernel resolves one kernel. globals are the addresses of the module's variables.
func decodeKernel(src *source, k *kernelSource, globals map[string]uint64) (_ *program, err error) {
	defer caught(&err)
	d := &decoder{
		src: src, k: k,
		p:      &program{name: k.name, source: k, regs: k.regs, lines: src.lines},
		symbol: map[string]symbol{}, slot: make([]int32, len(k.regs)), consts: map[constant]int32{},
	}
	d.p.consts, d.p.code = d.consts, make([]instr, 0, len(k.body)+1)
	for i := range d.slot {
		d.slot[i] = -1
	}
	for name, addr := range globals {
		d.symbol[name] = symbol{addr, false}
	}
	d.shared()
	for i := range k.body {
		in := d.statement(&k.body[i])
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
		d.symbol[v.name] = symbol{uint64(at), true}
		at += v.size
	}
	d.p.static = at - sharedBase
	at = up(dynamic)
	d.p.dynAt = at - sharedBase
	for _, v := range vars {
		if v.space == "shared" && v.extern {
			d.symbol[v.name] = symbol{uint64(at), true}
		}
	}
}

func (d *decoder) statement(s *statement) instr {
	f := d.choose(s)
	in := instr{form: f, line: s.line, guard: -1, gid: -1, join: -1, aligned: f.Effects&inst.Aligned != 0}
	if s.guard >= 0 {
		in.guard, in.gid = d.reg(s.guard), int32(s.guard)
		if s.negate {
			in.flip = math.MaxUint32
		}
	}
	d.assign(&in)
	switch {
	case d.src.version < f.PTX:
		fail(s.line, "%s needs PTX %v, the module says %v", f.Opcode, f.PTX, d.src.version)
	case !f.Targets.Has(d.src.target):
		fail(s.line, "%s needs a target that %v is not", f.Opcode, d.src.target)
	case f.Kind >= inst.Kind(len(builders)) || builders[f.Kind] == nil:
		fail(s.line, "instruction %s cannot be executed", f.Name)
	}
	if err := builders[f.Kind](d, &in); err != nil {
		fail(s.line, "%s: %v", s.opcode, err)
	}
	return in
}

// choose finds the row that takes a statement's operands: one whose register
// classes are exactly those declared, else one that the typing rules of PTX allow.
func (d *decoder) choose(s *statement) *inst.Form {
	candidates := inst.Candidates(s.opcode)
	if len(candidates) == 0 {
		fail(s.line, "instruction %s is not in the table", s.opcode)
	}
	var why error
	for _, d.lenient = range [2]bool{false, true} {
		for _, f := range candidates {
			if why = d.match(f, s.ops); why == nil {
				return f
			}
		}
	}
	if len(candidates) > 1 {
		why = fmt.Errorf("no form takes these operands (the last one tried: %v)", why)
	}
	fail(s.line, "%s: %v", s.opcode, why)
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
			for _, r := range slices.Concat(w.d, w.aIDs) {
				used[r] = true
			}
		}
	}
	for i := range p.code {
		in := &p.code[i]
		use := func(r int32) bool { return used[r] }
		in.hazard = in.wgmma == nil && (slices.ContainsFunc(in.reads, use) || slices.ContainsFunc(in.writes, use))
	}
}
