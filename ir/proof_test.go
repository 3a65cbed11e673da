package ir

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// drawLayer is a layer of a few heads with what each means.
func drawLayer(t *rapid.T, depth int) (Layer, Shape, []head) {
	s := Shape{Causal: rapid.Bool().Draw(t, "causal"), Block: 4, KVHeads: rapid.IntRange(1, 2).Draw(t, "kv")}
	s.Heads = s.KVHeads * rapid.IntRange(1, 2).Draw(t, "group")
	var l Layer
	var heads []head
	for range s.Heads {
		h := drawMixedHead(t, s.Causal, depth)
		heads = append(heads, h)
		l.Heads = append(l.Heads, h.p)
	}
	return l, s, heads
}

func (l Layer) describe(heads []head) string {
	var b strings.Builder
	for n, h := range heads {
		fmt.Fprintf(&b, "head %d: %s\n%v", n, h.text, l.Heads[n])
	}
	return b.String()
}

// limitOf is the number of blocks that all heads are defined for, at most n.
func limitOf(l Layer, n int64) int64 {
	for _, h := range l.Heads {
		n = min(n, h.Limit())
	}
	return n
}

func anyHolds(heads []head, i, j int64) bool {
	for _, h := range heads {
		if h.holds(i, j) {
			return true
		}
	}
	return false
}

// firstPair is the first pair within the square that is bad.
func firstPair(n int64, bad func(i, j int64) bool) (i, j int64, found bool) {
	for i := range n {
		for j := range n {
			if bad(i, j) {
				return i, j, true
			}
		}
	}
	return 0, 0, false
}

// checkVerdict compares a verdict with a search of the first n rows and
// columns. A counter-example beyond them is checked itself.
func checkVerdict(t *rapid.T, what string, v Verdict, n int64, bad func(i, j int64) bool) {
	if v.Err != nil {
		t.Fatalf("%s: %v", what, v)
	}
	i, j, found := firstPair(n, bad)
	switch {
	case v.Holds && found:
		t.Fatalf("%s: holds, yet fails at (%d, %d)", what, i, j)
	case !v.Holds && found && (v.I != i || v.J != j) && v.J < n:
		t.Fatalf("%s: %v, the first is (%d, %d)", what, v, i, j)
	case !v.Holds && !bad(v.I, v.J):
		t.Fatalf("%s: %v is no counter-example", what, v)
	}
}

func TestCoverageAgainstEnumeration(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, s, heads := drawLayer(t, 2)
		bad := func(i, j int64) bool { return (!s.Causal || j <= i) && !anyHolds(heads, i, j) }
		checkVerdict(t, l.describe(heads), Coverage(l, s), limitOf(l, 2*size), bad)
		n := rapid.Int64Range(0, 4*size).Draw(t, "n")
		v := CoverageAt(l, s, n)
		i, j, found := firstPair(limitOf(l, (n+3)/4), bad)
		if v.Holds == found || found && (v.I != i || v.J != j) {
			t.Fatalf("%sat %d: %v, want (%d, %d) %v", l.describe(heads), n, v, i, j, found)
		}
	})
}

func TestKVEfficiencyAgainstEnumeration(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, s, heads := drawLayer(t, 2)
		bad := func(kv int) func(i, j int64) bool {
			group := heads[kv*s.Group() : (kv+1)*s.Group()]
			return func(i, j int64) bool { return i > j && anyHolds(group, i, j) && !anyHolds(group, i-1, j) }
		}
		v := KVEfficient(l, s)
		for kv := range s.KVHeads {
			rows := limitOf(Layer{Heads: l.Heads[kv*s.Group() : (kv+1)*s.Group()]}, 2*size)
			if v.Holds || v.Head > kv {
				checkVerdict(t, l.describe(heads), Verdict{Holds: true}, rows, bad(kv))
			} else if v.Head == kv {
				checkVerdict(t, l.describe(heads), v, rows, bad(kv))
			}
		}
		n := rapid.Int64Range(0, 4*size).Draw(t, "n")
		at, want := KVEfficientAt(l, s, n), Verdict{Holds: true, Head: -1}
		for kv := range s.KVHeads {
			rows := limitOf(Layer{Heads: l.Heads[kv*s.Group() : (kv+1)*s.Group()]}, (n+3)/4)
			if i, j, found := firstPair(rows, bad(kv)); found {
				want = Verdict{Head: kv, I: i, J: j}
				break
			}
		}
		at.Work = 0
		if at != want {
			t.Fatalf("%sat %d: %v, want %v", l.describe(heads), n, at, want)
		}
	})
}

func TestEmptyRowAgainstEnumeration(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, s, heads := drawLayer(t, 2)
		empty := func(h head, i, keyBlocks int64) bool {
			for j := range keyBlocks {
				if h.holds(i, j) {
					return false
				}
			}
			return true
		}
		search := func(rows int64, keyBlocks func(i int64) int64) (Empty, bool) {
			for n, h := range heads {
				for i := range min(rows, h.p.Limit()) {
					if empty(h, i, keyBlocks(i)) {
						return Empty{n, i}, true
					}
				}
			}
			return Empty{}, false
		}
		got, found, err := EmptyRow(l)
		want, exists := search(3*size, func(i int64) int64 { return i + 1 })
		if err != nil || found != exists || got != want {
			t.Fatalf("%sgot %v %v %v, want %v %v", l.describe(heads), got, found, err, want, exists)
		}
		n := rapid.Int64Range(0, 4*size).Draw(t, "n")
		got, found, err = EmptyRowAt(l, s, n)
		blocks := (n + 3) / 4
		want, exists = search(blocks, func(int64) int64 { return blocks })
		if err != nil || found != exists || got != want {
			t.Fatalf("%sat %d: got %v %v %v, want %v %v", l.describe(heads), n, got, found, err, want, exists)
		}
	})
}

func TestKVKeptAgainstEnumeration(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, s, heads := drawLayer(t, 2)
		n := rapid.Int64Range(1, 4*size).Draw(t, "n")
		blocks := (n + 3) / 4
		var want float64
		for kv := range s.KVHeads {
			group := heads[kv*s.Group() : (kv+1)*s.Group()]
			var kept int64
			for j := range blocks {
				// Past every bound, and a period of all steps' multiples.
				for i := n / 4; i < n/4+2*size+840; i++ {
					if anyHolds(group, i, j) {
						kept++
						break
					}
				}
			}
			want += float64(kept) / float64(blocks)
		}
		got, err := KVKept(l, s, n)
		if err != nil || got != want/float64(s.KVHeads) {
			t.Fatalf("%sat %d: got %v %v, want %v", l.describe(heads), n, got, err, want/float64(s.KVHeads))
		}
	})
}

// Each head has a stripe of its own, and together they are everything: that is decided
// for any number of heads. Where one is missing, a window hides it from a search.
func TestCoverageOfManyHeads(t *testing.T) {
	for _, n := range []int64{2048, 2049, 4096, 65521, 65535} {
		b := NewBuilder(true)
		var heads []Pattern
		for h := range n {
			heads = append(heads, Pattern{Cells: b.Union(b.Band(0, 0), b.Stride(n, -h))})
		}
		s := Shape{Heads: int(n), KVHeads: 1, Block: 64, Causal: true}
		if v := Coverage(Layer{Heads: heads}, s); !v.Holds || v.Err != nil {
			t.Errorf("%d heads: %v", n, v)
		}
		if n > 4096 {
			continue // without one of them there are more cells than MaxCells
		}
		if v := Coverage(Layer{Heads: heads[:n-1]}, s); v.Holds || v.Err != nil || v.J != 1 || v.I != 2 {
			t.Errorf("%d heads without the last: %v", n, v)
		}
	}
}
