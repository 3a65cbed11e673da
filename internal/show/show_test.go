package show

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/color"
	"image/png"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/ir/layout"
)

// always admits every row.
var always = ir.Rows{Hi: ir.Inf, Mod: 1}

// localStride is a layer of windows of local blocks and stripes that slide with
// the head, in closed form.
func localStride(heads int, local, stride int64) (ir.Shape, *ir.Layer) {
	shape := ir.Shape{Heads: heads, KVHeads: 1, HeadDim: 128, Block: 64, DType: dtype.BF16, Causal: true}
	layer := &ir.Layer{Numbers: []int{0}}
	for h := range heads {
		phase := ir.Line{C: stride - 1 - int64(h)%stride}
		layer.Heads = append(layer.Heads, ir.Pattern{Cells: []ir.Cell{
			{Rows: always, Lo: ir.Line{A: 1, C: 1 - local}, Hi: ir.Line{A: 1}, Step: 1, Members: 1},
			{Rows: ir.Rows{Lo: local, Hi: ir.Inf, Mod: 1}, Hi: ir.Line{A: 1, C: -local}, Step: stride, Phase: phase, Members: 1},
		}})
	}
	return shape, layer
}

// mask draws eight heads with stride 4, so that four panels share them.
func mask(t *testing.T, tokens int64) *Figure {
	t.Helper()
	shape, layer := localStride(8, 3, 4)
	f, err := Mask(shape, layer, MaskOptions{Tokens: tokens})
	if err != nil {
		t.Fatal(err)
	}
	f.Title = "local & stride"
	return f
}

func TestMaskPanels(t *testing.T) {
	f := mask(t, 12*64)
	var titles []string
	for _, p := range f.Panels {
		titles = append(titles, p.Title)
	}
	if diff := cmp.Diff([]string{"heads 0, 4", "heads 1, 5", "heads 2, 6", "heads 3, 7"}, titles); diff != "" {
		t.Error(diff)
	}
	if f.Lead == nil || f.Lead.Title != "union of all 8 heads" {
		t.Fatalf("lead is %+v", f.Lead)
	}
	head0 := &f.Panels[0] // stripes at 3, 7, 11
	for _, c := range []struct {
		row, col int
		want     Cell
	}{
		{8, 8, Cell{Class: Diagonal, Level: Full}},
		{8, 6, Cell{Class: Local, Level: Full}},
		{8, 5, Cell{Class: Skipped}},
		{8, 3, Cell{Class: Stripe, Level: Full}},
		{8, 9, Cell{Class: Future}},
	} {
		if got := *head0.At(c.row, c.col); got != c.want {
			t.Errorf("head 0, row %d, column %d is %+v, want %+v", c.row, c.col, got, c.want)
		}
	}
	for _, c := range []struct {
		row, col int
		want     Cell
	}{
		{8, 6, Cell{Class: Everyone, Level: Full}},
		{8, 3, Cell{Class: Owned, Level: Full, Owner: 0}},
		{8, 5, Cell{Class: Owned, Level: Full, Owner: 2}},
		{8, 9, Cell{Class: Future}},
	} {
		if got := *f.Lead.At(c.row, c.col); got != c.want {
			t.Errorf("union, row %d, column %d is %+v, want %+v", c.row, c.col, got, c.want)
		}
	}
}

func TestMaskEach(t *testing.T) {
	shape, layer := localStride(8, 3, 4)
	f, err := Mask(shape, layer, MaskOptions{Tokens: 768, Each: true, Heads: []int{1, 5, 6}})
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Panels) != 3 || f.Panels[1].Title != "head 5" || f.Lead.Title != "union of 3 heads" {
		t.Errorf("panels %d, second %q, lead %q", len(f.Panels), f.Panels[1].Title, f.Lead.Title)
	}
	f, err = Mask(shape, layer, MaskOptions{Tokens: 768, Heads: []int{2}})
	if err != nil || f.Lead != nil {
		t.Errorf("one head has a union: %v, %v", f.Lead, err)
	}
}

// TestMaskBinned draws more blocks than cells: heads that differ keep panels of
// their own, and the strength of a cell is the share of it that is attended.
func TestMaskBinned(t *testing.T) {
	f := mask(t, 1024*64) // 4 × 4 blocks a cell, each stripe in every cell
	if len(f.Panels) != 4 || f.Blocks != 4 {
		t.Fatalf("%d panels of %d blocks a cell, want 4 and 4", len(f.Panels), f.Blocks)
	}
	if got, want := *f.Panels[0].At(200, 10), (Cell{Class: Stripe, Level: Full / 4}); got != want {
		t.Errorf("a quarter is %+v, want %+v", got, want)
	}
	if got := *f.Panels[0].At(200, 201); got.Class != Future {
		t.Errorf("beyond the diagonal is %+v", got)
	}
}

func TestMaskRefuses(t *testing.T) {
	shape, layer := localStride(2, 3, 4)
	for _, opt := range []MaskOptions{
		{Tokens: 0}, {Tokens: (MaxBlocks + 1) * 64}, {Tokens: 64, Heads: []int{2}}, {Tokens: 64, Heads: []int{-1}},
	} {
		if _, err := Mask(shape, layer, opt); err == nil {
			t.Errorf("%+v passes", opt)
		}
	}
}

func TestClasses(t *testing.T) {
	for _, c := range []struct {
		cell ir.Cell
		want Class
	}{
		{ir.Cell{Rows: always, Lo: ir.Line{A: 1, C: -3}, Hi: ir.Line{A: 1}, Step: 1}, Local},
		{ir.Cell{Rows: always, Hi: ir.Line{A: 1}, Step: 1}, Dense},
		{ir.Cell{Rows: always, Hi: ir.Line{C: ir.Inf}, Step: 1}, Dense},
		{ir.Cell{Rows: always, Hi: ir.Line{C: 3}, Step: 1}, Column},
		{ir.Cell{Rows: ir.Rows{Hi: 2, Mod: 1}, Hi: ir.Line{C: ir.Inf}, Step: 1}, Row},
		{ir.Cell{Rows: always, Hi: ir.Line{A: 1}, Step: 4}, Stripe},
		{ir.Cell{Rows: always, Hi: ir.Line{A: 1}, Step: 4, Phase: ir.Line{A: 1}}, Dilated},
	} {
		if got := classOf(&c.cell); got != c.want {
			t.Errorf("%+v is %s, want %s", c.cell, looks[got].name, looks[c.want].name)
		}
	}
}

func TestTerminalPlain(t *testing.T) {
	shape, layer := localStride(2, 2, 4)
	f, err := Mask(shape, layer, MaskOptions{Tokens: 9 * 64})
	if err != nil {
		t.Fatal(err)
	}
	f.Title = "title"
	var out strings.Builder
	if err := Terminal(&out, f, TerminalOptions{Width: 60}); err != nil {
		t.Fatal(err)
	}
	got := out.String()
	const head = "title\n\nunion of all 2 heads  head 0     head 1\n"
	if !strings.HasPrefix(got, head) {
		t.Errorf("starts\n%s", got)
	}
	// Head 0 of stride 4 reads blocks 3 and 7, two blocks back at the least.
	panel := []string{"█▄", " ▀█▄", "   ██▄", "   █ ▀█▄", "   ▀   ▀▀"}
	single, err := Mask(shape, layer, MaskOptions{Tokens: 9 * 64, Heads: []int{0}})
	if err != nil {
		t.Fatal(err)
	}
	out.Reset()
	if err := Terminal(&out, single, TerminalOptions{}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	if diff := cmp.Diff(panel, lines[3:8]); diff != "" {
		t.Errorf("head 0 (-want +got):\n%s\n%s", diff, out.String())
	}
	if strings.Contains(got, "\x1b") {
		t.Error("escape sequences without colour")
	}
}

func TestTerminalWidth(t *testing.T) {
	f := mask(t, 100*64)
	for _, width := range []int{40, 80, 250} {
		var out strings.Builder
		if err := Terminal(&out, f, TerminalOptions{Width: width}); err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(out.String(), "\n") {
			if n := len([]rune(line)); n > width && !strings.Contains(line, "attended") {
				t.Errorf("a line of %d columns where %d are wanted: %q", n, width, line)
			}
		}
	}
}

func TestTerminalColor(t *testing.T) {
	var out strings.Builder
	if err := Terminal(&out, mask(t, 768), TerminalOptions{Color: true}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\x1b[1m", "38;5;208", "stripe", "local window"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing", want)
		}
	}
	if lines := strings.Split(out.String(), "\n"); strings.Count(lines[5], "\x1b[0m") == 0 {
		t.Error("colours run on past a line's end")
	}
}

func TestSVG(t *testing.T) {
	var out bytes.Buffer
	if err := SVG(&out, mask(t, 768)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "<title>local &amp; stride</title>") {
		t.Error("the title is missing, or not escaped")
	}
	for decoder := xml.NewDecoder(&out); ; {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestPNG(t *testing.T) {
	f := mask(t, 768)
	var out bytes.Buffer
	if err := PNG(&out, f); err != nil {
		t.Fatal(err)
	}
	picture, err := png.Decode(&out)
	if err != nil {
		t.Fatal(err)
	}
	p := arrange(f)
	if size := picture.Bounds(); size.Dx() != int(p.width)*pngScale || size.Dy() != int(p.height)*pngScale {
		t.Errorf("picture is %v, want %g × %g points", size, p.width, p.height)
	}
	// The middle of a cell has the cell's colour.
	cell := p.leadSide / 12
	for _, at := range [][2]int{{8, 6}, {8, 3}, {8, 5}, {11, 0}} {
		x := pixel(margin + (float64(at[1])+0.5)*cell)
		y := pixel(margin + p.head + panelHead + (float64(at[0])+0.5)*cell)
		want := f.Lead.At(at[0], at[1]).color()
		if got := color.RGBAModel.Convert(picture.At(x, y)); got != want.rgba() {
			t.Errorf("row %d, column %d is %v, want %v", at[0], at[1], got, want)
		}
	}
}

// TestLayers checks that the rectangles of a panel cover every cell once, in its
// colour.
func TestLayers(t *testing.T) {
	f := mask(t, 40*64)
	for _, p := range append(f.Panels, *f.Lead) {
		painted := make([]int, len(p.Cells))
		for _, layer := range p.layers() {
			for _, a := range layer.areas {
				for row := a.row; row < a.row+a.rows; row++ {
					for col := a.col; col < a.col+a.cols; col++ {
						painted[row*p.Cols+col]++
						if p.At(row, col).color() != layer.color {
							t.Fatalf("%s: row %d, column %d has another colour", p.Title, row, col)
						}
					}
				}
			}
		}
		for at, n := range painted {
			want := 1
			if p.Cells[at].Class == Future {
				want = 0
			}
			if n != want {
				t.Fatalf("%s: cell %d is painted %d times, want %d", p.Title, at, n, want)
			}
		}
	}
}

func TestTiles(t *testing.T) {
	shape, layer := localStride(2, 2, 4)
	k := &layout.Kernel{
		Shape: shape, Pack: 1, Merge: 1, Split: 1, Positions: 64, KVTile: 64,
		HeadTiles: []layout.HeadTile{
			{Heads: []int{0}, Pattern: layer.Heads[0]}, {Heads: []int{1}, Pattern: layer.Heads[1]},
		},
	}
	f, err := Tiles(k, TileOptions{Tokens: 9*64 - 5})
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Panels) != 2 || f.Panels[0].Title != "head 0" {
		t.Fatalf("%d panels", len(f.Panels))
	}
	var loaded, diagonal int
	for _, c := range f.Panels[0].Cells {
		if c.attended() {
			loaded++
		}
		if c.Class == Diagonal {
			diagonal++
		}
	}
	var steps int64
	for tile := range k.Tiles(9*64 - 5) {
		steps += int64(len(k.Steps(0, tile, 9*64-5, 9*64-5)))
	}
	if int64(loaded) != steps || diagonal != 9 {
		t.Errorf("%d blocks and %d on the diagonal, want %d and 9", loaded, diagonal, steps)
	}
	for _, opt := range []TileOptions{{Tokens: 0}, {Tokens: 1 << 20}, {Tokens: 64, Heads: []int{5}}} {
		if _, err := Tiles(k, opt); err == nil {
			t.Errorf("%+v passes", opt)
		}
	}
}
