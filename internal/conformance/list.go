package conformance

import (
	"fmt"
	"math"

	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/ir/layout"
	"github.com/s2attention/s2c/target"
)

// Example is one distinct layer of an example.
type Example struct {
	File  string
	Layer int
	// Cut keeps a KV group and two phases, where there are two.
	Cut map[string]string
	// Dense layers are what dense.s2 runs already.
	Dense bool
}

// Examples lists every distinct layer of every example.
var Examples = []Example{
	{File: "phi3-small.s2", Layer: 0, Cut: active(0, 3)},
	{File: "phi3-small.s2", Layer: 1, Cut: active(0, 3), Dense: true},
	{File: "s2-gqa.s2", Cut: active(0, 7)},
	{File: "s2-l1v15.s2", Cut: active(0, 2)},
	{File: "s2-hd64.s2", Cut: active(0, 1)},
	{File: "dense.s2", Cut: active(0, 3)},
	{File: "hybrid.s2", Layer: 1, Cut: active(2, 7)},
	{File: "hybrid.s2", Layer: 0, Cut: active(0, 1), Dense: true},
	{File: "sink-window.s2", Cut: active(0, 3)},
	{File: "dilated.s2"},
	{File: "bidirectional.s2", Layer: 0},
	{File: "bidirectional.s2", Layer: 1},
	{File: "context-ranges.s2", Cut: active(0, 3)},
	{File: "custom-blocks.s2"},
}

func active(from, to int) map[string]string {
	return map[string]string{"active_heads": fmt.Sprintf("%d..%d", from, to)}
}

// Name is the example's layer as a test names it.
func (e Example) Name() string {
	name := e.File[:len(e.File)-len(".s2")]
	if e.Layer > 0 || e.Dense {
		name = fmt.Sprintf("%s layer %d", name, e.Layer)
	}
	return name
}

// Lengths are those that every example runs at: one token, around a block, some
// blocks with a rest, and one where every sparse example skips blocks.
var Lengths = []int{1, 15, 63, 65, 1000, 1028, 2113}

// Cases lists every case.
func Cases() []Case {
	var list []Case
	for _, group := range [][]Case{
		exampleCases(), Matrix(), groupCases(), queryCases(), placementCases(), geometryCases(),
		patternCases(), emptyRowCases(), limitCases(), scaleCases(),
	} {
		list = append(list, group...)
	}
	return list
}

func exampleCases() []Case {
	var list []Case
	for _, e := range Examples {
		for _, n := range Lengths {
			list = append(list, Case{
				Name: fmt.Sprintf("example/%s/%d", e.Name(), n), File: e.File, Layer: e.Layer, Cut: e.Cut,
				KLen: n, Seed: uint64(n), Slow: e.Dense,
			})
		}
	}
	return list
}

// matrixModel is the pattern of the matrix: each head has phases of its own, so
// that heads of a group differ, and every row has something to skip.
const matrixModel = `model matrix { heads %d  kv_heads %d  head_dim %d  block %d  dtype %s  causal  layers 1 }
layer * -> window(2) | stride(3, phase: -h)
`

// Matrix crosses head dimensions, block sizes and element types; group sizes and
// lengths take turns.
func Matrix() []Case {
	groups := []int{1, 2, 3, 4, 5, 6, 7, 8}
	var list []Case
	n := 0
	for _, dim := range []int{8, 40, 64, 72, 96, 120, 128, 200, 256} {
		for _, block := range []int{16, 32, 64, 128} {
			for _, dtype := range []string{"bf16", "f16"} {
				group := groups[n*5%len(groups)]
				heads, kv := group, 1
				if group <= 2 {
					heads, kv = 2*group, 2
				}
				list = append(list, Case{
					Name:   fmt.Sprintf("matrix/dim %d block %d %s group %d", dim, block, dtype, group),
					Source: fmt.Sprintf(matrixModel, heads, kv, dim, block, dtype),
					KLen:   3*block + 5 + n*29%60, Seed: uint64(n),
				})
				n++
			}
		}
	}
	return list
}

// groupCases pack every group size, with heads that are equal and heads that
// are not.
func groupCases() []Case {
	var list []Case
	for n, group := range []int{1, 2, 3, 4, 5, 6, 7, 8, 32} {
		for _, p := range []struct{ name, text string }{{"equal", "-g"}, {"different", "-h"}} {
			list = append(list, Case{
				Name: fmt.Sprintf("group/%d heads, %s", group, p.name),
				Source: fmt.Sprintf("model group { heads %d  kv_heads %d  head_dim 64  block 16  causal  layers 1 }\n"+
					"layer * -> window(2) | stride(5, phase: %s)\n", 2*group, 2, p.text),
				KLen: 150 + 7*n, Seed: uint64(group),
			})
		}
	}
	return list
}

// queryCases have fewer queries than keys: the last rows, at any offset.
func queryCases() []Case {
	var list []Case
	for _, x := range []struct{ q, k int }{{1, 2113}, {100, 1028}, {700, 2113}, {64, 1000}, {1, 64}, {2, 65}, {37, 1001}} {
		for _, e := range []Example{{File: "phi3-small.s2", Cut: active(0, 3)}, {File: "s2-gqa.s2", Cut: active(0, 7)},
			{File: "dilated.s2"}, {File: "bidirectional.s2"}, {File: "custom-blocks.s2"}, {File: "hybrid.s2", Layer: 1, Cut: active(2, 7)}} {
			if x.q == 700 && (e.File == "s2-gqa.s2" || e.File == "hybrid.s2") {
				continue // much work, and nothing that the others do not show
			}
			list = append(list, Case{
				Name: fmt.Sprintf("queries/%s/%d of %d", e.Name(), x.q, x.k), File: e.File, Layer: e.Layer, Cut: e.Cut,
				QLen: x.q, KLen: x.k, Seed: uint64(x.q),
			})
		}
	}
	return list
}

const smallModel = `model small { heads 4  kv_heads 2  head_dim 64  block 32  dtype bf16  causal  layers 1 }
layer * -> window(2) | stride(4, phase: -h)
`

const oddModel = `model uneven { heads 6  kv_heads 2  head_dim 72  block 16  dtype f16  bidirectional  layers 1 }
layer * -> window(2, 3) | columns(0, 9)
`

// placementCases run in both tensor layouts, with gaps, with a batch, and with
// elements past 2³¹.
func placementCases() []Case {
	var list []Case
	for _, p := range []Placement{BHSD, BSHD, Padded} {
		name := string(p)
		if p == BHSD {
			name = "bhsd"
		}
		list = append(list,
			Case{Name: "place/" + name + "/small", Source: smallModel, Batch: 3, QLen: 131, KLen: 259, Place: p, Seed: 1},
			Case{Name: "place/" + name + "/odd", Source: oddModel, Batch: 2, QLen: 90, KLen: 203, Place: p, Seed: 2},
			Case{Name: "place/" + name + "/phi3", File: "phi3-small.s2", Cut: active(0, 3), Batch: 2, QLen: 70, KLen: 1300, Place: p, Seed: 3},
		)
	}
	return append(list,
		Case{Name: "place/shared keys", Source: smallModel, Batch: 3, QLen: 50, KLen: 99, ShareKV: true, Seed: 4},
		Case{Name: "place/no log-sum-exp", Source: smallModel, Batch: 2, KLen: 99, NoLSE: true, Seed: 5},
		Case{Name: "place/rows past 2^31 elements", Source: smallModel, KLen: 230, Place: FarRows, Seed: 6},
		Case{Name: "place/heads past 2^31 elements", Source: smallModel, QLen: 40, KLen: 100, Place: FarHeads, Seed: 7},
		Case{Name: "place/batch past 2^31 elements", Source: smallModel, Batch: 3, QLen: 40, KLen: 100, Place: FarBatch, Seed: 8},
	)
}

// geometryCases force the ways of cutting tiles that the cost model may not
// choose on its own.
func geometryCases() []Case {
	is := func(pack, merge, split int) func(layout.Candidate) bool {
		return func(c layout.Candidate) bool { return c.Pack == pack && c.Merge == merge && c.Split == split }
	}
	source := func(block int, phase string) string {
		return fmt.Sprintf("model geometry { heads 8  kv_heads 2  head_dim 64  block %d  causal  layers 1 }\n"+
			"layer * -> window(3) | stride(5, phase: -%s)\n", block, phase)
	}
	list := []Case{
		{Name: "geometry/pack 2", Source: source(32, "g"), KLen: 333, Only: is(2, 1, 1)},
		{Name: "geometry/pack 4", Source: source(32, "g"), KLen: 333, Only: is(4, 1, 1)},
		{Name: "geometry/pack 2 split 2", Source: source(64, "g"), KLen: 333, Only: is(2, 1, 2)},
		{Name: "geometry/merge 2", Source: source(32, "h"), KLen: 333, Only: is(1, 2, 1)},
		{Name: "geometry/merge 4", Source: source(16, "h"), KLen: 333, Only: is(1, 4, 1)},
		{Name: "geometry/merge 8", Source: source(16, "h"), KLen: 333, Only: is(1, 8, 1)},
		{Name: "geometry/pack 2 merge 2", Source: source(16, "g"), QLen: 203, KLen: 333, Only: is(2, 2, 1)},
		{Name: "geometry/split 4", Source: source(128, "h"), KLen: 533, Only: is(1, 1, 4), Targets: sm80Only},
		{Name: "geometry/split 2", Source: source(128, "h"), KLen: 533, Only: is(1, 1, 2)},
		{Name: "geometry/pack 4 split 4", Source: source(64, "g"), QLen: 203, KLen: 333, Only: is(4, 1, 4)},
		{Name: "geometry/gather 4", Source: source(16, "h"), KLen: 333, Targets: sm80Only,
			Only: func(c layout.Candidate) bool { return c.KVTile == 64 && c.Merge == 1 }},
		{Name: "geometry/gather 4, merged", Source: source(16, "h"), KLen: 333,
			Only: func(c layout.Candidate) bool { return c.KVTile == 64 && c.Merge == 4 }},
		{Name: "geometry/gather 8, merged", Source: source(16, "h"), KLen: 333, Targets: sm90aOnly,
			Only: func(c layout.Candidate) bool { return c.KVTile == 128 && c.Merge == 8 }},
		{Name: "geometry/part of a block", Source: source(128, "h"), KLen: 533,
			Only: func(c layout.Candidate) bool { return c.KVTile == 64 }},
		{Name: "geometry/one stage", Source: source(64, "h"), KLen: 333, Targets: sm80Only,
			Only: func(c layout.Candidate) bool { return c.Stages == 1 }},
		{Name: "geometry/one stage, gathered", Source: source(16, "h"), KLen: 333, Targets: sm80Only,
			Only: func(c layout.Candidate) bool { return c.Stages == 1 && c.KVTile == 64 }},
	}
	for groups := 1; groups <= 3; groups++ {
		for stages := 2; stages <= 4; stages++ {
			list = append(list, Case{
				Name:   fmt.Sprintf("geometry/%d warpgroups, %d stages", groups, stages),
				Source: source(64, "h"), KLen: 533, Targets: sm90aOnly,
				Only: func(c layout.Candidate) bool {
					return c.Rows == 64*groups && c.Stages == stages && c.Pack == 1 && c.KVTile == 64
				},
			})
		}
	}
	for n := range list {
		list[n].Seed = uint64(n)
	}
	return list
}

var sm80Only, sm90aOnly = []target.Target{target.SM80}, []target.Target{target.SM90a}

// patternCases are patterns that no example has.
func patternCases() []Case {
	model := func(fields, rule string) string {
		return "model shape { heads 4  kv_heads 2  layers 1  " + fields + " }\nlayer * -> " + rule + "\n"
	}
	const causal = "head_dim 64  block 16  causal"
	const both = "head_dim 40  block 32  dtype f16  bidirectional"
	return []Case{
		{Name: "pattern/where", Source: model(causal, "window(1) | where((i - j) * (i - j) mod 7 == h mod 7, max: 512)"), KLen: 511, Seed: 1},
		{Name: "pattern/where to its limit", Source: model(causal, "window(1) | where((i + j) mod 5 == h, max: 512)"), QLen: 33, KLen: 512, Seed: 2},
		{Name: "pattern/where, merged", Source: model(causal, "window(1) | where((i * j) mod 5 == h, max: 512)"), KLen: 333, Seed: 3,
			Only: func(c layout.Candidate) bool { return c.Merge == 4 }},
		{Name: "pattern/blocks", Source: model(causal, "window(2) | blocks { (3, 0), (9..15, 0..1), (20.., 3) }"), KLen: 401, Seed: 4},
		{Name: "pattern/dilated with rows", Source: model(causal, "for rows { 0..4: dense; 5..9, 14..16: window(2); else: dilated(3) | sink(1) }"), KLen: 390, Seed: 5},
		{Name: "pattern/difference", Source: model(causal, "(window(9) - stride(2, phase: h)) | window(1)"), KLen: 301, Seed: 6},
		{Name: "pattern/two strides", Source: model(causal, "window(1) | stride(4, phase: h) | stride(6, phase: 1)"), KLen: 399, Seed: 7},
		{Name: "pattern/mixed heads", Source: "model mixed { heads 4  kv_heads 2  head_dim 64  block 16  causal  layers 1 }\n" +
			"layer * -> head 0: dense, head 1: window(2), head 2: sink(2) | window(1), window(1) | dilated(4)\n", KLen: 333, Seed: 8},
		{Name: "pattern/diagonal alone", Source: model(causal, "window(1)"), KLen: 77, Seed: 9},
		{Name: "pattern/bidirectional dense", Source: model(both, "dense"), KLen: 177, Seed: 10},
		{Name: "pattern/bidirectional global", Source: model(both, "window(2) | global(0, 3)"), QLen: 101, KLen: 333, Seed: 11},
		{Name: "pattern/bidirectional ahead", Source: model(both, "window(1, 4) | dilated(3, side: ahead)"), KLen: 335, Seed: 12},
		{Name: "pattern/bidirectional table", Source: model(both, "window(1) | where((i + 2 * j) mod 3 == h mod 3, max: 320)"), KLen: 319, Seed: 13},
		{Name: "pattern/part of a group", Source: "model slice { heads 8  kv_heads 2  head_dim 64  block 16  causal  layers 1  active_heads 5..6 }\n" +
			"layer * -> window(2) | stride(5, phase: -h)\n", KLen: 222, Seed: 14},
	}
}

// emptyRowCases have rows that attend nothing, which the language refuses: they
// give 0 and −∞.
func emptyRowCases() []Case {
	model := func(causal bool, block int) dsl.Model {
		return dsl.Model{Name: "empty_rows", Heads: 2, KVHeads: 1, HeadDim: 64, Block: block, Layers: 1,
			DType: dtype.BF16, Causal: causal, Scale: 0.125, TotalHeads: 2, TotalKVHeads: 1}
	}
	all := ir.Rows{Hi: ir.Inf, Mod: 1}
	// Odd query blocks attend block 0 alone, even ones nothing; head 1 has a window of two from row 3 on.
	odd := ir.Cell{Rows: ir.Rows{Lo: 1, Hi: ir.Inf, Mod: 2, Res: 1}, Step: 1, Members: 1}
	late := ir.Cell{Rows: ir.Rows{Lo: 3, Hi: ir.Inf, Mod: 1}, Lo: ir.Line{A: 1, C: -1}, Hi: ir.Line{A: 1}, Step: 1, Members: 1}
	attends := func(head int, i, j int64) bool {
		if head == 0 {
			return i%2 == 1 && j == 0
		}
		return i >= 3 && i-j <= 1 && j <= i
	}
	some := &Custom{Model: model(true, 16), Heads: []ir.Pattern{{Cells: []ir.Cell{odd}}, {Cells: []ir.Cell{late}}}, Attends: attends}
	// Columns 4 and up: rows 0 to 3 of a causal model see nothing.
	columns := ir.Cell{Rows: ir.Rows{Lo: 4, Hi: ir.Inf, Mod: 1}, Lo: ir.Line{C: 4}, Hi: ir.Line{A: 1}, Step: 1, Members: 1}
	beyond := &Custom{Model: model(true, 64), Heads: []ir.Pattern{{Cells: []ir.Cell{columns}}, {Cells: []ir.Cell{columns}}},
		Attends: func(_ int, i, j int64) bool { return j >= 4 && j <= i }}
	// A bidirectional model whose one column does not exist yet at this length.
	ahead := ir.Cell{Rows: all, Lo: ir.Line{C: 9}, Hi: ir.Line{C: 9}, Step: 1, Members: 1}
	nothing := &Custom{Model: model(false, 32), Heads: []ir.Pattern{{Cells: []ir.Cell{ahead}}, {Cells: []ir.Cell{ahead}}},
		Attends: func(_ int, _, j int64) bool { return j == 9 }}
	// A table with empty rows.
	table := ir.Pattern{Table: &ir.Table{Rows: 8, Crow: []int64{0, 1, 1, 1, 3, 3, 3, 3, 5}, Col: []int32{0, 0, 2, 1, 7}, Members: []uint32{1, 1, 1, 1, 1}, Limited: true}}
	tabled := &Custom{Model: model(true, 16), Heads: []ir.Pattern{table, table},
		Attends: func(_ int, i, j int64) bool {
			return i == 0 && j == 0 || i == 3 && (j == 0 || j == 2) || i == 7 && (j == 1 || j == 7)
		}}
	return []Case{
		{Name: "empty rows/cells", Custom: some, KLen: 150, Seed: 1},
		{Name: "empty rows/cells, merged", Custom: some, KLen: 150, Seed: 2, Only: func(c layout.Candidate) bool { return c.Merge == 4 }},
		{Name: "empty rows/first rows", Custom: beyond, KLen: 400, Seed: 3},
		{Name: "empty rows/all", Custom: nothing, KLen: 288, Seed: 4},
		{Name: "empty rows/table", Custom: tabled, KLen: 128, Seed: 5},
	}
}

// Million is the greatest length of the list.
const Million = 1 << 20

// limitCases are large in one way each.
func limitCases() []Case {
	const tiny = "model tiny { heads %d  kv_heads %d  head_dim 8  block 16  causal  layers 1 }\nlayer * -> window(1)\n"
	const long = "model long { heads 2  kv_heads 1  head_dim 16  block 64  dtype %s  causal  layers 1 }\n" +
		"layer * -> %s\n"
	return []Case{
		{Name: "limits/batch × heads 65,600", Source: fmt.Sprintf(tiny, 64, 1), Batch: 1025, KLen: 2, Heads: []int{0, 17, 63}, Seed: 1},
		{Name: "limits/batch 65,537", Source: fmt.Sprintf(tiny, 1, 1), Batch: 65537, KLen: 1, Seed: 2, Targets: sm80Only},
		// A persistent grid has no thread block for each of them, only items.
		{Name: "limits/batch 65,537, persistent", Source: fmt.Sprintf(tiny, 1, 1), Batch: 65537, KLen: 1, Seed: 2, Targets: sm90aOnly, Slow: true},
		{Name: "limits/a million tokens, few blocks", Source: fmt.Sprintf(long, "bf16", "window(2) | sink(1) | columns(5000..5001)"),
			QLen: 70, KLen: Million, Seed: 3},
		{Name: "limits/a million tokens, stripes", Source: fmt.Sprintf(long, "f16", "window(1) | stride(1000, phase: -(h + 1))"),
			QLen: 3, KLen: Million - 27, Seed: 4},
		{Name: "limits/a million tokens, relative stripes", Source: fmt.Sprintf(long, "bf16", "window(1) | dilated(1001, phase: 17 + h)"),
			QLen: 3, KLen: Million - 1, Seed: 5},
		// Merged, its rows take too many cells: sm_90a falls back on the sm80 family.
		{Name: "limits/no tile of a warpgroup", Source: "model far { heads 4  kv_heads 2  head_dim 72  block 16  causal  layers 1 }\n" +
			"layer * -> window(2) | stride(5000, phase: h)\n", Batch: 2, QLen: 131, KLen: 333, Seed: 10},
		{Name: "limits/last rows", Source: smallModel, Batch: 2, KLen: 150, LastRows: 20, Seed: 9},
		{Name: "limits/a million queries", Source: fmt.Sprintf(long, "bf16", "window(2) | stride(500, phase: -h)"),
			KLen: Million, LastRows: 130, Seed: 6, Huge: true},
		{Name: "limits/phi3 at 32K", File: "phi3-small.s2", KLen: 32768, LastRows: 66, Seed: 7, Huge: true},
		{Name: "limits/gqa at 128K", File: "s2-gqa.s2", KLen: 131072, LastRows: 66, Heads: []int{0, 13, 31}, Seed: 8, Huge: true},
	}
}

// scaleCases override the model's softmax scale.
func scaleCases() []Case {
	var list []Case
	for _, scale := range []float64{1e-30, 1e-3, 1.0 / 128, 0.5, math.Sqrt2} {
		list = append(list, Case{Name: fmt.Sprintf("scale/%.4g", scale), Source: smallModel, KLen: 150, Scale: scale, Seed: 1})
	}
	return list
}
