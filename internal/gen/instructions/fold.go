package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/s2attention/s2c/codegen/ptx/inst"
)

// line is one line of the reference: rows whose opcodes differ part by part.
type line struct {
	parts [][]string // alternatives of each part of the opcode
	forms []*inst.Form
}

// fold joins rows that say the same of several types, shapes or modes. Lines
// join while they differ in one part of the opcode only, so that a line stands
// for exactly the rows that its alternatives multiply out to.
func fold(forms []inst.Form) []*line {
	var lines []*line
	for i := range forms {
		f := &forms[i]
		l := &line{forms: []*inst.Form{f}}
		for _, p := range strings.Split(f.Opcode, ".") {
			l.parts = append(l.parts, []string{p})
		}
		lines = append(lines, l)
	}
	for joined := true; joined; {
		joined = false
		for i := 0; i < len(lines); i++ {
			for j := i + 1; j < len(lines); j++ {
				if lines[i].join(lines[j]) {
					lines = slices.Delete(lines, j, j+1)
					j, joined = j-1, true
				}
			}
		}
	}
	return lines
}

// join takes over the rows of m where one part of the opcode is all that differs.
func (l *line) join(m *line) bool {
	if !alike(l.forms[0], m.forms[0]) || len(l.parts) != len(m.parts) {
		return false
	}
	at := -1
	for i := range l.parts {
		if slices.Equal(l.parts[i], m.parts[i]) {
			continue
		}
		if at >= 0 {
			return false
		}
		at = i
	}
	if at < 0 {
		return false
	}
	l.parts[at] = append(slices.Clone(l.parts[at]), m.parts[at]...)
	l.forms = append(l.forms, m.forms...)
	return true
}

// alike is whether two rows may share a line: all that a line says once is equal.
func alike(a, b *inst.Form) bool {
	if a.Kind != b.Kind || a.Section != b.Section || a.PTX != b.PTX || !a.Targets.Equal(b.Targets) ||
		a.Effects != b.Effects || a.Space != b.Space || variant(a) != variant(b) || len(a.Operands) != len(b.Operands) {
		return false
	}
	for i, x := range a.Operands {
		y := b.Operands[i]
		x.Class, x.Count = y.Class, y.Count
		if x != y {
			return false
		}
	}
	return true
}

// variant tells rows of one opcode apart.
func variant(f *inst.Form) string { return strings.TrimPrefix(f.Name, f.Opcode) }

// opcode writes the parts, alternatives in brackets: "add.(s32 u32)".
func (l *line) opcode() string {
	var parts []string
	for _, p := range l.parts {
		if len(p) == 1 {
			parts = append(parts, p[0])
			continue
		}
		parts = append(parts, "("+strings.Join(abridged(p), " ")+")")
	}
	return strings.Join(parts, ".")
}

// abridged shortens a long row of shapes to its first two and its last.
func abridged(p []string) []string {
	if len(p) <= 6 {
		return p
	}
	return []string{p[0], p[1], "…", p[len(p)-1]}
}

// operands writes the operands in the table's notation. A class or a count that
// goes with the opcode's alternatives is T or n.
func (l *line) operands() string {
	var out []string
	for i, o := range l.forms[0].Operands {
		class, count := className(o.Class), fmt.Sprint(o.Count)
		for _, f := range l.forms[1:] {
			if f.Operands[i].Class != o.Class {
				class = "T"
			}
			if f.Operands[i].Count != o.Count {
				count = "n"
			}
		}
		s := o.Name + ":" + class
		switch {
		case o.Write && o.Read:
			s = "+" + s
		case o.Write:
			s = "=" + s
		}
		if o.Vec {
			s += "*" + count
		}
		if o.Imm {
			s += "/i"
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

func className(c inst.Class) string {
	switch c {
	case inst.ClassPred:
		return "pred"
	case inst.ClassB16:
		return "b16"
	case inst.ClassB32:
		return "b32"
	case inst.ClassB64:
		return "b64"
	case inst.ClassF32:
		return "f32"
	case inst.ClassAddr:
		return "addr"
	case inst.ClassSAddr:
		return "saddr"
	case inst.ClassParam:
		return "param"
	case inst.ClassSym:
		return "sym"
	case inst.ClassSReg:
		return "sreg"
	case inst.ClassImm:
		return "imm"
	case inst.ClassLabel:
		return "label"
	}
	return "?"
}

// types lists the types of the operation, from what where it converts or
// multiplies other types.
func (l *line) types() string {
	var out []string
	for _, f := range l.forms {
		s := typeName(f.Type)
		if f.From != inst.NoType && f.From != f.Type {
			s += " of " + typeName(f.From)
		}
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return strings.Join(out, ", ")
}

func typeName(t inst.Type) string {
	names := map[inst.Type]string{
		inst.NoType: "", inst.TPred: "pred", inst.B16: "b16", inst.B32: "b32", inst.B64: "b64", inst.U16: "u16",
		inst.U32: "u32", inst.U64: "u64", inst.S32: "s32", inst.S64: "s64", inst.F16: "f16", inst.BF16: "bf16",
		inst.F32: "f32", inst.F16x2: "f16x2", inst.BF16x2: "bf16x2",
	}
	if n, ok := names[t]; ok {
		return n
	}
	return "?"
}
