package layout

import "github.com/s2attention/s2c/ir"

// warpRows is the query rows of one warp on every target: the m of mma.m16n8k16,
// a warp's share of wgmma's 64.
const warpRows = 16

// The sm80 family: mma.sync m16n8k16, so a warp owns 16 query rows; keys and
// values arrive by cp.async.
const (
	sm80MaxRows   = 128
	sm80MaxGather = 4
	// sm80State is what a thread holds besides tiles: row maxima and sums,
	// addresses, lengths, the cell's bounds.
	sm80State = 48
	// sm80Limit is 255 less what the assembler may need beside the estimate.
	sm80Limit = 240
	// The assembler takes more than must live, to load ahead: as for a step of 64
	// tokens at least, and so many for merged or gathered blocks, and for query
	// fragments that are loaded in the loop. Compared with ptxas 13.0 -v.
	sm80AheadTokens = 64
	sm80AheadBlocks = 16
	sm80AheadQuery  = 24
)

func sm80Emitter(reason string) Emitter {
	return Emitter{
		Family: "sm80",
		Reason: reason,
		Serves: func(s ir.Shape) bool {
			return s.DType.Bits() == 16 && s.HeadDim%8 == 0 && s.HeadDim <= 256 && s.Block%16 == 0 && s.Block <= 128
		},
		Candidates:    sm80Candidates,
		Live:          sm80Live,
		Registers:     sm80Registers,
		RegisterLimit: func(Candidate) int { return sm80Limit },
		Memory:        sm80Memory,
		Loop:          Loop{ReadRows: warpRows, CopyOps: 4, StepClocks: 300},
	}
}

// sm80Candidates: Pack × Positions rows in {16, 32, 64, 128}, Positions =
// Merge × Block / Split a multiple of 16, and a KV tile that divides a block
// or gathers up to four of them.
func sm80Candidates(s ir.Shape, heads int) []Candidate {
	var list []Candidate
	for pack := 1; pack <= heads; pack *= 2 {
		for _, q := range queryTiles(s.Block, sm80MaxRows/pack) {
			rows := pack * q.positions
			for kv := 16; kv <= 128; kv *= 2 {
				if kv%s.Block != 0 && s.Block%kv != 0 || kv > sm80MaxGather*s.Block {
					continue
				}
				for stages := 1; stages <= 2; stages++ {
					c := Candidate{
						Pack: pack, Merge: q.merge, Split: q.split, Rows: rows,
						KVTile: kv, Stages: stages, Warps: rows / warpRows,
						QInRegisters: PaddedDim(s) <= 128,
					}
					list = append(list, c)
				}
			}
		}
	}
	return list
}

// queryTile is a cut of the query axis.
type queryTile struct{ merge, split, positions int }

// queryTiles lists the cuts of up to most positions: parts of a block, a block,
// or several, in powers of two and at least 16 positions.
func queryTiles(block, most int) []queryTile {
	var list []queryTile
	for positions := 16; positions <= most; positions *= 2 {
		q := queryTile{merge: max(1, positions/block), split: max(1, block/positions), positions: positions}
		if q.merge*block == positions*q.split {
			list = append(list, q)
		}
	}
	return list
}

// sm80Live counts the tiles in flight, a thread of the warp's 32 each:
// fp32 accumulators of the output (16 × D) and the scores (16 × KVTile), the
// probabilities and query fragments in pairs of 16 bits.
func sm80Live(s ir.Shape, c Candidate) int {
	d := PaddedDim(s)
	n := d/2 + c.KVTile/2 + c.KVTile/4 + sm80State
	if c.QInRegisters {
		n += d / 4
	}
	return n
}

// sm80Registers is what the assembler is expected to allocate.
func sm80Registers(s ir.Shape, c Candidate) int {
	ahead := c
	ahead.KVTile = max(c.KVTile, sm80AheadTokens)
	n := sm80Live(s, ahead)
	if c.Merge > 1 || c.KVTile > s.Block {
		n += sm80AheadBlocks
	}
	if !c.QInRegisters {
		n += sm80AheadQuery
	}
	return min(n, 255)
}

// sm80Memory: the query tile, which becomes the output's staging buffer after the
// last step, then the key tile of each stage, then the value tiles.
func sm80Memory(s ir.Shape, c Candidate) []Region {
	m := memory{elem: s.DType}
	d := PaddedDim(s)
	m.tile("q", c.Rows, d)
	m.stages("k", c.Stages, c.KVTile, d)
	m.stages("v", c.Stages, c.KVTile, d)
	return m.regions
}
