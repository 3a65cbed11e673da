package ir

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// size of the square that brute force looks at: beyond the bounds of every
// leaf and a few of the shorter periods.
const size = 40

func columnsOf(h head, i, keyBlocks int64) []Column {
	var out []Column
	for j := range keyBlocks {
		if h.holds(i, j) {
			out = append(out, Column{j, 1})
		}
	}
	return out
}

func TestPatternAgainstEnumeration(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawMixedHead(t, rapid.Bool().Draw(t, "causal"), 3)
		if err := Verify(h.p); err != nil {
			t.Fatalf("%s:\n%v%v", h.text, h.p, err)
		}
		keyBlocks := rapid.Int64Range(0, size).Draw(t, "keyBlocks")
		var total int64
		for i := range int64(size) {
			want := columnsOf(h, i, keyBlocks)
			total += int64(len(want))
			if diff := cmp.Diff(want, h.p.Columns(i, keyBlocks)); diff != "" {
				t.Fatalf("%s\n%vcolumns of row %d: -want +got\n%s", h.text, h.p, i, diff)
			}
			if got := h.p.Count(i, keyBlocks); got != int64(len(want)) {
				t.Fatalf("%s\n%vcount of row %d: got %d, want %d", h.text, h.p, i, got, len(want))
			}
			if got := h.p.Blocks(i+1, keyBlocks); got != total {
				t.Fatalf("%s\n%vblocks of %d rows: got %d, want %d", h.text, h.p, i+1, got, total)
			}
			for j := range int64(size) {
				if h.p.Contains(i, j) != h.holds(i, j) {
					t.Fatalf("%s\n%vcontains(%d, %d)", h.text, h.p, i, j)
				}
			}
		}
	})
}

func TestTokenPairsAgainstEnumeration(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Shape{Block: 4, Causal: rapid.Bool().Draw(t, "causal")}
		h := drawMixedHead(t, s.Causal, 2)
		k := rapid.Int64Range(0, 4*min(15, h.p.Limit())).Draw(t, "k")
		q := rapid.Int64Range(0, k).Draw(t, "q")
		var want int64
		for row := k - q; row < k; row++ {
			for col := range k {
				if h.holds(row/4, col/4) && (!s.Causal || col <= row) {
					want++
				}
			}
		}
		got, err := h.p.TokenPairs(s, q, k)
		if err != nil || got != want {
			t.Fatalf("%s\n%vq %d, k %d: got %d, %v, want %d", h.text, h.p, q, k, got, err, want)
		}
	})
}

func TestMergeAgainstEnumeration(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawMixedHead(t, rapid.Bool().Draw(t, "causal"), 2)
		r := rapid.SampledFrom([]int{1, 2, 3, 4, 8}).Draw(t, "r")
		m, err := Merge(h.p, r)
		if err != nil {
			// A table cannot hold rows without a last key block.
			if rows := h.p.tableRows(); rows%int64(r) != 0 && h.p.unboundedIn(rows, rows+int64(r)) {
				return
			}
			t.Fatal(err)
		}
		if err := Verify(m); err != nil {
			t.Fatalf("%s\n%v%v", h.text, m, err)
		}
		for i := range int64(size / r) {
			var want []Column
			for j := range int64(size) {
				c := Column{J: j}
				for s := range r {
					if h.holds(i*int64(r)+int64(s), j) {
						c.Members |= 1 << s
					}
				}
				if c.Members != 0 {
					want = append(want, c)
				}
			}
			if diff := cmp.Diff(want, m.Columns(i, size)); diff != "" {
				t.Fatalf("%s\n%vmerged\n%vrow %d: -want +got\n%s", h.text, h.p, m, i, diff)
			}
		}
	})
}

func TestEqualAgainstEnumeration(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		causal := rapid.Bool().Draw(t, "causal")
		x := drawMixedHead(t, causal, 1)
		y := x
		if rapid.Bool().Draw(t, "different") {
			y = drawMixedHead(t, causal, 1)
		} else {
			y.p = shuffled(t, x.p)
		}
		same := x.p.Limit() == y.p.Limit()
		for i := range int64(3 * size) {
			for j := range int64(3 * size) {
				same = same && x.holds(i, j) == y.holds(i, j)
			}
		}
		if got := Equal(x.p, y.p); got != same {
			t.Fatalf("%s\n%v%s\n%vequal: got %v, want %v", x.text, x.p, y.text, y.p, got, same)
		}
	})
}

// Different ways to write one set must be proved equal.
func TestEqualOfIdentities(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := NewBuilder(rapid.Bool().Draw(t, "causal"))
		x, y, z := drawExpr(t, 1).build(b), drawExpr(t, 1).build(b), drawExpr(t, 1).build(b)
		for name, pair := range map[string][2][]Cell{
			"distributive": {b.Intersection(x, b.Union(y, z)), b.Union(b.Intersection(x, y), b.Intersection(x, z))},
			"commutative":  {b.Union(x, y, z), b.Union(z, x, y)},
			"de Morgan":    {b.Difference(x, b.Union(y, z)), b.Difference(b.Difference(x, y), z)},
			"complement":   {b.Union(b.Difference(x, y), b.Intersection(x, y)), x},
		} {
			if !Equal(Pattern{Cells: pair[0]}, Pattern{Cells: pair[1]}) {
				t.Fatalf("%s: %v and %v", name, Pattern{Cells: pair[0]}, Pattern{Cells: pair[1]})
			}
		}
		if b.Err() != nil {
			t.Fatal(b.Err())
		}
	})
}

func (p Pattern) unboundedIn(lo, hi int64) bool {
	for i := lo; i < hi; i++ {
		if p.unboundedAt(i) {
			return true
		}
	}
	return false
}

// shuffled writes the same set in another way: cut at a row, in another order.
func shuffled(t *rapid.T, p Pattern) Pattern {
	cut := rapid.Int64Range(0, 9).Draw(t, "cut")
	var cells []Cell
	for _, c := range p.Cells {
		cells = appendRange(cells, c, 0, cut)
		cells = appendRange(cells, c, cut, Inf)
	}
	p.Cells = rapid.Permutation(cells).Draw(t, "cells")
	return p
}
