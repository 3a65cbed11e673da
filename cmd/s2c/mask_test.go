package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s2attention/s2c/examples"
)

// rule says whether a query head's block i attends key block j; causality is
// added by the test.
type rule func(head, i, j int) bool

// dkernel is DKernel's causal pattern: a window of local blocks, and every
// stride-th key block with the phase of an index h that takes the head's place.
func dkernel(local, stride, offset int, index func(head int) int) rule {
	return func(head, i, j int) bool { return i-j < local || (j+index(head)+offset)%stride == 0 }
}

func queryHead(head int) int         { return head }
func kvHead(group int) func(int) int { return func(head int) int { return head / group } }
func dense(_, _, _ int) bool         { return true }

// TestMaskAgainstFormulas exports the mask of every head of every example and
// compares it with the pattern's formula, written down once more.
func TestMaskAgainstFormulas(t *testing.T) {
	left := map[string]bool{} // examples without a formula
	files, err := examples.Files.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		left[strings.TrimSuffix(f.Name(), ".s2")] = true
	}
	for _, c := range []struct {
		file                 string
		layer                int // -1: the default
		heads, block, blocks int
		bidirectional        bool
		holds                rule
	}{
		{file: "phi3-small", layer: -1, heads: 32, block: 64, blocks: 42, holds: dkernel(16, 8, 1, queryHead)},
		{file: "phi3-small", layer: 31, heads: 32, block: 64, blocks: 20, holds: dense},
		{file: "s2-gqa", layer: 5, heads: 32, block: 64, blocks: 42, holds: dkernel(16, 8, 0, kvHead(4))},
		{file: "s2-l1v15", layer: 0, heads: 32, block: 64, blocks: 50, holds: dkernel(1, 15, 0, queryHead)},
		{file: "s2-hd64", layer: 0, heads: 16, block: 64, blocks: 42, holds: dkernel(8, 16, 0, queryHead)},
		{file: "dense", layer: 0, heads: 32, block: 64, blocks: 12, holds: dense},
		{file: "hybrid", layer: -1, heads: 8, block: 128, blocks: 20, holds: func(head, i, j int) bool {
			return head >= 6 || i-j < 2 || (j+head/2)%4 == 0
		}},
		{file: "hybrid", layer: 7, heads: 8, block: 128, blocks: 9, holds: dense},
		{file: "sink-window", layer: 3, heads: 8, block: 64, blocks: 30, holds: func(_, i, j int) bool {
			return j == 0 || i-j < 8
		}},
		{file: "dilated", layer: 0, heads: 4, block: 32, blocks: 150, holds: func(head, i, j int) bool {
			rate := 1 << head
			return i-j < 2 || (i-j)%rate == 0 && i-j < 16*rate
		}},
		{file: "bidirectional", layer: 0, heads: 4, block: 64, blocks: 33, bidirectional: true, holds: func(_, i, j int) bool {
			// DKernel's two-sided form: local blocks 3 to the left and 2 to the right.
			left, right := max(0, i-j-3+1), max(0, j-i-2+1)
			return (left+right)%4 == 0
		}},
		{file: "bidirectional", layer: 1, heads: 4, block: 64, blocks: 33, bidirectional: true, holds: func(_, i, j int) bool {
			return i-j < 3 && j-i < 3 || i == 0 || j == 0
		}},
		{file: "context-ranges", layer: 0, heads: 8, block: 64, blocks: 40, holds: func(head, i, j int) bool {
			switch {
			case i < 8:
				return true
			case i < 24:
				return i-j < 4 || (j+head)%4 == 0
			}
			return i-j < 4 || (j+head)%8 == 0 || j == 0
		}},
		{file: "custom-blocks", layer: 0, heads: 4, block: 16, blocks: 140, holds: customBlocks},
	} {
		delete(left, c.file)
		t.Run(fmt.Sprintf("%s layer %d", c.file, c.layer), func(t *testing.T) {
			for head := range c.heads {
				args := []string{"mask", "../../examples/" + c.file + ".s2",
					"--seq", fmt.Sprint(c.blocks*c.block - c.block/2), "--head", fmt.Sprint(head)}
				if c.layer >= 0 {
					args = append(args, "--layer", fmt.Sprint(c.layer))
				}
				var out, errs bytes.Buffer
				if status := execute(args, &streams{out: &out, err: &errs}); status != exitGood {
					t.Fatalf("%v: status %d: %s", args, status, errs.String())
				}
				var got, want struct{ Crow, Col []int }
				if err := json.Unmarshal(out.Bytes(), &got); err != nil {
					t.Fatal(err)
				}
				want.Crow = []int{0}
				for i := range c.blocks {
					for j := range c.blocks {
						if (c.bidirectional || j <= i) && c.holds(head, i, j) {
							want.Col = append(want.Col, j)
						}
					}
					want.Crow = append(want.Crow, len(want.Col))
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("head %d (-want +got):\n%s", head, diff)
				}
			}
		})
	}
	for name := range left {
		t.Errorf("no formula for examples/%s.s2", name)
	}
}

// customBlocks is the list of examples/custom-blocks.s2.
func customBlocks(head, i, j int) bool {
	in := func(x, lo, hi int) bool { return lo <= x && x <= hi }
	shift := []int{0, 3, 5, 6}[head]
	picked := in(i, 8, 15) && in(j, 0, 1) || i == 17 && j == 4 || i == 23 && j == 2 ||
		in(i, 40, 47) && in(j, 5, 9) || in(i, 64, 71) && j == 33 ||
		in(i, 90, 120) && in(j, shift, shift+1) || i == 127
	if head == 3 {
		return i-j < 6 || picked && j < 8
	}
	return i-j < 4 || picked
}
