package pass_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/ir/layout"
	"github.com/s2attention/s2c/ir/pass"
	"github.com/s2attention/s2c/target"
)

// phi3 is the released pattern of Phi-3-small: stripes slide with the query head.
func phi3() (ir.Layer, ir.Shape) {
	s := ir.Shape{Heads: 32, KVHeads: 8, HeadDim: 128, Block: 64, DType: dtype.BF16, Causal: true, Scale: 1. / 128}
	return layer(32, func(h int) ir.Pattern { return local(true, 16, 8, int64(-(h + 1))) }), s
}

func mustRun(t testing.TB, l ir.Layer, s ir.Shape, opts pass.Options) *layout.Kernel {
	t.Helper()
	opts.VerifyEach = true
	k, err := pass.Run(l, s, ampere, opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Verify(ampere); err != nil {
		t.Fatal(err)
	}
	return k
}

func TestPipelineOrder(t *testing.T) {
	if err := pass.CheckOrder(pass.Pipeline); err != nil {
		t.Fatal(err)
	}
	for i := range pass.Pipeline {
		without := slices.Delete(slices.Clone(pass.Pipeline), i, i+1)
		later := slices.ContainsFunc(without, func(p pass.Pass) bool {
			return slices.ContainsFunc(p.Requires, func(f pass.Fact) bool { return slices.Contains(pass.Pipeline[i].Establishes, f) })
		})
		if err := pass.CheckOrder(without); (err == nil) == later {
			t.Errorf("without %s: needed later %v, error %v", pass.Pipeline[i].Name, later, err)
		}
		twice := append(slices.Clone(pass.Pipeline), pass.Pipeline[i])
		if pass.CheckOrder(twice) == nil {
			t.Errorf("%s twice is accepted", pass.Pipeline[i].Name)
		}
	}
	silent := pass.Pipeline[0]
	silent.Reason = ""
	if pass.CheckOrder([]pass.Pass{silent}) == nil {
		t.Error("a pass without a reason is accepted")
	}
}

// A pass that breaks what an earlier one established is caught right after it.
func TestVerifyEach(t *testing.T) {
	l, s := phi3()
	breaks := []struct {
		after string
		do    func(*pass.State)
	}{
		{"normalise", func(s *pass.State) { slices.Reverse(s.Layer.Heads[3].Cells) }},
		{"normalise", func(s *pass.State) { s.Layer.Heads[0].Cells[0].Step = 0 }},
		{"match-heads", func(s *pass.State) { s.Classes[1] = s.Classes[0] }},
		{"weigh", func(s *pass.State) { s.Kernel.Rows *= 2 }},
		{"weigh", func(s *pass.State) { s.Kernel.Memory[1].Offset += 16 }},
		{"weigh", func(s *pass.State) { s.Kernel.Stages = 8 }},
		{"tile", func(s *pass.State) { s.Kernel.HeadTiles[1].Heads[0] = 0 }},
		{"tile", func(s *pass.State) { s.Kernel.HeadTiles[1].KVHead = 7 }},
		{"tile", func(s *pass.State) { s.Kernel.HeadTiles = s.Kernel.HeadTiles[1:] }},
		{"tile", func(s *pass.State) {
			cells := slices.Clone(s.Kernel.HeadTiles[0].Pattern.Cells)
			cells[0].Members = 2
			s.Kernel.HeadTiles[0].Pattern.Cells = cells
		}},
		{"order", func(s *pass.State) { s.Kernel.GroupSize = 5 }},
		{"order", func(s *pass.State) {
			s.Kernel.HeadTiles[0], s.Kernel.HeadTiles[31] = s.Kernel.HeadTiles[31], s.Kernel.HeadTiles[0]
		}},
		{"name", func(s *pass.State) { s.Kernel.Entry = "1st" }},
	}
	for n, b := range breaks {
		list := slices.Clone(pass.Pipeline)
		i := slices.IndexFunc(list, func(p pass.Pass) bool { return p.Name == b.after })
		good := list[i]
		list[i] = good.WithRun(func(s *pass.State) error {
			err := good.Do(s)
			b.do(s)
			return err
		})
		_, err := pass.RunPipeline(list, l, s, ampere, pass.Options{VerifyEach: true})
		if err == nil || !strings.Contains(err.Error(), "after pass "+b.after) {
			t.Errorf("break %d after %s: %v", n, b.after, err)
		}
	}
	if _, err := pass.RunPipeline(pass.Pipeline, l, s, ampere, pass.Options{VerifyEach: true}); err != nil {
		t.Errorf("unbroken: %v", err)
	}
}

func TestDump(t *testing.T) {
	l, s := phi3()
	for _, p := range pass.Pipeline {
		var b bytes.Buffer
		if _, err := pass.Run(l, s, ampere, pass.Options{Model: "m", Dump: map[string]io.Writer{"after:" + p.Name: &b}}); err != nil {
			t.Fatal(err)
		}
		if text := b.String(); !strings.HasPrefix(text, "after "+p.Name+"\nhead 0") || !strings.Contains(text, "head 31") {
			t.Errorf("dump after %s:\n%s", p.Name, text)
		}
	}
	_, err := pass.Run(l, s, ampere, pass.Options{Dump: map[string]io.Writer{"after:wiegh": io.Discard}})
	if err == nil || !strings.Contains(err.Error(), "after:weigh") {
		t.Errorf("unknown dump point: %v: want the list of points", err)
	}
	full := errors.New("disk full")
	_, err = pass.Run(l, s, ampere, pass.Options{Dump: map[string]io.Writer{"after:name": failing{full}}})
	if !errors.Is(err, full) {
		t.Errorf("a failing writer: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestTime(t *testing.T) {
	l, s := phi3()
	var names, want []string
	mustRun(t, l, s, pass.Options{Time: func(pass string, took time.Duration) {
		names = append(names, pass)
		if took < 0 {
			t.Errorf("%s took %v", pass, took)
		}
	}})
	for _, p := range pass.Pipeline {
		want = append(want, p.Name)
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("timed passes (-want +got):\n%s", diff)
	}
}

// The order of the cells in the input leaves no trace, and the input is not touched.
func TestDeterministic(t *testing.T) {
	l, s := phi3()
	want := mustRun(t, l, s, pass.Options{Model: "m"}).String()
	r := rand.New(rand.NewPCG(1, 2))
	for range 4 {
		shuffled := ir.Layer{Numbers: l.Numbers}
		for _, p := range l.Heads {
			p.Cells = slices.Clone(p.Cells)
			r.Shuffle(len(p.Cells), func(i, j int) { p.Cells[i], p.Cells[j] = p.Cells[j], p.Cells[i] })
			shuffled.Heads = append(shuffled.Heads, p)
		}
		before := slices.Clone(shuffled.Heads[5].Cells)
		if diff := cmp.Diff(want, mustRun(t, shuffled, s, pass.Options{Model: "m"}).String()); diff != "" {
			t.Fatalf("the layout depends on the order of cells (-first +shuffled):\n%s", diff)
		}
		if !slices.Equal(before, shuffled.Heads[5].Cells) {
			t.Fatal("the pipeline reorders the caller's cells")
		}
	}
}

// Only provably equal heads of one KV head share a tile, and packing is used
// wherever it fits.
func TestPacking(t *testing.T) {
	_, s := phi3()
	phase := func(by func(h int) int64) ir.Layer {
		return layer(32, func(h int) ir.Pattern { return local(true, 16, 8, by(h)) })
	}
	for _, c := range []struct {
		name  string
		layer ir.Layer
		want  int // greatest pack offered
	}{
		{"every head its own phase", phase(func(h int) int64 { return int64(h) }), 1},
		{"a phase for each KV head", phase(func(h int) int64 { return int64(h / 4) }), 4},
		{"pairs", phase(func(h int) int64 { return int64(h / 2) }), 2},
		{"pairs that are not aligned", phase(func(h int) int64 { return int64((h + 1) / 2) }), 1},
		{"one KV head differs inside", phase(func(h int) int64 { return int64(max(h/4, h/30*9)) }), 2},
		{"all equal: never across KV heads", phase(func(int) int64 { return 0 }), 4},
		{"equal after a full period", phase(func(h int) int64 { return int64(8 * h) }), 4},
	} {
		k := mustRun(t, c.layer, s, pass.Options{})
		most := 0
		for _, x := range k.Choice {
			most = max(most, x.Pack)
		}
		if most != c.want {
			t.Errorf("%s: packs up to %d heads, want %d", c.name, most, c.want)
		}
		for _, h := range k.HeadTiles {
			for _, head := range h.Heads {
				if head/4 != h.KVHead || !ir.Equal(c.layer.Heads[head], c.layer.Heads[h.Heads[0]]) {
					t.Errorf("%s: heads %v share a tile of KV head %d", c.name, h.Heads, h.KVHead)
				}
			}
		}
	}
}

// Equal heads written in different cells are still recognised.
func TestPackingSeesThroughTheForm(t *testing.T) {
	b := ir.NewBuilder(true)
	whole := ir.Pattern{Cells: b.Dense()}
	split := ir.Pattern{Cells: append(b.Rect(0, 9, 0, ir.Inf), b.From(b.Dense(), 10)...)}
	if slices.Equal(whole.Cells, split.Cells) {
		t.Fatal("the two forms are one")
	}
	s := ir.Shape{Heads: 2, KVHeads: 1, HeadDim: 64, Block: 64, DType: dtype.F16, Causal: true, Scale: 0.125}
	k := mustRun(t, ir.Layer{Numbers: []int{3}, Heads: []ir.Pattern{whole, split}}, s, pass.Options{})
	if k.Pack != 2 {
		t.Errorf("pack %d, want 2\n%v", k.Pack, k)
	}
}

// What the cost model arrives at, for the S2 pattern with 16 local blocks and
// stride 8.
func TestChoices(t *testing.T) {
	type choice struct{ Rows, Pack, Merge, Split, KVTile, Stages int }
	for _, c := range []struct {
		block, dim int
		equal      bool // heads of a KV group
		want       choice
	}{
		{64, 128, false, choice{64, 1, 1, 1, 64, 2}},
		{64, 128, true, choice{128, 2, 1, 1, 64, 2}},
		{64, 64, false, choice{64, 1, 1, 1, 64, 2}},
		{64, 96, false, choice{64, 1, 1, 1, 64, 2}},
		{64, 256, false, choice{64, 1, 1, 1, 32, 2}},
		{16, 128, true, choice{64, 4, 1, 1, 64, 2}},
		{16, 128, false, choice{64, 1, 4, 1, 64, 2}},
		{32, 128, false, choice{64, 1, 2, 1, 64, 2}},
		{128, 128, false, choice{128, 1, 1, 1, 64, 2}},
		{128, 256, false, choice{64, 1, 1, 2, 32, 2}},
	} {
		s := ir.Shape{Heads: 8, KVHeads: 2, HeadDim: c.dim, Block: c.block, DType: dtype.BF16, Causal: true, Scale: 0.1}
		k := mustRun(t, layer(8, func(h int) ir.Pattern {
			if c.equal {
				h /= 4
			}
			return local(true, 16, 8, int64(h))
		}), s, pass.Options{})
		got := choice{k.Rows, k.Pack, k.Merge, k.Split, k.KVTile, k.Stages}
		if got != c.want {
			t.Errorf("block %d, head dimension %d, equal heads %v: %+v, want %+v\n%v", c.block, c.dim, c.equal, got, c.want, k)
		}
	}
}

// Every shape that the language can state gets a layout within the limits.
func TestEveryShapeFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := ir.Shape{
			KVHeads: rapid.IntRange(1, 4).Draw(t, "kv heads"),
			HeadDim: 8 * rapid.IntRange(1, 32).Draw(t, "head dim/8"),
			Block:   rapid.SampledFrom([]int{16, 32, 64, 128}).Draw(t, "block"),
			DType:   dtype.F16, Causal: rapid.Bool().Draw(t, "causal"), Scale: 0.1,
		}
		s.Heads = s.KVHeads * rapid.SampledFrom([]int{1, 2, 3, 4, 5, 6, 7, 8, 32}).Draw(t, "group")
		b := rapid.SampledFrom([]layout.Backend{ampere, hopper}).Draw(t, "target")
		l := layer(s.Heads, func(h int) ir.Pattern { return local(s.Causal, 4, 3, int64(h/2)) })
		k, err := pass.Run(l, s, b, pass.Options{VerifyEach: true})
		if err != nil {
			t.Fatal(err)
		}
		most := map[target.Target]struct{ rows, warps, shared, gather int }{
			target.SM80: {128, 8, 99 << 10, 4}, target.SM90a: {192, 12, 227 << 10, 8},
		}[b.Target]
		if k.Rows > most.rows || k.Warps > most.warps || k.Memory.Bytes() > most.shared || k.KVTile > most.gather*s.Block && k.KVTile > 16 {
			t.Fatalf("outside the limits:\n%v", k)
		}
		for _, c := range k.Choice {
			if c.Verdict == "chosen" && (c.Registers > 255 || c.Resident < 1) {
				t.Fatalf("chosen: %+v", c)
			}
		}
	})
}

func TestErrors(t *testing.T) {
	l, s := phi3()
	shape := func(change func(*ir.Shape)) ir.Shape {
		x := s
		change(&x)
		return x
	}
	for _, c := range []struct {
		name  string
		layer ir.Layer
		shape ir.Shape
		on    layout.Backend
		opts  pass.Options
		want  string
	}{
		{"code generators", l, s, layout.Backend{Machine: layout.Ampere}, pass.Options{}, "sm_80 has no code generator"},
		{"element type", l, shape(func(s *ir.Shape) { s.DType = dtype.F32 }), ampere, pass.Options{}, `type "f32"`},
		{"heads", ir.Layer{Numbers: []int{0}, Heads: l.Heads[:31]}, s, ampere, pass.Options{}, "31 heads, the model has 32"},
		{"layers", ir.Layer{Heads: l.Heads}, s, ampere, pass.Options{}, "no layer"},
		{"groups", l, shape(func(s *ir.Shape) { s.KVHeads = 5 }), ampere, pass.Options{}, "over 5 KV heads"},
		{"no KV heads", l, shape(func(s *ir.Shape) { s.KVHeads = 0 }), ampere, pass.Options{}, "over 0 KV heads"},
		{"head dimension", l, shape(func(s *ir.Shape) { s.HeadDim = 12 }), ampere, pass.Options{}, "multiple of 8"},
		{"block", l, shape(func(s *ir.Shape) { s.Block = 48 }), ampere, pass.Options{}, "blocks of 48"},
		{"empty head", layer(32, func(h int) ir.Pattern { return ir.Pattern{} }), s, ampere, pass.Options{}, "head 0 attends nothing"},
		{"nothing left", l, s, ampere, pass.Options{Only: func(layout.Candidate) bool { return false }}, "excluded by the caller"},
	} {
		_, err := pass.Run(c.layer, c.shape, c.on, c.opts)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// Dense heads come first, whatever their number, and groups keep KV heads whole.
func TestOrder(t *testing.T) {
	_, s := phi3()
	l := layer(32, func(h int) ir.Pattern {
		if h >= 24 { // the last two KV heads
			return dense(true)
		}
		return local(true, 16, 8, int64(h/4))
	})
	k := mustRun(t, l, s, pass.Options{})
	var kv []int
	for _, h := range k.HeadTiles {
		if len(kv) == 0 || kv[len(kv)-1] != h.KVHead {
			kv = append(kv, h.KVHead)
		}
	}
	if diff := cmp.Diff([]int{6, 7, 0, 1, 2, 3, 4, 5}, kv); diff != "" {
		t.Errorf("order of KV heads (-want +got):\n%s", diff)
	}
	// A dense head at 131072 tokens is 64 MiB of keys and values: alone in its group.
	if k.GroupSize != 4/k.Pack {
		t.Errorf("groups of %d head tiles, want one KV head", k.GroupSize)
	}
	sparse := layer(32, func(h int) ir.Pattern { return local(true, 16, 32, int64(h/4)) })
	// A stripe of every 32nd block of 131072 tokens and the window: 79 blocks, 2.5 MiB.
	if k := mustRun(t, sparse, s, pass.Options{}); k.GroupSize != 8*4/k.Pack {
		t.Errorf("groups of %d head tiles, want all 8 KV heads\n%v", k.GroupSize, k)
	}
}

func TestLimitedTables(t *testing.T) {
	s := ir.Shape{Heads: 2, KVHeads: 2, HeadDim: 64, Block: 64, DType: dtype.BF16, Causal: true, Scale: 0.125}
	limited := func(rows int64) ir.Pattern {
		tab := &ir.Table{Rows: rows, Crow: []int64{0}, Limited: true}
		for i := range rows {
			tab.Col, tab.Members = append(tab.Col, int32(i)), append(tab.Members, 1)
			tab.Crow = append(tab.Crow, i+1)
		}
		return ir.Pattern{Table: tab}
	}
	k := mustRun(t, ir.Layer{Numbers: []int{0}, Heads: []ir.Pattern{limited(9), limited(7)}}, s, pass.Options{})
	if k.MaxBlocks != 7 {
		t.Errorf("limit of %d blocks, want 7", k.MaxBlocks)
	}
}

func TestEntry(t *testing.T) {
	l, s := phi3()
	l.Numbers = []int{1, 3, 5}
	for model, want := range map[string]string{
		"phi3_small": "s2c_phi3_small_l1", "": "s2c_model_l1", "a-b.c/é": "s2c_a_b_c___l1",
	} {
		if k := mustRun(t, l, s, pass.Options{Model: model}); k.Entry != want {
			t.Errorf("model %q: entry %q, want %q", model, k.Entry, want)
		}
	}
}

func BenchmarkRun(b *testing.B) {
	l, s := phi3()
	for b.Loop() {
		if _, err := pass.Run(l, s, ampere, pass.Options{Model: "m"}); err != nil {
			b.Fatal(err)
		}
	}
}

// TestNextGenerator: a pattern whose merged rows pass the limits of the closed
// form goes to the generator that needs no merging; what the caller excludes does not.
func TestNextGenerator(t *testing.T) {
	s := ir.Shape{Heads: 2, KVHeads: 2, HeadDim: 64, Block: 16, DType: dtype.BF16, Causal: true, Scale: 0.125}
	run := func(stride int64, only func(layout.Candidate) bool) (*layout.Kernel, error) {
		l := layer(2, func(int) ir.Pattern { return local(true, 1, stride, 5) })
		return pass.Run(l, s, hopper, pass.Options{Only: only, VerifyEach: true})
	}
	none := func(layout.Candidate) bool { return false }
	for _, x := range []struct {
		stride int64
		family string
	}{{8, "sm90a"}, {5000, "sm80"}} {
		k, err := run(x.stride, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Verify(hopper); err != nil {
			t.Error(err)
		}
		if k.Family != x.family {
			t.Errorf("stride %d: family %s, want %s", x.stride, k.Family, x.family)
		}
		chosen := *k
		again, err := run(x.stride, func(c layout.Candidate) bool { return c.Rows == chosen.Rows && c.KVTile == chosen.KVTile })
		if err != nil || again.Family != x.family || len(again.Choice) != len(k.Choice) {
			t.Errorf("stride %d: restricted to its own choice: %v, %v", x.stride, again, err)
		}
		if k, err := run(x.stride, none); err == nil || !strings.Contains(err.Error(), "excluded by the caller") {
			t.Errorf("stride %d: with everything excluded: %v, %v", x.stride, k, err)
		}
	}
}
