package sm90a

import (
	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/codegen/ptx/tile"
	"github.com/s2attention/s2c/ir/layout"
)

// memory is what emission often asks the map of shared memory for.
type memory struct {
	queryTile layout.SmemTile // one warpgroup's query rows
	kvTile    layout.SmemTile // one stage of keys or values
	stages    int
	groups    int
	queries   int // query buffers a warpgroup
}

func memoryOf(k *layout.Kernel) memory {
	m := memory{queryTile: k.Memory.Region("q0").Tile, kvTile: k.Memory.Region("k0").Tile, stages: k.Stages, groups: groups(k.Rows)}
	m.queries = k.Memory.Count("q") / m.groups
	return m
}

// queryBox is the query rows of a TMA box: those of one head in a warpgroup.
func queryBox(k *layout.Kernel) int { return min(tile.GroupRows, k.Positions) }

// barriers are those of a kind.
func (e *emitter) barriers(kind string) tile.Barriers {
	return e.Barriers(e.smem.At(e.K.Memory.Region(kind).Offset))
}

// slots are the buffers of a tensor.
func (e *emitter) slots(tensor string, count, parts, bytes int) tile.Slots {
	return tile.Slots{
		Full: e.barriers(tensor + "_full"), Empty: e.barriers(tensor + "_empty"),
		Base: e.smem, First: e.K.Memory.Region(tensor + "0").Offset, Count: count, Parts: parts, Bytes: bytes,
	}
}

// Each warpgroup has its own part of a query buffer.
func (e *emitter) querySlots() tile.Slots {
	return e.slots("q", e.queries, e.groups, e.groups*e.queryTile.Bytes())
}
func (e *emitter) keySlots() tile.Slots   { return e.slots("k", e.stages, 1, e.kvTile.Bytes()) }
func (e *emitter) valueSlots() tile.Slots { return e.slots("v", e.stages, 1, e.kvTile.Bytes()) }

// initBarriers prepares the barriers: a full one is signalled by its copies, an
// empty one by each warp that reads the slot (PTX ISA §9.7.13.15).
func (e *emitter) initBarriers(tid ptx.R32) {
	b := e.b
	b.Comment("barriers: full by the copies, empty by every reading warp")
	b.Unless(b.SetpNeU32(tid, ptx.Imm(0)), "barriers_ready", func() {
		for g := range e.queries * e.groups {
			e.querySlots().Prepare(g, tile.GroupWarps)
		}
		for s := range e.stages {
			e.keySlots().Prepare(s, tile.GroupWarps*e.groups)
			e.valueSlots().Prepare(s, tile.GroupWarps*e.groups)
		}
		b.FenceMbarrierInitReleaseCluster()
	})
	b.BarSync(ptx.Imm(0))
}
