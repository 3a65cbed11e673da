package tile_test

import (
	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/codegen/ptx/tile"
	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/ir/layout"
)

// A kernel for C = A Bᵀ in this vocabulary: A is m × k, B n × k, C m × n, bf16, rows one
// behind the other; n and k are multiples of 64. Each thread block of four warps makes
// 64 × 64 of C, the warps 16 rows each; on Hopper they multiply together, as a
// warpgroup.

// side is the rows and columns of the tiles of all three matrices.
const side = 64

// product is the state of the kernel while it is written.
type product struct {
	*tile.Warp
	shape        layout.SmemTile
	thread, rank ptx.R32 // of the thread block's threads, of its warps
	row, column  ptx.R32 // of C, where the thread block's tile begins
	a, b         ptx.R32 // the tiles in shared memory
	c            tile.Acc
}

// emitProduct emits the kernel.
func emitProduct(b *ptx.Builder, hopper bool) {
	p := product{Warp: &tile.Warp{B: b}, shape: layout.SmemTile{Rows: side, Cols: side, Type: dtype.BF16, Hardware: hopper}}
	p.thread = b.MovU32Sreg(ptx.TidX)
	p.Lane, p.rank = b.AndB32(p.thread, ptx.Imm(31)), b.ShrU32(p.thread, ptx.Imm(5))
	p.a = b.MovU32Sym("smem")
	p.b = b.AddS32(p.a, ptx.Imm(p.shape.Bytes()))
	across := b.DivU32(p.number("n"), ptx.Imm(side))
	block := b.MovU32Sreg(ptx.CtaidX)
	down := b.DivU32(block, across)
	p.row = b.MulLoS32(down, ptx.Imm(side))
	p.column = b.MulLoS32(b.SubS32(block, b.MulLoS32(down, across)), ptx.Imm(side))

	p.c = p.Zeros(side, tile.Row)
	multiply := p.mmaSync()
	if hopper {
		multiply = p.wgmma()
	}
	at := b.Const32(0)
	b.Endless("depth", "depth_end", func(end ptx.Point) {
		end.If(b.SetpGeS32(at, p.number("k")))
		p.load("a", p.a, p.row, "m", at)
		p.load("b", p.b, p.column, "n", at)
		p.Group()
		p.Landed(0)
		multiply()
		b.BarSync(ptx.Imm(0)) // the tiles are read before they are loaded again
		b.AddS32To(at, at, ptx.Imm(side))
	})
	p.store()
}

func (p *product) number(name string) ptx.R32 { return p.B.LdParamB32(ptx.ParamAddr{Name: name}) }

// mmaSync adds the product of the tiles to C, each warp its rows.
func (p *product) mmaSync() func() {
	mma, rows, columns := p.MmaSync(dtype.BF16), p.ShapeA(p.shape, false), p.ShapeB(p.shape, false)
	return func() { mma.Mma(p.c, rows.At(p.a, p.rank), columns.At(p.b)) }
}

// wgmma does the same, the warpgroup together.
func (p *product) wgmma() func() {
	mma := tile.Wgmma{Warp: p.Warp, Type: dtype.BF16}
	return func() {
		p.B.FenceProxyAsyncSharedCta() // what cp.async has written is read by the tensor cores
		p.B.BarSync(ptx.Imm(0))
		mma.Issue(func() { mma.Mma(p.c, mma.Matrix(p.shape, p.a, side), mma.Matrix(p.shape, p.b, side), tile.Added) })
		mma.Wait(0)
	}
}

// load starts the copies of a tile of a matrix, zeros for rows that it does not have.
func (p *product) load(matrix string, to, row ptx.R32, rows string, column ptx.R32) {
	for _, c := range p.PlanCopies(p.shape, side, side, p.thread, 4*32) {
		for n := range c.Rounds {
			r := p.B.AddS32(row, c.Row(n))
			c.Load(to, n, c.Chunk(p.at(matrix, r, "k", column)), p.B.SetpLtS32(r, p.number(rows)))
		}
	}
}

// store writes C, through the tile of A: each warp its own rows.
func (p *product) store() {
	first := p.B.ShlB32(p.rank, ptx.Imm(4))
	p.c.Store(p.shape, p.a, first)
	p.Sync()
	for _, c := range p.PlanCopies(p.shape, side, tile.Rows, p.Lane, 32) {
		rows := p.B.MadLoS32(first, ptx.Imm(c.Slabs[0].RowBytes()), p.a)
		for n := range c.Rounds {
			r := p.B.AddS32(p.row, p.B.AddS32(first, c.Row(n)))
			c.Store(rows, n, c.Chunk(p.at("c", r, "n", p.column)), p.B.SetpLtS32(r, p.number("m")))
		}
	}
}

// at is the address of an element of a matrix whose rows have so many elements.
func (p *product) at(matrix string, row ptx.R32, width string, column ptx.R32) ptx.R64 {
	b := p.B
	base := b.CvtaToGlobalU64(b.LdParamB64(ptx.ParamAddr{Name: matrix}))
	element := b.AddS64(b.MulWideS32(row, p.number(width)), b.CvtU64U32(column))
	return b.AddS64(base, b.ShlB64(element, ptx.Imm(1)))
}
