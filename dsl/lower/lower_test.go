package lower_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/s2attention/s2c/diag"
	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/dsl/lower"
	"github.com/s2attention/s2c/ir"
)

func load(t interface{ Fatalf(string, ...any) }, text string) *dsl.Program {
	p, list := dsl.Load("in.s2", dsl.Options{ReadFile: func(string) ([]byte, error) { return []byte(text), nil }})
	if list.HasErrors() {
		t.Fatalf("%s\n%v", text, list.Err())
	}
	return p
}

func examples(t testing.TB) map[string]*dsl.Program {
	files, err := filepath.Glob("../../examples/*.s2")
	if err != nil || len(files) < 10 {
		t.Fatalf("examples: %v, %v", files, err)
	}
	out := map[string]*dsl.Program{}
	for _, f := range files {
		p, list := dsl.Load(f, dsl.Options{})
		if list.HasErrors() {
			t.Fatal(list.Err())
		}
		out[strings.TrimSuffix(filepath.Base(f), ".s2")] = p
	}
	return out
}

func mustLower(t interface{ Fatalf(string, ...any) }, p *dsl.Program) *ir.Module {
	m, list := lower.Module(p)
	if m == nil || list.HasErrors() {
		t.Fatalf("%v", list.Err())
	}
	if err := ir.VerifyModule(m); err != nil {
		t.Fatalf("%v\n%v", err, m)
	}
	return m
}

// compare checks the closed form against the direct evaluation of the source
// in the first n rows and columns.
func compare(t interface{ Fatalf(string, ...any) }, p *dsl.Program, m *ir.Module, n int64) {
	seen := map[int]bool{}
	for _, l := range m.Layers {
		for h, pattern := range l.Heads {
			holds := p.Evaluator(l.Numbers[0], h)
			limit := min(n, pattern.Limit())
			for i := range limit {
				var want []int64
				for j := range limit {
					if holds(i, j) {
						want = append(want, j)
					}
				}
				var got []int64
				for _, c := range pattern.Columns(i, limit) {
					got = append(got, c.J)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("layer %d, head %d, row %d: -source +closed form\n%s%v", l.Numbers[0], h, i, diff, pattern)
				}
			}
		}
		for _, number := range l.Numbers {
			seen[number] = true
		}
	}
	if len(seen) != p.Model.Layers {
		t.Fatalf("%d of %d layers", len(seen), p.Model.Layers)
	}
}

func TestExamplesAgainstSource(t *testing.T) {
	for name, p := range examples(t) {
		t.Run(name, func(t *testing.T) {
			m := mustLower(t, p)
			compare(t, p, m, 150)
			for _, l := range m.Layers {
				for h, pattern := range l.Heads {
					if name != "custom-blocks" && pattern.Table != nil {
						t.Errorf("head %d has a table", h)
					}
					if len(pattern.Cells) > 5 {
						t.Errorf("head %d has %d cells:\n%v", h, len(pattern.Cells), pattern)
					}
				}
			}
		})
	}
}

// The closed form is written down once for every example, so that a change of
// it shows.
func TestExampleCells(t *testing.T) {
	ps := examples(t)
	for name, want := range map[string]string{
		"phi3-small": `
			i = 16…:                 j = 0…i-16, j ≡ 7 mod 8
			i = 0…:                  j = i-15…i`,
		"s2-gqa": `
			i = 16…:                 j = 0…i-16, j ≡ 0 mod 8
			i = 0…:                  j = i-15…i`,
		"s2-l1v15": `
			i = 1…:                  j = 0…i-1, j ≡ 0 mod 15
			i = 0…:                  j = i`,
		"dense":       `i = 0…:                  j = 0…i`,
		"sink-window": "i = 8…:                  j = 0\ni = 0…:                  j = i-7…i",
		"bidirectional": `
			i = 3…:                  j = 0…i-3, j ≡ i+2 mod 4
			i = 0…:                  j = i-2…i+1
			i = 0…:                  j = i+2…, j ≡ i+1 mod 4`,
		"dilated": "i = 0…:                  j = i-15…i",
	} {
		got := mustLower(t, ps[name]).Layers[0].Heads[0].String()
		want = strings.ReplaceAll(strings.TrimSpace(want), "\t", "") + "\n"
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got\n%s", name, diff)
		}
	}
}

// Four readings of the released pattern and of DKernel's from the design.
func TestReleasedRows(t *testing.T) {
	local := []int64{25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40}
	ps := examples(t)
	for name, want := range map[string][]int64{
		"phi3-small": append([]int64{3, 11, 19}, local...),
		"s2-gqa":     append([]int64{7, 15, 23}, local...),
	} {
		var got []int64
		for _, c := range mustLower(t, ps[name]).Layers[0].Heads[4].Columns(40, 41) {
			got = append(got, c.J)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got\n%s", name, diff)
		}
	}
}

// drawText is a random pattern in the language.
func drawText(t *rapid.T, depth int, tables bool) string {
	n := func(lo, hi int) int { return rapid.IntRange(lo, hi).Draw(t, "n") }
	if depth > 0 && n(0, 5) > 0 {
		switch n(0, 6) {
		case 0:
			return fmt.Sprintf("for rows { %d..%d: %s; else: %s }", n(0, 4), n(5, 12), drawText(t, depth-1, tables), drawText(t, depth-1, tables))
		case 1:
			return fmt.Sprintf("(%s & %s)", drawText(t, depth-1, tables), drawText(t, depth-1, tables))
		case 2:
			return fmt.Sprintf("(%s - %s)", drawText(t, depth-1, tables), drawText(t, depth-1, tables))
		}
		return fmt.Sprintf("(%s | %s)", drawText(t, depth-1, tables), drawText(t, depth-1, tables))
	}
	leaves := []string{
		fmt.Sprintf("window(%d)", n(1, 5)),
		fmt.Sprintf("window(%d, %d)", n(1, 5), n(1, 5)),
		fmt.Sprintf("stride(%d, phase: h * %d + %d)", n(1, 7), n(0, 3), n(-9, 9)),
		fmt.Sprintf("dilated(%d, phase: %d)", n(1, 5), n(0, 6)),
		fmt.Sprintf("dilated(%d, phase: %d, side: ahead)", n(1, 5), n(0, 6)),
		fmt.Sprintf("sink(%d)", n(0, 4)),
		fmt.Sprintf("columns(%d, %d..%d, %d..)", n(0, 5), n(3, 6), n(7, 12), n(10, 20)),
		fmt.Sprintf("rows(%d, %d..%d)", n(0, 5), n(3, 6), n(7, 12)),
		fmt.Sprintf("global(%d)", n(0, 5)),
		"dense", "empty",
	}
	if tables {
		leaves = append(leaves,
			fmt.Sprintf("blocks { (%d..%d, %d), (%d, %d..%d) }", n(0, 3), n(4, 9), n(0, 9), n(0, 9), n(0, 3), n(4, 9)),
			fmt.Sprintf("blocks { (%d.., %d..%d) }", n(0, 9), n(0, 3), n(4, 9)),
			fmt.Sprintf("blocks { (%d..%d, %d..) }", n(0, 3), n(4, 9), n(0, 9)),
		)
		if rapid.Bool().Draw(t, "where") {
			leaves = append(leaves, fmt.Sprintf("where((i * j + h) mod %d == %d, max: %d)", n(2, 5), n(0, 1), 64*n(1, 20)))
		}
	}
	return rapid.SampledFrom(leaves).Draw(t, "leaf")
}

func TestRandomProgramsAgainstSource(t *testing.T) {
	for _, tables := range []bool{false, true} {
		t.Run(fmt.Sprintf("tables=%v", tables), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				direction := rapid.SampledFrom([]string{"causal", "bidirectional"}).Draw(t, "direction")
				text := fmt.Sprintf("model m { heads 3 head_dim 64 %s }\nlayer * -> window(1) | %s\n", direction, drawText(t, 3, tables))
				p := load(t, text)
				m, list := lower.Module(p)
				if m == nil {
					t.Fatalf("%s\n%v", text, list.Err())
				}
				if err := ir.VerifyModule(m); err != nil {
					t.Fatalf("%s%v\n%v", text, err, m)
				}
				for _, h := range m.Layers[0].Heads {
					if h.Table != nil && !tables {
						t.Fatalf("%s: a table", text)
					}
				}
				compare(t, p, m, 40)
			})
		})
	}
}

func TestTables(t *testing.T) {
	const shape = "model m { heads 2 head_dim 64 block 64 %s }\nlayer * -> %s\n"
	for _, c := range []struct {
		name, direction, pattern string
		rows                     int64 // of the table; 0: none
		limited                  bool
		cells                    int
	}{
		{"rows up to the last listed", "causal", "window(2) | blocks { (9, 1), (20, 3..4) }", 21, false, 1},
		{"subtracted blocks", "causal", "dense - blocks { (9, 1) }", 10, false, 1},
		{"bounded bidirectional rows", "bidirectional", "window(2) | blocks { (9, 1) }", 10, false, 1},
		{"rows without an end need cells", "bidirectional", "dense | blocks { (9, 1) }", 0, false, 1},
		{"a rectangle without an end", "causal", "window(1) | blocks { (9.., 1) }", 0, false, 2},
		{"both kinds", "causal", "window(1) | blocks { (9.., 1), (3, 0) }", 4, false, 2},
		{"rows too far for a table", "causal", "window(1) | blocks { (9..100000, 1) }", 0, false, 2},
		{"a table too large", "causal", "dense | blocks { (60000, 1) }", 0, false, 1},
		{"where", "causal", "window(1) | where(i == j * j, max: 640)", 10, true, 0},
		{"the least where", "causal", "window(1) | where(i == j * j, max: 640) | where(j < 2, max: 320)", 5, true, 0},
		{"where in both directions", "bidirectional", "window(1) | where(i == j * j, max: 640)", 10, true, 0},
		{"a list of columns", "causal", "window(1) | columns(3, 17, 42)", 0, false, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := load(t, fmt.Sprintf(shape, c.direction, c.pattern))
			m := mustLower(t, p)
			h := m.Layers[0].Heads[0]
			var rows int64
			if h.Table != nil {
				rows = h.Table.Rows
			}
			if rows != c.rows || (h.Limit() != ir.Inf) != c.limited || len(h.Cells) != c.cells {
				t.Errorf("got %d rows, limit %d, cells:\n%v", rows, h.Limit(), h)
			}
			compare(t, p, m, 50)
			if m.Layers[0].Heads[1].Table != h.Table {
				t.Error("equal heads do not share the table")
			}
		})
	}
}

func TestErrors(t *testing.T) {
	const shape = "model m { heads 2 head_dim 64 block 64 causal }\nlayer * -> "
	for _, c := range []struct {
		name, pattern string
		code          diag.Code
		says          string
	}{
		{"period", "window(1) | stride(1009) & dilated(1013) & stride(1019)", diag.NoClosedForm, "period"},
		{"cells", "dense - stride(5000)", diag.NoClosedForm, "cells"},
		{"an empty row", "columns(4..)", diag.EmptyRow, "query block 0 of head 0"},
		{"a later empty row", "window(4) - rows(7)", diag.EmptyRow, "query block 7"},
		{"an empty row of a table", "window(4) - blocks { (9, 0..9) }", diag.EmptyRow, "query block 9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, list := lower.Module(load(t, shape+c.pattern+"\n"))
			if m != nil || len(list) != 1 || list[0].Code != c.code || !strings.Contains(list[0].Message, c.says) {
				t.Fatalf("got %v, %v", m, list)
			}
			if pos := list[0].Span.Pos(); pos.Line != 2 || list[0].Hint == "" {
				t.Errorf("at %v, hint %q", pos, list[0].Hint)
			}
		})
	}
	both := "model m { heads 2 head_dim 64 bidirectional }\nlayer * -> "
	_, list := lower.Module(load(t, both+"columns(1..)\n"))
	if len(list) != 1 || list[0].Code != diag.EmptyRow {
		t.Errorf("bidirectional: %v", list)
	}
}

// Every rule that fails is reported, not only the first.
func TestSeveralErrors(t *testing.T) {
	_, list := lower.Module(load(t, `model m { heads 2 head_dim 64 causal layers 3 }
layer 0 -> dense - stride(5000)
layer 1 -> columns(4..)
layer 2 -> dense - stride(5001)
`))
	var lines []int
	for _, d := range list {
		lines = append(lines, d.Span.Pos().Line)
	}
	if diff := cmp.Diff([]int{2, 3, 4}, lines); diff != "" {
		t.Errorf("-want +got\n%s%v", diff, list)
	}
}

func TestLayersThatTurnOutEqual(t *testing.T) {
	m := mustLower(t, load(t, `model m { heads 2 head_dim 64 causal layers 4 }
layer 1 -> window(4) | stride(8)
layer 3 -> stride(8) | window(4)
layer * -> dense
`))
	var got [][]int
	for _, l := range m.Layers {
		got = append(got, l.Numbers)
	}
	if diff := cmp.Diff([][]int{{0, 2}, {1, 3}}, got); diff != "" {
		t.Error(diff)
	}
}

func BenchmarkModule(b *testing.B) {
	for name, p := range examples(b) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if m, _ := lower.Module(p); m == nil {
					b.Fatal("failed")
				}
			}
		})
	}
}
