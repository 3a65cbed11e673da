package kernel

import "github.com/s2attention/s2c/codegen/ptx"

// Cursor walks the key blocks of one row that some query block of interest
// attends. It computes them: within a cell the next block is one addition away,
// and a cell costs three 16-byte loads.
type Cursor struct {
	Block   ptx.R32 // key block, or −1 past the end
	Members ptx.R32 // which of the tile's query blocks attend; only with members

	b                *ptx.Builder
	row, lastBlock   ptx.R32
	live             ptx.R32 // the query blocks of interest, as in Members; only with members
	cell             ptx.R64 // next cell's record
	cells            ptx.R32 // cells left
	left, step       ptx.R32 // blocks left in this cell, and their distance
	entry            ptx.R64 // next table entry
	inTable          ptx.Pred
	members, tabular bool
	moves            bool
}

// NewCursor places a cursor before the first key block of a row. lastBlock is
// the last key block that exists, live the query blocks whose key blocks count;
// nil stands for all.
func NewCursor(b *ptx.Builder, p *Pattern, ht HeadTile, row, lastBlock ptx.R32, live *ptx.R32) *Cursor {
	c := &Cursor{
		b: b, Block: b.Const32(-1), row: row, lastBlock: lastBlock,
		cells: b.MovB32(ht.Cells), left: b.Const32(0), step: b.Const32(0),
		members: live != nil, tabular: p.Table != nil, moves: p.Moves,
	}
	if c.members {
		c.live = *live
	}
	c.cell = b.MadWideU32(ht.CellWord, ptx.Imm(4), ht.words)
	if c.members {
		c.Members = b.Const32(0)
	}
	if c.tabular {
		c.openTable(ht)
	}
	return c
}

// openTable takes the row from the table when it has one there.
func (c *Cursor) openTable(ht HeadTile) {
	b := c.b
	b.Comment("rows below the table's end come from the table")
	c.inTable = b.SetpLtS32(c.row, ht.TableRows)
	c.entry = b.MovB64(ptx.Imm(0))
	b.When(c.inTable, "no_table_row", func() {
		base := b.MadWideU32(ht.Table, ptx.Imm(4), b.CvtaToGlobalU64(Param64(b, "table")))
		at := b.MadWideU32(c.row, ptx.Imm(4), base)
		from := b.LdGlobalNcB32(at.At(0))
		to := b.LdGlobalNcB32(at.At(4))
		b.SubS32To(c.left, to, from)
		b.MovB32To(c.cells, ptx.Imm(0))
		// Entries follow the row offsets, aligned to 8 bytes.
		word := b.AddS32(b.AddS32(ht.Table, ht.TableRows), ptx.Imm(2))
		word = b.AndB32(word, ptx.Imm(-2))
		first := b.MadWideU32(b.SubS32(word, ht.Table), ptx.Imm(4), base)
		b.MadWideU32To(c.entry, from, ptx.Imm(8), first)
	})
}

// Next moves to the next key block. All threads that share a row take the same
// path.
func (c *Cursor) Next() {
	b := c.b
	b.Block("next", func(done ptx.Point) {
		b.Block("end", func(end ptx.Point) {
			b.Loop("block", func(again ptx.Point) {
				b.Unless(b.SetpGtS32(c.left, ptx.Imm(0)), "have", func() {
					b.Loop("cell", func(next ptx.Point) {
						end.If(b.SetpLeS32(c.cells, ptx.Imm(0)))
						c.openCell(next)
					})
				})
				b.SubS32To(c.left, c.left, ptx.Imm(1))
				if c.tabular {
					c.nextEntry(again, end, done)
				}
				b.AddS32To(c.Block, c.Block, c.step)
				done.Go()
			})
		})
		b.MovB32To(c.left, ptx.Imm(0))
		b.MovB32To(c.Block, ptx.Imm(-1))
		if c.members {
			b.MovB32To(c.Members, ptx.Imm(0))
		}
	})
}

// openCell reads the next cell; it goes on to the one after when the cell has
// nothing in this row, or nothing that a query block of interest attends.
func (c *Cursor) openCell(next ptx.Point) {
	b := c.b
	var cell cellRecord[ptx.R32]
	load(b, cell.fields(), c.cell)
	b.AddS64To(c.cell, c.cell, ptx.Imm(cellWords*4))
	b.SubS32To(c.cells, c.cells, ptx.Imm(1))

	if c.members {
		next.If(b.SetpEqS32(b.AndB32(cell.Members, c.live), ptx.Imm(0)))
	}
	quotient := c.admit(&cell, next)
	lo := b.MaxS32(b.MadLoS32(cell.LoA, c.row, cell.LoC), ptx.Imm(0))
	hi := b.MinS32(b.MadLoS32(cell.HiA, c.row, cell.HiC), c.lastBlock)
	first := b.MovB32(lo)
	b.MovB32To(c.step, cell.Step)
	b.Unless(b.SetpEqS32(c.step, ptx.Imm(1)), "step_one", func() {
		phase := cell.PhaseC
		if c.moves {
			phase = c.movePhase(&cell, quotient)
		}
		away := b.RemS32(b.SubS32(phase, lo), c.step)
		b.If(b.SetpLtS32(away, ptx.Imm(0))).AddS32To(away, away, c.step)
		b.AddS32To(first, lo, away)
	})
	next.If(b.SetpGtS32(first, hi))
	b.AddS32To(c.left, b.DivU32(b.SubS32(hi, first), c.step), ptx.Imm(1))
	b.SubS32To(c.Block, first, c.step)
	if c.members {
		b.MovB32To(c.Members, cell.Members)
	}
}

// admit goes on to the next cell unless the row is one of the cell's: its
// quotient-th, by which a moving phase counts.
func (c *Cursor) admit(cell *cellRecord[ptx.R32], next ptx.Point) (quotient ptx.R32) {
	b := c.b
	next.If(b.SetpLtS32(c.row, cell.RowLo))
	next.If(b.SetpGeS32(c.row, cell.RowHi))
	quotient = b.MovB32(c.row)
	b.Unless(b.SetpEqS32(cell.RowMod, ptx.Imm(1)), "every_row", func() {
		from := b.SubS32(c.row, cell.RowRes)
		b.DivS32To(quotient, from, cell.RowMod)
		next.If(b.SetpNeS32(b.MulLoS32(quotient, cell.RowMod), from))
	})
	return quotient
}

// movePhase is the phase of a cell in the row that is its quotient-th.
func (c *Cursor) movePhase(cell *cellRecord[ptx.R32], quotient ptx.R32) ptx.R32 {
	b := c.b
	phase := b.MovB32(cell.PhaseC)
	b.Unless(b.SetpEqS32(cell.PhaseA, ptx.Imm(0)), "fixed_phase", func() {
		b.Comment("the phase moves with the row; 64 bits, for the product may be long")
		long := b.RemS64(b.AddS64(b.MulWideS32(cell.PhaseA, quotient), b.CvtS64S32(phase)), b.CvtS64S32(c.step))
		b.CvtU32U64To(phase, long)
	})
	return phase
}

// nextEntry takes a block from the table; columns ascend, so the first one that
// does not exist ends the row. It goes on to the next when no query block of
// interest attends the block.
func (c *Cursor) nextEntry(again, end, done ptx.Point) {
	b := c.b
	b.When(c.inTable, "arithmetic", func() {
		pair := b.R32s(2)
		column, members := pair[0], pair[1]
		b.LdGlobalNcV2B32(pair, c.entry.At(0))
		b.AddS64To(c.entry, c.entry, ptx.Imm(8))
		end.If(b.SetpGtS32(column, c.lastBlock))
		if c.members {
			again.If(b.SetpEqS32(b.AndB32(members, c.live), ptx.Imm(0)))
		}
		b.MovB32To(c.Block, column)
		if c.members {
			b.MovB32To(c.Members, members)
		}
		done.Go()
	})
}
