package main

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/internal/show"
	"github.com/s2attention/s2c/ir"
)

// showCmd draws a pattern or its tile layout.
type showCmd struct {
	source
	layerFlag
	Seq    *int64   `type:"tokens" placeholder:"N" help:"Context length in tokens, as in 8192 or 8K. Without it, 64 blocks on paper, and what fits on a terminal."`
	What   string   `enum:"mask,tiles" default:"mask" help:"mask: what each head attends; tiles: what the thread blocks load and mask."`
	Heads  headList `placeholder:"0,4..7" help:"The query heads to draw; all of them without it."`
	Each   bool     `help:"A panel for every head, even where several are the same."`
	Arch   arch     `default:"${arch}" placeholder:"A" help:"The target whose tiles are drawn (${default})."`
	Format string   `enum:"auto,text,svg,png,html" default:"auto" help:"text, svg, png, or html: a page to explore every layer, head and length. auto goes by the ending of -o, and is text without it."`
	HTML   bool     `name:"html" help:"The same as --format html."`
	Output string   `short:"o" placeholder:"FILE" help:"Where to write; standard output without it."`
	Width  *int     `placeholder:"COLUMNS" help:"Columns of text; the terminal's width without it."`
}

// shownBlocks is the length of a picture that names none.
const shownBlocks = 64

// Run draws. A pattern that fails a require clause is drawn all the same: the
// picture may say why.
func (c *showCmd) Run(s *streams) error {
	if err := atLeastOne("--width", c.Width); err != nil {
		return err
	}
	path, opt := s.options(c.File, c.Define)
	unit, err := shown(s)(compiler.Lower(path, opt))
	if err != nil {
		return err
	}
	layer, _, err := c.pick(unit)
	if err != nil {
		return err
	}
	if err := c.Heads.check(unit.Module.Shape.Heads); err != nil {
		return err
	}
	format, err := c.format()
	if err != nil {
		return err
	}
	if format == "png" {
		if err := s.refuseBinary(c.Output, "a PNG"); err != nil {
			return err
		}
	}
	if c.Seq == nil {
		seq := c.defaultSeq(s, unit, layer, format)
		c.Seq = &seq
	}
	if err := checkSeq(unit, layer, *c.Seq); err != nil {
		return err
	}
	if format == "html" {
		return c.page(s, unit, layer)
	}
	figure, err := c.figure(unit, layer)
	if err != nil {
		return usageError{err}
	}
	figure.Title = fmt.Sprintf("%s · %s", unit.Module.Name, show.LayerNames(layer.Numbers, unit.Program.Model.Layers))
	if figure.Subtitle, err = c.subtitle(unit, layer, figure); err != nil {
		return err
	}
	return s.write(c.Output, func(w io.Writer) error {
		switch format {
		case "svg":
			return show.SVG(w, figure)
		case "png":
			return show.PNG(w, figure)
		}
		return show.Terminal(w, figure, show.TerminalOptions{Color: s.outColor && c.Output == "", Width: c.width(s)})
	})
}

// page writes a page that draws by itself.
func (c *showCmd) page(s *streams, unit *compiler.Unit, layer *ir.Layer) error {
	switch {
	case c.What != "mask":
		return usagef("--what %s: a page shows masks; draw tiles as text, SVG or PNG", c.What)
	case c.Each:
		return usagef("--each: a page shows one head at a time anyway")
	}
	index := slices.IndexFunc(unit.Module.Layers, func(l ir.Layer) bool { return l.Numbers[0] == layer.Numbers[0] })
	var page bytes.Buffer
	err := show.Page(&page, unit.Module, show.PageOptions{
		Title: unit.Module.Name, Tokens: *c.Seq, Layer: index, Layers: unit.Program.Model.Layers, Heads: c.Heads,
		Source: func(layer *ir.Layer, head int) dsl.Set { return unit.Program.Head(layer.Numbers[0], head) },
	})
	if err != nil {
		return usageError{err}
	}
	return s.write(c.Output, func(w io.Writer) error {
		_, err := page.WriteTo(w)
		return err
	})
}

// width is the columns of text.
func (c *showCmd) width(s *streams) int {
	if c.Width != nil {
		return *c.Width
	}
	return s.width
}

// format decides what to write.
func (c *showCmd) format() (string, error) {
	switch {
	case c.HTML && c.Format != "auto" && c.Format != "html":
		return "", usagef("--html goes with --format html, not %s", c.Format)
	case c.HTML:
		return "html", nil
	case c.Format != "auto":
		return c.Format, nil
	}
	switch ext := strings.ToLower(filepath.Ext(c.Output)); {
	case c.Output == "" || c.Output == "-" || ext == ".txt":
		return "text", nil
	case ext == ".svg":
		return "svg", nil
	case ext == ".png":
		return "png", nil
	case ext == ".html", ext == ".htm":
		return "html", nil
	}
	return "", usagef("%s: a picture's name ends in .svg, .png, .html or .txt; or say --format", c.Output)
}

// defaultSeq is a length that shows a pattern's shape in the space there is.
func (c *showCmd) defaultSeq(s *streams, unit *compiler.Unit, layer *ir.Layer, format string) int64 {
	blocks := int64(shownBlocks)
	if format == "text" && c.width(s) > 0 {
		blocks = min(blocks, int64(c.width(s)))
	}
	for _, p := range layer.Heads {
		blocks = min(blocks, p.Limit())
	}
	return blocks * int64(unit.Module.Shape.Block)
}

// figure is the picture without its titles.
func (c *showCmd) figure(unit *compiler.Unit, layer *ir.Layer) (*show.Figure, error) {
	var heads []int
	if len(c.Heads) > 0 {
		heads = c.Heads
	}
	if c.What == "mask" {
		return show.Mask(unit.Module.Shape, layer, show.MaskOptions{
			Tokens: *c.Seq, Heads: heads, Each: c.Each,
			Source: func(head int) dsl.Set { return unit.Program.Head(layer.Numbers[0], head) },
		})
	}
	kernel, err := unit.Layout(layer, c.Arch.Target, compiler.Options{})
	if err != nil {
		return nil, err
	}
	return show.Tiles(kernel, show.TileOptions{Tokens: *c.Seq, Heads: heads, Each: c.Each})
}

// subtitle says what is drawn.
func (c *showCmd) subtitle(unit *compiler.Unit, layer *ir.Layer, figure *show.Figure) (string, error) {
	density, err := ir.Density(*layer, unit.Module.Shape, *c.Seq)
	if err != nil {
		return "", err
	}
	rows := "query blocks down, key blocks across"
	if c.What == "tiles" {
		rows = fmt.Sprintf("tiles of %v, %s", c.Arch, rows)
	}
	text := fmt.Sprintf("%s tokens in blocks of %d · %s · density %.4f",
		grouped(*c.Seq), unit.Module.Shape.Block, rows, density)
	if n := figure.Blocks; n > 1 {
		text += fmt.Sprintf(" · a cell is %d × %d blocks, stronger where more are attended", n, n)
	}
	return text, nil
}
