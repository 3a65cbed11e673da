package kernel_test

import (
	"fmt"
	"testing"

	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/codegen/ptx/kernel"
	"github.com/s2attention/s2c/internal/ptxtest"
	"github.com/s2attention/s2c/ir"
)

// walks is a kernel in which thread block h walks rows of head tile h, a row a
// lane, and stores what each Next has found.
type walks struct {
	*ptxtest.Kernel
	p     *kernel.Pattern
	steps int
}

const lanes = 32

func loadWalks(t testing.TB, p *kernel.Pattern, members bool, steps int) walks {
	shape := ptxtest.Shape{
		Params: []ptx.Param{
			ptxtest.U64("table"), ptxtest.U32("last"), ptxtest.U64("rows"), ptxtest.U64("live"),
			ptxtest.U64("heads"), ptxtest.U64("blocks"), ptxtest.U64("members"),
		},
		Globals: globals(p),
	}
	return walks{ptxtest.Load(t, shape, func(b *ptxtest.Builder) {
		ht := kernel.LoadHeadTile(b.Builder, words, b.BlockIndex)
		b.StGlobalV2B32(b.Word("heads", b.ShlB32(b.Thread, ptx.Imm(1))).At(0), []ptx.R32{ht.FirstHead, ht.KVHead})
		row := b.LdGlobalB32(b.Word("rows", b.Thread).At(0))
		var live *ptx.R32
		if members {
			r := b.LdGlobalB32(b.Word("live", b.Thread).At(0))
			live = &r
		}
		c := kernel.NewCursor(b.Builder, p, ht, row, kernel.Param32(b.Builder, "last"), live)
		times(b, steps, func(n ptx.R32) {
			c.Next()
			at := b.MadLoS32(b.Thread, ptx.Imm(steps), n)
			b.StGlobalB32(b.Word("blocks", at).At(0), c.Block)
			if members {
				b.StGlobalB32(b.Word("members", at).At(0), c.Members)
			}
		})
	}), p, steps}
}

// found is what a lane's walk has to store.
func found(p ir.Pattern, row, keyBlocks int64, live uint32, steps int) (blocks, members []int32) {
	for _, c := range enumerate(p, row, keyBlocks, live) {
		blocks, members = append(blocks, int32(c.J)), append(members, int32(c.Members))
	}
	for len(blocks) < steps {
		blocks, members = append(blocks, -1), append(members, 0)
	}
	return blocks, members
}

// compare launches the walks over some rows of each pattern, and holds them
// against the IR.
func (w walks) compare(t *testing.T, patterns []ir.Pattern, rows []int32, live []uint32, keyBlocks int64, members bool) {
	t.Helper()
	n := len(patterns) * lanes
	heads, blocks, masks := make([]int32, 2*n), make([]int32, n*w.steps), make([]int32, n*w.steps)
	w.Launch(t, len(patterns), table(w.p), int(keyBlocks-1), ptxtest.In(rows), ptxtest.In(live),
		ptxtest.Out(heads), ptxtest.Out(blocks), ptxtest.InOut(masks))
	for i := range n {
		h := i / lanes
		if heads[2*i] != int32(h) || heads[2*i+1] != int32(h/2) {
			t.Fatalf("head tile %d: heads %v", h, heads[2*i:2*i+2])
		}
		interest := live[i]
		if !members {
			interest = ^uint32(0)
		}
		b, m := found(patterns[h], int64(rows[i]), keyBlocks, interest, w.steps)
		gotB, gotM := blocks[i*w.steps:(i+1)*w.steps], masks[i*w.steps:(i+1)*w.steps]
		if fmt.Sprint(gotB) != fmt.Sprint(b) || members && fmt.Sprint(gotM) != fmt.Sprint(m) {
			t.Fatalf("row %d, %d key blocks, live %b of %+v:\n got blocks %v members %v\nwant blocks %v members %v",
				rows[i], keyBlocks, interest, patterns[h], gotB, gotM, b, m)
		}
	}
}

// TestCursor walks rows of random patterns: what it finds is what the IR
// enumerates, then nothing however often it is asked.
func TestCursor(t *testing.T) {
	for variant := range 8 {
		moving, tabular, members := variant&1 != 0, variant&2 != 0, variant&4 != 0
		t.Run(fmt.Sprintf("moving=%v,table=%v,members=%v", moving, tabular, members), func(t *testing.T) {
			r := random(uint64(variant))
			for range 3 {
				merge := 1
				if members {
					merge = int(oneOf(r, 2, 4, 32))
				}
				k := plain(16, merge, 1)
				var patterns []ir.Pattern
				for range 4 {
					rows := int64(0)
					if tabular {
						rows = between(r, 0, 12)
					}
					patterns = append(patterns, drawPattern(r, merge, moving, rows))
				}
				var rows []int32
				var live []uint32
				for range len(patterns) * lanes {
					rows = append(rows, int32(between(r, 0, 45)))
					live = append(live, drawMembers(r, merge))
				}
				keyBlocks := between(r, 1, 40)
				steps := 2
				for i, row := range rows {
					steps = max(steps, len(enumerate(patterns[i/lanes], int64(row), keyBlocks, ^uint32(0)))+2)
				}
				w := loadWalks(t, encode(t, tiles(k, patterns...)), members, steps)
				w.compare(t, patterns, rows, live, keyBlocks, members)
			}
		})
	}
}

// TestCursorFar: the greatest numbers that the encoding takes, where products of
// rows, slopes and phases pass 32 bits or nearly do.
func TestCursorFar(t *testing.T) {
	const far = 1 << 26 // a row of the longest context in blocks of 32, and of 16 in pairs
	everyRow := ir.Rows{Hi: ir.Inf, Mod: 1}
	patterns := []ir.Pattern{
		{Cells: []ir.Cell{{Rows: everyRow, Hi: ir.Line{C: ir.Inf}, Step: ir.MaxPeriod, Phase: ir.Line{A: ir.MaxPeriod - 1, C: 7}, Members: 3}}},
		{Cells: []ir.Cell{{Rows: ir.Rows{Hi: ir.Inf, Mod: 3, Res: 2}, Lo: ir.Line{A: 2, C: -5}, Hi: ir.Line{A: 2}, Step: 2, Phase: ir.Line{A: 12345677}, Members: 1}}},
		{Cells: []ir.Cell{{Rows: ir.Rows{Lo: far - 8, Hi: far, Mod: 1}, Lo: ir.Line{A: 1, C: -3}, Hi: ir.Line{A: 1}, Step: 1, Members: 2}}},
		{Cells: []ir.Cell{{Rows: everyRow, Lo: ir.Line{A: 2, C: -ir.MaxBound}, Hi: ir.Line{A: 2, C: ir.MaxBound}, Step: far/4 + 1, Phase: ir.Line{A: -5, C: -1}, Members: 3}}},
		{Cells: []ir.Cell{{Rows: ir.Rows{Hi: ir.MaxBound, Mod: 1 << 20, Res: 1<<20 - 1}, Lo: ir.Line{C: 1<<27 - 3}, Hi: ir.Line{C: ir.Inf}, Step: 1, Members: 1}}},
	}
	r := random(9)
	var rows []int32
	var live []uint32
	for range len(patterns) * lanes {
		rows = append(rows, int32(oneOf(r, far-between(r, 1, 12), (far>>20)<<20-1, between(r, 0, 9))))
		live = append(live, drawMembers(r, 2))
	}
	p := encode(t, tiles(plain(16, 2, 1), patterns...))
	for _, members := range []bool{false, true} {
		loadWalks(t, p, members, 24).compare(t, patterns, rows, live, 1<<27, members)
	}
}
