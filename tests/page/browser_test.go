// Package page tests the HTML pages of s2c show in a browser: that they draw what
// the closed form says, and that mouse and keyboard do what the page promises.
package page

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/internal/show"
	"github.com/s2attention/s2c/ir"
)

// names are what a Chromium is called, on a path; S2C_CHROMIUM says another.
var names = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"}

// chromium finds a browser, or skips the test.
func chromium(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("S2C_CHROMIUM"); path != "" {
		return path
	}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("S2C_REQUIRE_TOOLS") == "1" {
		t.Fatal("S2C_REQUIRE_TOOLS=1, but there is no Chromium; script/chromium installs one")
	}
	t.Skip("SKIPPED, pages are not tested in a browser: no Chromium on the path; script/chromium installs one, or S2C_CHROMIUM names it")
	return ""
}

// tab is a page in a browser.
type tab struct {
	t   *testing.T
	ctx context.Context
	own []string // what the test has opened

	mu       sync.Mutex
	requests []string
	errors   []string
}

// patience is how long a page may take for anything.
const patience = 60 * time.Second

// newTab starts a browser. It is root's in a container as a rule, where its
// sandbox does not work; what it loads is the test's own file.
func newTab(t *testing.T) *tab {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium(t)), chromedp.NoSandbox, chromedp.DisableGPU)
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, end := chromedp.NewContext(allocator)
	t.Cleanup(end)
	b := &tab{t: t, ctx: ctx}
	err := chromedp.Listen(ctx, func(event any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch event := event.(type) {
		case *network.EventRequestWillBeSent:
			b.requests = append(b.requests, event.Request.URL)
		case *runtime.EventExceptionThrown:
			b.errors = append(b.errors, fmt.Sprint(event.ExceptionDetails))
		case *runtime.EventConsoleAPICalled:
			b.errors = append(b.errors, fmt.Sprintf("console: %+v", event.Args))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = chromedp.Call(ctx, network.Enable, network.EnableParams{})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// do runs steps.
func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// value is what an expression of the page's program is.
func value[T any](b *tab, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// until waits for an expression to be true.
func (b *tab) until(expression string) {
	b.t.Helper()
	for end := time.Now().Add(patience); !value[bool](b, expression); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("never true: %s", expression)
		}
	}
}

// open loads a unit's page in a window of a size.
func (b *tab) open(u *compiler.Unit, tokens int64, layer int, width, height int64) {
	b.t.Helper()
	path := filepath.Join(b.t.TempDir(), "page.html")
	file, err := os.Create(path)
	if err != nil {
		b.t.Fatal(err)
	}
	err = show.Page(file, u.Module, show.PageOptions{
		Title: u.Module.Name, Tokens: tokens, Layer: layer, Layers: u.Program.Model.Layers,
		Source: func(l *ir.Layer, head int) dsl.Set { return u.Program.Head(l.Numbers[0], head) },
	})
	if err != nil {
		b.t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		b.t.Fatal(err)
	}
	b.own = append(b.own, "file://"+path)
	b.do(chromedp.EmulateViewport(width, height), chromedp.Navigate("file://"+path))
	b.drawn()
}

// drawn waits until picture and numbers are complete.
func (b *tab) drawn() {
	b.t.Helper()
	b.until(`picture.canvas.dataset.state === "done" && $("numbers").children.length > 0`)
}

// quiet fails if the page has reported an error or asked for anything but itself.
func (b *tab) quiet() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, url := range b.requests {
		if !slices.Contains(b.own, url) {
			b.t.Errorf("the page asked for %s", url)
		}
	}
	for _, text := range b.errors {
		b.t.Errorf("the page reports: %s", text)
	}
}

// dark makes the system's theme dark or light.
func (b *tab) dark(on bool) {
	b.t.Helper()
	theme := "light"
	if on {
		theme = "dark"
	}
	b.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}},
		})
		return err
	}))
	if len(b.own) > 0 {
		// Asking systemDark itself would take the change from the page's listener.
		b.until(`picture.scene.paper === getComputedStyle(document.documentElement).getPropertyValue("--paper").trim()`)
		b.drawn()
	}
}

// length types a length in tokens.
func (b *tab) length(tokens int64) {
	b.t.Helper()
	value[bool](b, `($("tokens").focus(), $("tokens").select(), true)`)
	b.do(chromedp.KeyEvent(fmt.Sprint(tokens) + kb.Enter))
}

// screenshot keeps what is seen, where S2C_PAGE_DIR says.
func (b *tab) screenshot(name string) {
	b.t.Helper()
	dir := os.Getenv("S2C_PAGE_DIR")
	if dir == "" {
		return
	}
	data, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), data, 0o644)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// load compiles a file, or a text if that has lines.
func load(t *testing.T, source string) *compiler.Unit {
	t.Helper()
	if strings.Contains(source, "\n") {
		path := filepath.Join(t.TempDir(), "in.s2")
		if err := os.WriteFile(path, []byte(source), 0o644); err != nil {
			t.Fatal(err)
		}
		source = path
	}
	u, list := compiler.Lower(source, dsl.Options{})
	if u == nil {
		t.Fatalf("%s: %v", source, list.Err())
	}
	return u
}

func example(t *testing.T, name string) *compiler.Unit {
	t.Helper()
	return load(t, filepath.Join("..", "..", "examples", name+".s2"))
}
