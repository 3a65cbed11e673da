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
	Stripe                // every step-th key block
	Dilated               // every step-th block back from the query
	Column                // a fixed range of key blocks: sinks, globals, ranges
	Table                 // in a row that a table holds
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

// look is how a class appears.
type look struct {
	name  string
	color rgb
	ansi  int // colour number of a 256-colour terminal
}

var looks = [numClasses]look{
	Future:   {"", rgb{0xFF, 0xFF, 0xFF}, -1},
	Skipped:  {"skipped", rgb{0xEA, 0xEE, 0xF3}, 236},
	Diagonal: {"diagonal (causal mask)", rgb{0x17, 0x3F, 0x5F}, 24},
	Local:    {"local window", rgb{0x2F, 0x7E, 0xBC}, 74},
	Dense:    {"dense", rgb{0x6B, 0xAE, 0xD6}, 110},
	Stripe:   {"stripe", rgb{0xF2, 0x8E, 0x2B}, 208},
	Dilated:  {"dilated stripe", rgb{0xA0, 0x6C, 0xB8}, 133},
	Column:   {"fixed columns", rgb{0x3B, 0xA2, 0x72}, 71},
	Table:    {"from a table", rgb{0xD6, 0x4B, 0x55}, 167},
	Everyone: {"all heads", rgb{0x2B, 0x3A, 0x4A}, 60},
	Shared:   {"some heads, stronger by more", rgb{0x0E, 0x6B, 0x6B}, 30},
	Owned:    {"one panel's heads alone, in its colour", rgb{0xFF, 0xFF, 0xFF}, 255},
	FullTile: {"full tile", rgb{0x2F, 0x7E, 0xBC}, 74},
	OddTile:  {"full tile, every other step", rgb{0x7F, 0xB5, 0xDE}, 110},
	Masked:   {"tile with causal mask", rgb{0x3B, 0xA2, 0x72}, 71},
	Partial:  {"partial tile", rgb{0xF2, 0x8E, 0x2B}, 208},
	Tail:     {"tail tile", rgb{0xD6, 0x4B, 0x55}, 167},
	Waste:    {"multiplied, then masked out", rgb{0xC9, 0xB8, 0xA8}, 181},
}

// owners are the colours that tell panels apart in the union view; a figure of
// more panels has none.
var owners = []look{
	{"", rgb{0xE1, 0x57, 0x59}, 167}, {"", rgb{0xF2, 0x8E, 0x2B}, 208},
	{"", rgb{0xE9, 0xC4, 0x3F}, 221}, {"", rgb{0x76, 0xB7, 0x4F}, 107},
	{"", rgb{0x2A, 0x9D, 0x8F}, 36}, {"", rgb{0x4C, 0x9B, 0xD6}, 74},
	{"", rgb{0x6C, 0x6B, 0xC9}, 62}, {"", rgb{0xC0, 0x6C, 0xB4}, 133},
	{"", rgb{0xB0, 0x7D, 0x5B}, 137}, {"", rgb{0x8C, 0x96, 0xA3}, 246},
	{"", rgb{0xF4, 0xA8, 0xA8}, 217}, {"", rgb{0xA9, 0xD3, 0xC8}, 152},
	{"", rgb{0x8A, 0x8D, 0x2B}, 100}, {"", rgb{0x3B, 0x5B, 0xA5}, 25},
	{"", rgb{0xE3, 0x77, 0xA2}, 169}, {"", rgb{0x3F, 0x7F, 0x5F}, 29},
}

// rgb is an opaque colour.
type rgb struct{ r, g, b uint8 }

// color is a cell's colour: the class's own at Full, nearer to that of a skipped
// block below.
func (c Cell) color() rgb {
	top, base := looks[c.Class].color, looks[Skipped].color
	if c.Class == Owned {
		return owners[c.Owner].color
	}
	if c.Class <= Skipped || c.Level >= Full {
		return top
	}
	// A quarter of the way is given at once: a single block must not vanish.
	mix := func(base, top uint8) uint8 {
		weight := Full/4 + int(c.Level)*3/4
		return uint8((int(base)*(Full-weight) + int(top)*weight) / Full)
	}
	return rgb{mix(base.r, top.r), mix(base.g, top.g), mix(base.b, top.b)}
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
