package show

import (
	"embed"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"strings"

	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/ir"
)

// The limits of a page.
const (
	// maxPageEntries is the blocks of tables that a page holds.
	maxPageEntries = 4 << 20
	// maxPageTokens is the longest context that a page draws, least what every
	// page draws at least, if the pattern is defined for it.
	maxPageTokens, leastPageTokens = 1 << 24, 1 << 17
	// maxPageWork bounds key blocks × cells of a layer, which a page looks at for
	// each length.
	maxPageWork = 1 << 22
)

// PageOptions says what [Page] shows first, and of what.
type PageOptions struct {
	Title  string
	Tokens int64 // context length
	Layer  int   // index into the module's layers
	Layers int   // of the model
	Heads  []int // query heads to choose from; nil means all of them
	// Source is what the file says of a head, as in [MaskOptions].
	Source func(layer *ir.Layer, head int) dsl.Set
}

//go:embed page
var pageFiles embed.FS

// script is the page's program: each file uses what those before it define.
var script = []string{"closedform.js", "raster.js", "view.js", "page.js"}

// Page writes an HTML document that stands alone: it holds the closed form of
// every layer, and draws any head at any length from it.
func Page(w io.Writer, m *ir.Module, opt PageOptions) error {
	data, err := newPageData(m, opt)
	if err != nil {
		return err
	}
	text, err := json.Marshal(data) // escapes <, > and &
	if err != nil {
		return err
	}
	page, err := template.ParseFS(pageFiles, "page/page.html")
	if err != nil {
		return err
	}
	code, err := pageCode(script...)
	if err != nil {
		return err
	}
	style, err := pageFiles.ReadFile("page/page.css")
	if err != nil {
		return err
	}
	return page.Execute(w, struct {
		Title string
		Style template.CSS
		Data  template.JS
		Code  template.JS
	}{opt.Title, template.CSS(style), template.JS(text), template.JS(code)})
}

// pageCode is files of the page's program, one after the other.
func pageCode(names ...string) (string, error) {
	var code strings.Builder
	code.WriteString("\"use strict\";\n")
	for _, name := range names {
		text, err := pageFiles.ReadFile("page/" + name)
		if err != nil {
			return "", err
		}
		code.Write(text)
	}
	return code.String(), nil
}

// pageData is what a page holds.
type pageData struct {
	Name     string        `json:"name"`
	Shape    pageShape     `json:"shape"`
	Shown    []int         `json:"shown"` // heads to choose from
	Layer    int           `json:"layer"` // the first to be seen
	Tokens   int64         `json:"tokens"`
	Layers   []pageLayer   `json:"layers"`
	Patterns []pagePattern `json:"patterns"`
	Classes  []pageClass   `json:"classes"`
	Shared   pageRamp      `json:"shared"`
	Owners   []string      `json:"owners"`
}

type pageShape struct {
	Block   int  `json:"block"`
	Causal  bool `json:"causal"`
	Heads   int  `json:"heads"`
	KVHeads int  `json:"kvHeads"`
}

// pageLayer is a layer: which pattern each query head has, and its longest context.
type pageLayer struct {
	Name   string `json:"name"`
	Heads  []int  `json:"heads"`
	Tokens int64  `json:"tokens"`
}

// pagePattern is a head's pattern. Patterns are listed once.
type pagePattern struct {
	Cells []pageCell `json:"cells"`
	Table *pageTable `json:"table,omitempty"`
}

// pageCell is an ir.Cell; nil stands for no bound.
type pageCell struct {
	Rows  [4]*int64 `json:"rows"` // Lo, Hi, Mod, Res
	Lo    [2]*int64 `json:"lo"`   // A, C
	Hi    [2]*int64 `json:"hi"`
	Step  int64     `json:"step"`
	Phase [2]*int64 `json:"phase"`
	Class Class     `json:"class"`
	Text  string    `json:"text"`
}

// pageTable is an ir.Table as runs: for each row their number, for each run the
// gap to the one before, its length and its class, as varints in base64.
type pageTable struct {
	Rows int64  `json:"rows"`
	Runs string `json:"runs"`
}

// pageClass is how a class looks, in either theme.
type pageClass struct {
	Name  string `json:"name"`
	Light string `json:"light"`
	Dark  string `json:"dark"`
}

// pageRamp is the colours from a block that few heads attend to one of all.
type pageRamp struct {
	Light []string `json:"light"`
	Dark  []string `json:"dark"`
}

func newPageData(m *ir.Module, opt PageOptions) (*pageData, error) {
	shown, err := selectHeads(opt.Heads, m.Shape.Heads)
	if err != nil {
		return nil, err
	}
	d := &pageData{
		Name: m.Name, Shown: shown, Layer: opt.Layer, Tokens: opt.Tokens,
		Shape: pageShape{m.Shape.Block, m.Shape.Causal, m.Shape.Heads, m.Shape.KVHeads},
	}
	patterns := pagePatterns{data: d, index: map[string]int{}, tables: map[*ir.Table]int{}}
	for n := range m.Layers {
		layer := &m.Layers[n]
		out := pageLayer{Name: LayerNames(layer.Numbers, opt.Layers), Tokens: pageTokens(m.Shape, layer)}
		for h := range layer.Heads {
			var source part
			if opt.Source != nil {
				source = partOf(opt.Source(layer, h))
			}
			id, err := patterns.add(&layer.Heads[h], source)
			if err != nil {
				return nil, err
			}
			out.Heads = append(out.Heads, id)
		}
		d.Layers = append(d.Layers, out)
	}
	if most := d.Layers[opt.Layer].Tokens; opt.Tokens < 1 || opt.Tokens > most {
		return nil, fmt.Errorf("a page of this layer shows 1 to %d tokens, not %d", most, opt.Tokens)
	}
	d.colors()
	return d, nil
}

// colors takes the classes of masks from the table of looks.
func (d *pageData) colors() {
	for _, l := range looks[:Where+1] {
		d.Classes = append(d.Classes, pageClass{l.name, l.color.hex(), l.dark.hex()})
	}
	add := func(c Cell) {
		d.Shared.Light = append(d.Shared.Light, c.color().hex())
		d.Shared.Dark = append(d.Shared.Dark, c.darkColor().hex())
	}
	for level := range Full {
		add(Cell{Class: Shared, Level: uint8(level + 1)})
	}
	add(Cell{Class: Everyone, Level: Full})
	for _, l := range owners {
		d.Owners = append(d.Owners, l.color.hex())
	}
}

// pageTokens is the longest context of a layer that a page draws: a power of two
// that leaves it quick, or less where the pattern is not defined so far.
func pageTokens(shape ir.Shape, layer *ir.Layer) int64 {
	cells := int64(0)
	for h := range layer.Heads {
		cells += int64(len(layer.Heads[h].Cells))
	}
	tokens := int64(maxPageTokens)
	for tokens > leastPageTokens && tokens/int64(shape.Block)*cells > maxPageWork {
		tokens /= 2
	}
	for h := range layer.Heads {
		if limit := layer.Heads[h].Limit(); limit < ir.Inf {
			tokens = min(tokens, limit*int64(shape.Block))
		}
	}
	return tokens
}

// pagePatterns lists each pattern once.
type pagePatterns struct {
	data    *pageData
	index   map[string]int    // by its JSON
	tables  map[*ir.Table]int // heads that share a table have the same source
	entries int
}

// add is the number of a pattern.
func (s *pagePatterns) add(p *ir.Pattern, source part) (int, error) {
	if p.Table != nil {
		if id, known := s.tables[p.Table]; known {
			return id, nil
		}
		if s.entries += len(p.Table.Col); s.entries > maxPageEntries {
			return 0, fmt.Errorf("a page holds at most %d blocks of tables; draw an SVG or PNG, or lower the `max` of `where`", maxPageEntries)
		}
	}
	out := pagePattern{Cells: []pageCell{}}
	for n, class := range cellClasses(p, source) {
		out.Cells = append(out.Cells, newPageCell(&p.Cells[n], class))
	}
	if p.Table != nil {
		out.Table = newPageTable(p.Table, source)
	}
	key, err := json.Marshal(out)
	if err != nil {
		return 0, err
	}
	id, known := s.index[string(key)]
	if !known {
		id = len(s.data.Patterns)
		s.index[string(key)], s.data.Patterns = id, append(s.data.Patterns, out)
	}
	if p.Table != nil {
		s.tables[p.Table] = id
	}
	return id, nil
}

func newPageCell(c *ir.Cell, class Class) pageCell {
	line := func(l ir.Line) [2]*int64 { return [2]*int64{&l.A, finite(l.C)} }
	return pageCell{
		Rows: [4]*int64{&c.Rows.Lo, finite(c.Rows.Hi), &c.Rows.Mod, &c.Rows.Res},
		Lo:   line(c.Lo), Hi: line(c.Hi), Step: c.Step, Phase: line(c.Phase),
		Class: class, Text: strings.Join(strings.Fields(c.String()), " "),
	}
}

// finite is a number, nil for ir.Inf.
func finite(x int64) *int64 {
	if x == ir.Inf {
		return nil
	}
	return &x
}

func newPageTable(t *ir.Table, source part) *pageTable {
	var out []byte
	for i := range t.Rows {
		var runs []byte
		count, end := uint64(0), int64(0) // end is behind the run before
		cols := t.Col[t.Crow[i]:t.Crow[i+1]]
		for n := 0; n < len(cols); {
			first, class := int64(cols[n]), source.at(i, int64(cols[n]))
			next := first + 1
			for n++; n < len(cols) && int64(cols[n]) == next && source.at(i, next) == class; n++ {
				next++
			}
			runs = binary.AppendUvarint(runs, uint64(first-end))
			runs = binary.AppendUvarint(runs, uint64(next-first))
			runs = binary.AppendUvarint(runs, uint64(class))
			count, end = count+1, next
		}
		out = append(binary.AppendUvarint(out, count), runs...)
	}
	return &pageTable{Rows: t.Rows, Runs: base64.StdEncoding.EncodeToString(out)}
}
