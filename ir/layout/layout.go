// Package layout decides how a layer's pattern is cut into tiles and thread
// blocks for a target: the last form before code generation.
package layout

import (
	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/target"
)

// HeadTile is one row of work in head direction: the query heads that a thread
// block handles together, and the key blocks that each of its query tiles reads.
type HeadTile struct {
	Heads  []int // query heads, ascending, all of KVHead; equal patterns
	KVHead int
	// Pattern has one row for Kernel.Merge query blocks (Merge > 1), or one row
	// for each query block. Cells and table entries name in Members which of the
	// merged query blocks attend.
	Pattern ir.Pattern
}

// Kernel is the tile program of one layer on one target.
type Kernel struct {
	Target target.Target
	Family string // which code generator makes it
	Reason string // why that family
	Entry  string // PTX entry name
	Shape  ir.Shape
	// DimPadded is HeadDim rounded up to what the matrix instructions take.
	DimPadded int
	// Rows is the query rows of a thread block: Pack × Positions.
	Rows int
	// Warps that compute, WarpRows rows each.
	Warps int
	// Pack is the number of query heads that share a thread block.
	Pack int
	// Merge is the number of query blocks (of one head) a thread block covers, ≥ 1.
	Merge int
	// Split is the number of query tiles that one query block is cut into, ≥ 1;
	// Split > 1 implies Merge = 1.
	Split int
	// Positions is the query positions of a tile: Merge × Block / Split.
	Positions int
	// KVTile is the tokens of one step of the main loop. With KVTile > Block it
	// gathers KVTile/Block key blocks; otherwise a key block takes Block/KVTile steps.
	KVTile int
	// Stages is the depth of the KV pipeline.
	Stages int
	// QInRegisters keeps the query fragments in registers across the main loop.
	QInRegisters bool
	// Memory is the map of a thread block's dynamic shared memory.
	Memory Memory
	// HeadTiles in launch order; a run of GroupSize of them shares L2.
	HeadTiles []HeadTile
	GroupSize int
	// MaxBlocks is the greatest context in blocks for which every head's pattern
	// is defined; 0: no limit.
	MaxBlocks int64
	// Choice is the cost model's record: every candidate and why it lost.
	Choice []Candidate
}

// Candidate is one configuration that the cost model weighed.
type Candidate struct {
	Pack, Merge, Split, Rows, KVTile, Stages, Warps int
	SharedBytes, Registers                          int
	QInRegisters                                    bool
	Resident                                        int     // thread blocks a multiprocessor
	Cost                                            float64 // relative time a useful pair
	Verdict                                         string  // "chosen", or why not
}

// WarpRows is the query rows of one warp on every target: the m of
// mma.m16n8k16, a warp's share of wgmma's 64.
const WarpRows = 16

// Cut gives the kernel a candidate's geometry.
func (k *Kernel) Cut(c Candidate) {
	k.Rows, k.Warps = c.Rows, c.Warps
	k.Pack, k.Merge, k.Split = c.Pack, c.Merge, c.Split
	k.Positions = k.Merge * k.Shape.Block / k.Split
	k.KVTile, k.Stages = c.KVTile, c.Stages
	k.QInRegisters = c.QInRegisters
}

// Choose makes a generator's candidate the kernel's layout.
func (k *Kernel) Choose(g Generator, c Candidate) {
	k.Cut(c)
	k.Memory = g.Memory(k.Shape, c)
}

// candidate is the kernel's configuration in the form that generators take.
func (k *Kernel) candidate() Candidate {
	return Candidate{
		Pack: k.Pack, Merge: k.Merge, Split: k.Split, Rows: k.Rows, KVTile: k.KVTile,
		Stages: k.Stages, Warps: k.Warps, QInRegisters: k.QInRegisters,
	}
}

// PaddedDim is the head dimension rounded up to what the matrix instructions take.
func PaddedDim(s ir.Shape) int {
	unit := matrixBytes / s.DType.Bytes()
	return (s.HeadDim + unit - 1) / unit * unit
}

// matrixBytes is the k of every matrix instruction, of whatever type.
const matrixBytes = 32
