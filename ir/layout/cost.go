package layout

import (
	"math"

	"github.com/s2attention/s2c/ir"
)

// NominalTokens are the context lengths that the cost model weighs equally.
var NominalTokens = []int64{8192, 32768}

// Constants of the cost model that no data sheet gives: clocks and instruction
// counts, rounded, from the shape of the main loop. See README.md.
const (
	pairOps      = 4.0    // fp32 operations a score: scale, maximum, sum, conversion
	loadLatency  = 600.0  // from a copy's issue to its data
	memberClocks = 50.0   // finding out which warps attend, with merged query blocks
	tileClocks   = 2000.0 // prologue and epilogue of a query tile, waits included
	cellClocks   = 250.0  // opening a cell: its record comes from global memory
	copyBytes    = 16
	cellSamples  = 8192 // cells that one geometry is counted on, all patterns and tiles together
	leastSamples = 16   // query tiles of each pattern and length at least,
	mostSamples  = 256  // and at most
)

// Weighted is a pattern and how many head tiles have it.
type Weighted struct {
	Pattern ir.Pattern
	Heads   int // query heads
}

// Work is what the query tiles of a geometry do at the nominal lengths, on average.
type Work struct {
	Steps    float64 // turns of the main loop a query tile
	Products float64 // of Steps × Merge: turns that multiply something
	Useful   float64 // attended (query, key) pairs a query tile and head, masks of the diagonal ignored
	Cells    float64 // cells of a pattern
}

// CountWork samples the query tiles of patterns cut as k says (Merge, Split,
// KVTile, Positions). patterns are merged already, k.Pack must be 1. Samples are spread
// evenly with a stagger, so that they do not fall in step with a stride.
func CountWork(k *Kernel, patterns []Weighted, maxBlocks int64) Work {
	var w Work
	total := 0.0
	cells := 0
	for _, p := range patterns {
		cells += len(p.Pattern.Cells) + 1
	}
	samples := int64(min(max(cellSamples/(cells*len(NominalTokens)), leastSamples), mostSamples))
	for _, p := range patterns {
		for _, tokens := range NominalTokens {
			if maxBlocks > 0 {
				tokens = min(tokens, maxBlocks*int64(k.Shape.Block))
			}
			var c counter
			tiles := k.Tiles(tokens)
			n := min(samples, tiles)
			for s := range n {
				lo, hi := s*tiles/n, (s+1)*tiles/n
				tile := lo + s*7919%(hi-lo)
				c.tile(k, &p.Pattern, tile, tokens, k.Live(tile, tokens, tokens))
			}
			weight := float64(p.Heads) / float64(n)
			part := float64(k.Positions) / float64(k.Merge) // positions of one query block in the tile
			w.Steps += weight * float64(c.counts.Steps)
			w.Products += weight * float64(c.counts.Products)
			w.Useful += weight * float64(c.counts.Attended) * part * float64(k.Shape.Block)
			w.Cells += float64(p.Heads) * float64(len(p.Pattern.Cells))
			total += float64(p.Heads)
		}
	}
	return Work{w.Steps / total, w.Products / total, w.Useful / total, w.Cells / total}
}

// Cost is the predicted time of a candidate over the time that the tensor
// cores alone would take at their peak for the attended pairs: 1 is the ideal.
// The caller has filled in SharedBytes, Registers and Resident > 0.
//
// A step occupies four resources; one of them is the bottleneck. A warp goes
// through its step's phases one after the other, the chain. With w warps a
// scheduler the others fill a warp's waits, in the limit completely:
//
//	time a step and warp = bottleneck + (chain − bottleneck)/w      (w ≥ 1)
//	                     = chain/w                                  (w < 1)
func (m Machine) Cost(l Loop, s ir.Shape, c Candidate, w Work) float64 {
	if w.Useful == 0 {
		return math.Inf(1)
	}
	d, elemBytes := float64(PaddedDim(s)), float64(s.DType.Bytes())
	rows, kv, warps := float64(c.Rows), float64(c.KVTile), float64(c.Warps)
	tile := kv * d * elemBytes // bytes of a key or value tile

	// Clocks of a whole step on one multiprocessor, were it alone in using each resource.
	matrix := 2 * rows * kv * d / m.MatrixFMA
	exp := rows * kv / m.Exp
	lanes := (pairOps*rows*kv + rows*d + l.CopyOps*2*tile/copyBytes) / m.Lanes
	reads := max(rows/float64(l.ReadRows), 1) * 2 * tile
	if !c.QInRegisters {
		reads += rows * d * elemBytes
	}
	shared := (reads + 2*tile) / m.SharedRate
	load := 2 * tile / m.L2Rate

	// Warps of query blocks that do not attend skip the products, not the waits.
	used := 1.0
	if w.Steps > 0 {
		used = w.Products / (w.Steps * float64(c.Merge))
	}
	schedulers := warps / 4 // of the block's own warps, on one scheduler
	bottleneck := max(matrix*used, exp*used, lanes*used, shared*used, load) / schedulers
	chain := (matrix+exp+lanes)/schedulers + l.StepClocks
	if l.Overlap {
		chain = max(matrix, exp+lanes)/schedulers + l.StepClocks
	}
	if c.Merge > 1 {
		chain += memberClocks
	}
	if c.Stages == 1 {
		chain += loadLatency + load
	} else {
		chain = max(chain, loadLatency+load)
	}
	chain = max(chain, bottleneck)
	resident := float64(c.Resident)
	together := resident * schedulers
	step := chain / together
	if together > 1 {
		step = bottleneck + (chain-bottleneck)/together
	}
	ends := (tileClocks + w.Cells*cellClocks + 2*rows*d*elemBytes/m.L2Rate) / resident

	time := w.Steps*step*schedulers + ends
	ideal := w.Useful * float64(c.Pack) * 2 * float64(s.HeadDim) / m.MatrixFMA
	return time / ideal
}
