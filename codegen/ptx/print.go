package ptx

import (
	"fmt"
	"slices"
	"strings"

	"github.com/s2attention/s2c/codegen/ptx/inst"
)

// String is the module as PTX text. Same module, same bytes.
func (m *Module) String() string {
	var p printer
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
	return p.String()
}

type printer struct{ strings.Builder }

func (p *printer) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

func (p *printer) global(g Global) {
	var rows []string
	for row := range slices.Chunk(g.Words, 16) {
		rows = append(rows, "\n\t"+strings.ReplaceAll(strings.Trim(fmt.Sprint(row), "[]"), " ", ", "))
	}
	p.line("\n.global .align %d .b32 %s[%d] = {%s\n};", g.Align, g.Name, len(g.Words), strings.Join(rows, ","))
}

func (p *printer) entry(e *Entry) {
	if e.Shared != "" {
		p.line("\n.extern .shared .align 1024 .b8 %s[];", e.Shared)
	}
	var params []string
	for _, q := range e.Params {
		if q.Type == "b8" {
			params = append(params, fmt.Sprintf("\n\t.param .align %d .b8 %s[%d]", q.Align, q.Name, q.Bytes))
		} else {
			params = append(params, fmt.Sprintf("\n\t.param .%s %s", q.Type, q.Name))
		}
	}
	p.line("\n.visible .entry %s(%s\n)", e.Name, strings.Join(params, ","))
	if e.MinCTAs > 0 {
		p.line(".maxntid %d\n.minnctapersm %d", e.Threads, e.MinCTAs)
	} else {
		p.line(".reqntid %d", e.Threads)
	}
	p.line("{")
	for c, r := range registers {
		if n := e.regs[c]; n > 0 {
			p.line("\t.reg %s %s<%d>;", r.typ, r.prefix, n+1)
		}
	}
	p.line("")
	for _, s := range e.Body {
		p.line("%s", s.line())
	}
	p.line("}")
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
	sb.WriteString(in.Form.Opcode + operandText(in) + ";")
	return sb.String()
}

// operandText joins the operands; a few instructions write theirs in a way of
// their own (TMA addresses, try_wait's result, elect's sink).
func operandText(in *Inst) string {
	t := texts(in.Args)
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
