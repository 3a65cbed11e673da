package show

import "math"

// The geometry of a picture, in points; a PNG has two pixels a point.
const (
	margin      = 28.0
	gap         = 20.0 // between panels
	titleSize   = 20.0
	textSize    = 13.0
	panelText   = 12.0
	panelHead   = 20.0 // a panel's title and the space under it
	headHeight  = 62.0 // title and subtitle
	headLine    = 36.0 // title alone
	legendLine  = 24.0
	swatch      = 13.0
	targetWidth = 1180.0
	maxSide     = 420.0 // of a panel
	minSide     = 96.0
)

// Colours of what is not a block.
var (
	paper = rgb{0xFF, 0xFF, 0xFF}
	ink   = rgb{0x1B, 0x26, 0x33}
	faint = rgb{0x5B, 0x69, 0x78}
	frame = rgb{0xC6, 0xCF, 0xD9}
)

// canvas is what a picture is drawn on. Coordinates are points, y downwards.
type canvas interface {
	// fill paints rectangles in one colour.
	fill(c rgb, rects []rect)
	// write puts the start of a line of text's baseline at x, y.
	write(x, y, size float64, bold bool, c rgb, s string)
}

// rect is an area.
type rect struct{ x, y, w, h float64 }

// picture is a figure with every place decided.
type picture struct {
	figure        *Figure
	width, height float64
	cols, rows    int     // of the grid of panels
	side          float64 // the greatest extent of a panel's grid
	leadSide      float64 // of the lead; 0 without one
	head          float64 // height of title and subtitle
	legend        []legendEntry
	legendTop     float64
}

// legendEntry is a class with its place.
type legendEntry struct {
	class Class
	x, y  float64
}

// arrange decides the places: panels in a grid about as wide as a page, the lead
// beside it as tall as two of its rows.
func arrange(f *Figure) *picture {
	p := &picture{figure: f, head: headHeight}
	if f.Subtitle == "" {
		p.head = headLine
	}
	count := max(1, len(f.Panels))
	p.cols = count
	if count > 4 {
		p.cols = int(math.Ceil(math.Sqrt(float64(count) * 1.9)))
	}
	p.rows = (count + p.cols - 1) / p.cols
	// Balance the rows: 10 panels are 5 and 5, not 7 and 3.
	p.cols = (count + p.rows - 1) / p.rows

	across := float64(p.cols)
	leadRows := min(2, p.rows)
	if f.Lead != nil {
		across += float64(leadRows)
	}
	p.side = (targetWidth - gap*(across-1)) / across
	p.side = math.Floor(min(max(p.side, minSide), maxSide))
	width := float64(p.cols)*(p.side+gap) - gap
	if f.Lead != nil {
		p.leadSide = float64(leadRows)*(p.side+gap+panelHead) - gap - panelHead
		width += p.leadSide + gap*1.5
	}
	width = max(width, textWidth(f.Title, titleSize, true), textWidth(f.Subtitle, textSize, false))
	p.width = math.Ceil(width + 2*margin)
	p.legendTop = margin + p.head + float64(p.rows)*(panelHead+p.side+gap)
	p.height = p.placeLegend() + margin
	return p
}

// placeLegend breaks the legend into lines and returns where it ends.
func (p *picture) placeLegend() float64 {
	x, y := margin, p.legendTop
	for _, class := range p.figure.legend() {
		width := swatch + 6 + textWidth(looks[class].name, textSize, false)
		if x > margin && x+width > p.width-margin {
			x, y = margin, y+legendLine
		}
		p.legend = append(p.legend, legendEntry{class, x, y})
		x += width + 24
	}
	return math.Ceil(y + swatch)
}

// draw puts the picture on a canvas.
func (p *picture) draw(c canvas) {
	c.fill(paper, []rect{{0, 0, p.width, p.height}})
	c.write(margin, margin+titleSize-3, titleSize, true, ink, p.figure.Title)
	if p.figure.Subtitle != "" {
		c.write(margin, margin+titleSize+20, textSize, false, faint, p.figure.Subtitle)
	}
	top, left := margin+p.head, margin
	if p.figure.Lead != nil {
		drawPanel(c, p.figure.Lead, left, top, p.leadSide)
		left += p.leadSide + gap*1.5
	}
	for n := range p.figure.Panels {
		x := left + float64(n%p.cols)*(p.side+gap)
		y := top + float64(n/p.cols)*(p.side+gap+panelHead)
		drawPanel(c, &p.figure.Panels[n], x, y, p.side)
	}
	for _, e := range p.legend {
		c.fill(frame, []rect{{e.x, e.y, swatch, swatch}})
		drawSwatch(c, e.class, rect{e.x + 0.5, e.y + 0.5, swatch - 1, swatch - 1})
		c.write(e.x+swatch+6, e.y+swatch-2, textSize, false, faint, looks[e.class].name)
	}
}

// drawSwatch shows a class's colour; of Owned and Shared, which have many, four.
func drawSwatch(c canvas, class Class, r rect) {
	colors := looks[class : class+1]
	switch class {
	case Owned:
		colors = []look{owners[0], owners[2], owners[4], owners[6]}
	case Shared:
		colors = nil
		for _, level := range []uint8{1, 3, 5, Full} {
			colors = append(colors, look{color: Cell{Class: Shared, Level: level}.color()})
		}
	}
	width := r.w / float64(len(colors))
	for n, l := range colors {
		c.fill(l.color, []rect{{r.x + float64(n)*width, r.y, width, r.h}})
	}
}

// drawPanel draws a panel whose title starts at x, y; its grid fits into side.
func drawPanel(c canvas, p *Panel, x, y, side float64) {
	title := 0.0
	if p.Owner > 0 {
		c.fill(owners[p.Owner-1].color, []rect{{x, y + 2, panelText - 1, panelText - 1}})
		title = panelText + 4
	}
	c.write(x+title, y+panelText, panelText, true, ink, fit(p.Title, panelText, true, side-title))
	y += panelHead
	cell := side / float64(max(p.Rows, p.Cols))
	w, h := cell*float64(p.Cols), cell*float64(p.Rows)
	c.fill(frame, []rect{{x - 1, y - 1, w + 2, h + 2}})
	c.fill(paper, []rect{{x, y, w, h}})
	for _, layer := range p.layers() {
		rects := make([]rect, len(layer.areas))
		for n, a := range layer.areas {
			// Edges come from the same product in neighbours, so that no seam shows.
			x0, y0 := x+cell*float64(a.col), y+cell*float64(a.row)
			x1, y1 := x+cell*float64(a.col+a.cols), y+cell*float64(a.row+a.rows)
			rects[n] = rect{x0, y0, x1 - x0, y1 - y0}
		}
		c.fill(layer.color, rects)
	}
	if cell >= 6 {
		ruleEvery(c, x, y, w, h, cell, 1)
	}
	if p.RowLines > 0 && cell*float64(p.RowLines) >= 6 {
		ruleEvery(c, x, y, w, h, cell*float64(p.RowLines), 0)
	}
}

// ruleEvery draws thin white lines between rows, and between columns too when
// columns is not 0.
func ruleEvery(c canvas, x, y, w, h, pitch float64, columns int) {
	var lines []rect
	for at := pitch; at < h-0.5; at += pitch {
		lines = append(lines, rect{x, y + at - 0.25, w, 0.5})
	}
	for at := pitch; columns != 0 && at < w-0.5; at += pitch {
		lines = append(lines, rect{x + at - 0.25, y, 0.5, h})
	}
	c.fill(paper, lines)
}

// area is a rectangle of cells.
type area struct{ row, col, rows, cols int }

// layer is everything of one colour in a panel.
type layer struct {
	color rgb
	areas []area
}

// layers cuts a panel's cells into few rectangles of equal colour: runs in a row
// that repeat in the next rows become one. Layers come in the order in which
// their colours first occur.
func (p *Panel) layers() []layer {
	var out []layer
	index := map[rgb]int{}
	type run struct{ col, cols, layer int }
	open := map[run]int{} // index of the area that the previous row left open
	for row := range p.Rows {
		next := map[run]int{}
		for col := 0; col < p.Cols; {
			cell := p.At(row, col)
			color, end := cell.color(), col+1
			for end < p.Cols && p.At(row, end).color() == color {
				end++
			}
			if cell.Class != Future {
				at, ok := index[color]
				if !ok {
					at = len(out)
					index[color], out = at, append(out, layer{color: color})
				}
				r := run{col, end - col, at}
				n, ok := open[r]
				if !ok {
					n = len(out[at].areas)
					out[at].areas = append(out[at].areas, area{row, col, 0, end - col})
				}
				out[at].areas[n].rows++
				next[r] = n
			}
			col = end
		}
		open = next
	}
	return out
}

// fit shortens a text that is wider than a panel.
func fit(s string, size float64, bold bool, width float64) string {
	if textWidth(s, size, bold) <= width {
		return s
	}
	runes := []rune(s)
	for len(runes) > 1 && textWidth(string(runes)+"…", size, bold) > width {
		runes = runes[:len(runes)-1]
	}
	return string(runes) + "…"
}
