package tile

import (
	"fmt"

	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/ir/layout"
)

// A warpgroup multiplies together, 64 rows at a time, each warp 16 of them (PTX ISA
// 9.0 §9.7.15).
const (
	GroupWarps   = 4
	GroupThreads = 128
	GroupRows    = 64
)

// Slabs that wgmma and the copy engine swizzle: 128 bytes a row, the widest.
const (
	SlabCols     = 64
	SlabRowBytes = 128
	// groupOf8 is the distance of two groups of eight rows of a slab.
	groupOf8 = 8 * SlabRowBytes
)

// Wgmma multiplies by wgmma.mma_async. Products run from Issue until Wait, beside
// whatever comes between.
type Wgmma struct {
	*Warp
	Type dtype.Type
}

// Issue starts products together, as one group.
func (g Wgmma) Issue(products func()) {
	g.B.WgmmaFenceSyncAligned()
	products()
	g.B.WgmmaCommitGroupSyncAligned()
}

// Wait waits until at most so many of the groups last issued run.
func (g Wgmma) Wait(groups int) { g.B.WgmmaWaitGroupSyncAligned(ptx.Imm(groups)) }

// Matrix is a tile in shared memory as wgmma takes it: a descriptor (§9.7.15.5.1.2)
// with start address, leading and stride byte offsets, each (x & 0x3FFFF) >> 4 at
// bits 0, 16 and 32, and the swizzle mode at bit 62, 1 for 128 bytes.
type Matrix struct {
	*Warp
	tile       layout.SmemTile
	transposed bool
	depth      int // what the product sums over
	descriptor ptx.R64
}

// Matrix is an operand whose rows are the tile's rows, of so many of its columns.
func (g Wgmma) Matrix(t layout.SmemTile, base ptx.R32, columns int) Matrix {
	return g.describe(Matrix{Warp: g.Warp, tile: t, depth: columns}, base, 16, groupOf8)
}

// Transposed is an operand whose rows are the tile's columns: slabs are the leading
// offset, groups of eight rows the stride.
func (g Wgmma) Transposed(t layout.SmemTile, base ptx.R32) Matrix {
	return g.describe(Matrix{Warp: g.Warp, tile: t, depth: t.Rows, transposed: true}, base, t.Rows*SlabRowBytes, groupOf8)
}

func (g Wgmma) describe(m Matrix, at ptx.R32, leading, stride int) Matrix {
	const swizzle128 = int64(1) << 62
	b := g.B
	start := b.ShrU32(b.AndB32(at, ptx.Imm(0x3FFFF)), ptx.Imm(4))
	m.descriptor = b.OrB64(b.CvtU64U32(start), ptx.Imm(int64(leading>>4)<<16|int64(stride>>4)<<32|swizzle128))
	return m
}

// step is the descriptor of the n-th 16 of the depth.
func (m Matrix) step(n int) ptx.R64 {
	col := n * 16
	bytes := m.tile.Slab(col%m.tile.Cols).Offset + col%SlabCols*m.tile.Type.Bytes()
	if m.transposed {
		bytes = n * 16 * SlabRowBytes
	}
	if bytes == 0 {
		return m.descriptor
	}
	return m.B.AddS64(m.descriptor, ptx.Imm(bytes>>4))
}

func (m Matrix) steps() int { return m.depth / 16 }

// flag is the operand that says whether a matrix is transposed.
func (m Matrix) flag() ptx.Imm {
	if m.transposed {
		return 1
	}
	return 0
}

// Sum is what a product does with what its accumulator holds.
type Sum struct {
	read bool
	when *ptx.Pred
}

// Fresh overwrites the accumulator, Added adds to it, AddedWhere adds to it where p
// holds and overwrites it elsewhere.
var (
	Fresh = Sum{}
	Added = Sum{read: true}
)

func AddedWhere(p ptx.Pred) Sum { return Sum{when: &p} }

// flag is the predicate that a step's instruction takes.
func (s Sum) flag(w *Warp, step int) ptx.Reg {
	if step == 0 && s.when != nil {
		return s.when.Reg
	}
	v := ptx.Imm(0)
	if step > 0 || s.read {
		v = 1
	}
	return w.B.SetpNeU32(w.B.Const32(int64(v)), ptx.Imm(0)).Reg
}

// WgmmaA is an A operand: a Matrix, or Fragments.
type WgmmaA interface {
	steps() int
	issue(g Wgmma, acc Acc, b Matrix, step int, sum Sum)
}

// Mma computes acc = a · b + what sum says.
func (g Wgmma) Mma(acc Acc, a WgmmaA, b Matrix, sum Sum) {
	for step := range a.steps() {
		a.issue(g, acc, b, step, sum)
	}
}

func (m Matrix) issue(g Wgmma, acc Acc, b Matrix, step int, sum Sum) {
	rows, columns := m.step(step).Reg, b.step(step).Reg
	g.B.Emit(g.form(acc, ""), acc.operand(), rows, columns, sum.flag(g.Warp, step),
		ptx.Imm(1), ptx.Imm(1), m.flag(), b.flag())
}

func (f Fragments) steps() int { return len(f.regs) }

func (f Fragments) issue(g Wgmma, acc Acc, b Matrix, step int, sum Sum) {
	flag := sum.flag(g.Warp, step)
	g.B.Emit(g.form(acc, "#ra"), acc.operand(), ptx.VecOf(f.regs[step]), b.step(step).Reg, flag,
		ptx.Imm(1), ptx.Imm(1), b.flag())
}

func (g Wgmma) form(acc Acc, variant string) string {
	return fmt.Sprintf("wgmma.mma_async.sync.aligned.m64n%dk16.f32.%s.%[2]s%s", acc.Columns(), g.Type, variant)
}
