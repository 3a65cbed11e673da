package kernel

import "github.com/s2attention/s2c/codegen/ptx"

// Cursor walks the key blocks of one row that some query block of interest
// attends. It computes them: within a cell the next block is one addition away,
// and a cell costs three 16-byte loads.
type Cursor struct {
	Block   ptx.R32 // key block, or −1 past the end
	Members ptx.R32 // which of the tile's query blocks attend; only with members

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
		Block: b.Const32(-1), row: row, lastBlock: lastBlock,
		cells: b.MovB32(ht.cells), left: b.Const32(0), step: b.Const32(0),
		members: live != nil, tabular: p.Table != nil, moves: p.Moves,
	}
	if c.members {
		c.live = *live
	}
	c.cell = b.MadWideU32(ht.cellWord, ptx.Imm(4), ht.words)
	if c.members {
		c.Members = b.Const32(0)
	}
	if c.tabular {
		c.openTable(b, ht)
	}
	return c
}

// openTable takes the row from the table when it has one there.
func (c *Cursor) openTable(b *ptx.Builder, ht HeadTile) {
	b.Comment("rows below the table's end come from the table")
	c.inTable = b.SetpLtS32(c.row, ht.tableRows)
	c.entry = b.MovB64(ptx.Imm(0))
	done := b.NewLabel("no_table_row")
	b.Unless(c.inTable).Bra(done)
	base := b.MadWideU32(ht.table, ptx.Imm(4), b.CvtaToGlobalU64(Param64(b, "table")))
	at := b.MadWideU32(c.row, ptx.Imm(4), base)
	from := b.LdGlobalNcB32(at.At(0))
	to := b.LdGlobalNcB32(at.At(4))
	b.SubS32To(c.left, to, from)
	b.MovB32To(c.cells, ptx.Imm(0))
	// Entries follow the row offsets, aligned to 8 bytes.
	word := b.AddS32(b.AddS32(ht.table, ht.tableRows), ptx.Imm(2))
	word = b.AndB32(word, ptx.Imm(-2))
	first := b.MadWideU32(b.SubS32(word, ht.table), ptx.Imm(4), base)
	b.MadWideU32To(c.entry, from, ptx.Imm(8), first)
	b.Place(done)
}

// Next moves to the next key block. All threads that share a row take the same
// path.
func (c *Cursor) Next(b *ptx.Builder) {
	have, load, end, done := b.NewLabel("have"), b.NewLabel("cell"), b.NewLabel("end"), b.NewLabel("next")
	again := b.NewLabel("block")
	if c.members && c.tabular {
		b.Place(again)
	}
	b.If(b.SetpGtS32(c.left, ptx.Imm(0))).Bra(have)
	b.Place(load)
	b.If(b.SetpLeS32(c.cells, ptx.Imm(0))).Bra(end)
	c.openCell(b, load)
	b.Place(have)
	b.SubS32To(c.left, c.left, ptx.Imm(1))
	if c.tabular {
		c.nextEntry(b, again, end, done)
	}
	b.AddS32To(c.Block, c.Block, c.step)
	b.Bra(done)
	b.Place(end)
	b.MovB32To(c.left, ptx.Imm(0))
	b.MovB32To(c.Block, ptx.Imm(-1))
	if c.members {
		b.MovB32To(c.Members, ptx.Imm(0))
	}
	b.Place(done)
}

// openCell reads the next cell; it branches back to again when the cell has
// nothing in this row, or nothing that a query block of interest attends.
func (c *Cursor) openCell(b *ptx.Builder, again ptx.Label) {
	rows, bounds, prog := b.R32s(4), b.R32s(4), b.R32s(4)
	b.LdGlobalNcV4B32(rows, c.cell.At(0))
	b.LdGlobalNcV4B32(bounds, c.cell.At(16))
	b.LdGlobalNcV4B32(prog, c.cell.At(32))
	b.AddS64To(c.cell, c.cell, ptx.Imm(cellWords*4))
	b.SubS32To(c.cells, c.cells, ptx.Imm(1))

	if c.members {
		b.If(b.SetpEqS32(b.AndB32(prog[3], c.live), ptx.Imm(0))).Bra(again)
	}
	b.If(b.SetpLtS32(c.row, rows[0])).Bra(again)
	b.If(b.SetpGeS32(c.row, rows[1])).Bra(again)
	quotient := b.MovB32(c.row)
	every := b.NewLabel("every_row")
	b.If(b.SetpEqS32(rows[2], ptx.Imm(1))).Bra(every)
	from := b.SubS32(c.row, rows[3])
	b.DivS32To(quotient, from, rows[2])
	b.If(b.SetpNeS32(b.MulLoS32(quotient, rows[2]), from)).Bra(again)
	b.Place(every)

	lo := b.MaxS32(b.MadLoS32(bounds[1], c.row, bounds[0]), ptx.Imm(0))
	hi := b.MinS32(b.MadLoS32(bounds[3], c.row, bounds[2]), c.lastBlock)
	first := b.MovB32(lo)
	one := b.NewLabel("step_one")
	b.MovB32To(c.step, prog[0])
	b.If(b.SetpEqS32(c.step, ptx.Imm(1))).Bra(one)
	phase := prog[1]
	if c.moves {
		phase = c.movePhase(b, prog, quotient)
	}
	away := b.RemS32(b.SubS32(phase, lo), c.step)
	b.If(b.SetpLtS32(away, ptx.Imm(0))).AddS32To(away, away, c.step)
	b.AddS32To(first, lo, away)
	b.Place(one)
	b.If(b.SetpGtS32(first, hi)).Bra(again)
	b.AddS32To(c.left, b.DivU32(b.SubS32(hi, first), c.step), ptx.Imm(1))
	b.SubS32To(c.Block, first, c.step)
	if c.members {
		b.MovB32To(c.Members, prog[3])
	}
}

// movePhase is the phase of a cell in the row that is its quotient-th.
func (c *Cursor) movePhase(b *ptx.Builder, prog []ptx.R32, quotient ptx.R32) ptx.R32 {
	phase := b.MovB32(prog[1])
	fixed := b.NewLabel("fixed_phase")
	b.If(b.SetpEqS32(prog[2], ptx.Imm(0))).Bra(fixed)
	b.Comment("the phase moves with the row; 64 bits, for the product may be long")
	long := b.RemS64(b.AddS64(b.MulWideS32(prog[2], quotient), b.CvtS64S32(phase)), b.CvtS64S32(c.step))
	b.CvtU32U64To(phase, long)
	b.Place(fixed)
	return phase
}

// nextEntry takes a block from the table; columns ascend, so the first one that
// does not exist ends the row. It branches back to again when no query block of
// interest attends the block.
func (c *Cursor) nextEntry(b *ptx.Builder, again, end, done ptx.Label) {
	arithmetic := b.NewLabel("arithmetic")
	b.Unless(c.inTable).Bra(arithmetic)
	pair := b.R32s(2)
	b.LdGlobalNcV2B32(pair, c.entry.At(0))
	b.AddS64To(c.entry, c.entry, ptx.Imm(8))
	b.If(b.SetpGtS32(pair[0], c.lastBlock)).Bra(end)
	if c.members {
		b.If(b.SetpEqS32(b.AndB32(pair[1], c.live), ptx.Imm(0))).Bra(again)
	}
	b.MovB32To(c.Block, pair[0])
	if c.members {
		b.MovB32To(c.Members, pair[1])
	}
	b.Bra(done)
	b.Place(arithmetic)
}
