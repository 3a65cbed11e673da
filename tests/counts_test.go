package tests

import (
	"math/big"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s2attention/s2c/codegen/ptx/sm80"
	"github.com/s2attention/s2c/codegen/ptx/sm90a"
	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/internal/conformance"
	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/ir/layout"
	"github.com/s2attention/s2c/runtime/emu"
	"github.com/s2attention/s2c/target"
)

// counted is whether a case takes part in the tests of counts: every kind of
// pattern and cut, at lengths that the emulator is soon done with.
func counted(c *conformance.Case) bool {
	if c.Huge || c.Slow && !full {
		return false
	}
	for _, prefix := range []string{"geometry/", "pattern/", "empty rows/", "queries/", "place/bhsd/", "group/"} {
		if strings.HasPrefix(c.Name, prefix) {
			return true
		}
	}
	return strings.HasPrefix(c.Name, "example/") && (c.KLen == 65 || c.KLen == 1000)
}

// run executes a case and returns what the emulator counted.
func run(t *testing.T, c *conformance.Case, l loaded) *emu.Stats {
	t.Helper()
	p, err := c.Problem(l.subject)
	if err != nil {
		t.Fatal(err)
	}
	// The counts do not depend on the checks, and TestEmulator has them on.
	dev := emu.New(emu.Options{Workers: 1, Checks: emu.NoChecks})
	defer dev.Close()
	o, err := p.Launch(dev, l.compiled.Plan)
	if err != nil {
		t.Fatal(err)
	}
	return o.Stats
}

func lengths(c *conformance.Case) (batch, qLen, kLen int64) {
	batch, qLen, kLen = int64(max(c.Batch, 1)), int64(c.QLen), int64(c.KLen)
	if qLen == 0 {
		qLen = kLen
	}
	return batch, qLen, kLen
}

// TestSkippedTiles: what the pattern skips is neither loaded nor multiplied. The
// emulator's counts equal those of the layout's closed form, and the bytes that
// are read equal those of the source predicate.
func TestSkippedTiles(t *testing.T) {
	eachCase(t, counted, func(t *testing.T, c *conformance.Case, on target.Target) {
		l := load(t, c, on, full)
		batch, qLen, kLen := lengths(c)
		want, ok := conformance.Predict(l.compiled.Layout, batch, qLen, kLen)
		if !ok {
			t.Fatalf("there is no prediction for the code generator %q", l.compiled.Layout.Family)
		}
		if source := conformance.SourceBytes(l.subject, l.compiled.Layout, batch, qLen, kLen); source != want.Bytes {
			t.Errorf("the layout reads %d bytes, the source predicate says %d", want.Bytes, source)
		}
		stats := run(t, c, l)
		if diff := cmp.Diff(want, conformance.Executed(stats)); diff != "" {
			t.Errorf("executed (+) is not what the closed form predicts (-):\n%s", diff)
		}
	})
}

// TestSkipsAtLength holds the counts of a sparse layer against the dense one's: at
// 2113 tokens Phi-3-small skips blocks, and the ratio is that of the attended pairs.
func TestSkipsAtLength(t *testing.T) {
	for _, on := range compiler.Targets {
		c := conformance.Case{File: "phi3-small.s2", KLen: 2113}
		l := load(t, &c, on, true)
		k, shape := l.compiled.Layout, l.subject.Unit.Module.Shape
		got := k.Total(2113)
		if got.Skipped == 0 {
			t.Errorf("%s: nothing is skipped at 2113 tokens", on)
		}
		pairs, err := ir.Pairs(*l.subject.Layer, shape, 2113, 2113)
		if err != nil {
			t.Fatal(err)
		}
		if dense := ir.DensePairs(shape, 2113, 2113); pairs.Cmp(dense) >= 0 {
			t.Errorf("%s: %v pairs of %v", on, pairs, dense)
		}
		// Every attended block holds block² pairs at most.
		most := new(big.Int).SetInt64(got.Attended * int64(shape.Block) * int64(shape.Block))
		if pairs.Cmp(most) > 0 {
			t.Errorf("%s: %v attended pairs do not fit in %d blocks", on, pairs, got.Attended)
		}
	}
}

// maskCode finds the masks of a kernel: the branch over them, and the label
// where they end.
var maskCode = regexp.MustCompile(`(?s)@!?%p\d+ bra (L\d+_full_tile);\n(.*?)\n(L\d+_full_tile):`)

// maskLines are the lines, from 1, of the first instruction of each piece of
// mask code. It fails the test where a branch does not lead behind its masks, or
// where no piece holds them.
func maskLines(t *testing.T, ptx string) []int {
	t.Helper()
	var lines []int
	for _, m := range maskCode.FindAllStringSubmatchIndex(ptx, -1) {
		if from, to := ptx[m[2]:m[3]], ptx[m[6]:m[7]]; from != to {
			t.Fatalf("the branch goes to %s, the masks end at %s", from, to)
		}
		if masks := ptx[m[4]:m[5]]; !strings.Contains(masks, "0fFF800000") {
			t.Errorf("the code that is branched over masks nothing:\n%s", masks)
		}
		lines = append(lines, strings.Count(ptx[:m[4]], "\n")+1)
	}
	if len(lines) == 0 {
		t.Fatal("there is no mask code")
	}
	return lines
}

// masks count the (warp, step) pairs of a sequence that mask, by code generator.
var masks = map[string]func(k *layout.Kernel, qLen, kLen int64) int64{
	sm80.Generator{}.Family():  maskedWarps,
	sm90a.Generator{}.Family(): func(k *layout.Kernel, qLen, kLen int64) int64 { return maskedSteps(k, qLen, kLen) * int64(k.Rows/16) },
}

// TestLazyMasks: a full step carries no mask. The masks are branched over, and the
// first instruction behind the branch runs exactly once for each warp and step
// that needs it, counted tile by tile.
func TestLazyMasks(t *testing.T) {
	eachCase(t, counted, func(t *testing.T, c *conformance.Case, on target.Target) {
		l := load(t, c, on, full)
		k := l.compiled.Layout
		batch, qLen, kLen := lengths(c)
		masked := masks[k.Family]
		if masked == nil {
			t.Fatalf("it is not known where the code generator %q masks", k.Family)
		}
		want := batch * masked(k, qLen, kLen)
		lines, stats := maskLines(t, l.compiled.Plan.PTX), run(t, c, l)
		var got int64
		for _, n := range lines {
			got += stats.Lines[n]
		}
		if got != want {
			t.Errorf("the masks run for %d warps and steps, want %d", got, want)
		}
	})
}

// maskedSteps counts the steps that the producer marks: those with a mask for any
// row of their tile, and the empty step of a tile that has none.
func maskedSteps(k *layout.Kernel, qLen, kLen int64) int64 {
	var n int64
	for h := range k.HeadTiles {
		for tile := k.FirstTile(kLen, qLen); tile < k.Tiles(kLen); tile++ {
			steps := k.Steps(h, tile, kLen, qLen)
			for _, s := range steps {
				if s.Mask != layout.Full {
					n++
				}
			}
			if len(steps) == 0 {
				n++
			}
		}
	}
	return n
}

// maskedWarps counts the (warp, step) pairs that need a mask and multiply
// something, from the tokens themselves.
func maskedWarps(k *layout.Kernel, qLen, kLen int64) int64 {
	var n int64
	part := int64(min(k.KVTile, k.Shape.Block))
	for h := range k.HeadTiles {
		for tile := k.FirstTile(kLen, qLen); tile < k.Tiles(kLen); tile++ {
			for _, s := range k.Steps(h, tile, kLen, qLen) {
				for pos := tile * int64(k.Positions); pos < (tile+1)*int64(k.Positions); pos += 16 {
					if stepMasks(k, &s, part, pos, tile, kLen) {
						n += int64(k.Pack)
					}
				}
			}
		}
	}
	return n
}

// stepMasks is whether the warp whose first query is at pos takes part in a step
// and has to mask something.
func stepMasks(k *layout.Kernel, s *layout.Step, part, pos, tile, kLen int64) bool {
	member := uint32(1) << ((pos - tile*int64(k.Positions)) / int64(k.Shape.Block))
	if k.Merge == 1 {
		member = 1
	}
	attended, masked := 0, len(s.Blocks) < k.Gather()
	for n := range s.Blocks {
		if s.Members[n]&member == 0 {
			masked = true
			continue
		}
		attended++
	}
	for _, b := range s.Blocks {
		last := b*int64(k.Shape.Block) + int64(s.Part)*part + part - 1
		masked = masked || last >= kLen || k.Shape.Causal && last > pos
	}
	return attended > 0 && masked
}
