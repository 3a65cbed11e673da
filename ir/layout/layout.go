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
	// Masks, parallel to Pattern.Cells, says which masks a cell's key blocks may
	// bring to their steps at any length. Those of the table may need all.
	Masks []Mask
}

// Kernel is the tile program of one layer on one target.
type Kernel struct {
	Target target.Target
	Family string // which emitter serves it: "sm80" or "sm90a"
	Reason string // why that family
	Entry  string // PTX entry name
	Shape  ir.Shape
	// DimPadded is HeadDim rounded up to what the matrix instructions take.
	DimPadded int
	// Rows is the query rows of a thread block: Pack × Positions.
	Rows int
	// Warps that compute; 16 rows each on sm_80, 64 rows a warpgroup on sm_90a.
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
	// PingPong makes consumer warpgroups take turns at the tensor cores (sm90a).
	PingPong bool
	// LazyRescale rescales the output only when a row's maximum has grown by
	// more than 2⁸ (sm90a).
	LazyRescale bool
	// SharedBytes is the dynamic shared memory of a thread block.
	SharedBytes int
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
	QInRegisters, PingPong, LazyRescale             bool
	Resident                                        int     // thread blocks a multiprocessor
	Cost                                            float64 // relative time a useful pair
	Verdict                                         string  // "chosen", or why not
}
