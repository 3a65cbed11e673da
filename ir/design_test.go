package ir

import (
	"fmt"
	"math"
	"math/big"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func abs(x int64) int64 { return max(x, -x) }

// twoSided is DKernel's non-causal pattern: reach on either side, and beyond
// it stripes relative to the end of the reach.
func twoSided(b *Builder, left, right, stride int64) Pattern {
	back := b.Intersection(b.Dilated(stride, left-1), b.Band(left, Inf))
	ahead := b.Intersection(b.Dilated(stride, 1-right), b.Band(-Inf, -right))
	return Pattern{Cells: b.Union(b.Band(1-right, left-1), back, ahead)}
}

// The formulas of DKernel's LocalStrideSparseAttention, written with Euclidean
// remainders, against the closed form of the same pattern.
func TestDesignFormulas(t *testing.T) {
	congruent := func(n, v int64) bool { return mod(n, v) == 0 }
	type formula struct {
		name   string
		causal bool
		build  func(b *Builder) Pattern
		holds  func(i, j int64) bool
	}
	var cases []formula
	for _, heads := range []int64{1, 4, 32} {
		for _, local := range []int64{1, 3, 16} {
			for _, v := range []int64{1, 2, 8, 15, 64} {
				step := max(1, v/heads)
				for h := range min(heads, 9) {
					for _, offset := range []int64{0, 1} { // 1: Phi-3-small as released
						cases = append(cases, formula{
							fmt.Sprintf("causal L %d v %d step %d h %d offset %d", local, v, step, h, offset), true,
							func(b *Builder) Pattern { return localStride(b, local, v, -(h*step + offset)) },
							func(i, j int64) bool { return j <= i && (i-j < local || congruent(j+h*step+offset, v)) },
						})
					}
				}
			}
		}
	}
	for _, v := range []int64{1, 2, 5, 8} {
		for _, l := range []int64{1, 2, 6} {
			cases = append(cases, formula{
				fmt.Sprintf("non-causal L %d v %d", l, v), false,
				func(b *Builder) Pattern { return twoSided(b, l, l, v) },
				func(i, j int64) bool { d := abs(i - j); return d < l || congruent(d-l+1, v) },
			})
			for _, r := range []int64{1, 3, 7} {
				cases = append(cases, formula{
					fmt.Sprintf("two-sided L %d R %d v %d", l, r, v), false,
					func(b *Builder) Pattern { return twoSided(b, l, r, v) },
					func(i, j int64) bool { return congruent(max(0, i-j-l+1)+max(0, j-i-r+1), v) },
				})
			}
		}
	}
	const n = 100
	for _, c := range cases {
		b := NewBuilder(c.causal)
		p := c.build(b)
		if err := Verify(p); err != nil || b.Err() != nil {
			t.Fatal(c.name, err, b.Err())
		}
		if len(p.Cells) > 3 {
			t.Errorf("%s: %d cells\n%v", c.name, len(p.Cells), p)
		}
		for i := range int64(n) {
			for j := range int64(n) {
				if p.Contains(i, j) != c.holds(i, j) {
					t.Fatalf("%s: (%d, %d)\n%v", c.name, i, j, p)
				}
			}
		}
	}
}

// Check values of the design: attended ÷ causal token pairs, 32 heads, block 64.
func TestDesignDensities(t *testing.T) {
	for _, c := range []struct {
		local, stride, n int64
		want             float64
	}{
		{16, 8, 8192, 0.3242}, {16, 8, 32768, 0.1772}, {16, 8, 131072, 0.1382}, {1, 15, 131072, 0.0671},
	} {
		for _, offset := range []int64{0, 1} {
			l, s := phi3()
			b := NewBuilder(true)
			for h := range l.Heads {
				l.Heads[h] = localStride(b, c.local, c.stride, -(int64(h) + offset))
			}
			got, err := Density(l, s, c.n)
			if err != nil || math.Abs(got-c.want) > 5e-5 {
				t.Errorf("L %d v %d at %d, offset %d: got %.4f, %v, want %.4f", c.local, c.stride, c.n, offset, got, err, c.want)
			}
			speedup, _ := IdealSpeedup(l, s, c.n)
			flops, _ := FLOPs(l, s, c.n)
			pairs, _ := Pairs(l, s, c.n, c.n)
			if f, _ := new(big.Float).SetInt(pairs).Float64(); math.Abs(speedup*got-1) > 1e-9 || flops != 4*128*f {
				t.Errorf("speed-up %g, FLOPs %g, pairs %v", speedup, flops, pairs)
			}
		}
	}
}

func TestReleasedPatternProofs(t *testing.T) {
	l, s := phi3()
	if v := Coverage(l, s); !v.Holds {
		t.Errorf("coverage: %v", v)
	}
	if v := KVEfficient(l, s); !v.Holds {
		t.Errorf("KV efficiency: %v", v)
	}
	if e, found, err := EmptyRow(l); found || err != nil {
		t.Errorf("empty row: %v %v", e, err)
	}
	// Without one head of each of two phases, the first stripe that no head has
	// any more is missing as soon as it leaves the window.
	var rest Layer
	for h, p := range l.Heads {
		if h%8 != 2 && h%8 != 5 { // phases 5 and 2
			rest.Heads = append(rest.Heads, p)
		}
	}
	if v := Coverage(rest, s); v.Holds || v.I != 18 || v.J != 2 {
		t.Errorf("coverage without two phases: %v", v)
	}
	if v := CoverageAt(rest, s, 18*64); !v.Holds {
		t.Errorf("coverage without two phases, 18 blocks: %v", v)
	}
	// Dilation comes back to a block, the first time at distance 4.
	b := NewBuilder(true)
	back := Layer{Heads: []Pattern{{Cells: b.Union(b.Band(0, 0), b.Dilated(4, 0))}}}
	if v := KVEfficient(back, Shape{Heads: 1, KVHeads: 1, Block: 64, Causal: true}); v.Holds || v.Head != 0 || v.I != 4 || v.J != 0 || v.Err != nil {
		t.Errorf("KV efficiency of a dilated head: %v", v)
	}
	// The window is kept, and one block in eight behind it, for each query head
	// of the group its own: 4 of 8 residues.
	kept, err := KVKept(l, s, 1<<20)
	blocks := float64(1<<20) / 64
	if want := (4*(blocks-15)/8 + 15) / blocks; err != nil || math.Abs(kept-want) > 1/blocks {
		t.Errorf("KV kept: got %v %v, want about %v", kept, err, want)
	}
}

// The largest lengths do not overflow.
func TestHugeLengths(t *testing.T) {
	for _, causal := range []bool{true, false} {
		s := Shape{Heads: 3, KVHeads: 1, HeadDim: 64, Block: 16, Causal: causal}
		dense := Pattern{Cells: NewBuilder(causal).Dense()}
		l := Layer{Heads: []Pattern{dense, dense, dense}}
		for _, n := range []int64{1, MaxTokens - 17, MaxTokens} {
			for _, q := range []int64{1, n, n/2 + 1} {
				got, err := Pairs(l, s, q, n)
				if want := DensePairs(s, q, n); err != nil || got.Cmp(want) != 0 {
					t.Errorf("causal %v, q %d, n %d: got %v %v, want %v", causal, q, n, got, err, want)
				}
			}
		}
		for _, bad := range [][2]int64{{1, MaxTokens + 1}, {2, 1}, {-1, 4}, {1, math.MaxInt64}} {
			if _, err := dense.TokenPairs(s, bad[0], bad[1]); err == nil {
				t.Errorf("lengths %v accepted", bad)
			}
		}
	}
	b := NewBuilder(true)
	far := localStride(b, MaxBound-1, MaxPeriod, 5)
	if err := Verify(far); err != nil {
		t.Fatal(err)
	}
	if got, want := far.Blocks(1<<20, 1<<20), int64(1<<20)*(1<<20+1)/2; got != want {
		t.Errorf("blocks: got %d, want %d", got, want)
	}
	if far.Contains(math.MaxInt64, 0) || far.Contains(-1, -1) || far.Contains(1<<62, 6) {
		t.Error("contains beyond every length")
	}
}

func TestDesignMerge(t *testing.T) {
	l, _ := phi3()
	m, err := Merge(l.Heads[1], 2)
	if err != nil {
		t.Fatal(err)
	}
	want := `i = 8…:                  j = 0…2i-16, j ≡ 6 mod 8, for 0b11
i = 8…:                  j = 2i-15
i = 0…:                  j = 2i-14…2i, for 0b11
i = 0…:                  j = 2i+1, for 0b10
`
	if diff := cmp.Diff(want, m.String()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	for _, bad := range []int{-1, 0, MaxMerge + 1} {
		if _, err := Merge(l.Heads[0], bad); err == nil {
			t.Errorf("merge of %d accepted", bad)
		}
	}
	if _, err := Merge(m, 2); err == nil {
		t.Error("merge of a merged pattern accepted")
	}
}
