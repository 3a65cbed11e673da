package sm80

import (
	"github.com/s2attention/s2c/codegen/ptx/inst"
	"github.com/s2attention/s2c/codegen/ptx/kernel"
	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/ir/layout"
	"github.com/s2attention/s2c/launch"
)

// Generator is the sm80 family: mma.sync m16n8k16, so a warp owns 16 query rows;
// keys and values arrive by cp.async.
type Generator struct{}

var _ kernel.Generator = Generator{}

const (
	maxRows   = 128
	maxGather = 4
	// state is what a thread holds besides tiles: row maxima and sums, addresses,
	// lengths, the cell's bounds.
	state = 48
	// registerLimit is 255 less what the assembler may need beside the estimate.
	registerLimit = 240
	// The assembler takes more than must live, to load ahead: as for a step of 64
	// tokens at least, and so many for merged or gathered blocks, and for query
	// fragments that are loaded in the loop. Compared with ptxas 13.0 -v.
	aheadTokens = 64
	aheadBlocks = 16
	aheadQuery  = 24
)

func (Generator) Family() string { return "sm80" }

// Launch: a thread block for each work item.
func (Generator) Launch(k *layout.Kernel) launch.Kernel {
	return kernel.Launch(k, k.Warps*inst.WarpSize, 0, launch.Place(launch.ForwardParams))
}

func (Generator) Loop() layout.Loop {
	return layout.Loop{ReadRows: layout.WarpRows, CopyOps: 4, StepClocks: 300}
}

// Candidates: Pack × Positions rows in {16, 32, 64, 128}, Positions =
// Merge × Block / Split a multiple of 16, and a KV tile that divides a block
// or gathers up to four of them.
func (Generator) Candidates(s ir.Shape, heads int) []layout.Candidate {
	var list []layout.Candidate
	if s.DType.Bits() != 16 {
		return nil
	}
	for pack := 1; pack <= heads; pack *= 2 {
		for positions := layout.WarpRows; positions <= maxRows/pack; positions *= 2 {
			c := layout.Candidate{
				Pack: pack, Merge: max(1, positions/s.Block), Split: max(1, s.Block/positions), Rows: pack * positions,
				Warps: pack * positions / layout.WarpRows, QInRegisters: layout.PaddedDim(s) <= 128,
			}
			for c.KVTile = 16; c.KVTile <= 128; c.KVTile *= 2 {
				if c.KVTile%s.Block != 0 && s.Block%c.KVTile != 0 || c.KVTile > maxGather*s.Block {
					continue
				}
				for c.Stages = 1; c.Stages <= 2; c.Stages++ {
					list = append(list, c)
				}
			}
		}
	}
	return list
}

// Registers: a thread holds its 32nd of a warp's tiles, which are the fp32
// accumulators of the output (16 × D) and the scores (16 × KVTile), and the
// weights and query fragments in pairs of 16 bits.
func (Generator) Registers(s ir.Shape, c layout.Candidate) layout.Registers {
	d := layout.PaddedDim(s)
	live := func(kvTile int) int {
		n := d/2 + kvTile/2 + kvTile/4 + state
		if c.QInRegisters {
			n += d / 4
		}
		return n
	}
	given := live(max(c.KVTile, aheadTokens))
	if c.Merge > 1 || c.KVTile > s.Block {
		given += aheadBlocks
	}
	if !c.QInRegisters {
		given += aheadQuery
	}
	return layout.Registers{Live: live(c.KVTile), Limit: registerLimit, Given: min(given, 255)}
}

// Memory: the query tile, which becomes the output's staging buffer after the
// last step, then the key tile of each stage, then the value tiles.
func (Generator) Memory(s ir.Shape, c layout.Candidate) (m layout.Memory) {
	tile := func(rows int) layout.SmemTile {
		return layout.SmemTile{Rows: rows, Cols: layout.PaddedDim(s), Type: s.DType}
	}
	m.AddTile("q", tile(c.Rows))
	m.AddTiles("k", c.Stages, tile(c.KVTile))
	m.AddTiles("v", c.Stages, tile(c.KVTile))
	return m
}
