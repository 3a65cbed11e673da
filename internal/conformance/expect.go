package conformance

import (
	"fmt"

	"github.com/s2attention/s2c/codegen/ptx/inst"
	"github.com/s2attention/s2c/codegen/ptx/sm80"
	"github.com/s2attention/s2c/codegen/ptx/sm90a"
	"github.com/s2attention/s2c/ir/layout"
	"github.com/s2attention/s2c/runtime/emu"
)

// Work is what a launch executes, in warp instructions and bytes.
type Work struct {
	Matrix int64 // matrix instructions
	Copies int64 // asynchronous copies
	Bytes  int64 // of global memory that the copies read
}

// predictions are the closed forms by code generator.
var predictions = map[string]func(k *layout.Kernel, batch, qLen, kLen int64) Work{
	sm80.Generator{}.Family(): predictSM80, sm90a.Generator{}.Family(): predictSM90a,
}

// Predict is what a kernel has to execute by the closed form of its layout; false
// where there is none for its code generator.
func Predict(k *layout.Kernel, batch, qLen, kLen int64) (Work, bool) {
	f, ok := predictions[k.Family]
	if !ok {
		return Work{}, false
	}
	return f(k, batch, qLen, kLen), true
}

// Executed is what an emulator has counted.
func Executed(s *emu.Stats) Work {
	return Work{
		Matrix: s.Instructions[inst.Mma] + s.Instructions[inst.Wgmma],
		Copies: s.Instructions[inst.CpAsync] + s.Instructions[inst.TmaLoad],
		Bytes:  s.AsyncRead,
	}
}

func (w Work) String() string {
	return fmt.Sprintf("%d matrix instructions, %d copies of %d bytes", w.Matrix, w.Copies, w.Bytes)
}

// predictSM80: a warp with something to multiply in a step takes
// KVTile/8 · D/16 mma.m16n8k16 for the scores and KVTile/16 · D/8 for the output.
// A step copies a key and a value tile, a query tile its queries; each
// chunk of 16 bytes is one lane's.
func predictSM80(k *layout.Kernel, batch, qLen, kLen int64) Work {
	d, kv := int64(k.DimPadded), int64(k.KVTile)
	warps := int64(k.Positions / k.Merge / 16) // of one head and query block
	var counts layout.Counts
	for h := range k.HeadTiles {
		counts = counts.Add(k.Count(h, kLen, qLen))
	}
	return Work{
		Matrix: batch * counts.Products * warps * 2 * (kv / 8) * (d / 16),
		Copies: batch * (counts.Steps*2*copies(k, kv) + counts.Tiles*copies(k, int64(k.Rows))),
		Bytes:  batch * (keyBytes(k, qLen, kLen) + queryBytes(k, qLen)),
	}
}

// predictSM90a: every consumer warp multiplies every step, D/16 wgmma for the
// scores and KVTile/16 for the output; a tile without steps takes one of zeros.
// One lane copies boxes of 64 columns: of each of a step's blocks, those that are
// missing included, and of the queries of a warpgroup or of a head.
func predictSM90a(k *layout.Kernel, batch, qLen, kLen int64) Work {
	var tiles, steps int64
	for h := range k.HeadTiles {
		for tile := k.FirstTile(kLen, qLen); tile < k.Tiles(kLen); tile++ {
			tiles++
			steps += int64(max(1, len(k.Steps(h, tile, kLen, qLen))))
		}
	}
	slabs := int64(k.DimPadded+63) / 64
	boxes := int64(k.Rows / min(64, k.Positions))
	return Work{
		Matrix: batch * steps * int64(k.Rows/16) * int64(k.DimPadded/16+k.KVTile/16),
		Copies: batch * slabs * (steps*2*int64(k.Gather()) + tiles*boxes),
		Bytes:  batch * (keyBytes(k, qLen, kLen) + queryBytes(k, qLen)),
	}
}

// copies is the warp instructions that copy rows of the head dimension, slab by slab.
func copies(k *layout.Kernel, rows int64) int64 {
	var n int64
	for _, s := range (layout.SmemTile{Rows: int(rows), Cols: k.DimPadded, Type: k.Shape.DType}).Slabs() {
		chunks := rows * int64(s.RowBytes()) / layout.ChunkBytes
		// Threads take one chunk a round; a last round that is not full leaves whole warps out.
		n += (chunks + inst.WarpSize - 1) / inst.WarpSize
	}
	return n
}

// queryBytes are the queries of one sequence, each read once.
func queryBytes(k *layout.Kernel, qLen int64) int64 {
	return int64(k.Shape.Heads) * qLen * rowBytes(k)
}

// rowBytes is a row of the head dimension.
func rowBytes(k *layout.Kernel) int64 { return int64(k.Shape.HeadDim * k.Shape.DType.Bytes()) }

// keyBytes are the keys and values that the steps of one sequence read: of each
// gathered block the tokens that exist.
func keyBytes(k *layout.Kernel, qLen, kLen int64) int64 {
	var tokens int64
	part := int64(min(k.KVTile, k.Shape.Block))
	for h := range k.HeadTiles {
		for tile := k.FirstTile(kLen, qLen); tile < k.Tiles(kLen); tile++ {
			for _, s := range k.Steps(h, tile, kLen, qLen) {
				for _, b := range s.Blocks {
					first := b*int64(k.Shape.Block) + int64(s.Part)*part
					tokens += max(0, min(part, kLen-first))
				}
			}
		}
	}
	return tokens * 2 * rowBytes(k)
}

// SourceBytes is keyBytes and queryBytes from the source predicate alone: the key
// blocks that some head and query of a tile attends. It shares no code with
// the closed form, only the tile's geometry.
func SourceBytes(s *Subject, k *layout.Kernel, batch, qLen, kLen int64) int64 {
	block := int64(k.Shape.Block)
	var tokens int64
	for h := range k.HeadTiles {
		heads := k.HeadTiles[h].Heads
		for first := (kLen - qLen) / int64(k.Positions) * int64(k.Positions); first < kLen; first += int64(k.Positions) {
			from, end := max(first, kLen-qLen), min(first+int64(k.Positions), kLen)
			for j := range (kLen + block - 1) / block {
				if attendedByTile(s, heads, from, end, block, j) {
					tokens += min(block, kLen-j*block)
				}
			}
		}
	}
	return batch * (tokens*2*rowBytes(k) + queryBytes(k, qLen))
}

// attendedByTile is whether a query at a position in [from, end) attends key block j.
func attendedByTile(s *Subject, heads []int, from, end, block, j int64) bool {
	for _, h := range heads {
		for i := from / block; i <= (end-1)/block; i++ {
			if s.Attends(h, i, j) {
				return true
			}
		}
	}
	return false
}
