package ir

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func limitOfError(t *testing.T, err error, says string) {
	t.Helper()
	var limit *LimitError
	if !errors.As(err, &limit) || !strings.Contains(err.Error(), says) {
		t.Errorf("got %v, want a limit of %s", err, says)
	}
}

func TestBuilderLimits(t *testing.T) {
	for _, c := range []struct {
		says  string
		build func(b *Builder) []Cell
	}{
		{"bound", func(b *Builder) []Cell { return b.Band(0, MaxBound+1) }},
		{"bound", func(b *Builder) []Cell { return b.Rect(-MaxBound-1, 0, 0, 0) }},
		{"step", func(b *Builder) []Cell { return b.Stride(MaxPeriod+1, 0) }},
		{"step", func(b *Builder) []Cell { return b.Stride(0, 0) }},
		{"step", func(b *Builder) []Cell { return b.Dilated(-3, 0) }},
		{"period of key blocks", func(b *Builder) []Cell {
			return b.Intersection(b.Stride(1<<13+1, 0), b.Stride(1<<14+1, 0))
		}},
		{"period of query blocks", func(b *Builder) []Cell {
			x := b.Intersection(b.Stride(1<<13, 0), b.Dilated(1<<13, 0))
			y := b.Intersection(b.Stride(10007, 0), b.Dilated(10007, 0))
			return b.Intersection(x, y)
		}},
		{"cells", func(b *Builder) []Cell { return b.Difference(b.Dense(), b.Stride(MaxCells+5, 0)) }},
		{"operations", func(b *Builder) []Cell {
			var sets [][]Cell
			for n := range int64(8000) {
				sets = append(sets, b.Rect(n, n, n%97, Inf))
			}
			for range 40 {
				b.Union(sets...)
			}
			return nil
		}},
	} {
		start := time.Now()
		b := NewBuilder(true)
		if cells := c.build(b); cells != nil {
			t.Errorf("%s: %d cells", c.says, len(cells))
		}
		if c.says == "operations" {
			if b.Err() == nil {
				t.Error("no limit on work")
			}
		} else {
			limitOfError(t, b.Err(), c.says)
		}
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%s: %v", c.says, took)
		}
		if b.Recover() == nil || b.Err() != nil {
			t.Error("Recover does not")
		}
	}
}

// A question too large to prove is still answered where the first rows have a
// counter-example, and is never answered wrongly.
func TestUndecided(t *testing.T) {
	s := Shape{Heads: 3, KVHeads: 1, Block: 64, Causal: true}
	b := NewBuilder(true)
	head := func(local, stride, phase int64) Pattern { return localStride(b, local, stride, phase) }
	l := Layer{Heads: []Pattern{head(2, 4093, 1), head(2, 4091, 1), head(2, 4079, 1)}}
	if v := Coverage(l, s); v.Holds || v.Err != nil || v.I != 2 || v.J != 0 {
		t.Errorf("coverage: %v", v)
	}
	for n := range l.Heads { // the window hides what is missing in the first rows
		l.Heads[n] = head(2*searchRows, []int64{4093, 4091, 4079}[n], 1)
	}
	v := Coverage(l, s)
	limitOfError(t, v.Err, "cells")
	if v.Holds || !strings.Contains(v.String(), "undecided") {
		t.Errorf("coverage: %v", v)
	}
	if v := CoverageAt(l, s, 64*2*searchRows); !v.Holds {
		t.Errorf("coverage at a length that the window covers: %v", v)
	}
	if v := KVEfficient(l, s); !v.Holds {
		t.Errorf("KV efficiency: %v", v)
	}
	kept, err := KVKept(l, s, 1<<24)
	if err != nil || kept <= 0 || kept > 1 {
		t.Errorf("KV kept: %v %v", kept, err)
	}
}

func TestVerifyRejects(t *testing.T) {
	good := func() Pattern {
		b := NewBuilder(true)
		return localStride(b, 4, 8, 3)
	}
	if err := Verify(good()); err != nil {
		t.Fatal(err)
	}
	table := func() *Table {
		return &Table{Rows: 2, Crow: []int64{0, 1, 3}, Col: []int32{0, 0, 1}, Members: []uint32{1, 1, 1}}
	}
	if err := Verify(Pattern{Table: table()}); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(p *Pattern){
		"overlap":             func(p *Pattern) { p.Cells = append(p.Cells, NewBuilder(true).Rect(30, 30, 3, 3)...) },
		"residue":             func(p *Pattern) { p.Cells[0].Rows.Res = 1 },
		"period":              func(p *Pattern) { p.Cells[0].Rows.Mod = 0 },
		"huge period":         func(p *Pattern) { p.Cells[0].Rows.Mod = MaxPeriod * 2 },
		"no rows":             func(p *Pattern) { p.Cells[0].Rows.Hi = 2 },
		"rows without blocks": func(p *Pattern) { p.Cells[0].Rows.Lo = 0 },
		"step":                func(p *Pattern) { p.Cells[0].Step = 0 },
		"phase":               func(p *Pattern) { p.Cells[0].Phase.C = 8 },
		"phase slope":         func(p *Pattern) { p.Cells[0].Phase.A = -1 },
		"falling bound":       func(p *Pattern) { p.Cells[0].Hi.A = -1 },
		"steep bound":         func(p *Pattern) { p.Cells[0].Hi.A = MaxMerge + 1 },
		"far bound":           func(p *Pattern) { p.Cells[0].Lo.C = -1 << 50 },
		"no columns":          func(p *Pattern) { p.Cells[0].Hi = Line{0, -Inf} },
		"members":             func(p *Pattern) { p.Cells[0].Members = 0 },
		"cells in the table":  func(p *Pattern) { p.Table = table() },
		"cells past a limit": func(p *Pattern) {
			p.Table = table()
			p.Table.Limited = true
			p.Cells = from(p.Cells, 2)
		},
		"offsets":     func(p *Pattern) { *p = Pattern{Table: table()}; p.Table.Crow[2] = 2 },
		"descending":  func(p *Pattern) { *p = Pattern{Table: table()}; p.Table.Crow[1] = 4 },
		"order":       func(p *Pattern) { *p = Pattern{Table: table()}; p.Table.Col[2] = 0 },
		"no member":   func(p *Pattern) { *p = Pattern{Table: table()}; p.Table.Members[1] = 0 },
		"many rows":   func(p *Pattern) { *p = Pattern{Table: table()}; p.Table.Rows = MaxTableRows + 1 },
		"many cells":  func(p *Pattern) { p.Cells = make([]Cell, MaxCells+1) },
		"lost arrays": func(p *Pattern) { *p = Pattern{Table: table()}; p.Table.Members = nil },
	} {
		p := good()
		spoil(&p)
		if err := Verify(p); err == nil {
			t.Errorf("%s: accepted\n%v", name, p)
		}
	}
	m := &Module{Shape: Shape{Heads: 2}, Layers: []Layer{{Heads: []Pattern{good()}}}}
	if err := VerifyModule(m); err == nil {
		t.Error("a layer with too few heads accepted")
	}
}

// TestSearchBehindTheBudget: where a proof costs too much, the first rows are
// searched to the end, and soon, however many heads there are.
func TestSearchBehindTheBudget(t *testing.T) {
	const heads, gone = 1024, 309
	b := NewBuilder(true)
	var l Layer
	for h := range int64(heads) { // column j is head j's; if j + 2 is prime, nobody else's
		l.Heads = append(l.Heads, Pattern{Cells: b.Union(b.Band(0, 0), b.Stride(h+2, h))})
	}
	s := Shape{Heads: heads, KVHeads: heads, Block: 64, Causal: true}
	if v := Coverage(l, s); v.Holds || v.Err == nil {
		t.Errorf("every column: %v", v)
	}
	l.Heads[gone] = Pattern{Cells: b.Band(0, 0)}
	if v := Coverage(l, s); v.Holds || v.Err != nil || v.I != gone+1 || v.J != gone {
		t.Errorf("all but column %d: %v", gone, v)
	}
}
