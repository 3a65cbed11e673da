package page

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/ir"
)

// digests is a number for each row: a hash of which key blocks below blocks it
// attends. Equal rows have equal numbers.
const digests = `(id, blocks) => {
	const row = new Uint8Array(blocks), p = pattern(id), out = [];
	for (let i = 0; i < blocks; i++) {
		row.fill(0);
		let n = 0;
		eachRun(p, i, blocks, (first, last, step) => { for (let j = first; j <= last; j += step, n++) row[j]++; });
		let h = 2166136261 ^ n;
		for (let j = 0; j < blocks; j++) h = Math.imul(h ^ row[j], 16777619);
		out.push(h >>> 0);
	}
	return out;
}`

// goDigests is the same from package ir.
func goDigests(p *ir.Pattern, blocks int64) []uint32 {
	out := make([]uint32, blocks)
	row := make([]byte, blocks)
	var columns []ir.Column
	for i := range blocks {
		clear(row)
		columns = p.AppendColumns(columns[:0], i, blocks)
		for _, c := range columns {
			row[c.J]++
		}
		h := 2166136261 ^ uint32(len(columns))
		for _, x := range row {
			h = (h ^ uint32(x)) * 16777619
		}
		out[i] = h
	}
	return out
}

// lengths is every short length, some longer ones, 128K tokens in blocks of 64
// and what lies beyond.
func lengths() []int64 {
	var list []int64
	for n := int64(1); n <= 72; n++ {
		list = append(list, n)
	}
	return append(list, 100, 127, 128, 129, 255, 257, 511, 700, 1000, 2047, 2048, 2500)
}

// TestRows compares, row for row at many lengths, what a browser makes of every
// layer and head of every example with what package ir enumerates.
func TestRows(t *testing.T) {
	b := newTab(t)
	files, err := filepath.Glob("../../examples/*.s2")
	if err != nil || len(files) < 10 {
		t.Fatalf("examples: %v, %v", files, err)
	}
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".s2")
		u := load(t, path)
		b.t = t
		b.open(u, int64(u.Module.Shape.Block), 0, 900, 700)
		rows := 0
		for n := range u.Module.Layers {
			ids := value[[]int](b, fmt.Sprintf("data.layers[%d].heads", n))
			seen := map[int]bool{}
			for h, id := range ids {
				if seen[id] {
					continue
				}
				seen[id] = true
				p := &u.Module.Layers[n].Heads[h]
				for _, blocks := range lengths() {
					got := value[[]uint32](b, fmt.Sprintf("(%s)(%d, %d)", digests, id, blocks))
					want := goDigests(p, blocks)
					if !slices.Equal(got, want) {
						at := 0
						for at < len(got) && at < len(want) && got[at] == want[at] {
							at++
						}
						t.Fatalf("%s, layer %d, head %d: row %d of %d differs\n%v", name, n, h, at, blocks, p)
					}
					rows += len(got)
				}
			}
			for h := range ids {
				if !ir.Same(u.Module.Layers[n].Heads[h], u.Module.Layers[n].Heads[slices.Index(ids, ids[h])]) {
					t.Errorf("%s, layer %d: head %d has the pattern of another", name, n, h)
				}
			}
		}
		t.Logf("%s: %d rows", name, rows)
	}
	b.quiet()
}

// TestPixels looks at the canvas: the middle of every block has the colour of what
// the block is, for single heads, in both themes.
func TestPixels(t *testing.T) {
	b := newTab(t)
	table := load(t, "model m { heads 2 head_dim 64 block 64 bidirectional }\n"+
		"layer * -> window(2) | global(0, 1) | where((i * 7 + j * 3 + h) mod 11 == 0, max: 4096)\n")
	for _, c := range []struct {
		name string
		unit *compiler.Unit
		head int
	}{{"phi3-small", example(t, "phi3-small"), 4}, {"context-ranges", example(t, "context-ranges"), 3}, {"table", table, 1}} {
		shape := c.unit.Module.Shape
		b.dark(false)
		b.open(c.unit, 40*int64(shape.Block), 0, 1200, 900)
		pick(b, "head", strconv.Itoa(c.head))
		for _, theme := range []string{"light", "dark"} {
			b.dark(theme == "dark")
			classes := value[[]map[string]string](b, "data.classes")
			// The look of a block is asked of partOf, which other tests hold to Go.
			var seen struct {
				Pixels  []string `json:"pixels"`
				Classes []int    `json:"classes"`
			}
			read := value[string](b, `(() => {
				const c = picture.canvas.getContext("2d"), pixels = [], classes = [], p = pattern(layer().heads[state.head]);
				for (let i = 0; i < blocks(); i++) for (let j = 0; j < blocks(); j++) {
					const [r, g, b] = c.getImageData(Math.floor(picture.placeX(j + 0.5)), Math.floor(picture.placeY(i + 0.5)), 1, 1).data;
					pixels.push("#" + [r, g, b].map(x => x.toString(16).padStart(2, "0")).join(""));
					const part = partOf(p, i, j), causal = data.shape.causal;
					classes.push(causal && j > i ? FUTURE : !part ? SKIPPED : causal && i === j ? DIAGONAL : part.class);
				}
				return JSON.stringify({pixels, classes});
			})()`)
			if err := json.Unmarshal([]byte(read), &seen); err != nil {
				t.Fatal(err)
			}
			wrong := 0
			for n, class := range seen.Classes {
				if want := classes[class][theme]; seen.Pixels[n] != want {
					if wrong++; wrong < 4 {
						t.Errorf("%s, %s: (%d, %d) is %s, want %s", c.name, theme, n/40, n%40, seen.Pixels[n], want)
					}
				}
				attended := c.unit.Module.Layers[0].Heads[c.head].Contains(int64(n/40), int64(n%40))
				if attended != (class > 1) {
					t.Fatalf("%s: (%d, %d) is attended: %v", c.name, n/40, n%40, attended)
				}
			}
			b.screenshot(c.name + "-" + theme)
		}
	}
	b.quiet()
}

// pick chooses an entry of a picker as a reader does.
func pick(b *tab, id, entry string) {
	b.t.Helper()
	value[bool](b, fmt.Sprintf(`(s => { s.value = %q; s.dispatchEvent(new Event("change", {bubbles: true})); return s.value === %q; })($(%q))`, entry, entry, id))
	b.drawn()
}

// shown is the numbers of the page, without their names.
func shown(b *tab) (attended, density, kept string) {
	b.t.Helper()
	b.drawn()
	list := value[[]string](b, `[...document.querySelectorAll("#numbers dd b")].map(e => e.textContent)`)
	if len(list) != 3 {
		b.t.Fatalf("numbers %q", list)
	}
	return list[0], list[1], list[2]
}

// TestNumbers types lengths, and compares what the page counts with package ir.
func TestNumbers(t *testing.T) {
	b := newTab(t)
	u := example(t, "phi3-small")
	shape := u.Module.Shape
	b.open(u, 4096, 0, 1200, 900)
	random := rand.New(rand.NewPCG(1, 2))
	for _, tokens := range []int64{1, 100, 131072, 1 << 20, 1 + random.Int64N(200000)} {
		b.length(tokens)
		b.until(fmt.Sprintf("state.tokens === %d", tokens))
		b.until(fmt.Sprintf(`$("subtitle").textContent.includes("%s tokens")`, grouped(tokens)))
		for _, head := range []int{-1, 5} {
			pick(b, "head", strconv.Itoa(head))
			heads := u.Module.Layers[0].Heads
			if head >= 0 {
				heads = heads[head : head+1]
			}
			blocks := (tokens + int64(shape.Block) - 1) / int64(shape.Block)
			var attended int64
			for _, p := range heads {
				attended += p.Blocks(blocks, blocks)
			}
			one := shape
			one.Heads = len(heads)
			density, err := ir.Density(ir.Layer{Heads: heads}, one, tokens)
			if err != nil {
				t.Fatal(err)
			}
			kept, err := ir.KVKept(u.Module.Layers[0], shape, tokens)
			if err != nil {
				t.Fatal(err)
			}
			b.until(fmt.Sprintf(`document.querySelector("#numbers dd b").textContent === %q`, grouped(attended)))
			_, d, k := shown(b)
			if want := fmt.Sprintf("%.4f", density); d != want {
				t.Errorf("%d tokens, head %d: density %s, want %s", tokens, head, d, want)
			}
			if want := grouped(int64(kept*float64(blocks)*float64(shape.KVHeads) + 0.5)); head < 0 && k != want {
				t.Errorf("%d tokens: %s KV blocks kept, want %s", tokens, k, want)
			}
		}
		b.screenshot(fmt.Sprintf("length-%d", tokens))
	}
	b.quiet()
}

func grouped(n int64) string {
	digits := fmt.Sprint(n)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

// TestKeyboard does everything without a mouse.
func TestKeyboard(t *testing.T) {
	b := newTab(t)
	b.open(example(t, "phi3-small"), 4096, 0, 1200, 900)
	status := func() string { return value[string](b, `$("status").textContent`) }

	// Everything can be reached with Tab.
	var reached []string
	for range 14 {
		b.do(chromedp.KeyEvent(kb.Tab))
		reached = append(reached, value[string](b, "document.activeElement.id"))
	}
	for _, id := range []string{"theme", "layer", "head", "slider", "tokens", "out", "fit", "in", "picture"} {
		if !slices.Contains(reached, id) {
			t.Errorf("Tab does not reach %s: %q", id, reached)
		}
	}

	// The slider goes by eighths of a doubling.
	b.do(chromedp.Focus("#slider"), chromedp.KeyEvent(kb.ArrowRight))
	b.until("state.tokens === 70 * 64")
	b.do(chromedp.KeyEvent(kb.End))
	b.until("state.tokens === 1 << 22")
	b.do(chromedp.KeyEvent(kb.Home))
	b.until("state.tokens === 64")
	if got := value[string](b, `$("slider").getAttribute("aria-valuetext")`); got != "64 tokens" {
		t.Errorf("the slider says %q", got)
	}
	b.length(4096)
	b.until("state.tokens === 4096")
	b.drawn()

	// In the picture arrows move the mark, and the status says what it is on.
	b.do(chromedp.Focus("#picture"), chromedp.KeyEvent("]"), chromedp.KeyEvent(kb.ArrowDown))
	b.drawn()
	if got := value[int](b, "state.head"); got != 0 {
		t.Errorf("] leads to head %d", got)
	}
	if got := status(); !strings.Contains(got, "query block 32, tokens 2,048–2,111 · key block 32, tokens 2,048–2,111") || !strings.Contains(got, "on the diagonal") {
		t.Errorf("the mark starts at %q", got)
	}
	b.do(chromedp.KeyEvent(kb.ArrowLeft))
	if got := status(); !strings.HasPrefix(got, "local window · query block 32") || !strings.Contains(got, "key block 31") {
		t.Errorf("a block to the left is %q", got)
	}
	b.do(chromedp.KeyEvent(kb.PageDown), chromedp.KeyEvent(kb.ArrowLeft), chromedp.KeyEvent(kb.ArrowLeft), chromedp.KeyEvent(kb.ArrowLeft), chromedp.KeyEvent(kb.ArrowLeft))
	if got := status(); !strings.HasPrefix(got, "skipped · query block 48") {
		t.Errorf("17 blocks further is %q", got)
	}
	for range 4 {
		b.do(chromedp.KeyEvent(kb.ArrowLeft))
	}
	if got := status(); !strings.HasPrefix(got, "stripe · query block 48") || !strings.Contains(got, "key block 23") || !strings.Contains(got, "j ≡ 7 mod 8") {
		t.Errorf("on the stripe it says %q", got)
	}

	// Zoom goes to the mark, which stays in sight.
	for range 6 {
		b.do(chromedp.KeyEvent("+"))
	}
	b.drawn()
	if !value[bool](b, "picture.scale > 3 * picture.least()") {
		t.Error("+ does not zoom")
	}
	inSight := `(m => { const x = picture.placeX(m.j), y = picture.placeY(m.i); return x >= picture.left - 1 && y >= picture.top - 1 && x + picture.scale <= picture.left + picture.w + 1 && y + picture.scale <= picture.top + picture.h + 1; })(picture.mark)`
	for _, key := range []string{kb.ArrowUp, kb.PageUp, kb.PageDown, kb.PageDown, kb.ArrowRight} {
		b.do(chromedp.KeyEvent(key))
		if !value[bool](b, inSight) {
			t.Errorf("after %q the mark is out of sight", key)
		}
	}
	b.screenshot("keyboard")
	x := value[float64](b, "picture.y")
	b.do(chromedp.KeyEvent(kb.ArrowUp, chromedp.KeyModifiers(chromedp.ModifierShift)))
	if value[float64](b, "picture.y") >= x {
		t.Error("Shift and an arrow do not move the view")
	}
	for range 8 {
		b.do(chromedp.KeyEvent(kb.ArrowUp, chromedp.KeyModifiers(chromedp.ModifierShift)))
	}
	if status() != "" {
		t.Errorf("out of sight the mark says %q", status())
	}
	b.do(chromedp.KeyEvent("0"))
	if !value[bool](b, "picture.scale === picture.least() && picture.x === 0 && picture.y === 0") {
		t.Error("0 does not show everything")
	}
	b.do(chromedp.KeyEvent(kb.Escape))
	if status() != "" || !value[bool](b, `picture.mark === null && $("tip").hidden`) {
		t.Error("Escape leaves the mark")
	}
	b.do(chromedp.KeyEvent("["))
	b.drawn()
	if got := value[int](b, "state.head"); got != -1 {
		t.Errorf("[ leads to head %d", got)
	}
	b.quiet()
}

// TestMouse points, turns the wheel, drags and presses buttons.
func TestMouse(t *testing.T) {
	b := newTab(t)
	b.open(example(t, "phi3-small"), 8192, 0, 1200, 900)
	place := func(i, j float64) (x, y float64) {
		at := value[[]float64](b, fmt.Sprintf(`(r => [r.left + picture.placeX(%v) / picture.ratio, r.top + picture.placeY(%v) / picture.ratio])(picture.canvas.getBoundingClientRect())`, j, i))
		return at[0], at[1]
	}
	tip := func() string { return value[string](b, `$("tip").hidden ? "" : $("tip").innerText`) }

	x, y := place(100.5, 3.5)
	b.do(chromedp.MouseEvent(chromedp.MouseMoved, x, y))
	b.until(`!$("tip").hidden`)
	if got := tip(); !strings.Contains(got, "4 of 32 heads: stripe") || !strings.Contains(got, "heads 4, 12, 20, 28") || !strings.Contains(got, "query block 100, tokens 6,400–6,463") {
		t.Errorf("over a stripe of four heads: %q", got)
	}
	b.screenshot("tip")
	x, y = place(100.5, 120.5)
	b.do(chromedp.MouseEvent(chromedp.MouseMoved, x, y))
	b.until(`$("tip").innerText.includes("after the query")`)

	// The wheel zooms, and leaves what is under the pointer there. Events have whole
	// pixels.
	under := func(x, y float64) []float64 {
		return value[[]float64](b, fmt.Sprintf(`(r => [picture.y + ((%v - r.top) * picture.ratio - picture.top) / picture.scale, picture.x + ((%v - r.left) * picture.ratio - picture.left) / picture.scale])(picture.canvas.getBoundingClientRect())`, y, x))
	}
	near := func(what string, got, want []float64) {
		t.Helper()
		if abs(got[0]-want[0]) > 0.1 || abs(got[1]-want[1]) > 0.1 {
			t.Errorf("%s: block %.2f is under the pointer, want %.2f", what, got, want)
		}
	}
	x, y = place(64.5, 32.5)
	x, y = math.Round(x), math.Round(y)
	before := under(x, y)
	for range 5 {
		b.do(chromedp.MouseEvent(chromedp.MouseWheel, x, y, wheel(-240)))
	}
	b.until("picture.scale > 5 * picture.least()")
	b.drawn()
	near("the wheel", under(x, y), before)
	if got := value[[]int](b, "[picture.mark.i, picture.mark.j]"); got[0] != 64 || got[1] != 32 || tip() == "" {
		t.Errorf("the wheel leaves the mark on %v", got)
	}
	b.screenshot("zoomed")

	// A drag takes the picture along.
	b.do(chromedp.DragAndDropXY(x, y, x+60, y+35))
	b.drawn()
	near("a drag", under(x+60, y+35), before)
	b.do(chromedp.Click("#fit"))
	b.until("picture.scale === picture.least()")
	b.do(chromedp.Click("#in"))
	b.until("picture.scale > picture.least()")
	b.do(chromedp.Click("#out"), chromedp.Click("#out"))
	b.until("picture.scale === picture.least()")
	b.quiet()
}

// wheel is how far the wheel turns.
func wheel(by float64) chromedp.MouseOption {
	return func(p *input.DispatchMouseEventParams) { p.DeltaX, p.DeltaY = 1e-6, by } // both have to be there
}

func abs(x float64) float64 { return max(x, -x) }

// TestControls picks layers, heads and themes, in windows of several sizes.
func TestControls(t *testing.T) {
	b := newTab(t)
	u := example(t, "phi3-small")
	b.open(u, 4096, 0, 1200, 900)
	if got, want := value[string](b, "document.title"), u.Module.Name; got != want {
		t.Errorf("the title is %q, want %q", got, want)
	}
	legend := func() string { return value[string](b, `$("legend").innerText`) }
	if got := legend(); !strings.Contains(got, "all heads") || !strings.Contains(got, "heads 0, 8, 16, 24 alone") {
		t.Errorf("the legend of all heads is %q", got)
	}
	pick(b, "head", "4")
	if got := legend(); !strings.Contains(got, "local window") || !strings.Contains(got, "stripe") || strings.Contains(got, "all heads") {
		t.Errorf("the legend of head 4 is %q", got)
	}
	if got := value[string](b, `$("form").innerText`); !strings.Contains(got, "j = 0…i-16, j ≡ 3 mod 8") {
		t.Errorf("the closed form of head 4 is %q", got)
	}
	pick(b, "layer", "1")
	if got := legend(); !strings.Contains(got, "dense") || strings.Contains(got, "stripe") {
		t.Errorf("the legend of a dense layer is %q", got)
	}
	if got := value[string](b, `$("subtitle").textContent`); !strings.HasPrefix(got, "layers 1, 3, 5, …, 31 (16 of 32) · 4,096 tokens in 64 blocks of 64") {
		t.Errorf("the subtitle is %q", got)
	}

	// The button goes through the themes, whatever the system has.
	paper := func() string { return value[string](b, "getComputedStyle(document.body).backgroundColor") }
	const light, dark = "rgb(255, 255, 255)", "rgb(18, 23, 30)"
	b.dark(true)
	for _, want := range []string{dark, light, dark, dark} {
		if got := paper(); got != want {
			t.Errorf("the paper is %s, want %s; %s", got, want, value[string](b, `$("theme").textContent`))
		}
		b.do(chromedp.Click("#theme"))
	}

	// Nothing sticks out of a narrow window.
	for _, width := range []int64{1600, 1000, 700, 360} {
		b.do(chromedp.EmulateViewport(width, 800))
		b.until(fmt.Sprintf("innerWidth === %d", width))
		b.drawn()
		if got := value[int64](b, "document.documentElement.scrollWidth"); got > width {
			t.Errorf("the page is %d wide in a window of %d", got, width)
		}
		b.screenshot(fmt.Sprintf("width-%d", width))
	}
	b.quiet()
}

// TestLimits shows a pattern that is not defined for every length, with a single
// layer and a table.
func TestLimits(t *testing.T) {
	b := newTab(t)
	u := load(t, "model m { heads 4 head_dim 64 block 64 causal }\nlayer * -> window(1) | where(i == 2 * j + h, max: 6400)\n")
	b.open(u, 640, 0, 1000, 800)
	b.length(99999)
	b.until("state.tokens === 6400")
	if got := value[string](b, `$("tokens").value`); got != "6400" {
		t.Errorf("the field says %s", got)
	}
	if !value[bool](b, `$("layer-field").hidden`) {
		t.Error("one layer has a picker")
	}
	pick(b, "head", "1")
	if got := value[string](b, `$("legend").innerText`); !regexp.MustCompile(`(?m)^where$`).MatchString(got) {
		t.Errorf("the legend is %q", got)
	}
	if got := value[string](b, "describe({i: 21, j: 10})[0]"); got != "where" {
		t.Errorf("a block of the table is %q", got)
	}
	b.quiet()
}
