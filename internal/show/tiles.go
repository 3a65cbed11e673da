package show

import (
	"fmt"
	"slices"

	"github.com/s2attention/s2c/ir/layout"
)

// maxTileCells bounds the cells of a tile panel: every step of every query tile
// stays visible.
const maxTileCells = 512

// TileOptions says what [Tiles] draws.
type TileOptions struct {
	Tokens int64 // context length
	Heads  []int // query heads; nil means all of them
	Each   bool  // a panel for each head tile, even where several look the same
}

// Tiles draws what the thread blocks of a kernel do: rows are query tiles, and
// each key block that a step of the main loop loads is coloured by the masks that
// the step carries. Every other full step is paler, so that the blocks gathered
// into one step are seen together.
func Tiles(k *layout.Kernel, opt TileOptions) (*Figure, error) {
	heads, err := selectHeads(opt.Heads, k.Shape.Heads)
	if err != nil {
		return nil, err
	}
	// The picture's unit is the smallest of what is tiled, in tokens.
	unit := int64(min(k.Positions, k.Shape.Block, k.KVTile))
	cells := (opt.Tokens + unit - 1) / unit
	if cells < 1 || cells > maxTileCells {
		return nil, fmt.Errorf("a tile picture shows 1 to %d tokens with this layout, not %d",
			maxTileCells*unit, opt.Tokens)
	}
	f := &Figure{}
	var members [][]int
	for n := range k.HeadTiles {
		mine := k.HeadTiles[n].Heads
		if !slices.ContainsFunc(mine, func(h int) bool { return slices.Contains(heads, h) }) {
			continue
		}
		panel := tilePanel(k, n, opt.Tokens, unit, int(cells))
		same := -1
		if !opt.Each {
			same = slices.IndexFunc(f.Panels, func(p Panel) bool { return slices.Equal(p.Cells, panel.Cells) })
		}
		if same < 0 {
			same = len(f.Panels)
			f.Panels, members = append(f.Panels, panel), append(members, nil)
		}
		members[same] = append(members[same], mine...)
	}
	for n := range f.Panels {
		slices.Sort(members[n])
		f.Panels[n].Title = HeadNames(members[n])
	}
	return f, nil
}

// tilePanel draws one head tile.
func tilePanel(k *layout.Kernel, headTile int, tokens, unit int64, cells int) Panel {
	p := Panel{Rows: cells, Cols: cells, Cells: make([]Cell, cells*cells)}
	if k.Positions > int(unit) {
		p.RowLines = k.Positions / int(unit)
	}
	for row := range cells {
		for col := range cells {
			*p.At(row, col) = Cell{Class: Skipped}
			if k.Shape.Causal && col > row {
				p.At(row, col).Class = Future
			}
		}
	}
	d := tileDrawer{k: k, panel: &p, unit: unit}
	for tile := range k.Tiles(tokens) {
		for n, step := range k.Steps(headTile, tile, tokens, tokens) {
			d.step(tile, n, &step)
		}
	}
	return p
}

// tileDrawer paints steps into a panel.
type tileDrawer struct {
	k     *layout.Kernel
	panel *Panel
	unit  int64
}

// step paints the blocks of the n-th step of a query tile.
func (d *tileDrawer) step(tile int64, n int, s *layout.Step) {
	block, part := int64(d.k.Shape.Block), min(int64(d.k.KVTile), int64(d.k.Shape.Block))
	for b, key := range s.Blocks {
		col := (key*block + int64(s.Part)*part) / d.unit
		for r := range int64(d.k.Positions) / d.unit {
			row := tile*int64(d.k.Positions)/d.unit + r
			// With merged query blocks the row's own block may not be a member.
			own := s.Members[b]>>(r*d.unit/block)&1 != 0
			for c := range part / d.unit {
				d.paint(row, col+c, tileClass(s, n, own))
			}
		}
	}
}

func (d *tileDrawer) paint(row, col int64, class Class) {
	if row >= int64(d.panel.Rows) || col >= int64(d.panel.Cols) {
		return
	}
	if d.k.Shape.Causal && col > row {
		class = Waste // computed beyond the causal diagonal, then masked
	} else if d.k.Shape.Causal && col == row && class != Waste {
		class = Diagonal
	}
	*d.panel.At(int(row), int(col)) = Cell{Class: class, Level: Full}
}

// tileClass colours one block of a step.
func tileClass(s *layout.Step, n int, own bool) Class {
	switch {
	case !own:
		return Waste
	case s.Mask&layout.Diagonal != 0:
		return Masked
	case s.Mask&layout.Tail != 0:
		return Tail
	case s.Mask&layout.Partial != 0:
		return Partial
	case n%2 == 1:
		return OddTile
	}
	return FullTile
}
