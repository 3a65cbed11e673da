package sm90a

import (
	"slices"

	"github.com/s2attention/s2c/codegen/ptx/kernel"
	"github.com/s2attention/s2c/codegen/ptx/tile"
	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/ir/layout"
	"github.com/s2attention/s2c/launch"
)

// Generator is the sm90a family: consumer warpgroups of 64 query rows on wgmma,
// one producer warp that copies keys and values by TMA into a ring of stages, a
// persistent grid.
type Generator struct{}

var _ kernel.Generator = Generator{}

// machine is what the family is for, and for nothing else.
var machine = layout.Hopper

const (
	// state is what a consumer's thread holds besides tiles.
	state = 32
	// fewBlocks is the gathered blocks that a producer can follow in the 32
	// registers that three consumer warpgroups leave it; it spills with more.
	fewBlocks = 2
	// resident is the thread blocks a multiprocessor that a kernel is built for: the
	// grid is persistent, and one block takes all registers.
	resident = 1
	// maxRegisters is the most that a consumer asks for.
	maxRegisters = 240
)

func (Generator) Family() string { return "sm90a" }

// Launch: persistent thread blocks share the work items. The tensor maps' boxes
// are slabs of the query rows of one head, of the tokens of one key block.
func (Generator) Launch(k *layout.Kernel) launch.Kernel {
	box := func(tensor string, rows int) launch.Param {
		return launch.MapOf(tensor, launch.MapRule{
			Axes: []launch.Axis{launch.AxisDim, launch.AxisSeq, launch.AxisHead, launch.AxisBatch},
			Box:  []uint32{tile.SlabCols, uint32(rows), 1, 1}, Swizzle: tile.SlabRowBytes,
		})
	}
	return kernel.Launch(k, threads(groups(k.Rows)), resident, launch.Place(launch.ForwardParams, []launch.Param{
		box("q", queryBox(k)), box("k", k.ChunkTokens()), box("v", k.ChunkTokens()),
	}))
}

func (Generator) Loop() layout.Loop {
	return layout.Loop{ReadRows: tile.GroupRows, StepClocks: 150, Overlap: true, Alone: true}
}

// groups is the number of consumer warpgroups, threads the size of a thread block.
func groups(rows int) int    { return rows / tile.GroupRows }
func threads(groups int) int { return (groups + 1) * tile.GroupThreads }

// Candidates: one to three consumer warpgroups, filled by packed heads, merged
// query blocks or both; KV tiles of 64 or 128 tokens from up to eight blocks
// (two, beside three warpgroups); two to four stages.
func (g Generator) Candidates(s ir.Shape, heads int) []layout.Candidate {
	var list []layout.Candidate
	if s.DType.Bits() != 16 {
		return nil
	}
	for groups := 1; groups <= 3; groups++ {
		rows := groups * tile.GroupRows
		for pack := 1; pack <= heads; pack *= 2 {
			positions := rows / pack
			if rows%pack != 0 || positions%layout.WarpRows != 0 || positions%tile.GroupRows != 0 && tile.GroupRows%positions != 0 {
				continue // a box of query rows is one head's
			}
			merge, split := max(1, positions/s.Block), max(1, s.Block/positions)
			if merge*s.Block != positions*split {
				continue
			}
			for kv := 64; kv <= 128; kv *= 2 {
				if kv%s.Block != 0 && s.Block%kv != 0 || groups == 3 && kv/s.Block > fewBlocks {
					continue
				}
				list = append(list, deepestFirst(s, layout.Candidate{
					Pack: pack, Merge: merge, Split: split, Rows: rows,
					KVTile: kv, Warps: rows / layout.WarpRows,
				})...)
			}
		}
	}
	return list
}

// deepestFirst lists a candidate with two to four stages. The cost model does
// not see the depth, so the order decides: the deepest ring beside two query
// buffers first (at head dimension 64, four stages are faster than two by 12 %,
// see bench/results), then those that cost the second query buffer.
func deepestFirst(s ir.Shape, c layout.Candidate) []layout.Candidate {
	var first, rest []layout.Candidate
	for c.Stages = 4; c.Stages >= 2; c.Stages-- {
		if place(s, c, 2).Bytes() <= machine.BlockShared {
			first = append(first, c)
		} else {
			rest = append(rest, c)
		}
	}
	slices.Reverse(rest)
	return append(first, rest...)
}

// Registers of a consumer: its thread's 128th of a warpgroup's tiles, which are
// the fp32 output and scores, and the weights as 16-bit operands of the product
// that runs beside the next scores.
func (Generator) Registers(s ir.Shape, c layout.Candidate) layout.Registers {
	_, own, _ := split(groups(c.Rows), max(1, c.KVTile/s.Block))
	return layout.Registers{Live: wholeSlabs(s)/2 + c.KVTile/2 + c.KVTile/4 + state, Limit: own, Given: own}
}

// split is the registers a thread keeps after setmaxnreg (PTX ISA §9.7.19.5): the
// block enters with an equal share for every thread, the producer warpgroup
// gives up its own. Nothing moves where a thread enters with all it can use.
func split(groups, gather int) (producer, consumer int, move bool) {
	entry := machine.CoreRegisters / (resident * threads(groups)) / 8 * 8
	if entry >= maxRegisters {
		return entry, maxRegisters, false
	}
	producer = producerRegisters(gather)
	if groups == 3 { // 512 threads enter with 128: 32 + 3 x 160
		producer = 32
	}
	consumer = (entry + (entry-producer)/groups) / 8 * 8
	return producer, min(consumer, maxRegisters), true
}

// producerRegisters is what the producer keeps, by the blocks that it gathers
// for a tile: it holds where each of them starts, and the next tile's, too. The
// consumers share the rest.
func producerRegisters(gather int) int {
	switch {
	case gather > 4:
		return 56
	case gather > 2:
		return 40
	}
	return 24
}

// wholeSlabs is the head dimension in whole slabs.
func wholeSlabs(s ir.Shape) int {
	return (s.HeadDim + tile.SlabCols - 1) / tile.SlabCols * tile.SlabCols
}

// Memory: two query tiles for each warpgroup where memory allows (the next
// item's queries load while this one's output leaves through its own), else one.
func (Generator) Memory(s ir.Shape, c layout.Candidate) layout.Memory {
	if m := place(s, c, 2); m.Bytes() <= machine.BlockShared {
		return m
	}
	return place(s, c, 1)
}

// place lays out the query buffers, the ring of keys and values, what each of its
// stages says about its tile, and the barriers of each kind.
func place(s ir.Shape, c layout.Candidate, queries int) (m layout.Memory) {
	t := layout.SmemTile{Rows: tile.GroupRows, Cols: wholeSlabs(s), Type: s.DType, Hardware: true}
	tiles := queries * groups(c.Rows)
	m.AddTiles("q", tiles, t)
	t.Rows = c.KVTile
	m.AddTiles("k", c.Stages, t)
	m.AddTiles("v", c.Stages, t)
	m.Add("info", c.Stages*stageWords*4)
	for _, b := range []struct {
		name  string
		count int
	}{
		{"q_full", tiles}, {"q_empty", tiles},
		{"k_full", c.Stages}, {"k_empty", c.Stages}, {"v_full", c.Stages}, {"v_empty", c.Stages},
	} {
		m.Add(b.name, b.count*tile.BarrierBytes)
	}
	return m
}
