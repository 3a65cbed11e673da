package show

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/ir"
)

// unit compiles a text.
func unit(t *testing.T, text string) *compiler.Unit {
	t.Helper()
	path := filepath.Join(t.TempDir(), "in.s2")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	u, list := compiler.Lower(path, dsl.Options{})
	if u == nil {
		t.Fatalf("%s\n%v", text, list.Err())
	}
	return u
}

// sources is what a unit's file says of a layer's heads.
func sources(u *compiler.Unit, layer *ir.Layer) func(head int) dsl.Set {
	return func(head int) dsl.Set { return u.Program.Head(layer.Numbers[0], head) }
}

// headPanel draws head 0 of a pattern, 16 blocks long.
func headPanel(t *testing.T, direction, pattern string) *Panel {
	t.Helper()
	u := unit(t, "model m { heads 2 head_dim 64 block 64 "+direction+" }\nlayer * -> "+pattern+"\n")
	layer := &u.Module.Layers[0]
	f, err := Mask(u.Module.Shape, layer, MaskOptions{Tokens: 16 * 64, Heads: []int{0}, Source: sources(u, layer)})
	if err != nil {
		t.Fatal(err)
	}
	return &f.Panels[0]
}

// A block has the colour of what the author wrote, in a table too.
func TestParts(t *testing.T) {
	type want struct {
		row, col int
		class    Class
	}
	const odd = "where((i * 7 + j * 3) mod 11 == 0, max: 1024)"
	for _, c := range []struct {
		direction, pattern string
		table              bool
		want               []want
	}{
		{"bidirectional", "window(2) | global(0, 1) | " + odd, true, []want{
			{5, 5, Local}, {5, 6, Local}, {0, 9, Row}, {9, 1, Column}, {0, 0, Local}, {2, 10, Where}, {2, 9, Skipped}}},
		{"causal", "window(2) | stride(4, phase: 1) | " + odd, true, []want{
			{9, 9, Diagonal}, {9, 8, Local}, {9, 5, Stripe}, {9, 1, Stripe}, {9, 12, Future}, {15, 9, Stripe}, {14, 4, Where}, {13, 3, Skipped}}},
		{"causal", "dense & " + odd + " | window(1)", true, []want{{14, 4, Where}, {14, 5, Skipped}}},
		{"causal", "dense - " + odd + " | window(1)", true, []want{{14, 4, Skipped}, {14, 5, Dense}}},
		{"causal", "window(1) | dilated(3) & window(9) | " + odd, true, []want{{15, 12, Dilated}, {15, 9, Dilated}, {15, 5, Skipped}}},
		{"causal", "for rows { 0..3: dense; else: window(2) } | " + odd, true, []want{{3, 1, Dense}, {8, 7, Local}, {14, 4, Where}}},
		{"causal", "window(2) | blocks { (9, 1), (12, 3..4) } | sink(1)", true, []want{
			{9, 1, List}, {12, 4, List}, {9, 8, Local}, {9, 0, Column}, {12, 5, Skipped}}},
		// Rectangles of the closed form may have been written in several ways.
		{"causal", "window(1) | blocks { (9.., 1) }", false, []want{{9, 1, List}, {12, 1, List}}},
		{"causal", "window(1) | columns(1)", false, []want{{9, 1, Column}}},
		{"bidirectional", "window(2) | global(0)", false, []want{{0, 9, Row}, {9, 0, Column}, {9, 9, Local}}},
		{"causal", "for rows { 0..3: dense; else: window(2) }", false, []want{{3, 1, Dense}}},
		{"causal", "window(1) | rows(3)", false, []want{{3, 1, Row}}},
	} {
		p := headPanel(t, c.direction, c.pattern)
		for _, w := range c.want {
			if got := p.At(w.row, w.col).Class; got != w.class {
				t.Errorf("%s: row %d, column %d is %q, want %q", c.pattern, w.row, w.col, looks[got].name, looks[w.class].name)
			}
		}
	}
}

// Without a source a table can only say that it lists a block.
func TestTable(t *testing.T) {
	shape, layer := localStride(1, 3, 4)
	layer.Heads[0].Table = &ir.Table{Rows: 5, Crow: []int64{0, 1, 2, 3, 5, 7}, Col: []int32{0, 1, 2, 0, 3, 1, 4}}
	f, err := Mask(shape, layer, MaskOptions{Tokens: 7 * 64})
	if err != nil {
		t.Fatal(err)
	}
	p := &f.Panels[0]
	if a, b, c := p.At(4, 1).Class, p.At(4, 3).Class, p.At(5, 4).Class; a != List || b != Skipped || c != Local {
		t.Errorf("classes are %v, %v, %v", a, b, c)
	}
}

// Every attended block of a pattern belongs to some part of its source.
func TestPartsAreWhole(t *testing.T) {
	for name, u := range pageUnits(t) {
		for n := range u.Module.Layers {
			layer := &u.Module.Layers[n]
			for h := range layer.Heads {
				holds := partOf(sources(u, layer)(h))
				for i := range int64(40) {
					for j := range int64(40) {
						if u.Module.Shape.Causal && j > i {
							break
						}
						if got, want := holds(i, j) != Future, layer.Heads[h].Contains(i, j); got != want {
							t.Fatalf("%s, head %d: (%d, %d) belongs to a part: %v, is attended: %v", name, h, i, j, got, want)
						}
					}
				}
			}
		}
	}
}
