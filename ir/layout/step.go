package layout

import (
	"math/bits"
	"strings"

	"github.com/s2attention/s2c/ir"
)

// Mask says why a step of the main loop cannot use every score that it computes.
// Zero is a full step, which carries no mask at all.
type Mask uint8

const (
	// Diagonal: a key of the step comes after a query of the tile (causal models).
	Diagonal Mask = 1 << iota
	// Tail: the step reaches past the last key. In a causal model Diagonal is
	// set as well, and its mask is enough: every query precedes those keys.
	Tail
	// Partial: a gathered block is missing, or one of the merged query blocks
	// does not attend.
	Partial

	Full Mask = 0
)

var maskNames = []struct {
	bit  Mask
	name string
}{{Diagonal, "diagonal"}, {Tail, "tail"}, {Partial, "partial"}}

// String lists the reasons, "full" if there is none.
func (m Mask) String() string {
	if m == Full {
		return "full"
	}
	var names []string
	for _, n := range maskNames {
		if m&n.bit != 0 {
			names = append(names, n.name)
		}
	}
	return strings.Join(names, "+")
}

// Step is one turn of a query tile's main loop: the keys that it loads and
// multiplies at once.
type Step struct {
	Blocks  []int64  // key blocks gathered, at most Kernel.Gather, in loop order
	Members []uint32 // of each of Blocks: the merged query blocks that attend it
	Part    int      // which KVTile tokens of the one block, when KVTile < Block
	Mask    Mask
}

// Gather is the number of key blocks of a full step.
func (k *Kernel) Gather() int { return max(1, k.KVTile/k.Shape.Block) }

// Parts is the number of steps that one key block takes.
func (k *Kernel) Parts() int { return max(1, k.Shape.Block/k.KVTile) }

// ChunkTokens is the tokens of a KV tile that come from one key block.
func (k *Kernel) ChunkTokens() int { return min(k.KVTile, k.Shape.Block) }

// Row is the pattern row that a query tile reads.
func (k *Kernel) Row(tile int64) int64 { return tile / int64(k.Split) }

// Tiles is the number of query tiles of a context of kLen tokens.
func (k *Kernel) Tiles(kLen int64) int64 { return ceilDiv(kLen, int64(k.Positions)) }

// FirstTile is the first query tile that holds one of the last qLen positions.
func (k *Kernel) FirstTile(kLen, qLen int64) int64 { return (kLen - qLen) / int64(k.Positions) }

// Live has a bit for each merged query block of a tile that holds one of the last
// qLen of kLen positions. Key blocks that no such block attends are not loaded.
func (k *Kernel) Live(tile, kLen, qLen int64) uint32 {
	block := int64(k.Shape.Block)
	first := max(kLen-qLen-k.firstQuery(tile), 0) / block
	last := min((kLen-1-k.firstQuery(tile))/block, int64(k.Merge)-1)
	return uint32(uint64(1)<<(last+1) - uint64(1)<<first)
}

// Steps lists the main loop of one query tile of a head tile for the last qLen
// of kLen tokens, in order: cell by cell, or the table's row, ascending key
// blocks in each. A gather may begin in one cell and end in the next; the blocks
// missing from the last one are not loaded.
func (k *Kernel) Steps(headTile int, tile, kLen, qLen int64) []Step {
	p := &k.HeadTiles[headTile].Pattern
	var steps []Step
	var open Step
	var g gathered
	flush := func() {
		for part := range k.Parts() {
			open.Part, open.Mask = part, k.mask(&g, part, tile, kLen)
			steps = append(steps, open)
		}
		open, g = Step{}, gathered{}
	}
	for _, r := range runs(nil, p, k.Row(tile), ceilDiv(kLen, int64(k.Shape.Block)), k.Live(tile, kLen, qLen)) {
		for t := range r.count {
			block, members := r.at(t)
			open.Blocks = append(open.Blocks, block)
			open.Members = append(open.Members, members)
			if g.add(k, block, members); g.blocks == int64(k.Gather()) {
				flush()
			}
		}
	}
	if g.blocks > 0 {
		flush()
	}
	return steps
}

// gathered is what a step needs to know of its key blocks.
type gathered struct {
	last    int64  // last key block
	blocks  int64  // how many, at most Gather
	any     uint32 // union of their members
	partial bool   // some query block does not attend one of them
}

func (g *gathered) add(k *Kernel, block int64, members uint32) {
	g.last = max(g.last, block)
	g.blocks++
	g.any |= members
	g.partial = g.partial || members != k.allMembers()
}

// mask classifies one part of a step of a tile.
func (k *Kernel) mask(g *gathered, part int, tile, kLen int64) Mask {
	var m Mask
	last := (g.last+1)*int64(k.Shape.Block) - 1
	if k.Parts() > 1 {
		last = g.last*int64(k.Shape.Block) + int64(part+1)*int64(k.KVTile) - 1
	}
	if k.Shape.Causal && last > k.firstQuery(tile) {
		m |= Diagonal
	}
	if last >= kLen {
		m |= Tail
	}
	if g.partial || g.blocks < int64(k.Gather()) {
		m |= Partial
	}
	return m
}

// firstQuery and lastQuery are the first and last positions of a tile.
func (k *Kernel) firstQuery(tile int64) int64 { return tile * int64(k.Positions) }
func (k *Kernel) lastQuery(tile int64) int64  { return (tile+1)*int64(k.Positions) - 1 }

// allMembers has a bit for each merged query block.
func (k *Kernel) allMembers() uint32 { return uint32(uint64(1)<<k.Merge - 1) }

// Counts says what the query tiles of one head tile, or of all, do for one sequence.
type Counts struct {
	Tiles    int64 // query tiles
	Steps    int64 // turns of the main loop, each loads KVTile tokens or fewer
	Full     int64 // steps without a mask
	Diagonal int64 // steps by reason; a step may have several
	Tail     int64
	Partial  int64
	// Skipped counts the pieces of min(KVTile, Block) tokens that the dense
	// pattern's blocks have and no step loads.
	Skipped int64
	// Products counts (head, merged query block, step) triples that have
	// something to multiply; a warp of any other is free to skip the step.
	Products int64
	// Attended counts (head, query block of the tile, key block) triples that the
	// pattern holds.
	Attended int64
}

// Add sums two counts.
func (c Counts) Add(d Counts) Counts {
	return Counts{
		Tiles: c.Tiles + d.Tiles, Steps: c.Steps + d.Steps, Full: c.Full + d.Full,
		Diagonal: c.Diagonal + d.Diagonal, Tail: c.Tail + d.Tail, Partial: c.Partial + d.Partial,
		Skipped: c.Skipped + d.Skipped, Products: c.Products + d.Products, Attended: c.Attended + d.Attended,
	}
}

// Count sums over the tiles that hold the last qLen of kLen positions, for one
// head tile. Its time depends on the number of tiles and cells, not on how many
// key blocks a cell has; rows of a table are walked.
func (k *Kernel) Count(headTile int, kLen, qLen int64) Counts {
	var c counter
	for tile := k.FirstTile(kLen, qLen); tile < k.Tiles(kLen); tile++ {
		c.tile(k, &k.HeadTiles[headTile].Pattern, tile, kLen, k.Live(tile, kLen, qLen))
	}
	return c.counts
}

// Total counts all head tiles at a context of kLen tokens, all of them queries.
func (k *Kernel) Total(kLen int64) Counts {
	var c Counts
	for h := range k.HeadTiles {
		c = c.Add(k.Count(h, kLen, kLen))
	}
	return c
}

// counter accumulates counts; it keeps its buffer between tiles.
type counter struct {
	counts Counts
	runs   []run
	open   gathered // the step being gathered
}

// tile adds one query tile with its live query blocks.
func (c *counter) tile(k *Kernel, p *ir.Pattern, tile, kLen int64, live uint32) {
	c.counts.Tiles++
	c.counts.Skipped += k.densePieces(tile, kLen)
	c.runs = runs(c.runs[:0], p, k.Row(tile), ceilDiv(kLen, int64(k.Shape.Block)), live)
	for i := range c.runs {
		c.run(k, &c.runs[i], tile, kLen)
	}
	if c.open.blocks > 0 {
		c.flush(k, tile, kLen)
	}
}

// run adds one run. The blocks of a cell that lie before the tile's first query
// and the last key make steps that are all alike: they are counted in one go,
// the rest singly.
func (c *counter) run(k *Kernel, r *run, tile, kLen int64) {
	gather := int64(k.Gather())
	t := int64(0)
	for ; t < r.count; t++ {
		if c.open.blocks == 0 && r.cell >= 0 {
			if n := r.below(t, k.clearBlocks(tile, kLen)) / gather; n > 0 {
				c.alike(k, n, r.members)
				if t += n * gather; t == r.count {
					return
				}
			}
		}
		block, members := r.at(t)
		c.open.add(k, block, members)
		c.counts.Attended += int64(bits.OnesCount32(members)) * int64(k.Pack)
		if c.open.blocks == gather {
			c.flush(k, tile, kLen)
		}
	}
}

// below is how many blocks of a cell's run from the t-th on lie below a limit.
func (r *run) below(t, limit int64) int64 {
	first := r.first + t*r.step
	if first >= limit {
		return 0
	}
	return min((limit-1-first)/r.step+1, r.count-t)
}

// alike adds n whole gathers of one cell that need no mask but for their members.
func (c *counter) alike(k *Kernel, n int64, members uint32) {
	blocks, parts := n*int64(k.Gather()), int64(k.Parts())
	each := int64(bits.OnesCount32(members)) * int64(k.Pack)
	c.counts.Steps += n * parts
	c.counts.Skipped -= blocks * parts
	c.counts.Products += n * parts * each
	c.counts.Attended += blocks * each
	if members == k.allMembers() {
		c.counts.Full += n * parts
	} else {
		c.counts.Partial += n * parts
	}
}

// flush closes the step being gathered.
func (c *counter) flush(k *Kernel, tile, kLen int64) {
	for part := range k.Parts() {
		c.counts.Steps++
		c.counts.Skipped -= c.open.blocks
		c.counts.Products += int64(bits.OnesCount32(c.open.any)) * int64(k.Pack)
		c.counts.class(k.mask(&c.open, part, tile, kLen))
	}
	c.open = gathered{}
}

// class adds a step to the classes that it belongs to.
func (c *Counts) class(m Mask) {
	if m == Full {
		c.Full++
	}
	if m&Diagonal != 0 {
		c.Diagonal++
	}
	if m&Tail != 0 {
		c.Tail++
	}
	if m&Partial != 0 {
		c.Partial++
	}
}

// clearBlocks is the number of key blocks that need neither the diagonal mask
// nor the tail mask in a tile: they end at its first query at the latest.
func (k *Kernel) clearBlocks(tile, kLen int64) int64 {
	limit := kLen
	if k.Shape.Causal {
		limit = min(limit, k.firstQuery(tile)+1)
	}
	return limit / int64(k.Shape.Block)
}

// densePieces is the number of pieces that a tile of the dense pattern loads:
// those of every key block up to its last query's, or up to the last.
func (k *Kernel) densePieces(tile, kLen int64) int64 {
	blocks := ceilDiv(kLen, int64(k.Shape.Block))
	if k.Shape.Causal {
		blocks = min(blocks, ceilDiv(k.lastQuery(tile)+1, int64(k.Shape.Block)))
	}
	return blocks * int64(k.Parts())
}

func ceilDiv(a, b int64) int64 { return (a + b - 1) / b }
