// Package ir holds a pattern in closed form: disjoint arithmetic progressions
// of key blocks with affine bounds, guarded by ranges of query blocks, and what
// can be proved about them for every length at once.
package ir

import (
	"math"

	"github.com/s2attention/s2c/dtype"
)

// Inf stands for "no bound"; -Inf likewise.
const Inf = math.MaxInt64

// Shape is what a layer's kernel needs to know of the model.
type Shape struct {
	Heads, KVHeads, HeadDim, Block int
	DType                          dtype.Type // of query, key, value and output
	Causal                         bool
	Scale                          float64
}

// Group is the number of query heads that share a KV head.
func (s Shape) Group() int { return s.Heads / s.KVHeads }

// Line is the affine form C + A·x. C = ±Inf (with A = 0) means unbounded.
type Line struct{ A, C int64 }

// Rows guards a cell: Lo ≤ i < Hi and i ≡ Res (mod Mod), 0 ≤ Res < Mod.
// Hi = Inf means every later row.
type Rows struct{ Lo, Hi, Mod, Res int64 }

// Cell is one arithmetic progression of key blocks: in each row i that Rows
// admits, all j with Lo(i) ≤ j ≤ Hi(i), j ≥ 0, and
// j ≡ Phase((i − Rows.Res)/Rows.Mod) (mod Step).
type Cell struct {
	Rows   Rows
	Lo, Hi Line
	Step   int64
	Phase  Line
	// Members is 1 in a head's own pattern. After Merge, bit r says that query
	// block r of the merged row attends these key blocks.
	Members uint32
}

// Table holds rows that have no small closed form, as CSR.
type Table struct {
	Rows    int64    // rows [0, Rows) come from the table, none of them from cells
	Crow    []int64  // Rows+1 offsets into Col
	Col     []int32  // ascending within a row
	Members []uint32 // as Cell.Members, parallel to Col
	// Limited says that no row ≥ Rows is defined at all (a `where`): longer
	// inputs must be refused.
	Limited bool
}

// Pattern is one head's set of (query block, key block) pairs: disjoint cells,
// and a table for rows that are irregular. In a causal model j ≤ i is already
// part of it; in a bidirectional one the last key block is the run-time bound.
//
// Patterns from [Builder] and [Merge] are in normal form: Lo is bounded (0
// where it would not be positive), every admitted row's interval is not empty,
// slopes are 0 or 1 (after a merge of r, 0 or r). Others may be written freely;
// [Verify] says what has to hold.
type Pattern struct {
	Cells []Cell
	Table *Table
}

// Layer is one distinct layer: a pattern for each query head.
type Layer struct {
	Numbers []int // the model's layers that share it, ascending
	Heads   []Pattern
}

// Module is a whole file in closed form.
type Module struct {
	Name   string
	Shape  Shape
	Layers []Layer // distinct ones, in order of their first number
}
