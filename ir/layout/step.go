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
	Cell    int      // index in Pattern.Cells, or -1 for the table
	Blocks  []int64  // key blocks gathered, at most Kernel.Gather, ascending
	Members []uint32 // of each of Blocks: the merged query blocks that attend it
	Part    int      // which KVTile tokens of the one block, when KVTile < Block
	Mask    Mask
}

// Gather is the number of key blocks of a full step.
func (k *Kernel) Gather() int { return max(1, k.KVTile/k.Shape.Block) }

// Parts is the number of steps that one key block takes.
func (k *Kernel) Parts() int { return max(1, k.Shape.Block/k.KVTile) }

// Row is the pattern row that a query tile reads.
func (k *Kernel) Row(tile int64) int64 { return tile / int64(k.Split) }

// Tiles is the number of query tiles of a context of kLen tokens.
func (k *Kernel) Tiles(kLen int64) int64 { return ceilDiv(kLen, int64(k.Positions)) }

// FirstTile is the first query tile that holds one of the last qLen positions.
func (k *Kernel) FirstTile(kLen, qLen int64) int64 { return (kLen - qLen) / int64(k.Positions) }

// Steps lists the main loop of one query tile of a head tile at a context of
// kLen tokens, in order: cell by cell, ascending key blocks in each. A gather
// never spans two cells; the blocks missing from its last step are not loaded.
// Steps whose every key comes after the tile's last query are skipped.
func (k *Kernel) Steps(headTile int, tile, kLen int64) []Step {
	p := &k.HeadTiles[headTile].Pattern
	keyBlocks := ceilDiv(kLen, int64(k.Shape.Block))
	var steps []Step
	for _, r := range runs(nil, p, k.Row(tile), keyBlocks) {
		for t := int64(0); t < r.count; t += int64(k.Gather()) {
			g := k.gather(&r, t)
			for part := range k.Parts() {
				if k.future(&g, part, tile) {
					break
				}
				s := Step{Cell: r.cell, Part: part, Mask: k.mask(&g, part, tile, kLen)}
				for u := range g.blocks {
					block, members := r.at(t + u)
					s.Blocks = append(s.Blocks, block)
					s.Members = append(s.Members, members)
				}
				steps = append(steps, s)
			}
		}
	}
	return steps
}

// gathered is what a step needs to know of its key blocks.
type gathered struct {
	first, last int64  // key positions of the first and of the last block's end
	blocks      int64  // how many, at most Gather
	any, every  uint32 // union and intersection of their members
	members     int64  // sum of their members
}

// gather collects the key blocks of a run from the t-th on.
func (k *Kernel) gather(r *run, t int64) gathered {
	block := int64(k.Shape.Block)
	g := gathered{every: ^uint32(0)}
	for u := t; u < min(t+int64(k.Gather()), r.count); u++ {
		at, members := r.at(u)
		if g.blocks == 0 {
			g.first = at * block
		}
		g.last = (at+1)*block - 1
		g.blocks++
		g.any |= members
		g.every &= members
		g.members += int64(bits.OnesCount32(members))
	}
	return g
}

// keys is the first and the last key position of one part of a step.
func (k *Kernel) keys(g *gathered, part int) (first, last int64) {
	if tokens := int64(k.KVTile); tokens < int64(k.Shape.Block) {
		first = g.first + int64(part)*tokens
		return first, first + tokens - 1
	}
	return g.first, g.last
}

// future says that every key of a step comes after the tile's last query.
func (k *Kernel) future(g *gathered, part int, tile int64) bool {
	first, _ := k.keys(g, part)
	return k.Shape.Causal && first > k.lastQuery(tile)
}

// mask classifies a step of a tile.
func (k *Kernel) mask(g *gathered, part int, tile, kLen int64) Mask {
	var m Mask
	_, last := k.keys(g, part)
	if k.Shape.Causal && last > k.firstQuery(tile) {
		m |= Diagonal
	}
	if last >= kLen {
		m |= Tail
	}
	if g.blocks < int64(k.Gather()) || g.every != k.allMembers() {
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
	// pattern would load and no step does.
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
		c.tile(k, &k.HeadTiles[headTile].Pattern, tile, kLen)
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
}

// tile adds one query tile.
func (c *counter) tile(k *Kernel, p *ir.Pattern, tile, kLen int64) {
	c.counts.Tiles++
	c.counts.Skipped += k.densePieces(tile, kLen)
	c.runs = runs(c.runs[:0], p, k.Row(tile), ceilDiv(kLen, int64(k.Shape.Block)))
	for i := range c.runs {
		c.run(k, &c.runs[i], tile, kLen)
	}
}

// run adds one run: in one go the blocks of a cell that lie before the tile's
// first query and the last key, where all steps are alike, and the rest singly.
func (c *counter) run(k *Kernel, r *run, tile, kLen int64) {
	n, gather, parts := &c.counts, int64(k.Gather()), int64(k.Parts())
	pack := int64(k.Pack)
	t := int64(0)
	if r.cell >= 0 {
		clear := k.clearBlocks(tile, kLen)
		if r.first < clear {
			t = min((clear-1-r.first)/r.step+1, r.count) / gather * gather
		}
		steps, members := t/gather*parts, int64(bits.OnesCount32(r.members))
		n.Steps += steps
		n.Skipped -= t * parts
		n.Products += steps * members * pack
		n.Attended += t * members * pack
		if r.members == k.allMembers() {
			n.Full += steps
		} else {
			n.Partial += steps
		}
	}
	for ; t < r.count; t += gather {
		g := k.gather(r, t)
		n.Attended += g.members * pack
		for part := range k.Parts() {
			if k.future(&g, part, tile) {
				break
			}
			n.Steps++
			n.Skipped -= g.blocks
			n.Products += int64(bits.OnesCount32(g.any)) * pack
			n.class(k.mask(&g, part, tile, kLen))
		}
	}
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

// densePieces is the number of pieces that a tile of the dense pattern loads.
func (k *Kernel) densePieces(tile, kLen int64) int64 {
	keys := kLen
	if k.Shape.Causal {
		keys = min(keys, k.lastQuery(tile)+1)
	}
	return ceilDiv(keys, int64(min(k.KVTile, k.Shape.Block)))
}

func ceilDiv(a, b int64) int64 { return (a + b - 1) / b }
