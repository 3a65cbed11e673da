package show

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/dop251/goja"

	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/ir"
)

// engine is a page's program and data in a JavaScript engine, without the page.
type engine struct {
	t    *testing.T
	vm   *goja.Runtime
	unit *compiler.Unit
	data *pageData
}

// newEngine loads a unit's page. The data goes through JSON, as in a browser.
func newEngine(t *testing.T, u *compiler.Unit) *engine {
	t.Helper()
	data, err := newPageData(u.Module, PageOptions{
		Tokens: 64, Layers: u.Program.Model.Layers,
		Source: func(layer *ir.Layer, head int) dsl.Set { return sources(u, layer)(head) },
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	code, err := pageCode("closedform.js", "raster.js", "view.js")
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{t: t, vm: goja.New(), unit: u, data: data}
	e.run(code + `
		const data = JSON.parse(` + strconv.Quote(string(text)) + `);
		const patterns = data.patterns.map(prepare);
		// rows is the runs of some rows as text, and how many blocks a row has.
		const rows = (id, blocks, list) => list.map(i => {
			const runs = [];
			eachRun(patterns[id], i, blocks, (...run) => runs.push(run.join(" ")));
			return count(patterns[id], i, blocks) + ":" + runs.join(",");
		}).join(";");
		// cells is what bins of so many blocks show.
		const cells = (ids, heads, blocks, size) => {
			const edges = [];
			for (let e = 0; e < blocks; e += size) edges.push(e);
			edges.push(blocks);
			const several = ids.length > 1, bins = newBins(edges, several ? ids.length : data.classes.length), out = [];
			for (let r = 0; r < bins.n; r++) {
				clear(bins);
				for (let i = edges[r]; i < edges[r + 1]; i++) {
					addPossible(bins, data.shape, i, blocks, several ? heads.reduce((x, y) => x + y) : 1);
					ids.forEach((id, n) => addRow(bins, patterns[id], data.shape, i, blocks, several ? heads[n] : 1, several ? n : -1));
				}
				for (let b = 0; b < bins.n; b++) {
					const l = several ? lookOfSeveral(bins, b) : look(bins, b);
					out.push(l.class, l.level, !several ? 0 : size === 1 ? l.owner : -1);
				}
			}
			return out.join(" ");
		};`)
	return e
}

func (e *engine) run(code string) goja.Value {
	e.t.Helper()
	v, err := e.vm.RunString(code)
	if err != nil {
		e.t.Fatal(err)
	}
	return v
}

// call formats a call and runs it; arguments are written as JSON.
func (e *engine) call(function string, args ...any) goja.Value {
	e.t.Helper()
	texts := make([]string, len(args))
	for n, arg := range args {
		text, err := json.Marshal(arg)
		if err != nil {
			e.t.Fatal(err)
		}
		texts[n] = string(text)
	}
	return e.run(function + "(" + strings.Join(texts, ", ") + ")")
}

// block is an attended key block of a row.
type block struct {
	j     int64
	class Class
}

// row reads what the page's program says of a row.
func row(t *testing.T, text string) (count int64, out []block) {
	t.Helper()
	head, runs, _ := strings.Cut(text, ":")
	count, err := strconv.ParseInt(head, 10, 64)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	if runs == "" {
		return count, nil
	}
	for _, run := range strings.Split(runs, ",") {
		var first, last, step int64
		var class Class
		if _, err := fmt.Sscan(run, &first, &last, &step, &class); err != nil {
			t.Fatalf("run %q: %v", run, err)
		}
		for j := first; j <= last; j += step {
			out = append(out, block{j, class})
		}
		if (last-first)%step != 0 {
			t.Fatalf("run %q does not end on a block", run)
		}
	}
	slices.SortFunc(out, func(a, b block) int { return int(a.j - b.j) })
	return count, out
}

// pageUnits is every example, and patterns with tables and awkward cells; they are
// only read.
func pageUnits(t *testing.T) map[string]*compiler.Unit {
	t.Helper()
	once.Do(func() { units = compilePageUnits(t) })
	return units
}

var (
	once  sync.Once
	units map[string]*compiler.Unit
)

func compilePageUnits(t *testing.T) map[string]*compiler.Unit {
	t.Helper()
	units := map[string]*compiler.Unit{}
	files, err := filepath.Glob("../../examples/*.s2")
	if err != nil || len(files) < 10 {
		t.Fatalf("examples: %v, %v", files, err)
	}
	for _, path := range files {
		u, list := compiler.Lower(path, dsl.Options{})
		if u == nil {
			t.Fatal(list.Err())
		}
		units[strings.TrimSuffix(filepath.Base(path), ".s2")] = u
	}
	const shape = "heads 4 kv_heads 2 head_dim 64 block 64"
	for name, text := range map[string]string{
		"where":          "causal }\nlayer * -> window(2) | sink(1) | where((i * 7 + j * 3 + h) mod 11 == 0, max: 8192)",
		"where two ways": "bidirectional }\nlayer * -> window(2) | global(0, 5) | where((i * 7 + j * 3 + h) mod 11 == 0, max: 8192)",
		"blocks":         "causal }\nlayer * -> window(3) | blocks { (9, 1), (20, 3..h + 4), (40.., 2) }",
		"two strides":    "causal }\nlayer * -> window(2) | stride(4, phase: 1) & dilated(6) | dilated(9, phase: h)",
		"no window":      "bidirectional }\nlayer * -> window(1) | dilated(5, phase: h) & columns(3..90) | rows(7..9) & stride(3)",
		"ranges":         "causal }\nlayer * -> for rows { 0..9: dense; 10..99: stride(3) | window(1); else: window(2) & dilated(2) | columns(4..6) }",
		"slopes":         "bidirectional }\nlayer * -> window(5, 3) | dilated(4, side: ahead) & window(1, 60)",
	} {
		units[name] = unit(t, "model m { "+shape+" "+text+"\n")
	}
	return units
}

// distinctHeads is a head for each pattern of a layer.
func distinctHeads(l *pageLayer) []int {
	var heads []int
	seen := map[int]bool{}
	for h, id := range l.Heads {
		if !seen[id] {
			seen[id], heads = true, append(heads, h)
		}
	}
	return heads
}

// pageLengths is lengths in blocks: many short ones, and some up to 1M tokens.
var pageLengths = []int64{1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 100, 129, 500, 2048, 8191, 16384}

// sampledRows is all rows of a short length, some of a long one, its ends among
// them. A browser is fast enough for all of them: see tests/page.
func sampledRows(blocks int64) []int64 {
	var list []int64
	step := int64(1)
	if blocks > 65 {
		step = max(1, blocks/17)
	}
	for i := int64(0); i < blocks; i += step {
		list = append(list, i)
	}
	for i := max(0, blocks-3); i < blocks; i++ {
		list = append(list, i)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// TestPageRows compares the page's program with Go, block for block: which key
// blocks each row attends and what part of the pattern each of them is, of every
// example, layer and head, at many lengths.
func TestPageRows(t *testing.T) {
	for name, u := range pageUnits(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEngine(t, u)
			compared := 0
			for n := range u.Module.Layers {
				layer := &u.Module.Layers[n]
				for _, h := range distinctHeads(&e.data.Layers[n]) {
					p, id := &layer.Heads[h], e.data.Layers[n].Heads[h]
					classes := cellClasses(p, partOf(sources(u, layer)(h)))
					for _, blocks := range pageLengths {
						if blocks > p.Limit() {
							break
						}
						list := sampledRows(blocks)
						texts := strings.Split(e.call("rows", id, blocks, list).String(), ";")
						for at, i := range list {
							count, got := row(t, texts[at])
							want := goRow(u, layer, h, classes, i, blocks)
							if !slices.Equal(got, want) || count != int64(len(want)) {
								t.Fatalf("layer %d, head %d, row %d of %d:\n page (%d) %v\n   Go %v\n%v", n, h, i, blocks, count, got, want, p)
							}
							compared += len(want)
						}
					}
				}
			}
			if compared < 1000 {
				t.Errorf("only %d blocks were compared", compared)
			}
		})
	}
}

// goRow is a row as package ir enumerates it, with the classes of the pictures.
func goRow(u *compiler.Unit, layer *ir.Layer, h int, classes []Class, i, blocks int64) []block {
	p := &layer.Heads[h]
	var out []block
	for _, c := range p.Columns(i, blocks) {
		b := block{j: c.J}
		if p.Table != nil && i < p.Table.Rows {
			b.class = partOf(sources(u, layer)(h))(i, c.J)
		} else {
			for n := range p.Cells {
				if (ir.Pattern{Cells: p.Cells[n : n+1]}).Contains(i, c.J) {
					b.class = classes[n]
				}
			}
		}
		out = append(out, b)
	}
	return out
}

// TestPageNumbers compares the page's numbers with package ir's: attended blocks,
// token pairs, and what of the KV cache must be kept.
func TestPageNumbers(t *testing.T) {
	for name, u := range pageUnits(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEngine(t, u)
			shape := u.Module.Shape
			for n := range u.Module.Layers {
				layer, view := &u.Module.Layers[n], &e.data.Layers[n]
				for _, tokens := range []int64{1, 63, 64, 65, 640, 1000, 4095, 4096, 9000} {
					if tokens > view.Tokens {
						continue
					}
					blocks := (tokens + int64(shape.Block) - 1) / int64(shape.Block)
					for _, h := range distinctHeads(view) {
						p, id := layer.Heads[h], view.Heads[h]
						if got, want := e.run(fmt.Sprintf("blocksOf(patterns[%d], %d)", id, blocks)).ToInteger(), p.Blocks(blocks, blocks); got != want {
							t.Errorf("layer %d, head %d: %d blocks of %d, want %d", n, h, got, blocks, want)
						}
						want, err := p.TokenPairs(shape, tokens, tokens)
						if err != nil {
							t.Fatal(err)
						}
						if got := e.run(fmt.Sprintf("pairsOf(patterns[%d], data.shape, %d)", id, tokens)).ToInteger(); got != want {
							t.Errorf("layer %d, head %d: %d pairs at %d tokens, want %d", n, h, got, tokens, want)
						}
					}
					var sum float64
					for kv := range shape.KVHeads {
						ids, _ := json.Marshal(view.Heads[kv*shape.Group() : (kv+1)*shape.Group()])
						kept := e.run(fmt.Sprintf("keptOf([...new Set(%s)].map(id => patterns[id]), data.shape, %d)", ids, tokens)).ToInteger()
						sum += float64(kept) / float64(blocks)
					}
					want, err := ir.KVKept(*layer, shape, tokens)
					if err != nil {
						t.Fatal(err)
					}
					if got := sum / float64(shape.KVHeads); got != want {
						t.Errorf("layer %d: %v of the KV cache at %d tokens, want %v", n, got, tokens, want)
					}
					dense, _ := ir.DensePairs(ir.Shape{Heads: 1, KVHeads: 1, Causal: shape.Causal}, tokens, tokens).Float64()
					if got := e.run(fmt.Sprintf("densePairs(data.shape, %d)", tokens)).ToFloat(); got != dense {
						t.Errorf("%v dense pairs at %d tokens, want %v", got, tokens, dense)
					}
				}
			}
		})
	}
}

// TestPagePart compares what is said of a single block.
func TestPagePart(t *testing.T) {
	for name, u := range pageUnits(t) {
		e := newEngine(t, u)
		layer, view := &u.Module.Layers[0], &e.data.Layers[0]
		h := len(layer.Heads) - 1
		p := &layer.Heads[h]
		classes := cellClasses(p, partOf(sources(u, layer)(h)))
		for i := int64(0); i < 60; i += 7 {
			row := goRow(u, layer, h, classes, i, 60)
			for j := range int64(60) {
				want := -1
				if at := slices.IndexFunc(row, func(b block) bool { return b.j == j }); at >= 0 {
					want = int(row[at].class)
				}
				got := e.run(fmt.Sprintf("(x => x ? x.class + ' ' + x.text : '-1 ')(partOf(patterns[%d], %d, %d))", view.Heads[h], i, j)).String()
				class, text, _ := strings.Cut(got, " ")
				if class != strconv.Itoa(want) {
					t.Fatalf("%s, head %d: (%d, %d) is of class %s, want %d", name, h, i, j, class, want)
				}
				inCell := want >= 0 && (p.Table == nil || i >= p.Table.Rows)
				if inCell != strings.HasPrefix(text, "i = ") {
					t.Fatalf("%s, head %d: (%d, %d) is said to be in %q", name, h, i, j, text)
				}
			}
		}
	}
}

// TestPageBins compares what bins show with the cells of the other pictures: one
// block a bin and several, one pattern and several.
func TestPageBins(t *testing.T) {
	for _, c := range []struct {
		unit   string
		blocks int64
	}{
		{"phi3-small", 40}, {"hybrid", 300}, {"bidirectional", 257}, {"context-ranges", 40}, {"where two ways", 40}, {"where", 60},
		{"blocks", 60}, {"dilated", 257}, {"no window", 60},
	} {
		t.Run(fmt.Sprintf("%s, %d", c.unit, c.blocks), func(t *testing.T) {
			t.Parallel()
			u := pageUnits(t)[c.unit]
			e := newEngine(t, u)
			index := len(u.Module.Layers) - 1
			layer, view := &u.Module.Layers[index], &e.data.Layers[index]
			f, err := Mask(u.Module.Shape, layer, MaskOptions{Tokens: c.blocks * int64(u.Module.Shape.Block), Source: sources(u, layer)})
			if err != nil {
				t.Fatal(err)
			}
			heads := distinctHeads(view)
			if len(heads) != len(f.Panels) {
				t.Fatalf("%d patterns, %d panels", len(heads), len(f.Panels))
			}
			var ids, weights []int
			for n, h := range heads {
				id := view.Heads[h]
				ids = append(ids, id)
				weights = append(weights, len(slices.DeleteFunc(slices.Clone(view.Heads), func(x int) bool { return x != id })))
				got := e.call("cells", []int{id}, []int{1}, c.blocks, f.Blocks).String()
				compareCells(t, f.Panels[n].Title, got, f.Panels[n].Cells, func(cell Cell) string {
					return fmt.Sprintf("%d %d 0", cell.Class, cell.Level)
				})
			}
			if f.Lead == nil {
				return
			}
			got := e.call("cells", ids, weights, c.blocks, f.Blocks).String()
			compareCells(t, "union", got, f.Lead.Cells, func(cell Cell) string {
				switch cell.Class {
				case Future, Skipped:
					return fmt.Sprintf("%d 0 -1", cell.Class)
				case Everyone:
					return fmt.Sprintf("%d %d -1", Skipped, Full+1)
				case Owned: // its level is that of its heads
					level := (weights[cell.Owner]*Full + len(view.Heads) - 1) / len(view.Heads)
					return fmt.Sprintf("%d %d %d", Skipped, level, cell.Owner)
				}
				return fmt.Sprintf("%d %d -1", Skipped, cell.Level)
			})
		})
	}
}

// compareCells compares looks, three numbers each, with cells.
func compareCells(t *testing.T, title, text string, cells []Cell, want func(Cell) string) {
	t.Helper()
	got := strings.Fields(text)
	if len(got) != 3*len(cells) {
		t.Fatalf("%s: %d numbers for %d cells", title, len(got), len(cells))
	}
	for n, cell := range cells {
		if g, w := strings.Join(got[3*n:3*n+3], " "), want(cell); g != w {
			side := int(math.Sqrt(float64(len(cells))))
			t.Fatalf("%s: row %d, column %d is %s, want %s", title, n/side, n%side, g, w)
		}
	}
}

// TestPageColors compares the page's pixels with the colours of the other pictures.
func TestPageColors(t *testing.T) {
	e := newEngine(t, pageUnits(t)["where"])
	e.run(`const light = palette(data, "light"), dark = palette(data, "dark");`)
	pixel := func(code string) string { return fmt.Sprintf("%08x", e.run(code).ToInteger()) }
	want := func(c rgb) string { return fmt.Sprintf("ff%02x%02x%02x", c.b, c.g, c.r) }
	for class := Future; class <= Where; class++ {
		for level := uint8(1); level <= Full; level++ {
			got := pixel(fmt.Sprintf("colorOf(light, {class: %d, level: %d})", class, level))
			if w := want(Cell{Class: class, Level: level}.color()); got != w {
				t.Errorf("class %d, level %d: %s, want %s", class, level, got, w)
			}
		}
		if got := pixel(fmt.Sprintf("colorOf(dark, {class: %d, level: %d})", class, Full)); got != want(looks[class].dark) {
			t.Errorf("class %d in the dark: %s", class, got)
		}
	}
	for level := uint8(1); level <= Full; level++ {
		cell := Cell{Class: Shared, Level: level}
		for theme, w := range map[string]rgb{"light": cell.color(), "dark": cell.darkColor()} {
			if got := pixel(fmt.Sprintf("colorOfSeveral(%s, {class: 1, level: %d, owner: 2}, false)", theme, level)); got != want(w) {
				t.Errorf("%s, %d of 8 heads: %s, want %s", theme, level, got, want(w))
			}
		}
	}
	for owner := range owners {
		if got := pixel(fmt.Sprintf("colorOfSeveral(light, {class: 1, level: 1, owner: %d}, true)", owner)); got != want(owners[owner].color) {
			t.Errorf("owner %d: %s", owner, got)
		}
	}
}

// TestPageAxis holds how the view is cut into bins: every pixel of the mask belongs
// to the bin with its block, and bins leave no block out.
func TestPageAxis(t *testing.T) {
	e := newEngine(t, pageUnits(t)["dense"])
	for _, c := range []struct {
		origin, scale  float64
		pixels, blocks int64
	}{
		{0, 12.5, 800, 64}, {0, 1, 640, 640}, {3.7, 5.3, 500, 64}, {0, 0.39, 800, 2048}, {100.5, 0.25, 300, 2048}, {0, 40, 800, 3},
		{1000.25, 0.7, 999, 1500}, {-0.5, 2, 10, 64},
	} {
		var got struct {
			Edges []int64 `json:"edges"`
			Of    []int   `json:"of"`
		}
		text := e.run(fmt.Sprintf("(a => JSON.stringify({edges: a.edges, of: [...a.of]}))(axis(%v, %v, %d, %d))", c.origin, c.scale, c.pixels, c.blocks)).String()
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatal(err)
		}
		if len(got.Of) != int(c.pixels) || !slices.IsSorted(got.Edges) || got.Edges[0] < 0 || got.Edges[len(got.Edges)-1] > c.blocks {
			t.Fatalf("%+v: %d pixels, edges %v", c, len(got.Of), got.Edges)
		}
		for p, bin := range got.Of {
			middle := c.origin + (float64(p)+0.5)/c.scale
			if inside := middle >= 0 && middle < float64(c.blocks); inside != (bin >= 0) {
				// At the end of the mask half a pixel may belong to it.
				if math.Abs(middle-float64(c.blocks)) > 1/c.scale {
					t.Fatalf("%+v: pixel %d is of bin %d", c, p, bin)
				}
				continue
			}
			if bin < 0 {
				continue
			}
			if lo, hi := float64(got.Edges[bin]), float64(got.Edges[bin+1]); middle < lo-1/c.scale || middle > hi+1/c.scale {
				t.Fatalf("%+v: pixel %d, block %v is of bin %v to %v", c, p, middle, lo, hi)
			}
		}
	}
}

// A ruler writes all of its places alike.
func TestPageRuler(t *testing.T) {
	e := newEngine(t, pageUnits(t)["dense"])
	for _, c := range []struct {
		every, at int64
		want      string
	}{
		{16, 96, "96"}, {128, 1920, "1,920"}, {128, 2048, "2,048"}, {256, 1280, "1.25K"}, {16384, 114688, "112K"},
		{1 << 18, 1 << 20, "1M"}, {1 << 18, 3 << 19, "1.5M"}, {1 << 17, 1 << 20, "1,024K"}, {256, 512, "512"},
	} {
		if got := e.run(fmt.Sprintf("short(%d, %d)", c.at, c.every)).String(); got != c.want {
			t.Errorf("%d, every %d: %s, want %s", c.at, c.every, got, c.want)
		}
	}
}

// TestPage looks at the document: it stands alone, and is the same every time.
func TestPage(t *testing.T) {
	u := unit(t, "model m { heads 2 head_dim 64 block 64 causal layers 3 }\nlayer 1 -> dense\nlayer * -> window(2) | stride(4, phase: h)\n")
	options := PageOptions{Title: "a </script> & <b>", Tokens: 4096, Layers: 3, Source: func(l *ir.Layer, h int) dsl.Set { return sources(u, l)(h) }}
	var pages [2]bytes.Buffer
	for n := range pages {
		if err := Page(&pages[n], u.Module, options); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(pages[0].Bytes(), pages[1].Bytes()) {
		t.Error("two pages of one pattern differ")
	}
	text := pages[0].String()
	if got := strings.Count(text, "</script>"); got != 2 {
		t.Errorf("%d scripts end, want 2: a title has broken out", got)
	}
	if outside := regexp.MustCompile(`(?i)(https?:)?//[a-z]+\.|src=|href=|@import|url\(`).FindString(text); outside != "" {
		t.Errorf("the page refers to something outside: %q", outside)
	}
	data := regexp.MustCompile(`(?s)id="data">(.*?)</script>`).FindStringSubmatch(text)
	var held pageData
	if data == nil || json.Unmarshal([]byte(data[1]), &held) != nil {
		t.Fatalf("no data in\n%s", text)
	}
	if len(held.Patterns) != 3 || len(held.Layers) != 2 || held.Layers[0].Name != "layers 0, 2 (2 of 3)" || held.Layers[1].Heads[0] != held.Layers[1].Heads[1] {
		t.Errorf("%d patterns, layers %+v", len(held.Patterns), held.Layers)
	}
	if held.Layers[0].Tokens != maxPageTokens {
		t.Errorf("up to %d tokens", held.Layers[0].Tokens)
	}
	if dir := os.Getenv("S2C_PAGE_DIR"); dir != "" { // to look at it
		if err := os.WriteFile(filepath.Join(dir, "page.html"), pages[0].Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPageRefuses(t *testing.T) {
	where := "model m { heads 2 head_dim 64 block 16 causal }\nlayer * -> window(1) | where(j <= i + h, max: 65536)\n"
	plain := "model m { heads 2 head_dim 64 block 64 causal }\nlayer * -> window(1)\n"
	limited := "model m { heads 2 head_dim 64 block 64 causal }\nlayer * -> window(1) | where(i == 2 * j, max: 640)\n"
	for _, c := range []struct {
		text, want string
		opt        PageOptions
	}{
		{where, "at most 4194304 blocks of tables", PageOptions{Tokens: 64}},
		{plain, "1 to 16777216 tokens, not 0", PageOptions{}},
		{limited, "1 to 640 tokens, not 641", PageOptions{Tokens: 641}},
		{plain, "query head 2 does not exist", PageOptions{Tokens: 64, Heads: []int{2}}},
	} {
		var out bytes.Buffer
		if err := Page(&out, unit(t, c.text).Module, c.opt); err == nil || !strings.Contains(err.Error(), c.want) || out.Len() > 0 {
			t.Errorf("%v with %d bytes, want %q", err, out.Len(), c.want)
		}
	}
}

// A pattern of many cells is drawn less far, never less than 128K tokens.
func TestPageTokens(t *testing.T) {
	shape := ir.Shape{Heads: 2, KVHeads: 2, Block: 64}
	for _, c := range []struct {
		cells int
		want  int64
	}{{1, maxPageTokens}, {8, maxPageTokens}, {30, maxPageTokens / 4}, {100000, leastPageTokens}} {
		layer := &ir.Layer{Heads: []ir.Pattern{{Cells: make([]ir.Cell, c.cells)}, {Cells: make([]ir.Cell, c.cells)}}}
		if got := pageTokens(shape, layer); got != c.want {
			t.Errorf("%d cells: up to %d tokens, want %d", 2*c.cells, got, c.want)
		}
	}
}
