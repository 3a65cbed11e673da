package layout

import "github.com/s2attention/s2c/ir"

// The sm90a family: consumer warpgroups of 64 query rows on wgmma, one producer
// warp that copies keys and values by TMA into a ring of stages, a persistent grid.
const (
	sm90aGroupRows = 64
	sm90aSlab      = 64 // columns of a TMA box: 128 bytes, the widest swizzle
	sm90aInfo      = 128
	sm90aBarrier   = 8
	sm90aShared    = 227 << 10
	sm90aState     = 32
	// sm90aFewBlocks is the gathered blocks that a producer can follow in the 32
	// registers that three consumer warpgroups leave it; it spills with more.
	sm90aFewBlocks = 2
)

// sm90aRegisters is what setmaxnreg leaves a consumer thread, by consumer
// warpgroups: the entry's 168 or 128 redistributed (PTX ISA 9.0 §9.7.19.5).
var sm90aRegisters = map[int]int{1: 240, 2: 240, 3: 160}

func sm90aEmitter(reason string) Emitter {
	return Emitter{
		Family: "sm90a",
		Reason: reason,
		Serves: func(s ir.Shape) bool {
			return s.DType.Bits() == 16 && s.HeadDim%8 == 0 && s.HeadDim <= 256 && s.Block%16 == 0 && s.Block <= 128
		},
		Candidates:    sm90aCandidates,
		Live:          sm90aLive,
		Registers:     func(_ ir.Shape, c Candidate) int { return sm90aRegisters[c.Rows/sm90aGroupRows] },
		RegisterLimit: func(c Candidate) int { return sm90aRegisters[c.Rows/sm90aGroupRows] },
		Memory:        sm90aMemory,
		Loop:          Loop{ReadRows: sm90aGroupRows, StepClocks: 150, Overlap: true, Alone: true},
	}
}

// sm90aCandidates: one to three consumer warpgroups, filled by packed heads,
// merged query blocks or both; KV tiles of 64 or 128 tokens from up to eight
// blocks (two, beside three warpgroups); two to four stages.
func sm90aCandidates(s ir.Shape, heads int) []Candidate {
	var list []Candidate
	for groups := 1; groups <= 3; groups++ {
		rows := groups * sm90aGroupRows
		for pack := 1; pack <= heads; pack *= 2 {
			positions := rows / pack
			if rows%pack != 0 || positions%warpRows != 0 || positions%sm90aGroupRows != 0 && sm90aGroupRows%positions != 0 {
				continue // a box of query rows is one head's
			}
			merge, split := max(1, positions/s.Block), max(1, s.Block/positions)
			if merge*s.Block != positions*split {
				continue
			}
			for kv := 64; kv <= 128; kv *= 2 {
				if kv%s.Block != 0 && s.Block%kv != 0 {
					continue
				}
				if groups == 3 && kv/s.Block > sm90aFewBlocks {
					continue
				}
				list = append(list, deepestFirst(s, Candidate{
					Pack: pack, Merge: merge, Split: split, Rows: rows,
					KVTile: kv, Warps: rows / warpRows, PingPong: groups > 1, LazyRescale: true,
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
func deepestFirst(s ir.Shape, c Candidate) []Candidate {
	var first, rest []Candidate
	for c.Stages = 4; c.Stages >= 2; c.Stages-- {
		if sm90aPlace(s, c, 2).end <= sm90aShared {
			first = append(first, c)
		} else {
			rest = append([]Candidate{c}, rest...)
		}
	}
	return append(first, rest...)
}

// sm90aLive counts a consumer thread's tiles, 128 threads to 64 rows: fp32
// output and scores, and the weights as 16-bit operands of the product that
// runs beside the next scores.
func sm90aLive(s ir.Shape, c Candidate) int {
	return sm90aDim(s)/2 + c.KVTile/2 + c.KVTile/4 + sm90aState
}

// sm90aDim is the head dimension in whole slabs.
func sm90aDim(s ir.Shape) int { return (s.HeadDim + sm90aSlab - 1) / sm90aSlab * sm90aSlab }

// sm90aMemory: two query tiles for each warpgroup where memory allows (the next
// item's queries load while this one's output leaves through its own), else
// one; keys, values, a few words for each stage about its blocks, the barriers.
func sm90aMemory(s ir.Shape, c Candidate) []Region {
	if m := sm90aPlace(s, c, 2); m.end <= sm90aShared {
		return m.regions
	}
	return sm90aPlace(s, c, 1).regions
}

func sm90aPlace(s ir.Shape, c Candidate, queries int) memory {
	m := memory{elem: s.DType}
	d, tiles := sm90aDim(s), queries*c.Rows/sm90aGroupRows
	m.stages("q", tiles, sm90aGroupRows, d)
	m.stages("k", c.Stages, c.KVTile, d)
	m.stages("v", c.Stages, c.KVTile, d)
	m.add("info", c.Stages*sm90aInfo, SmemTile{})
	m.add("barriers", (2*tiles+4*c.Stages)*sm90aBarrier, SmemTile{})
	return m
}
