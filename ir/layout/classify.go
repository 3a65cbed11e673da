package layout

import "github.com/s2attention/s2c/ir"

// CellMasks says for each cell of a head tile's pattern which masks its key
// blocks may bring to their steps at any length. A mask that no cell has, in a
// pattern without a table, the code generator may leave out.
func (k *Kernel) CellMasks(p ir.Pattern) []Mask {
	masks := make([]Mask, len(p.Cells))
	for n, c := range p.Cells {
		if k.reachesQueries(c) {
			masks[n] |= Tail
			if k.Shape.Causal {
				masks[n] |= Diagonal
			}
		}
		if k.Gather() > 1 || c.Members != k.allMembers() {
			masks[n] |= Partial
		}
	}
	return masks
}

// reachesQueries says that in some row a cell may hold a key block at or after
// the tile's first query block. One that does not has no key after a query of
// its tile, and none past the end: a query block exists behind it.
// It holds where Hi(I) − Merge·I ≥ 0 in some row I; the difference is a line,
// greatest at one end of the guard.
func (k *Kernel) reachesQueries(c ir.Cell) bool {
	if c.Hi.C == ir.Inf {
		return true
	}
	merge := int64(k.Merge)
	if c.Hi.A <= merge {
		return c.Hi.At(c.Rows.Lo) >= merge*c.Rows.Lo
	}
	if c.Rows.Hi == ir.Inf {
		return true
	}
	return c.Hi.At(c.Rows.Hi-1) >= merge*(c.Rows.Hi-1)
}

// Choose sets the kernel's geometry from a candidate.
func (k *Kernel) Choose(c Candidate) {
	k.Rows, k.Warps = c.Rows, c.Warps
	k.Pack, k.Merge, k.Split = c.Pack, c.Merge, c.Split
	k.Positions = k.Merge * k.Shape.Block / k.Split
	k.KVTile, k.Stages = c.KVTile, c.Stages
	k.QInRegisters, k.PingPong, k.LazyRescale = c.QInRegisters, c.PingPong, c.LazyRescale
	k.SharedBytes = c.SharedBytes
}
