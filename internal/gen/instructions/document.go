package main

import (
	"fmt"
	"strings"

	"github.com/s2attention/s2c/codegen/ptx/inst"
)

const intro = "# Instructions\n\n" +
	"<!-- Generated from codegen/ptx/inst by `go generate ./internal/gen/instructions`; do not edit. -->\n\n" +
	"The PTX instructions that s2c emits or executes: the %d rows of `codegen/ptx/inst`, which drive the builder's methods, the\n" +
	"printer, the verifier and the emulator. What is not here cannot be emitted, and the emulator refuses it.\n\n" +
	"A line stands for one row, or for several whose opcodes differ in the parts in brackets: every combination is a row,\n" +
	"and `…` goes on in equal steps. Where an opcode has two lines, the operands decide.\n\n" +
	"Operands are `name:class`. `=` marks a result, `+` one that is also read, `*n` a vector in braces, `/i` that a constant may\n" +
	"stand for the register. Classes: `pred`, `b16`, `b32`, `b64` and `f32` are registers, `T` the one of the type, `addr`\n" +
	"`[64-bit register + offset]`, `saddr` the same with 32 bits in the shared window, `param` `[parameter + offset]`, `sym` a variable's\n" +
	"name, `sreg` a special register, `imm` an integer, `label` a branch target.\n\n" +
	"PTX is the lowest `.version`, target the lowest `.target`; `sm_90a` rows need exactly that one. Sections are those of the\n" +
	"PTX ISA 9.0. Effects: reads, writes memory; barrier: waits for others; async: completes later, by a group or an mbarrier;\n" +
	"aligned, warpgroup: all threads of the warp, of the warpgroup execute it together; branches; ends: no fall-through.\n"

// chapters are the families of instructions by the ISA's sections.
var chapters = []struct{ section, title string }{
	{"9.7.1", "Integers"},
	{"9.7.3", "Floating point"},
	{"9.7.4", "Floating point, in pairs of 16 bits"},
	{"9.7.6", "Comparison and selection"},
	{"9.7.8", "Logic and shifts"},
	{"9.7.9", "Moves, memory, copies, conversions"},
	{"9.7.12", "Control flow"},
	{"9.7.13", "Barriers and communication"},
	{"9.7.14", "Matrices by the warp"},
	{"9.7.15", "Matrices by the warpgroup"},
	{"9.7.19", "Others"},
}

// document is docs/instructions.md.
func document(forms []inst.Form) string {
	var b strings.Builder
	fmt.Fprintf(&b, intro, len(forms))
	for _, c := range chapters {
		var own []inst.Form
		for _, f := range forms {
			if within(f.Section, c.section) {
				own = append(own, f)
			}
		}
		fmt.Fprintf(&b, "\n## %s (§%s)\n\n| opcode | operands | types | PTX | target | effects | § |\n| --- | --- | --- | --- | --- | --- | --- |\n", c.title, c.section)
		for _, l := range fold(own) {
			b.WriteString(l.row())
		}
	}
	return b.String()
}

// within is whether a section is a chapter or below it.
func within(section, chapter string) bool {
	return section == chapter || strings.HasPrefix(section, chapter+".")
}

// row is a line of a table.
func (l *line) row() string {
	f := l.forms[0]
	operands := l.operands()
	if operands != "" {
		operands = "`" + operands + "`"
	}
	return fmt.Sprintf("| `%s` | %s | %s | %s | %s | %s | %s |\n",
		l.opcode(), operands, l.types(), f.PTX, f.Targets, effectNames(f.Effects), f.Section)
}

var effectTable = []struct {
	effect inst.Effects
	name   string
}{
	{inst.ReadsMemory, "reads"}, {inst.WritesMemory, "writes"}, {inst.Barrier, "barrier"}, {inst.Async, "async"},
	{inst.Aligned, "aligned"}, {inst.Warpgroup, "warpgroup"}, {inst.Branches, "branches"}, {inst.Ends, "ends"},
}

func effectNames(e inst.Effects) string {
	var names []string
	for _, x := range effectTable {
		if e&x.effect != 0 {
			names = append(names, x.name)
		}
	}
	return strings.Join(names, ", ")
}
