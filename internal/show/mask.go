package show

import (
	"fmt"
	"slices"

	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/ir"
)

// MaxBlocks is the longest context, in blocks, that a picture is drawn of.
const MaxBlocks = 4096

// maxCells is the cells that a panel has in each direction; a longer context puts
// several blocks into a cell.
const maxCells = 256

// MaskOptions says what [Mask] draws.
type MaskOptions struct {
	Tokens int64 // context length
	Heads  []int // query heads; nil means all of them
	Each   bool  // a panel for each head, even where several look the same
	// Source is what the file says of a head; the parts of its pattern are told
	// apart by it where the closed form does not: in a table, in a rectangle.
	Source func(head int) dsl.Set
}

// part is a head's source as parts.
func (opt *MaskOptions) part(head int) part {
	if opt.Source == nil {
		return nil
	}
	return partOf(opt.Source(head))
}

// Mask draws what each query head of a layer attends, and the union of the heads.
// Heads whose patterns are the same at this length share a panel.
func Mask(shape ir.Shape, layer *ir.Layer, opt MaskOptions) (*Figure, error) {
	heads, err := selectHeads(opt.Heads, len(layer.Heads))
	if err != nil {
		return nil, err
	}
	blocks := (opt.Tokens + int64(shape.Block) - 1) / int64(shape.Block)
	if blocks < 1 || blocks > MaxBlocks {
		return nil, fmt.Errorf("a picture shows 1 to %d blocks, %d tokens are %d blocks of %d",
			MaxBlocks, opt.Tokens, blocks, shape.Block)
	}
	union := newTally(blocks, shape.Causal)
	var groups []*group
	for _, h := range heads {
		g := &group{tally: newTally(blocks, shape.Causal)}
		each(&layer.Heads[h], opt.part(h), blocks, shape.Causal, func(i, j int64, class Class) {
			g.tally.add(i, j, class)
			g.print += fingerprint(i, j)
			union.add(i, j, Shared)
		})
		same := slices.IndexFunc(groups, func(other *group) bool { return !opt.Each && other.print == g.print })
		if same < 0 {
			same, groups = len(groups), append(groups, g)
		}
		groups[same].heads = append(groups[same].heads, h)
	}
	f := &Figure{Blocks: union.factor}
	for _, g := range groups {
		panel := g.tally.panel(1)
		panel.Title = HeadNames(g.heads)
		f.Panels = append(f.Panels, panel)
	}
	if len(groups) > 1 {
		lead := union.panel(len(heads))
		lead.Title = fmt.Sprintf("union of %d heads", len(heads))
		if len(heads) == len(layer.Heads) {
			lead.Title = fmt.Sprintf("union of all %d heads", len(heads))
		}
		f.Lead = &lead
		if union.factor == 1 {
			f.own()
		}
	}
	return f, nil
}

// group is the heads that attend the same blocks.
type group struct {
	heads []int
	tally *tally
	print uint64
}

// fingerprint spreads a block over 64 bits (the finaliser of SplitMix64), so that
// sums of them tell sets of blocks apart, whatever order they come in.
func fingerprint(i, j int64) uint64 {
	x := (uint64(i)<<32 | uint64(j)) + 0x9E3779B97F4A7C15
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

// own gives the lead's cells that one panel alone attends that panel's colour,
// where there are colours enough. A cell must be one block.
func (f *Figure) own() {
	seen := false
	for at := range f.Lead.Cells {
		cell := &f.Lead.Cells[at]
		if cell.Class != Shared {
			continue
		}
		count, owner := 0, 0
		for n := range f.Panels {
			if f.Panels[n].Cells[at].attended() {
				count, owner = count+1, n
			}
		}
		if count == 1 && len(f.Panels) <= len(owners) {
			*cell = Cell{Class: Owned, Level: Full, Owner: uint8(owner)}
			seen = true
		}
	}
	for n := range f.Panels {
		if seen {
			f.Panels[n].Owner = n + 1
		}
	}
}

// selectHeads checks a choice of heads; nil chooses all.
func selectHeads(chosen []int, count int) ([]int, error) {
	if chosen == nil {
		for h := range count {
			chosen = append(chosen, h)
		}
	}
	for _, h := range chosen {
		if h < 0 || h >= count {
			return nil, fmt.Errorf("query head %d does not exist; the layer has 0 to %d", h, count-1)
		}
	}
	return chosen, nil
}

// each calls visit for every attended block below blocks.
func each(p *ir.Pattern, source part, blocks int64, causal bool, visit func(i, j int64, class Class)) {
	classes := cellClasses(p, source)
	for i := range blocks {
		if t := p.Table; t != nil && i < t.Rows {
			for _, j := range t.Col[t.Crow[i]:t.Crow[i+1]] {
				if int64(j) < blocks {
					visit(i, int64(j), onDiagonal(source.at(i, int64(j)), i, int64(j), causal))
				}
			}
			continue
		}
		for n := range p.Cells {
			c := &p.Cells[n]
			first, last := span(c, i, blocks)
			for j := first; j <= last; j += c.Step {
				visit(i, j, onDiagonal(classes[n], i, j, causal))
			}
		}
	}
}

func onDiagonal(class Class, i, j int64, causal bool) Class {
	if causal && i == j {
		return Diagonal
	}
	return class
}

// span is the first and last key block of a cell in row i; first > last where
// the row has none.
func span(c *ir.Cell, i, blocks int64) (first, last int64) {
	if i < c.Rows.Lo || i >= c.Rows.Hi || i%c.Rows.Mod != c.Rows.Res {
		return 0, -1
	}
	lo, hi := max(0, c.Lo.At(i)), min(c.Hi.At(i), blocks-1)
	phase := c.Phase.At((i-c.Rows.Res)/c.Rows.Mod) - lo
	return lo + (phase%c.Step+c.Step)%c.Step, hi
}

// tally counts blocks by cell of a panel and by class.
type tally struct {
	side   int // cells in each direction
	factor int64
	blocks int64
	causal bool
	counts [][numClasses]int64
}

func newTally(blocks int64, causal bool) *tally {
	factor := (blocks + maxCells - 1) / maxCells
	side := int((blocks + factor - 1) / factor)
	return &tally{side: side, factor: factor, blocks: blocks, causal: causal,
		counts: make([][numClasses]int64, side*side)}
}

func (t *tally) add(i, j int64, class Class) {
	t.counts[int(i/t.factor)*t.side+int(j/t.factor)][class]++
}

// panel turns counts into cells: the class with the most blocks, as strong as the
// share of the cell's possible blocks that are attended, over so many heads.
func (t *tally) panel(heads int) Panel {
	p := Panel{Rows: t.side, Cols: t.side, Cells: make([]Cell, t.side*t.side)}
	for row := range t.side {
		for col := range t.side {
			cell := p.At(row, col)
			possible := t.possible(int64(row), int64(col))
			if possible == 0 {
				cell.Class = Future
				continue
			}
			cell.Class = Skipped
			counts := &t.counts[row*t.side+col]
			var sum, most int64
			for class, n := range counts {
				if sum += n; n > most {
					most, cell.Class = n, Class(class)
				}
			}
			all := possible * int64(heads)
			cell.Level = uint8((sum*Full + all - 1) / all)
			if heads > 1 && sum == all {
				cell.Class = Everyone
			}
		}
	}
	return p
}

// possible is the blocks of a cell that a dense pattern attends.
func (t *tally) possible(row, col int64) int64 {
	height := min(t.factor, t.blocks-row*t.factor)
	width := min(t.factor, t.blocks-col*t.factor)
	switch {
	case !t.causal || col < row:
		return height * width
	case col > row:
		return 0
	}
	return height * (height + 1) / 2
}
