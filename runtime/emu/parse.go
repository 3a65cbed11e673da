package emu

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"

	"github.com/s2attention/s2c/codegen/ptx/inst"
	"github.com/s2attention/s2c/target"
)

// Limits that keep hostile text from eating memory; real kernels stay far below.
const (
	maxTextBytes   = 64 << 20
	maxDeclared    = 1 << 24 // registers of one .reg name<n>
	maxVariable    = 1 << 24 // bytes of one variable
	maxVariables   = 1 << 26 // bytes of all
	maxParamBytes  = 32764
	maxVectorItems = 512
)

// parse reads a PTX module.
func parse(text string) (_ *source, err error) {
	defer caught(&err)
	if len(text) > maxTextBytes {
		fail(1, "text of %d bytes, at most %d", len(text), maxTextBytes)
	}
	p := &parser{lex: lexer{src: text, line: 1}, src: &source{lines: strings.Split(text, "\n")}}
	p.advance()
	p.module()
	return p.src, nil
}

// parser is a recursive-descent parser that panics with its first error.
type parser struct {
	lex    lexer
	tok    token
	src    *source
	kernel *kernelSource
	scopes []scope
	bytes  int64 // of variables
}

// regDecl is a declared name, or with count ≥ 0 the prefix of a numbered family.
type regDecl struct {
	class inst.Class
	typ   string
	count int64
}

// scope is what a pair of braces declares, and which of its registers are in use.
type scope struct {
	decls map[string]regDecl
	regs  map[string]int
}

func (p *parser) advance() { p.tok = p.lex.next() }

func (p *parser) at(text string) bool {
	return p.tok.text == text && (p.tok.kind == tokPunct || p.tok.kind == tokWord)
}

func (p *parser) accept(text string) bool {
	if !p.at(text) {
		return false
	}
	p.advance()
	return true
}

func (p *parser) expect(text string) {
	if !p.accept(text) {
		fail(p.tok.line, "expected %q, found %s", text, p.tok)
	}
}

func (p *parser) word(what string) string {
	if p.tok.kind != tokWord {
		fail(p.tok.line, "expected %s, found %s", what, p.tok)
	}
	text := p.tok.text
	p.advance()
	return text
}

// list reads items with commas between up to an end.
func (p *parser) list(end string, item func()) {
	for !p.at(end) {
		if item(); !p.accept(",") {
			break
		}
	}
	p.expect(end)
}

// integer reads an optionally signed integer constant.
func (p *parser) integer(what string) int64 {
	line := p.tok.line
	o := p.constant()
	if o.width != 0 || o.kind != opImm {
		fail(line, "expected %s, an integer", what)
	}
	return int64(o.imm)
}

// size reads an integer between 0 and limit.
func (p *parser) size(what string, limit int64) int64 {
	line := p.tok.line
	n := p.integer(what)
	if n < 0 || n > limit {
		fail(line, "%s %d is not between 0 and %d", what, n, limit)
	}
	return n
}

func (p *parser) module() {
	for p.tok.kind != tokEOF {
		line := p.tok.line
		switch word := p.word("a directive"); word {
		case ".version":
			p.version()
		case ".target":
			p.target()
			for p.accept(",") {
				p.word("a target option")
			}
		case ".address_size":
			if n := p.integer("an address size"); n != 64 {
				fail(line, "address size %d, only 64 is executed", n)
			}
		case ".visible", ".weak":
		case ".extern", ".global", ".const", ".shared":
			p.src.vars = append(p.src.vars, p.variable(word, line))
		case ".entry":
			p.entry(line)
		case ".pragma":
			p.pragma()
		default:
			fail(line, "directive %q is not known here", word)
		}
	}
	if p.src.version == 0 {
		fail(1, "no .version directive")
	} else if p.src.target == (target.Target{}) {
		fail(1, "no .target directive")
	}
}

func (p *parser) target() {
	line, name := p.tok.line, p.word("a target")
	t, err := target.Parse(name)
	if err != nil {
		fail(line, "target %q is not known", name)
	}
	p.src.target = t
}

func (p *parser) version() {
	tok := p.tok
	major, minor, ok := strings.Cut(tok.text, ".")
	a, err1 := strconv.Atoi(major)
	b, err2 := strconv.Atoi(minor)
	if tok.kind != tokNumber || !ok || err1 != nil || err2 != nil || a < 1 || a > 99 || b < 0 || b > 9 {
		fail(tok.line, "bad version %s", tok)
	}
	p.src.version = target.Version(a*10 + b)
	p.advance()
}

func (p *parser) pragma() {
	for {
		if p.tok.kind != tokString {
			fail(p.tok.line, "expected a pragma string, found %s", p.tok)
		}
		p.advance()
		if !p.accept(",") {
			break
		}
	}
	p.expect(";")
}

// types are the declared types: bytes, and the class of registers, ClassImm without any.
var types = map[string]struct {
	bytes int64
	class inst.Class
}{
	".pred": {0, inst.ClassPred}, ".b8": {1, inst.ClassImm}, ".u8": {1, inst.ClassImm}, ".s8": {1, inst.ClassImm},
	".b16": {2, inst.ClassB16}, ".u16": {2, inst.ClassB16}, ".s16": {2, inst.ClassB16}, ".f16": {2, inst.ClassB16}, ".bf16": {2, inst.ClassImm},
	".b32": {4, inst.ClassB32}, ".u32": {4, inst.ClassB32}, ".s32": {4, inst.ClassB32}, ".f32": {4, inst.ClassF32},
	".f16x2": {4, inst.ClassImm}, ".bf16x2": {4, inst.ClassImm}, ".f64": {8, inst.ClassImm},
	".b64": {8, inst.ClassB64}, ".u64": {8, inst.ClassB64}, ".s64": {8, inst.ClassB64},
}

// typed reads [.align n] .type and returns both widths.
func (p *parser) typed() (align, width int64) {
	line := p.tok.line
	if p.accept(".align") {
		align = p.size("alignment", 1<<20)
		if align == 0 || align&(align-1) != 0 {
			fail(line, "alignment %d is no power of two", align)
		}
	}
	typ := p.word("a type")
	width = types[typ].bytes
	if width == 0 {
		fail(line, "type %q is not known", typ)
	}
	if align == 0 {
		align = width
	}
	return align, width
}

// variable reads a declaration after its first word.
func (p *parser) variable(word string, line int32) *variable {
	v := &variable{line: line}
	if word == ".extern" {
		v.extern = true
		word = p.word("a state space")
	}
	switch word {
	case ".global", ".const", ".shared":
		v.space = word[1:]
	default:
		fail(line, "a variable in %q is not supported", word)
	}
	align, width := p.typed()
	v.align, v.name = align, p.word("a name")
	count, array := int64(1), false
	for p.accept("[") {
		array = true
		n := int64(0)
		if !p.at("]") {
			n = p.size("array length", maxVariable)
		}
		p.expect("]")
		if count *= n; count > maxVariable {
			fail(line, "variable %s is too large", v.name)
		}
	}
	if p.accept("=") {
		v.init = p.initialiser(width, array)
		if count == 0 || !array {
			count = int64(len(v.init)) / max(width, 1)
		}
	}
	p.expect(";")
	v.size = count * width
	p.bytes += v.size
	switch {
	case v.size > maxVariable:
		fail(line, "variable %s of %d bytes, at most %d", v.name, v.size, maxVariable)
	case p.bytes > maxVariables:
		fail(line, "variables of more than %d bytes", maxVariables)
	case int64(len(v.init)) > v.size:
		fail(line, "variable %s has %d initial bytes for %d", v.name, len(v.init), v.size)
	case v.init != nil && v.space == "shared":
		fail(line, "shared variable %s cannot be initialised", v.name)
	case v.extern && v.space != "shared":
		fail(line, "external variable %s cannot be linked", v.name)
	case v.extern != (v.size == 0):
		fail(line, "variable %s: only external shared arrays have no length", v.name)
	}
	return v
}

func (p *parser) initialiser(width int64, array bool) []byte {
	var out []byte
	item := func() {
		o := p.constant()
		bits := o.imm
		if width == 4 && o.width == 1 {
			bits = uint64(math.Float32bits(float32(math.Float64frombits(bits))))
		}
		var buf [8]byte
		binary.LittleEndian.PutUint64(buf[:], bits)
		out = append(out, buf[:width]...)
	}
	if !array {
		item()
		return out
	}
	p.expect("{")
	p.list("}", item)
	return out
}
