package layout_test

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/ir/layout"
)

var shape = ir.Shape{Heads: 8, KVHeads: 2, HeadDim: 128, Block: 64, DType: dtype.BF16, Causal: true, Scale: 0.125}

// generator is one of those that lay a shape out, with the machine of its target.
type generator struct {
	layout.Machine
	layout.Generator
}

func generators(t testing.TB) []generator {
	var list []generator
	for _, on := range compiler.Targets {
		b, err := compiler.Backend(on)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range b.Generators {
			list = append(list, generator{b.Machine, g.Generator})
		}
	}
	return list
}

// legal lists the candidates that fit.
func (g generator) legal(s ir.Shape) []layout.Candidate {
	var list []layout.Candidate
	for _, c := range g.Candidates(s, 4) {
		if g.Fit(g, s, &c) == nil {
			list = append(list, c)
		}
	}
	return list
}

// Wasted work, a slower resource, or fewer resident thread blocks never help.
func TestCostIsMonotonic(t *testing.T) {
	all := generators(t)
	rapid.Check(t, func(t *rapid.T) {
		e := rapid.SampledFrom(all).Draw(t, "generator")
		machine, loop := e.Machine, e.Loop()
		s := shape
		s.HeadDim = rapid.SampledFrom([]int{64, 96, 128, 256}).Draw(t, "head dim")
		c := rapid.SampledFrom(e.legal(s)).Draw(t, "candidate")
		w := layout.Work{Steps: rapid.Float64Range(1, 500).Draw(t, "steps"), Cells: 2}
		used := rapid.Float64Range(0.1, 1).Draw(t, "used")
		w.Products = w.Steps * float64(c.Merge) * used
		w.Useful = w.Steps * float64(c.Rows/c.Pack*c.KVTile) * used
		base := machine.Cost(loop, s, c, w)
		if math.IsNaN(base) || base < 1 {
			t.Fatalf("cost %v: no kernel is faster than its useful products alone", base)
		}
		factor := rapid.Float64Range(1.1, 4).Draw(t, "factor")
		more := w
		more.Steps, more.Products = w.Steps*factor, w.Products*factor
		worse := map[string]float64{"more steps for the same pairs": machine.Cost(loop, s, c, more)}
		less := w
		less.Useful /= factor
		worse["fewer useful pairs"] = machine.Cost(loop, s, c, less)
		cells := w
		cells.Cells *= factor
		worse["more cells"] = machine.Cost(loop, s, c, cells)
		for name, cost := range worse {
			if cost <= base {
				t.Errorf("%s: cost %v after %v", name, cost, base)
			}
		}
		slower := func(change func(*layout.Machine)) float64 {
			x := machine
			change(&x)
			return x.Cost(loop, s, c, w)
		}
		fewer := c
		fewer.Resident = (c.Resident + 1) / 2
		for name, cost := range map[string]float64{
			"slower L2":               slower(func(x *layout.Machine) { x.L2Rate /= factor }),
			"slower ex2":              slower(func(x *layout.Machine) { x.Exp /= factor }),
			"slower fp32":             slower(func(x *layout.Machine) { x.Lanes /= factor }),
			"slower shared memory":    slower(func(x *layout.Machine) { x.SharedRate /= factor }),
			"fewer resident blocks":   machine.Cost(loop, s, fewer, w),
			"more products, no pairs": machine.Cost(loop, s, c, layout.Work{Steps: w.Steps, Products: w.Steps * float64(c.Merge), Useful: w.Useful, Cells: w.Cells}),
		} {
			if cost < base*(1-1e-12) {
				t.Errorf("%s: cost %v after %v", name, cost, base)
			}
		}
		if c.Stages == 1 {
			deep := c
			deep.Stages = 2
			if cost := machine.Cost(loop, s, deep, w); cost > base {
				t.Errorf("a second stage at the same occupancy: cost %v after %v", cost, base)
			}
		}
	})
}

func TestCostOfNoWork(t *testing.T) {
	e := generators(t)[0]
	c := layout.Candidate{Rows: 64, Pack: 1, Merge: 1, Split: 1, KVTile: 64, Stages: 2, Warps: 4, Resident: 1}
	if cost := e.Cost(e.Loop(), shape, c, layout.Work{}); !math.IsInf(cost, 1) {
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
		var e generator
		for _, x := range generators(t) {
			if x.Target.String() == c.target && x.Family() == c.family {
				e = x
			}
		}
		err := e.Fit(e, s, &c.c)
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
	k.Cut(layout.Candidate{Rows: 64, Pack: 1, Merge: 1, Split: 1, KVTile: 64, Stages: 2, Warps: 4})
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
