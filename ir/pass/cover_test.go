package pass_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/ir/layout"
	"github.com/s2attention/s2c/ir/pass"
)

// anyTile runs the pipeline on a drawn problem, restricted to a drawn candidate,
// so that every legal geometry is tried and not only the cheap ones.
func anyTile(t *rapid.T, p problem) *layout.Kernel {
	k, err := pass.Run(p.layer, p.shape, ampere, pass.Options{VerifyEach: true})
	if err != nil {
		t.Fatal(err)
	}
	var legal []layout.Candidate
	for _, c := range k.Choice {
		if c.Cost > 0 {
			legal = append(legal, c)
		}
	}
	want := legal[rapid.IntRange(0, len(legal)-1).Draw(t, "candidate")]
	k, err = pass.Run(p.layer, p.shape, ampere, pass.Options{VerifyEach: true, Only: func(c layout.Candidate) bool {
		return c.Pack == want.Pack && c.Merge == want.Merge && c.Split == want.Split &&
			c.KVTile == want.KVTile && c.Stages == want.Stages
	}})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// triple is a part of a query block, of a head, with a part of a key block.
type triple struct {
	head             int
	query, key       int64
	queryPart, kPart int
}

// Every attended pair of blocks of every head is in exactly one step of one
// query tile, as a member, and nothing else is.
func TestEveryPairOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := problems.Draw(t, "problem")
		k := anyTile(t, p)
		got := map[triple]int{}
		for n, h := range k.HeadTiles {
			for tile := range k.Tiles(p.kLen) {
				for _, s := range k.Steps(n, tile, p.kLen, p.kLen) {
					if len(s.Blocks) == 0 || len(s.Blocks) > k.Gather() || len(s.Members) != len(s.Blocks) {
						t.Fatalf("step with blocks %v, members %b, at most %d fit", s.Blocks, s.Members, k.Gather())
					}
					for i, j := range s.Blocks {
						for r := range int64(k.Merge) {
							if s.Members[i]>>r&1 == 0 {
								continue
							}
							for _, head := range h.Heads {
								got[triple{head, k.Row(tile)*int64(k.Merge) + r, j, int(tile) % k.Split, s.Part}]++
							}
						}
					}
				}
			}
		}
		blocks := (p.kLen + int64(p.shape.Block) - 1) / int64(p.shape.Block)
		for head, pattern := range p.layer.Heads {
			for i := range blocks {
				for j := range blocks {
					want := 0
					if pattern.Contains(i, j) {
						want = 1
					}
					for q := range k.Split {
						if i*int64(p.shape.Block)+int64(q*k.Positions) >= p.kLen && k.Split > 1 {
							continue // a part without a query has no tile
						}
						for part := range k.Parts() {
							at := triple{head, i, j, q, part}
							if got[at] != want {
								t.Fatalf("%d tokens: %+v is in %d steps, want %d\n%v", p.kLen, at, got[at], want, k)
							}
							delete(got, at)
						}
					}
				}
			}
		}
		for at, n := range got {
			// Merged tiles may hold query blocks behind the last token: no such query exists.
			if n > 0 && at.query < blocks {
				t.Fatalf("%d tokens: %+v is in %d steps and does not exist\n%v", p.kLen, at, n, k)
			}
		}
	})
}

// A call with few queries loads exactly the key blocks that one of its query blocks
// attends: those that a merged tile's other query blocks would read are left out.
func TestCallLoadsWhatItAttends(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := problems.Draw(t, "problem")
		k := anyTile(t, p)
		qLen := rapid.Int64Range(1, p.kLen).Draw(t, "q_len")
		block := int64(p.shape.Block)
		blocks := (p.kLen + block - 1) / block
		n := rapid.IntRange(0, len(k.HeadTiles)-1).Draw(t, "head tile")
		h := k.HeadTiles[n]
		for tile := k.FirstTile(p.kLen, qLen); tile < k.Tiles(p.kLen); tile++ {
			loaded := map[int64]bool{}
			for _, s := range k.Steps(n, tile, p.kLen, qLen) {
				for _, j := range s.Blocks {
					loaded[j] = true
				}
			}
			for j := range blocks {
				want := false
				for r := range int64(k.Merge) {
					i := k.Row(tile)*int64(k.Merge) + r
					want = want || i >= (p.kLen-qLen)/block && i < blocks && p.layer.Heads[h.Heads[0]].Contains(i, j)
				}
				if loaded[j] != want {
					t.Fatalf("%d of %d tokens, tile %d: key block %d is loaded: %v, want %v\n%v", qLen, p.kLen, tile, j, loaded[j], want, k)
				}
			}
		}
	})
}

// A mask is set exactly if some score of the step must not count for that reason.
func TestMasksAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := problems.Draw(t, "problem")
		k := anyTile(t, p)
		piece := int64(min(k.KVTile, p.shape.Block))
		for n := range k.HeadTiles {
			for tile := range k.Tiles(p.kLen) {
				for _, s := range k.Steps(n, tile, p.kLen, p.kLen) {
					want := layout.Full
					if len(s.Blocks) < k.Gather() {
						want |= layout.Partial
					}
					for i, j := range s.Blocks {
						for key := j*int64(p.shape.Block) + int64(s.Part)*piece; key < j*int64(p.shape.Block)+int64(s.Part+1)*piece; key++ {
							if p.shape.Causal && key > tile*int64(k.Positions) {
								want |= layout.Diagonal
							}
							if key >= p.kLen {
								want |= layout.Tail
							}
						}
						for r := range k.Merge {
							if s.Members[i]>>r&1 == 0 {
								want |= layout.Partial
							}
						}
					}
					if s.Mask != want {
						t.Fatalf("tile %d, step %+v: want mask %s\n%v", tile, s, want, k)
					}
				}
			}
		}
	})
}

// Count and Steps agree.
func TestCountIsTheSumOfSteps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := problems.Draw(t, "problem")
		k := anyTile(t, p)
		qLen := rapid.Int64Range(1, p.kLen).Draw(t, "q_len")
		headTile := rapid.IntRange(0, len(k.HeadTiles)-1).Draw(t, "head tile")
		if diff := cmp.Diff(sumSteps(k, headTile, p.kLen, qLen), k.Count(headTile, p.kLen, qLen)); diff != "" {
			t.Fatalf("%d of %d tokens (-steps +count):\n%s%v", qLen, p.kLen, diff, k)
		}
	})
}

// sumSteps counts by walking every step.
func sumSteps(k *layout.Kernel, headTile int, kLen, qLen int64) layout.Counts {
	var c layout.Counts
	bits := func(m uint32) (n int64) {
		for r := range k.Merge {
			n += int64(m >> r & 1)
		}
		return n * int64(k.Pack)
	}
	for tile := (kLen - qLen) / int64(k.Positions); tile*int64(k.Positions) < kLen; tile++ {
		c.Tiles++
		for j := int64(0); j*int64(k.Shape.Block) < kLen; j++ {
			if !k.Shape.Causal || j*int64(k.Shape.Block) < (tile+1)*int64(k.Positions) {
				c.Skipped += int64(k.Parts())
			}
		}
		for _, s := range k.Steps(headTile, tile, kLen, qLen) {
			c.Steps++
			c.Skipped -= int64(len(s.Blocks))
			var all uint32
			for _, m := range s.Members {
				all |= m
				if s.Part == 0 {
					c.Attended += bits(m)
				}
			}
			c.Products += bits(all)
			if s.Mask == layout.Full {
				c.Full++
			}
			for mask, n := range map[layout.Mask]*int64{layout.Diagonal: &c.Diagonal, layout.Tail: &c.Tail, layout.Partial: &c.Partial} {
				if s.Mask&mask != 0 {
					*n++
				}
			}
		}
	}
	return c
}

// The blocks attended, summed over the heads, are those of the IR's closed form.
func TestAttendedIsTheClosedForm(t *testing.T) {
	shape := ir.Shape{Heads: 8, KVHeads: 2, HeadDim: 128, Block: 64, DType: dtype.BF16, Causal: true, Scale: 0.1}
	l := layer(8, func(h int) ir.Pattern { return local(true, 16, 8, int64(-(h + 1))) })
	for _, only := range []int{1, 2} {
		k, err := pass.Run(l, shape, ampere, pass.Options{VerifyEach: true, Only: func(c layout.Candidate) bool {
			return c.Merge == only && c.Split == 1
		}})
		if err != nil {
			t.Fatal(err)
		}
		const blocks = 512
		want := int64(0)
		for _, p := range l.Heads {
			want += p.Blocks(blocks, blocks)
		}
		if got := k.Total(blocks * 64); got.Attended != want {
			t.Errorf("merge %d: %d pairs of blocks attended, the closed form says %d", only, got.Attended, want)
		}
	}
}
