package layout_test

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/ir/layout"
)

var shape = ir.Shape{Heads: 8, KVHeads: 2, HeadDim: 128, Block: 64, DType: dtype.BF16, Causal: true, Scale: 0.125}

// emitters are those that lay a shape out for the targets.
type emitter struct {
	layout.Target
	layout.Emitter
}

func emitters(t testing.TB) []emitter {
	var list []emitter
	for _, target := range layout.Targets {
		for _, e := range target.Emitters {
			if !e.Serves(shape) {
				t.Fatalf("%s, %s does not serve %+v", target.Name, e.Family, shape)
			}
			list = append(list, emitter{target, e})
		}
	}
	return list
}

// legal lists the candidates that fit.
func (e emitter) legal(s ir.Shape) []layout.Candidate {
	var list []layout.Candidate
	for _, c := range e.Candidates(s, 4) {
		if e.Fit(e.Emitter, s, &c) == nil {
			list = append(list, c)
		}
	}
	return list
}

// Wasted work, a slower resource, or fewer resident thread blocks never help.
func TestCostIsMonotonic(t *testing.T) {
	all := emitters(t)
	rapid.Check(t, func(t *rapid.T) {
		e := rapid.SampledFrom(all).Draw(t, "emitter")
		target := e.Target
		s := shape
		s.HeadDim = rapid.SampledFrom([]int{64, 96, 128, 256}).Draw(t, "head dim")
		c := rapid.SampledFrom(e.legal(s)).Draw(t, "candidate")
		w := layout.Work{Steps: rapid.Float64Range(1, 500).Draw(t, "steps"), Cells: 2}
		used := rapid.Float64Range(0.1, 1).Draw(t, "used")
		w.Products = w.Steps * float64(c.Merge) * used
		w.Useful = w.Steps * float64(c.Rows/c.Pack*c.KVTile) * used
		base := target.Cost(e.Emitter, s, c, w)
		if math.IsNaN(base) || base < 1 {
			t.Fatalf("cost %v: no kernel is faster than its useful products alone", base)
		}
		factor := rapid.Float64Range(1.1, 4).Draw(t, "factor")
		more := w
		more.Steps, more.Products = w.Steps*factor, w.Products*factor
		worse := map[string]float64{"more steps for the same pairs": target.Cost(e.Emitter, s, c, more)}
		less := w
		less.Useful /= factor
		worse["fewer useful pairs"] = target.Cost(e.Emitter, s, c, less)
		cells := w
		cells.Cells *= factor
		worse["more cells"] = target.Cost(e.Emitter, s, c, cells)
		for name, cost := range worse {
			if cost <= base {
				t.Errorf("%s: cost %v after %v", name, cost, base)
			}
		}
		slower := func(change func(*layout.Target)) float64 {
			x := target
			change(&x)
			return x.Cost(e.Emitter, s, c, w)
		}
		fewer := c
		fewer.Resident = (c.Resident + 1) / 2
		for name, cost := range map[string]float64{
			"slower L2":               slower(func(x *layout.Target) { x.L2Rate /= factor }),
			"slower ex2":              slower(func(x *layout.Target) { x.Exp /= factor }),
			"slower fp32":             slower(func(x *layout.Target) { x.Lanes /= factor }),
			"slower shared memory":    slower(func(x *layout.Target) { x.SharedRate /= factor }),
			"fewer resident blocks":   target.Cost(e.Emitter, s, fewer, w),
			"more products, no pairs": target.Cost(e.Emitter, s, c, layout.Work{Steps: w.Steps, Products: w.Steps * float64(c.Merge), Useful: w.Useful, Cells: w.Cells}),
		} {
			if cost < base*(1-1e-12) {
				t.Errorf("%s: cost %v after %v", name, cost, base)
			}
		}
		if c.Stages == 1 {
			deep := c
			deep.Stages = 2
			if cost := target.Cost(e.Emitter, s, deep, w); cost > base {
				t.Errorf("a second stage at the same occupancy: cost %v after %v", cost, base)
			}
		}
	})
}

func TestCostOfNoWork(t *testing.T) {
	e := emitters(t)[0]
	c := layout.Candidate{Rows: 64, Pack: 1, Merge: 1, Split: 1, KVTile: 64, Stages: 2, Warps: 4, Resident: 1}
	if cost := e.Target.Cost(e.Emitter, shape, c, layout.Work{}); !math.IsInf(cost, 1) {
		t.Errorf("cost %v of a pattern without pairs, want +Inf", cost)
	}
}

func TestFit(t *testing.T) {
	s := shape
	for _, c := range []struct {
		target, family string
		dim            int
		c              layout.Candidate
		shared         int
		registers      int
		resident       int
		err            string
	}{
		// Shared memory: 80 KiB and the system's one, twice in 164.
		{"sm_80", "sm80", 128, layout.Candidate{Rows: 64, KVTile: 64, Stages: 2, Warps: 4, QInRegisters: true}, 80 << 10, 192, 2, ""},
		// Registers: 192 × 128 threads, twice in 64 Ki; the assembler takes them for any step up to 64.
		{"sm_80", "sm80", 128, layout.Candidate{Rows: 64, KVTile: 32, Stages: 2, Warps: 4, QInRegisters: true}, 48 << 10, 192, 2, ""},
		{"sm_80", "sm80", 64, layout.Candidate{Rows: 64, KVTile: 32, Stages: 2, Warps: 4, QInRegisters: true}, 24 << 10, 144, 3, ""},
		{"sm_80", "sm80", 64, layout.Candidate{Rows: 128, Merge: 2, KVTile: 32, Stages: 2, Warps: 8, QInRegisters: true}, 32 << 10, 160, 1, ""},
		{"sm_80", "sm80", 128, layout.Candidate{Rows: 128, KVTile: 64, Stages: 2, Warps: 8, QInRegisters: true}, 96 << 10, 192, 1, ""},
		{"sm_80", "sm80", 128, layout.Candidate{Rows: 64, KVTile: 128, Stages: 2, Warps: 4, QInRegisters: true}, 144 << 10, 255, 1, "shared memory of 101376"},
		{"sm_80", "sm80", 256, layout.Candidate{Rows: 64, KVTile: 64, Stages: 2, Warps: 4}, 160 << 10, 248, 1, "shared memory of 101376"},
		{"sm_80", "sm80", 256, layout.Candidate{Rows: 64, KVTile: 32, Stages: 2, Warps: 4}, 96 << 10, 248, 1, ""},
		{"sm_80", "sm80", 136, layout.Candidate{Rows: 16, KVTile: 128, Stages: 1, Warps: 1, QInRegisters: true}, 78336, 255, 2, "252 registers of 240"},
		// Two warpgroups at D 128: 64 KiB of queries, 128 of keys and values.
		{"sm_90a", "sm90a", 128, layout.Candidate{Rows: 128, KVTile: 128, Stages: 2, Warps: 8}, 192<<10 + 2*128 + 16*8, 240, 1, ""},
		// At D 256 one query tile a warpgroup is left.
		{"sm_90a", "sm90a", 256, layout.Candidate{Rows: 128, KVTile: 64, Stages: 2, Warps: 8}, 192<<10 + 2*128 + 12*8, 240, 1, ""},
		{"sm_90a", "sm90a", 128, layout.Candidate{Rows: 192, KVTile: 128, Stages: 2, Warps: 12}, 224<<10 + 2*128 + 20*8, 160, 1, "192 registers of 160"},
	} {
		s.HeadDim = c.dim
		var e emitter
		for _, x := range emitters(t) {
			if x.Name.String() == c.target && x.Family == c.family {
				e = x
			}
		}
		err := e.Fit(e.Emitter, s, &c.c)
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%+v: %v, want %q", c.c, err, c.err)
		}
		if c.c.SharedBytes != c.shared || c.c.Registers != c.registers || c.c.Resident != c.resident {
			t.Errorf("%+v: want %d bytes, %d registers, %d resident", c.c, c.shared, c.registers, c.resident)
		}
	}
}

// Sampling the tiles and counting all of them give the same work, up to noise.
func TestCountWorkMatchesTheWhole(t *testing.T) {
	k := &layout.Kernel{Shape: shape}
	k.Choose(layout.Candidate{Rows: 64, Pack: 1, Merge: 1, Split: 1, KVTile: 64, Stages: 2, Warps: 4})
	b := ir.NewBuilder(true)
	for _, cells := range [][]ir.Cell{
		b.Dense(), b.Union(b.Band(0, 15), b.Stride(8, 7)), b.Dilated(3, 0), b.Union(b.Band(0, 31), b.Rect(0, ir.Inf, 0, 0)),
	} {
		p := ir.Pattern{Cells: cells}
		k.HeadTiles = []layout.HeadTile{{Heads: []int{0}, Pattern: p}}
		steps := 0.0
		for _, n := range layout.NominalTokens {
			c := k.Count(0, n, n)
			steps += float64(c.Steps) / float64(c.Tiles) / float64(len(layout.NominalTokens))
		}
		got := layout.CountWork(k, []layout.Weighted{{Pattern: p, Heads: 1}, {Pattern: p, Heads: 3}}, 0)
		if math.Abs(got.Steps/steps-1) > 0.01 {
			t.Errorf("%v: %v steps a tile, the whole has %v", cells, got.Steps, steps)
		}
		if got.Products != got.Steps || got.Useful != got.Steps*64*64 {
			t.Errorf("%v: %+v: without merging every step is useful", cells, got)
		}
	}
}

func TestCellMasks(t *testing.T) {
	every := ir.Rows{Hi: ir.Inf, Mod: 1}
	for _, c := range []struct {
		name   string
		causal bool
		merge  int
		kv     int
		cell   ir.Cell
		want   layout.Mask
	}{
		{"stripe before the window", true, 1, 64, ir.Cell{Rows: every, Hi: ir.Line{A: 1, C: -1}, Step: 8, Members: 1}, layout.Full},
		{"window", true, 1, 64, ir.Cell{Rows: every, Lo: ir.Line{A: 1, C: -3}, Hi: ir.Line{A: 1}, Step: 1, Members: 1}, layout.Diagonal | layout.Tail},
		{"sinks meet the diagonal at first", true, 1, 64, ir.Cell{Rows: every, Hi: ir.Line{C: 1}, Step: 1, Members: 1}, layout.Diagonal | layout.Tail},
		{"sinks later", true, 1, 64, ir.Cell{Rows: ir.Rows{Lo: 2, Hi: ir.Inf, Mod: 1}, Hi: ir.Line{C: 1}, Step: 1, Members: 1}, layout.Full},
		{"merged stripe", true, 2, 64, ir.Cell{Rows: every, Hi: ir.Line{A: 2, C: -1}, Step: 8, Members: 3}, layout.Full},
		{"merged, one attends", true, 2, 64, ir.Cell{Rows: every, Hi: ir.Line{A: 2, C: -1}, Step: 8, Members: 1}, layout.Partial},
		{"gathered", true, 1, 128, ir.Cell{Rows: every, Hi: ir.Line{A: 1, C: -1}, Step: 8, Members: 1}, layout.Partial},
		{"bidirectional", false, 1, 64, ir.Cell{Rows: every, Hi: ir.Line{C: ir.Inf}, Step: 1, Members: 1}, layout.Tail},
		{"bidirectional, behind", false, 1, 64, ir.Cell{Rows: every, Hi: ir.Line{A: 1, C: -1}, Step: 1, Members: 1}, layout.Full},
		{"rising past the merge, finite", true, 1, 64, ir.Cell{Rows: ir.Rows{Lo: 4, Hi: 6, Mod: 1}, Hi: ir.Line{A: 2, C: -6}, Step: 1, Members: 1}, layout.Full},
	} {
		k := &layout.Kernel{Shape: shape}
		k.Shape.Causal = c.causal
		k.Choose(layout.Candidate{Rows: 64 * c.merge, Pack: 1, Merge: c.merge, Split: 1, KVTile: c.kv, Stages: 2, Warps: 4 * c.merge})
		if got := k.CellMasks(ir.Pattern{Cells: []ir.Cell{c.cell}}); len(got) != 1 || got[0] != c.want {
			t.Errorf("%s: masks %v, want %v", c.name, got, c.want)
		}
	}
}
