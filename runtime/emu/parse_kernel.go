package emu

import (
	"math"
	"strconv"
	"strings"

	"github.com/s2attention/s2c/codegen/ptx/inst"
)

func (p *parser) entry(line int32) {
	k := &kernelSource{name: p.word("a kernel name"), line: line, labels: map[string]int{}}
	p.kernel = k
	if p.accept("(") {
		p.list(")", p.param)
	}
	for !p.at("{") {
		p.performance()
	}
	p.expect("{")
	p.block()
	for _, other := range p.src.kernels {
		if other.name == k.name {
			fail(line, "two kernels named %s", k.name)
		}
	}
	p.src.kernels = append(p.src.kernels, k)
}

func (p *parser) param() {
	line := p.tok.line
	p.expect(".param")
	d := paramDecl{size: 1}
	if p.at(".align") {
		d.align, d.size = p.typed()
	} else {
		_, d.size = p.typed()
		d.align = d.size
		if p.accept(".ptr") { // .ptr .global .align n: a hint about the pointee
			for p.at(".global") || p.at(".shared") || p.at(".const") {
				p.advance()
			}
			if p.accept(".align") {
				p.size("alignment", 1<<20)
			}
		}
		if p.accept(".align") {
			d.align = p.size("alignment", 1<<20)
		}
	}
	d.name = p.word("a parameter name")
	if p.accept("[") {
		d.size *= p.size("array length", maxParamBytes)
		p.expect("]")
	}
	if d.align <= 0 || d.align&(d.align-1) != 0 {
		fail(line, "alignment %d is no power of two", d.align)
	}
	k := p.kernel
	d.offset = (k.paramBytes + d.align - 1) &^ (d.align - 1)
	k.paramBytes = d.offset + d.size
	if k.paramBytes > maxParamBytes {
		fail(line, "parameters of %d bytes, at most %d", k.paramBytes, maxParamBytes)
	}
	for _, other := range k.params {
		if other.name == d.name {
			fail(line, "two parameters named %s", d.name)
		}
	}
	k.params = append(k.params, d)
}

func (p *parser) performance() {
	line := p.tok.line
	dims := func() (d [3]int) {
		d = [3]int{1, 1, 1}
		for i := range 3 {
			d[i] = int(p.size("thread count", 1024))
			if !p.accept(",") {
				break
			}
		}
		return d
	}
	switch word := p.word("{"); word {
	case ".maxntid":
		p.kernel.maxntid = dims()
	case ".reqntid":
		p.kernel.reqntid = dims()
	case ".minnctapersm":
		p.kernel.minnctapsm = int(p.size("block count", 64))
	case ".maxnreg":
		p.kernel.maxnreg = int(p.size("register count", 1<<16))
	case ".explicitcluster":
	case ".reqnctapercluster":
		if d := dims(); d != [3]int{1, 1, 1} {
			fail(line, "clusters of more than one block are not executed")
		}
	case ".pragma":
		p.pragma()
	default:
		fail(line, "directive %q is not known here", word)
	}
}

// block reads statements up to the closing brace of a scope.
func (p *parser) block() {
	if len(p.scopes) == 64 {
		fail(p.tok.line, "scopes nested too deeply")
	}
	p.scopes = append(p.scopes, scope{map[string]regDecl{}, map[string]int{}})
	for !p.at("}") {
		line := p.tok.line
		switch {
		case p.accept("{"):
			p.block()
		case p.accept(";"):
		case p.accept(".reg"):
			p.registers(line)
		case p.accept(".pragma"):
			p.pragma()
		case p.accept(".shared"):
			p.kernel.vars = append(p.kernel.vars, p.variable(".shared", line))
		case p.accept(".loc"):
			for p.tok.kind == tokNumber {
				p.advance()
			}
		case p.tok.kind == tokEOF:
			fail(line, "kernel %s has no closing brace", p.kernel.name)
		case p.tok.kind == tokWord && p.tok.text[0] == '.':
			fail(line, "directive %q is not known here", p.tok.text)
		default:
			p.statement()
		}
	}
	p.expect("}")
	p.scopes = p.scopes[:len(p.scopes)-1]
}

func (p *parser) registers(line int32) {
	typ := p.word("a register type")
	declared, ok := types[typ]
	if !ok || declared.class == inst.ClassImm {
		fail(line, "register type %q is not known", typ)
	}
	for {
		name := p.word("a register name")
		d := regDecl{class: declared.class, typ: strings.TrimPrefix(typ, "."), count: -1}
		if p.accept("<") {
			d.count = p.size("register count", maxDeclared)
			p.expect(">")
		}
		scope := p.scopes[len(p.scopes)-1].decls
		if _, dup := scope[name]; dup {
			fail(line, "register %s is declared twice", name)
		}
		scope[name] = d
		if !p.accept(",") {
			break
		}
	}
	p.expect(";")
}

// findReg resolves a name to a register of the kernel, -1 if it is none.
func (p *parser) findReg(name string) int {
	for i := len(p.scopes) - 1; i >= 0; i-- {
		idx, seen := p.scopes[i].regs[name]
		if seen {
			return idx
		}
		if d := p.scopes[i].find(name); d != nil {
			p.kernel.regs = append(p.kernel.regs, register{name: name, class: d.class, typ: d.typ})
			p.scopes[i].regs[name] = len(p.kernel.regs) - 1
			return len(p.kernel.regs) - 1
		}
	}
	return -1
}

// find is the declaration of a register, nil without one. A family's prefix may itself
// end in digits: every split is tried. The bare prefix of a family is no register.
func (s scope) find(name string) *regDecl {
	if d, ok := s.decls[name]; ok && d.count < 0 {
		return &d
	}
	for cut := len(strings.TrimRight(name, "0123456789")); cut < len(name); cut++ {
		if name[cut] == '0' && cut+1 < len(name) {
			continue
		}
		if d, ok := s.decls[name[:cut]]; ok {
			if n, err := strconv.ParseInt(name[cut:], 10, 64); err == nil && n < d.count {
				return &d
			}
		}
	}
	return nil
}

// statement reads a label, or an instruction with its guard.
func (p *parser) statement() {
	k := p.kernel
	s := statement{line: p.tok.line, guard: -1}
	if p.accept("@") {
		s.negate = p.accept("!")
		line := p.tok.line
		name := p.word("a predicate")
		s.guard = p.findReg(name)
		if s.guard < 0 || k.regs[s.guard].class != inst.ClassPred {
			fail(line, "guard %s is no predicate register", name)
		}
	}
	s.opcode = p.word("an instruction")
	if s.guard < 0 && p.accept(":") {
		if _, dup := k.labels[s.opcode]; dup {
			fail(s.line, "label %s is defined twice", s.opcode)
		}
		k.labels[s.opcode] = len(k.body)
		return
	}
	for !p.at(";") {
		o := p.operand()
		s.ops = append(s.ops, o)
		if o.kind == opAddr && o.list != nil {
			s.ops = append(s.ops, operand{kind: opVec, list: o.list})
		}
		if !p.accept("|") && !p.accept(",") { // d|p: two results
			break
		}
	}
	p.expect(";")
	k.body = append(k.body, s)
}

func (p *parser) operand() operand {
	line := p.tok.line
	switch {
	case p.at("{"):
		return operand{kind: opVec, list: p.vector()}
	case p.at("["):
		return p.address()
	case p.accept("!"):
		fail(line, "a negated predicate operand is not supported")
	case p.tok.kind == tokNumber || p.at("-"):
		return p.constant()
	}
	name := p.word("an operand")
	if name == "_" {
		return operand{kind: opSink}
	}
	if r := p.findReg(name); r >= 0 {
		return operand{kind: opReg, reg: r}
	}
	if name == "WARP_SZ" {
		return operand{kind: opImm, imm: 32}
	}
	return operand{kind: opName, name: name}
}

func (p *parser) vector() []operand {
	p.expect("{")
	list := []operand{}
	p.list("}", func() {
		line := p.tok.line
		if len(list) == maxVectorItems {
			fail(line, "vector of more than %d operands", maxVectorItems)
		}
		o := p.operand()
		if o.kind == opVec || o.kind == opAddr {
			fail(line, "a vector holds registers and constants only")
		}
		list = append(list, o)
	})
	return list
}

// address reads [base], [base+offset], [constant] or [base, {coordinates}].
func (p *parser) address() operand {
	p.expect("[")
	o := operand{kind: opAddr, reg: -1}
	if p.tok.kind == tokNumber || p.at("-") {
		o.off = p.integer("an address")
	} else {
		base := p.operand()
		switch base.kind {
		case opReg:
			o.reg = base.reg
		case opName:
			o.name = base.name
		default:
			fail(p.tok.line, "an address starts with a register or a name")
		}
		switch {
		case p.accept("+") || p.at("-"):
			o.off = p.integer("an offset")
		case p.accept(","):
			o.list = p.vector()
		}
	}
	p.expect("]")
	return o
}

// constant reads an integer or float constant (PTX ISA 9.0 §4.5).
func (p *parser) constant() operand {
	line := p.tok.line
	neg := p.accept("-")
	if p.tok.kind != tokNumber {
		fail(line, "expected a constant, found %s", p.tok)
	}
	text := p.tok.text
	p.advance()
	o := operand{kind: opImm}
	lower := strings.ToLower(text)
	var err error
	switch {
	case strings.HasPrefix(lower, "0f") && len(text) == 10:
		o.width = 32
		o.imm, err = strconv.ParseUint(text[2:], 16, 32)
	case strings.HasPrefix(lower, "0d") && len(text) == 18:
		o.width = 64
		o.imm, err = strconv.ParseUint(text[2:], 16, 64)
	case !strings.HasPrefix(lower, "0x") && strings.ContainsAny(lower, ".e"):
		o.width = 1
		var f float64
		f, err = strconv.ParseFloat(text, 64)
		o.imm = math.Float64bits(f)
	default:
		o.imm, err = strconv.ParseUint(strings.TrimSuffix(lower, "u"), 0, 64)
	}
	if err != nil || strings.ContainsRune(text, '_') {
		fail(line, "bad constant %q", text)
	}
	if neg {
		switch o.width {
		case 0:
			o.imm = -o.imm
		case 32:
			o.imm ^= 1 << 31
		default:
			o.imm ^= 1 << 63
		}
	}
	return o
}
