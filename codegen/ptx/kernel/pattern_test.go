package kernel_test

import (
	"encoding/binary"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/s2attention/s2c/codegen/ptx/kernel"
	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/ir/layout"
)

const (
	recordWords = 8
	cellWords   = 12
)

// decoded is a head tile's pattern, read back from the encoding, and where it lay.
type decoded struct {
	head, kvHead, cells, table int32
	pattern                    ir.Pattern
}

func decode(p *kernel.Pattern, tile int) decoded {
	rec := p.Words[tile*recordWords:]
	d := decoded{head: rec[0], kvHead: rec[1], cells: rec[2], table: rec[5]}
	for n := range rec[3] {
		d.pattern.Cells = append(d.pattern.Cells, decodeCell(p.Words[rec[2]+n*cellWords:]))
	}
	if rows := rec[4]; rows > 0 {
		d.pattern.Table = decodeTable(p.Table, int(d.table), int(rows))
	}
	return d
}

func decodeCell(w []int32) ir.Cell {
	bound := func(w int32) int64 { // what stands for no bound lies past every block
		switch {
		case w == 1<<30:
			return ir.Inf
		case w == -1<<30:
			return -ir.Inf
		}
		return int64(w)
	}
	n := func(i int) int64 { return int64(w[i]) }
	return ir.Cell{
		Rows: ir.Rows{Lo: n(0), Hi: bound(w[1]), Mod: n(2), Res: n(3)},
		Lo:   ir.Line{C: bound(w[4]), A: n(5)}, Hi: ir.Line{C: bound(w[6]), A: n(7)},
		Step: n(8), Phase: ir.Line{C: n(9), A: n(10)}, Members: uint32(w[11]),
	}
}

func decodeTable(blob []byte, at, rows int) *ir.Table {
	word := func(n int) uint32 { return binary.LittleEndian.Uint32(blob[4*n:]) }
	t := &ir.Table{Rows: int64(rows)}
	for n := range rows + 1 {
		t.Crow = append(t.Crow, int64(word(at+n)))
	}
	at = (at + rows + 2) &^ 1
	for n := range int(t.Crow[rows]) {
		t.Col = append(t.Col, int32(word(at+2*n)))
		t.Members = append(t.Members, word(at+2*n+1))
	}
	return t
}

// normal is a pattern with phases as the encoding has them.
func normal(p ir.Pattern) ir.Pattern {
	q := ir.Pattern{Table: p.Table}
	if p.Table != nil && p.Table.Rows == 0 {
		q.Table = nil
	}
	for _, c := range p.Cells {
		c.Phase.C = (c.Phase.C%c.Step + c.Step) % c.Step
		c.Phase.A = (c.Phase.A%c.Step + c.Step) % c.Step
		q.Cells = append(q.Cells, c)
	}
	return q
}

// TestEncodePattern: every head tile's cells and table come back as they were,
// and the flags say what the kernels must be ready for.
func TestEncodePattern(t *testing.T) {
	r := random(3)
	for range 200 {
		merge := int(oneOf(r, 1, 2, 8, 32))
		k := plain(16, merge, 1)
		var patterns []ir.Pattern
		members, moves, tabular := false, false, false
		for range between(r, 1, 5) {
			p := drawPattern(r, merge, r.IntN(2) == 0, max(0, between(r, -5, 9)))
			if len(patterns) > 0 && r.IntN(2) == 0 {
				p = patterns[r.IntN(len(patterns))]
			}
			patterns = append(patterns, p)
		}
		all := uint32(1)<<merge - 1
		for _, p := range patterns {
			for _, c := range normal(p).Cells {
				moves = moves || c.Phase.A != 0
				members = members || c.Members != all
			}
			if p.Table != nil {
				tabular = true
				for _, m := range p.Table.Members {
					members = members || m != all
				}
			}
		}
		p := encode(t, tiles(k, patterns...))
		if p.Members != members || p.Moves != moves || (p.Table != nil) != tabular {
			t.Fatalf("members %v, moves %v, table %v of %+v", p.Members, p.Moves, p.Table != nil, patterns)
		}
		for h := range patterns {
			d, want := decode(p, h), normal(patterns[h])
			if d.head != int32(h) || d.kvHead != int32(h/2) || !reflect.DeepEqual(d.pattern, want) {
				t.Fatalf("head tile %d:\n got %+v\nwant %+v", h, d, want)
			}
			if d.cells%4 != 0 { // read 16 bytes at a time
				t.Fatalf("head tile %d: cells at word %d", h, d.cells)
			}
		}
	}
}

// TestEncodePatternShares: equal heads have one copy of their cells and of their
// table, and others do not.
func TestEncodePatternShares(t *testing.T) {
	r := random(4)
	a, b := drawPattern(r, 1, true, 5), drawPattern(r, 1, true, 4)
	a.Cells = []ir.Cell{drawCell(r, 1), drawCell(r, 1)}
	b.Cells = []ir.Cell{a.Cells[1], a.Cells[0]}
	p := encode(t, tiles(plain(16, 1, 1), a, b, a, ir.Pattern{Cells: a.Cells}, ir.Pattern{Table: b.Table}))
	var at, tables []int32
	for h := range 5 {
		d := decode(p, h)
		at, tables = append(at, d.cells), append(tables, d.table)
	}
	if at[0] != at[2] || at[0] != at[3] || at[0] == at[1] {
		t.Errorf("cells at %v", at)
	}
	if tables[0] != tables[2] || tables[1] != tables[4] || tables[0] == tables[1] {
		t.Errorf("tables at %v", tables)
	}
	if want := 5*recordWords + 4*cellWords; len(p.Words) != want {
		t.Errorf("%d words, want %d", len(p.Words), want)
	}
	if want := 4 * (5 + 1 + 4 + 1 + 2*(len(a.Table.Col)+len(b.Table.Col)) + 1); len(p.Table) != want {
		t.Errorf("tables of %d bytes, want %d", len(p.Table), want)
	}
}

// TestEncodePatternRecords: heads that share a block come from the first of them,
// and a pattern does not depend on what else is in the module.
func TestEncodePatternRecords(t *testing.T) {
	k := plain(16, 1, 1)
	k.HeadTiles = []layout.HeadTile{{Heads: []int{4, 5}, KVHead: 2}, {Heads: []int{2, 3}, KVHead: 1}}
	p := encode(t, k)
	for h, want := range []decoded{{head: 4, kvHead: 2, cells: 16}, {head: 2, kvHead: 1, cells: 16}} {
		if d := decode(p, h); !reflect.DeepEqual(d, want) {
			t.Errorf("head tile %d: %+v, want %+v", h, d, want)
		}
	}
	if p.Members || p.Moves || p.Table != nil || len(p.Words) != 16 {
		t.Errorf("nothing at all: %+v", p)
	}
	k.HeadTiles[0].Pattern.Table = &ir.Table{Crow: []int64{0}}
	if p := encode(t, k); p.Table != nil || p.Words[4] != 0 {
		t.Errorf("a table without rows: %+v", p)
	}
	k.HeadTiles[1].Heads = []int{2, 4}
	if _, err := kernel.EncodePattern(k); err == nil || err.Error() != "head 2: packed heads [2 4] are not consecutive" {
		t.Errorf("heads that are not consecutive: %v", err)
	}
}

// TestEncodePatternLimits: numbers up to 2^30 are encoded, unbounded ones clipped,
// and what passes that where it counts is refused.
func TestEncodePatternLimits(t *testing.T) {
	const most = 1 << 30
	base := ir.Cell{Rows: ir.Rows{Hi: ir.Inf, Mod: 1}, Hi: ir.Line{C: ir.Inf}, Step: 1, Members: 1}
	at := func(field int, v int64) ir.Cell {
		c := base
		*[]*int64{&c.Rows.Lo, &c.Rows.Hi, &c.Rows.Mod, &c.Rows.Res, &c.Lo.C, &c.Lo.A, &c.Hi.C, &c.Hi.A, &c.Step}[field] = v
		return c
	}
	for field, bounded := range []bool{false, true, false, false, true, false, true, false, false} {
		for _, v := range []int64{most - 1, most, most + 1, math.MaxInt64, 1 - most, -most, -most - 1, -math.MaxInt64} {
			if field == 8 && v < 0 { // no remainder by a negative step
				continue
			}
			p, err := kernel.EncodePattern(tiles(plain(16, 1, 1), ir.Pattern{Cells: []ir.Cell{at(field, v)}}))
			inside := -most <= v && v <= most
			switch {
			case inside || bounded:
				want := int32(max(-most, min(v, most)))
				if err != nil || p.Words[recordWords+field] != want {
					t.Errorf("word %d of %d: %v, %v", field, v, p, err)
				}
			case err == nil || !strings.Contains(err.Error(), "head 0: the pattern needs the number"):
				t.Errorf("word %d of %d: %v", field, v, err)
			}
		}
	}

	all := base
	all.Members = math.MaxUint32
	if p := encode(t, tiles(plain(16, 32, 1), ir.Pattern{Cells: []ir.Cell{all}})); p.Members || p.Words[recordWords+11] != -1 {
		t.Errorf("all of 32 members: %+v", p)
	}
}

// TestEncodePatternTableLimit: tables of more than 2^30 words are refused.
func TestEncodePatternTableLimit(t *testing.T) {
	col := make([]int32, 3)
	members := []uint32{1, 1, 1}
	for rows, ok := range map[int64]bool{1<<30 - 7: true, 1<<30 - 6: false, 1<<30 - 8: true} {
		p := ir.Pattern{Table: &ir.Table{Rows: rows, Col: col, Members: members}}
		if _, err := kernel.EncodePattern(tiles(plain(16, 1, 1), p)); (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "beyond 2^30; lower the greatest length") {
			t.Errorf("a table of %d rows: %v", rows, err)
		}
	}
	small := &ir.Table{Rows: 1, Crow: []int64{0, 1}, Col: col[:1], Members: members[:1]}
	large := &ir.Table{Rows: 1<<30 - 9, Col: col[:2], Members: members[:2]}
	for _, extra := range []int64{0, 1} {
		large.Rows = 1<<30 - 9 + extra
		// Four words before it: two row offsets, a pair.
		_, err := kernel.EncodePattern(tiles(plain(16, 1, 1), ir.Pattern{Table: small}, ir.Pattern{Table: large}))
		if (err == nil) != (extra == 0) {
			t.Errorf("a second table of %d rows: %v", large.Rows, err)
		}
	}
}
