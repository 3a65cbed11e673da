// Package show draws patterns and tile layouts: for a terminal with half-block
// characters, and as SVG and PNG pictures. A picture is first a [Figure], which
// knows classes of blocks and nothing of pixels; each renderer takes it from
// there.
package show

// Figure is a picture: panels side by side, small multiples of one kind, and a
// legend of the classes that occur in them.
type Figure struct {
	Title    string
	Subtitle string
	// Blocks is how many blocks a cell stands for in each direction; 0 where that
	// is another unit.
	Blocks int64
	// Lead, where it is set, is drawn large beside the others: the union view.
	Lead   *Panel
	Panels []Panel
}

// Panel is one grid: query blocks down, key blocks across.
type Panel struct {
	Title      string
	Rows, Cols int
	Cells      []Cell // Rows × Cols, row-major
	Owner      int    // 1 + index into owners; 0 for no mark
	// RowLines and ColLines, where they are > 0, rule the grid every so many cells.
	RowLines, ColLines int
}

// At is the cell of a row and column.
func (p *Panel) At(row, col int) *Cell { return &p.Cells[row*p.Cols+col] }

// Cell is one square of a panel. Level is the strength of its colour, 1 to Full;
// a cell that stands for many blocks, or for many heads, may be weaker. Owner is
// the panel that an Owned cell belongs to.
type Cell struct {
	Class Class
	Level uint8
	Owner uint8
}

// Full is the Level of a cell that is all of its class.
const Full = 8

// Class says what a block is. The order is that of the legend.
type Class uint8

const (
	Future   Class = iota // beyond the causal diagonal: nothing is drawn
	Skipped               // neither loaded nor multiplied
	Diagonal              // attended up to the token-level causal mask
	Local                 // in a window that moves with the query
	Dense                 // attended from the first block up to the query
	Row                   // of a fixed range of query blocks, which attend everything
	Column                // a fixed range of key blocks: sinks, globals, ranges
	Stripe                // every step-th key block
	Dilated               // every step-th block back from the query
	List                  // in a list of blocks
	Where                 // where a condition holds
	Everyone              // in the union: attended by every head
	Shared                // in the union: attended by some heads, stronger by more
	Owned                 // in the union: attended by the heads of one panel alone
	FullTile              // a tile without any mask
	OddTile               // the same, in every other step of the main loop
	Masked                // in a step that carries the causal mask, before the diagonal
	Partial               // in a step that lacks a gathered block, or a merged query block
	Tail                  // in a step that the end of the context cuts
	Waste                 // multiplied, then masked out
	numClasses
)

// look is how a class appears: on white, in a dark page, on a terminal.
type look struct {
	name        string
	color, dark rgb
	ansi        int // colour number of a 256-colour terminal
}

// The classes of a mask are told apart with any colour vision, and each stands
// out from what is skipped; TestColors holds both.
var looks = [numClasses]look{
	Future:   {"", rgb{0xFF, 0xFF, 0xFF}, rgb{0x12, 0x17, 0x1E}, -1},
	Skipped:  {"skipped", rgb{0xEA, 0xEE, 0xF3}, rgb{0x1D, 0x24, 0x2E}, 236},
	Diagonal: {"diagonal (causal mask)", rgb{0x22, 0x30, 0x6B}, rgb{0xDB, 0xE4, 0xF5}, 111},
	Local:    {"local window", rgb{0x1A, 0x5C, 0xCB}, rgb{0x3B, 0x9C, 0xF0}, 33},
	Dense:    {"dense", rgb{0x4F, 0xB0, 0xCC}, rgb{0x24, 0x5F, 0x7C}, 74},
	Row:      {"fixed rows", rgb{0x00, 0x60, 0x54}, rgb{0x4F, 0xF0, 0x7F}, 120},
	Column:   {"fixed columns", rgb{0x3A, 0x9B, 0x78}, rgb{0x2F, 0x8F, 0x80}, 36},
	Stripe:   {"stripe", rgb{0xE8, 0x96, 0x2A}, rgb{0xF0, 0x8A, 0x2A}, 208},
	Dilated:  {"dilated stripe", rgb{0x9D, 0x6C, 0xC5}, rgb{0x90, 0x45, 0xDD}, 133},
	List:     {"list of blocks", rgb{0xE0, 0x34, 0x1F}, rgb{0xB8, 0x26, 0x1A}, 160},
	Where:    {"where", rgb{0x7F, 0x3A, 0x0C}, rgb{0xCB, 0xAA, 0x9E}, 180},
	Everyone: {"all heads", rgb{0x18, 0x22, 0x30}, rgb{0xFF, 0xFF, 0xFF}, 231},
	Shared:   {"some heads, from few to most", rgb{0x38, 0x44, 0x54}, rgb{0xD5, 0xDB, 0xE4}, 251},
	Owned:    {"one panel's heads alone, in its colour", rgb{0xFF, 0xFF, 0xFF}, rgb{0xFF, 0xFF, 0xFF}, 255},
	FullTile: {"full tile", rgb{0x2F, 0x7E, 0xBC}, rgb{}, 74},
	OddTile:  {"full tile, every other step", rgb{0x7F, 0xB5, 0xDE}, rgb{}, 110},
	Masked:   {"tile with causal mask", rgb{0x3B, 0xA2, 0x72}, rgb{}, 71},
	Partial:  {"partial tile", rgb{0xF2, 0x8E, 0x2B}, rgb{}, 208},
	Tail:     {"tail tile", rgb{0xD6, 0x4B, 0x55}, rgb{}, 167},
	Waste:    {"multiplied, then masked out", rgb{0xC9, 0xB8, 0xA8}, rgb{}, 181},
}

// few is the colour of a block of the union that the fewest heads attend, on
// white and in a dark page; from there it goes to the colour of Shared. Grey
// leaves the hues to the heads that own a block.
var few = struct{ color, dark rgb }{rgb{0x74, 0x80, 0x91}, rgb{0x75, 0x83, 0x9A}}

// owners are the colours that tell panels apart in the union view; a figure of
// more panels has none.
var owners = []look{
	{color: rgb{0xE1, 0x57, 0x59}, ansi: 167}, {color: rgb{0xF2, 0x8E, 0x2B}, ansi: 208},
	{color: rgb{0xE9, 0xC4, 0x3F}, ansi: 221}, {color: rgb{0x76, 0xB7, 0x4F}, ansi: 107},
	{color: rgb{0x2A, 0x9D, 0x8F}, ansi: 36}, {color: rgb{0x4C, 0x9B, 0xD6}, ansi: 74},
	{color: rgb{0x6C, 0x6B, 0xC9}, ansi: 62}, {color: rgb{0xC0, 0x6C, 0xB4}, ansi: 133},
	{color: rgb{0xB0, 0x7D, 0x5B}, ansi: 137}, {color: rgb{0x5A, 0xD4, 0xE6}, ansi: 80},
	{color: rgb{0xF4, 0xA8, 0xA8}, ansi: 217}, {color: rgb{0xA4, 0xE0, 0xB8}, ansi: 151},
	{color: rgb{0x8A, 0x8D, 0x2B}, ansi: 100}, {color: rgb{0x2B, 0x4F, 0xB8}, ansi: 25},
	{color: rgb{0xE3, 0x77, 0xA2}, ansi: 169}, {color: rgb{0x2F, 0x7A, 0x4F}, ansi: 29},
}

// rgb is an opaque colour.
type rgb struct{ r, g, b uint8 }

// color is a cell's colour: the class's own at Full, nearer to that of a skipped
// block below.
func (c Cell) color() rgb {
	top, base := looks[c.Class].color, looks[Skipped].color
	switch {
	case c.Class == Owned:
		return owners[c.Owner].color
	case c.Class == Shared:
		return mix(few.color, top, int(max(c.Level, 1))-1, Full-1)
	case c.Class <= Skipped || c.Level >= Full:
		return top
	}
	// Half of the way is given at once: a single block must not vanish.
	return mix(base, top, Full+int(c.Level), 2*Full)
}

// darkColor is color in a dark page, for cells of the union.
func (c Cell) darkColor() rgb {
	if c.Class == Shared {
		return mix(few.dark, looks[Shared].dark, int(max(c.Level, 1))-1, Full-1)
	}
	return looks[c.Class].dark
}

// mix goes part of the way from a colour to another, part out of whole.
func mix(from, to rgb, part, whole int) rgb {
	channel := func(from, to uint8) uint8 {
		return uint8((int(from)*(whole-part) + int(to)*part) / whole)
	}
	return rgb{channel(from.r, to.r), channel(from.g, to.g), channel(from.b, to.b)}
}

// attended reports whether the cell holds any attended block.
func (c Cell) attended() bool { return c.Class > Skipped && c.Level > 0 }

// legend lists the classes that occur in a figure, in order.
func (f *Figure) legend() []Class {
	var seen [numClasses]bool
	note := func(p *Panel) {
		for _, c := range p.Cells {
			seen[c.Class] = true
		}
	}
	if f.Lead != nil {
		note(f.Lead)
	}
	for n := range f.Panels {
		note(&f.Panels[n])
	}
	var classes []Class
	for class := Skipped; class < numClasses; class++ {
		if seen[class] {
			classes = append(classes, class)
		}
	}
	return classes
}
