package layout

import (
	"fmt"
	"strings"
)

// Pictures are for lengths at which a tile is still visible.
const (
	pictureTiles  = 256 // query tiles at most
	pictureBlocks = 1024
	gridSide      = 480 // pixels of the tile grid's longer side, about
	margin        = 24
	lineHeight    = 16
)

// colours of the tile classes; a step with several masks shows the first here.
var maskColours = []struct {
	mask   Mask
	colour string
}{
	{Diagonal, "#2f7fc1"},
	{Tail, "#8a5bb5"},
	{Partial, "#d9822b"},
	{Full, "#3d9a57"},
}

const (
	skippedColour = "#f1f1ee"
	inkColour     = "#333333"
)

// Picture draws the layout of a kernel at a context of seq tokens as SVG: the
// tiles of the first head tile with their classes, the main loop of its last
// query tile, and shared memory with the swizzle of a slab.
func Picture(k *Kernel, seq int64) ([]byte, error) {
	blocks := ceilDiv(seq, int64(max(k.Shape.Block, 1))) // checked below
	switch {
	case k.Shape.Block <= 0 || k.Positions <= 0 || k.KVTile <= 0 || k.Memory.Bytes() <= 0:
		return nil, fmt.Errorf("layout: the kernel has no tile yet")
	case seq <= 0:
		return nil, fmt.Errorf("layout: a picture of %d tokens: want at least one", seq)
	case k.MaxBlocks > 0 && blocks > k.MaxBlocks:
		return nil, fmt.Errorf("layout: %d tokens are %d blocks: the pattern ends at block %d", seq, blocks, k.MaxBlocks)
	case k.Tiles(seq) > pictureTiles || blocks > pictureBlocks:
		return nil, fmt.Errorf("layout: %d tokens make %d × %d tiles: a picture shows up to %d × %d",
			seq, k.Tiles(seq), blocks, pictureTiles, pictureBlocks)
	case len(k.HeadTiles) == 0:
		return nil, fmt.Errorf("layout: the kernel has no head tiles to draw")
	}
	p := &picture{k: k, seq: seq, y: margin}
	p.title()
	p.grid(blocks)
	p.loop()
	p.shared()
	return p.finish(), nil
}

// picture is an SVG in the making; y is where the next part begins.
type picture struct {
	k     *Kernel
	seq   int64
	b     strings.Builder
	y     int
	width int
}

func (p *picture) rect(x, y, w, h int, fill, hint string) {
	p.width = max(p.width, x+w)
	fmt.Fprintf(&p.b, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s">`, x, y, w, h, fill)
	if hint != "" {
		fmt.Fprintf(&p.b, "<title>%s</title>", hint)
	}
	p.b.WriteString("</rect>\n")
}

func (p *picture) text(x, y int, text string) {
	p.width = max(p.width, x+len(text)*7)
	fmt.Fprintf(&p.b, `<text x="%d" y="%d">%s</text>`+"\n", x, y, escape(text))
}

// heading writes a line and moves below it.
func (p *picture) heading(text string) {
	p.y += lineHeight
	p.text(margin, p.y-4, text)
}

func (p *picture) title() {
	k := p.k
	p.heading(fmt.Sprintf("%s on %v: %d rows (%d × %d positions), KV tile %d, %d stages, %d warps",
		k.Entry, k.Target, k.Rows, k.Pack, k.Positions, k.KVTile, k.Stages, k.Warps))
	x := margin
	for _, c := range maskColours {
		p.rect(x, p.y+2, 10, 10, c.colour, "")
		p.text(x+14, p.y+11, c.mask.String())
		x += 90
	}
	p.rect(x, p.y+2, 10, 10, skippedColour, "")
	p.text(x+14, p.y+11, "skipped")
	p.y += 2 * lineHeight
}

// grid draws query tiles downwards and key blocks to the right.
func (p *picture) grid(blocks int64) {
	k := p.k
	p.heading(fmt.Sprintf("query heads %s: query tiles of %d positions (down) by key blocks of %d tokens, %d tokens",
		ints(k.HeadTiles[0].Heads), k.Positions, k.Shape.Block, p.seq))
	tiles := k.Tiles(p.seq)
	side := max(int(gridSide/max(tiles, blocks)), 3)
	gap := 0
	if side >= 6 {
		gap = 1
	}
	parts := k.Parts()
	if side < 3*parts {
		side = 3 * parts
	}
	for tile := range tiles {
		y := p.y + int(tile)*side
		p.rect(margin, y, int(blocks)*side-gap, side-gap, skippedColour, "")
		for n, s := range k.Steps(0, tile, p.seq, p.seq) {
			for i, block := range s.Blocks {
				x, w := margin+int(block)*side, side-gap
				if parts > 1 {
					x, w = x+s.Part*side/parts, side/parts-gap
				}
				hint := fmt.Sprintf("tile %d, step %d, key block %d, members %b: %s", tile, n, block, s.Members[i], s.Mask)
				p.rect(x, y, max(w, 1), side-gap, colour(s.Mask), hint)
			}
		}
	}
	p.y += int(tiles)*side + lineHeight
}

// loop draws the steps of the last query tile and the key blocks each gathers.
func (p *picture) loop() {
	const boxWidth, boxHeight, perLine = 36, 18, 16
	k := p.k
	tile := k.Tiles(p.seq) - 1
	steps := k.Steps(0, tile, p.seq, p.seq)
	p.heading(fmt.Sprintf("main loop of query tile %d: %d steps of %d tokens", tile, len(steps), k.KVTile))
	perStep := k.Gather()
	stepWidth := perStep*boxWidth + 6
	inLine := max(1, perLine/perStep)
	for n, s := range steps {
		x, y := margin+n%inLine*stepWidth, p.y+n/inLine*(boxHeight+4)
		for g := range perStep {
			fill, label := "none", ""
			if g < len(s.Blocks) {
				fill, label = colour(s.Mask), fmt.Sprint(s.Blocks[g])
				if k.Parts() > 1 {
					label += "." + fmt.Sprint(s.Part)
				}
			}
			p.width = max(p.width, x+(g+1)*boxWidth)
			fmt.Fprintf(&p.b, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s" stroke="%s" stroke-width="0.5"/>`+"\n",
				x+g*boxWidth, y, boxWidth-2, boxHeight, fill, inkColour)
			if label != "" {
				fmt.Fprintf(&p.b, `<text class="in" x="%d" y="%d">%s</text>`+"\n", x+g*boxWidth+boxWidth/2-1, y+13, label)
			}
		}
	}
	p.y += (len(steps)+inLine-1)/inLine*(boxHeight+4) + lineHeight
}

// shared draws the regions of shared memory to scale, and how the first slab's
// chunks are permuted.
func (p *picture) shared() {
	k := p.k
	total := k.Memory.Bytes()
	p.heading(fmt.Sprintf("shared memory: %d bytes", total))
	for n, r := range k.Memory {
		x := margin + r.Offset*gridSide/total
		w := max(r.Bytes*gridSide/total-2, 1)
		hint := fmt.Sprintf("%s: %d bytes at byte %d", r.Name, r.Bytes, r.Offset)
		p.rect(x, p.y, w, 22, hue(n, len(k.Memory)), hint)
		if r.Tile == (SmemTile{}) {
			continue
		}
		fmt.Fprintf(&p.b, `<text class="in" x="%d" y="%d">%s</text>`+"\n", x+w/2, p.y+15, r.Name)
	}
	p.y += 22 + lineHeight
	tile := k.Memory[0].Tile
	const cell = 22
	x := margin
	for _, s := range distinctSlabs(tile) {
		chunks := s.RowBytes() / ChunkBytes
		p.text(x, p.y+12, fmt.Sprintf("%d columns", s.Width))
		for row := range 8 {
			for chunk := range chunks {
				at := (s.At(row, chunk*s.ChunkCols()) - s.Offset - row*s.RowBytes()) / ChunkBytes
				px, py := x+at*cell, p.y+lineHeight+row*cell
				p.rect(px, py, cell-1, cell-1, hue(chunk, chunks), fmt.Sprintf("row %d, columns %d to %d", row, s.Col+chunk*s.ChunkCols(), s.Col+(chunk+1)*s.ChunkCols()-1))
				fmt.Fprintf(&p.b, `<text class="in" x="%d" y="%d">%d</text>`+"\n", px+cell/2, py+15, chunk)
			}
		}
		x += max(chunks*cell, 80) + margin
	}
	p.y += lineHeight + 8*cell
	p.heading("rows 0–7 of a slab, left to right by address: the number is the 16-byte chunk of the row that lies there")
}

// distinctSlabs is one slab of each width.
func distinctSlabs(t SmemTile) []Slab {
	var list []Slab
	for _, s := range t.Slabs() {
		if len(list) == 0 || list[len(list)-1].Width != s.Width {
			list = append(list, s)
		}
	}
	return list
}

func colour(m Mask) string {
	for _, c := range maskColours {
		if m&c.mask != 0 || m == c.mask {
			return c.colour
		}
	}
	return skippedColour
}

// hue spreads n colours over the circle.
func hue(i, n int) string { return fmt.Sprintf("hsl(%d,55%%,72%%)", i*360/max(n, 1)) }

func escape(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
}

func (p *picture) finish() []byte {
	var out strings.Builder
	w, h := p.width+margin, p.y+margin
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d">`+"\n", w, h, w, h)
	fmt.Fprintf(&out, "<style>text{font:12px ui-monospace,monospace;fill:%s}text.in{font-size:11px;text-anchor:middle}</style>\n", inkColour)
	fmt.Fprintf(&out, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", w, h)
	out.WriteString(p.b.String())
	out.WriteString("</svg>\n")
	return []byte(out.String())
}
