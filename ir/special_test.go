package ir

import "testing"

// Cases that random expressions seldom reach.

func TestWindowsCutByStripes(t *testing.T) {
	b := NewBuilder(true)
	cut := b.Intersection(b.Band(0, 2), b.Stride(4, 0)) // a block in rows i mod 4 ≠ 3
	rest := b.Intersection(b.Band(0, 0), b.Stride(4, 3))
	full := Layer{Heads: []Pattern{{Cells: b.Union(cut, rest)}}}
	if e, found, err := EmptyRow(full); found || err != nil {
		t.Errorf("got %v %v %v, want no empty row", e, found, err)
	}
	if e, found, err := EmptyRow(Layer{Heads: []Pattern{{Cells: cut}}}); !found || err != nil || e.Row != 3 {
		t.Errorf("got %v %v %v, want row 3", e, found, err)
	}
}

// A stripe so wide that a growing window meets it late, in rows that are
// looked at one by one.
func TestLateStripes(t *testing.T) {
	b := NewBuilder(true)
	late := Layer{Heads: []Pattern{{Cells: b.Stride(1000, 700)}}}
	if e, found, err := EmptyRow(late); !found || err != nil || e.Row != 0 {
		t.Errorf("got %v %v %v", e, found, err)
	}
	filled := Layer{Heads: []Pattern{{Cells: b.Union(b.Stride(1000, 700), b.Rect(0, 699, 0, 0))}}}
	if e, found, err := EmptyRow(filled); found || err != nil {
		t.Errorf("got %v %v %v", e, found, err)
	}
	gap := Layer{Heads: []Pattern{{Cells: b.Union(b.Stride(1000, 700), b.Rect(0, 698, 0, 0))}}}
	if e, found, err := EmptyRow(gap); !found || err != nil || e.Row != 699 {
		t.Errorf("got %v %v %v", e, found, err)
	}
	far := b.Intersection(b.Stride(MaxPeriod, MaxPeriod-1), b.Rect(0, Inf, 5, Inf))
	if i, j, ok := least(far); !ok || i != MaxPeriod-1 || j != MaxPeriod-1 {
		t.Errorf("least: %d %d %v", i, j, ok)
	}
}

func TestKeptBySparseRows(t *testing.T) {
	b := NewBuilder(true)
	// Rows i ≡ 2 mod 3 read block i − 7.
	l := Layer{Heads: []Pattern{{Cells: b.Intersection(b.Band(7, 7), b.Stride(3, 1))}}}
	s := Shape{Heads: 1, KVHeads: 1, Block: 64, Causal: true}
	// From row 30 on: blocks 25 and 28 of 30.
	if got, err := KVKept(l, s, 30*64); err != nil || got != 2.0/30 {
		t.Errorf("got %v %v", got, err)
	}
	for _, bad := range []int64{0, -1, MaxTokens + 1} {
		if _, err := KVKept(l, s, bad); err == nil {
			t.Errorf("length %d accepted", bad)
		}
	}
}

// Row classes that end apart are no single period.
func TestClassesOfDifferentLength(t *testing.T) {
	cell := func(lo, hi, res int64) Cell {
		return Cell{Rows: Rows{lo, hi, 2, res}, Lo: Line{1, -1}, Hi: Line{1, 0}, Step: 1, Members: 1}
	}
	for _, cells := range [][]Cell{
		{cell(0, 11, 0), cell(1, 6, 1)},
		{cell(0, 11, 0), cell(5, 12, 1)},
		{cell(0, 11, 0), cell(1, 12, 1)},
		{cell(0, 11, 0), cell(1, Inf, 1)},
		{cell(0, Inf, 0), cell(1, Inf, 1)},
	} {
		p := Pattern{Cells: cells}
		q := Pattern{Cells: newAlgebra().simplify(cells)}
		for i := range int64(20) {
			for j := range int64(20) {
				if p.Contains(i, j) != q.Contains(i, j) {
					t.Fatalf("%v became\n%v", p, q)
				}
			}
		}
		if !Equal(p, q) {
			t.Errorf("%v is not equal to\n%v", p, q)
		}
	}
	if got := newAlgebra().simplify([]Cell{cell(0, 11, 0), cell(1, 12, 1)}); len(got) != 1 {
		t.Errorf("not joined: %v", got)
	}
}

// Simplification finds the short form again, whichever way a set was built.
func TestShortForms(t *testing.T) {
	for name, c := range map[string]struct {
		causal bool
		build  func(b *Builder) []Cell
		cells  int
	}{
		"all stripes": {true, func(b *Builder) []Cell {
			var sets [][]Cell
			for p := range int64(12) {
				sets = append(sets, b.Stride(12, p))
			}
			return b.Union(sets...)
		}, 1},
		"window and all stripes": {true, func(b *Builder) []Cell {
			x := b.Band(0, 15)
			for p := range int64(8) {
				x = b.Union(x, b.Stride(8, p))
			}
			return x
		}, 1},
		"stripes first": {true, func(b *Builder) []Cell { return b.Union(b.Stride(8, 3), b.Band(0, 15)) }, 2},
		"out and in again": {false, func(b *Builder) []Cell {
			return b.Union(b.Difference(b.Dense(), b.Dilated(6, 1)), b.Dilated(6, 1))
		}, 1},
		"rows in pieces": {true, func(b *Builder) []Cell {
			return b.Union(b.Rect(0, 3, 0, Inf), b.Rect(4, 9, 0, Inf), b.Rect(10, Inf, 0, Inf))
		}, 1},
		"one row after the other": {true, func(b *Builder) []Cell {
			return b.Union(b.Rect(0, 0, 0, Inf), b.Rect(1, 1, 0, Inf), b.Rect(2, 2, 0, Inf))
		}, 1},
		"columns in pieces": {false, func(b *Builder) []Cell {
			return b.Union(b.Rect(0, Inf, 0, 3), b.Rect(0, Inf, 2, 9), b.Rect(0, Inf, 10, Inf))
		}, 1},
		"sink, window, stripes": {true, func(b *Builder) []Cell {
			return b.Union(b.Rect(0, Inf, 0, 0), b.Band(0, 7), b.Stride(8, 7))
		}, 3},
		"nothing": {true, func(b *Builder) []Cell {
			return b.Difference(b.Band(0, 7), b.Union(b.Band(4, 9), b.Band(-3, 5)))
		}, 0},
	} {
		b := NewBuilder(c.causal)
		if got := c.build(b); len(got) != c.cells || b.Err() != nil {
			t.Errorf("%s: want %d cells, got\n%v%v", name, c.cells, Pattern{Cells: got}, b.Err())
		}
	}
}
