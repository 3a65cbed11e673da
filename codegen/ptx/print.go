package ptx

import (
	"fmt"
	"io"
	"strings"

	"github.com/s2attention/s2c/codegen/ptx/inst"
)

// String is the module as PTX text. Same module, same bytes.
func (m *Module) String() string {
	var sb strings.Builder
	p := printer{w: &sb}
	p.module(m)
	return sb.String()
}

type printer struct{ w io.Writer }

func (p *printer) line(format string, args ...any) { fmt.Fprintf(p.w, format+"\n", args...) }

func (p *printer) module(m *Module) {
	for _, h := range m.Header {
		p.line("// %s", h)
	}
	p.line(".version %s", m.Version())
	p.line(".target %v", m.Target)
	p.line(".address_size 64")
	for _, g := range m.Globals {
		p.global(g)
	}
	for _, e := range m.Entries {
		p.entry(e)
	}
}

func (p *printer) global(g Global) {
	p.line("\n.global .align %d .b32 %s[%d] = {", g.Align, g.Name, len(g.Words))
	for i := 0; i < len(g.Words); i += 16 {
		row := g.Words[i:min(i+16, len(g.Words))]
		var parts []string
		for _, w := range row {
			parts = append(parts, fmt.Sprint(w))
		}
		end := ","
		if i+16 >= len(g.Words) {
			end = ""
		}
		p.line("\t%s%s", strings.Join(parts, ", "), end)
	}
	p.line("};")
}

func (p *printer) entry(e *Entry) {
	if e.Shared != "" {
		p.line("\n.extern .shared .align 1024 .b8 %s[];", e.Shared)
	}
	p.line("\n.visible .entry %s(", e.Name)
	for i, q := range e.Params {
		comma := ","
		if i == len(e.Params)-1 {
			comma = ""
		}
		if q.Type == "b8" {
			p.line("\t.param .align %d .b8 %s[%d]%s", q.Align, q.Name, q.Bytes, comma)
			continue
		}
		p.line("\t.param .%s %s%s", q.Type, q.Name, comma)
	}
	p.line(")")
	if e.MinCTAs > 0 {
		p.line(".maxntid %d\n.minnctapersm %d", e.Threads, e.MinCTAs)
	} else {
		p.line(".reqntid %d", e.Threads)
	}
	p.line("{")
	for _, c := range []inst.Class{inst.ClassPred, inst.ClassB16, inst.ClassB32, inst.ClassB64, inst.ClassF32} {
		if n := e.regs[c]; n > 0 {
			p.line("\t.reg %s %s<%d>;", regType[c], regPrefix[c], n+1)
		}
	}
	p.line("")
	for _, s := range e.Body {
		p.stmt(s)
	}
	p.line("}")
}

func (p *printer) stmt(s Stmt) {
	switch s := s.(type) {
	case LabelStmt:
		p.line("%s:", s.Name)
	case Comment:
		p.line("\t// %s", s.Text)
	case Pragma:
		p.line("\t.pragma %q;", s.Text)
	case *Inst:
		p.line("\t%s", s)
	}
}

// String is the instruction as PTX text.
func (in *Inst) String() string {
	var sb strings.Builder
	if in.Guard != (Reg{}) {
		sb.WriteByte('@')
		if in.Not {
			sb.WriteByte('!')
		}
		sb.WriteString(in.Guard.arg() + " ")
	}
	sb.WriteString(in.Form.Opcode)
	sb.WriteString(operandText(in))
	sb.WriteByte(';')
	return sb.String()
}

// operandText joins the operands; a few instructions write theirs in a way of
// their own (TMA addresses, try_wait's result, elect's sink).
func operandText(in *Inst) string {
	t := make([]string, len(in.Args))
	for i, a := range in.Args {
		t[i] = a.arg()
	}
	tensor := func(m, at string) string { return "[" + strings.Trim(m, "[]") + ", " + at + "]" }
	switch in.Form.Kind {
	case inst.TmaLoad:
		t = append([]string{t[0], tensor(t[1], t[2])}, t[3:]...)
	case inst.TmaStore:
		t = []string{tensor(t[0], t[1]), t[2]}
	case inst.ElectSync:
		t[0] = "_|" + t[0]
	}
	if len(t) == 0 {
		return ""
	}
	return " " + strings.Join(t, ", ")
}
