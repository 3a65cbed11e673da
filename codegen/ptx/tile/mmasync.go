package tile

import (
	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/dtype"
)

// MmaSync multiplies by mma.sync.m16n8k16 (PTX ISA 9.0 §9.7.14.5.14): each warp its
// own 16 rows, B from shared memory.
type MmaSync struct {
	b    *ptx.Builder
	form string
	zero []ptx.F32
}

// MmaSync prepares products of operands of a type.
func (w *Warp) MmaSync(t dtype.Type) MmaSync {
	m := MmaSync{b: w.B, form: "mma.sync.aligned.m16n8k16.row.col.f32." + string(t) + "." + string(t) + ".f32"}
	for range 4 {
		m.zero = append(m.zero, w.B.MovF32(ptx.FImm(0)))
	}
	return m
}

// OperandA is fragments in registers, or an A that is loaded step by step.
type OperandA interface{ Step(n int) []ptx.R32 }

// Product computes acc = a · b.
func (m MmaSync) Product(acc Acc, a OperandA, b B) { m.steps(acc, a, b, true) }

// Mma computes acc += a · b.
func (m MmaSync) Mma(acc Acc, a OperandA, b B) { m.steps(acc, a, b, false) }

func (m MmaSync) steps(acc Acc, a OperandA, b B, fresh bool) {
	for step := range b.depth() {
		rows := a.Step(step)
		for n := 0; n < len(acc.frags); n += 2 {
			columns := b.step(n, step)
			for i, d := range acc.frags[n : n+2] {
				from := d
				if fresh && step == 0 {
					from = m.zero
				}
				m.b.Emit(m.form, ptx.VecOf(d), ptx.VecOf(rows), ptx.VecOf(columns[2*i:2*i+2]), ptx.VecOf(from))
			}
		}
	}
}
