package pass_test

import (
	"bytes"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/ir/layout"
	"github.com/s2attention/s2c/ir/pass"
	"github.com/s2attention/s2c/target"
)

// goldens are small models whose layouts are kept as text and as a picture.
var goldens = []struct {
	name  string
	shape ir.Shape
	head  func(h int) ir.Pattern
	seq   int64 // of the picture
}{
	{
		"stripes-by-query-head", // merged or single query blocks
		ir.Shape{Heads: 4, KVHeads: 2, HeadDim: 128, Block: 64, DType: dtype.BF16, Causal: true, Scale: 1. / 128},
		func(h int) ir.Pattern { return local(true, 4, 4, int64(-(h + 1))) }, 1000,
	},
	{
		"stripes-by-kv-head", // packed heads
		ir.Shape{Heads: 4, KVHeads: 2, HeadDim: 128, Block: 64, DType: dtype.BF16, Causal: true, Scale: 0.125},
		func(h int) ir.Pattern { return local(true, 4, 4, int64(-(h/2 + 1))) }, 1000,
	},
	{
		"small-blocks", // merged query blocks, gathered key blocks
		ir.Shape{Heads: 2, KVHeads: 1, HeadDim: 96, Block: 16, DType: dtype.F16, Causal: true, Scale: 0.125},
		func(h int) ir.Pattern { return local(true, 3, 5, int64(h)) }, 500,
	},
	{
		"large-head-dimension", // a key block in parts
		ir.Shape{Heads: 2, KVHeads: 2, HeadDim: 256, Block: 128, DType: dtype.F16, Causal: false, Scale: 0.125},
		func(h int) ir.Pattern { return local(false, 2, 3, 1) }, 700,
	},
}

// TestGolden compares with testdata; S2C_UPDATE=1 rewrites it.
func TestGolden(t *testing.T) {
	for _, g := range goldens {
		var text bytes.Buffer
		dumps := map[string]io.Writer{"after:match-heads": &text}
		for _, on := range []layout.Backend{ampere, hopper} {
			k, err := pass.Run(layer(g.shape.Heads, g.head), g.shape, on, pass.Options{
				Model: "golden", VerifyEach: true, Dump: dumps,
			})
			if err != nil {
				t.Fatal(err)
			}
			dumps = nil
			text.WriteString(k.String())
			if on.Target == target.SM80 {
				svg, err := layout.Picture(k, g.seq)
				if err != nil {
					t.Fatal(err)
				}
				wellFormed(t, g.name, svg)
				golden(t, g.name+".svg", svg)
			}
		}
		golden(t, g.name+".txt", text.Bytes())
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("S2C_UPDATE") == "1" {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; S2C_UPDATE=1 writes it", err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")); diff != "" {
		t.Errorf("%s is stale; S2C_UPDATE=1 rewrites it (-golden +now):\n%s", path, diff)
	}
}

// wellFormed parses an SVG.
func wellFormed(t *testing.T, name string, svg []byte) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(svg))
	for {
		switch _, err := d.Token(); {
		case err == io.EOF:
			return
		case err != nil:
			t.Fatalf("%s: %v", name, err)
		}
	}
}

// A picture shows every step of its head tile once.
func TestPictureShowsEveryStep(t *testing.T) {
	for _, g := range goldens {
		k := mustRun(t, layer(g.shape.Heads, g.head), g.shape, pass.Options{Model: "golden"})
		svg, err := layout.Picture(k, g.seq)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]int{}
		for tile := range k.Tiles(g.seq) {
			for _, s := range k.Steps(0, tile, g.seq, g.seq) {
				want[s.Mask.String()] += len(s.Blocks)
			}
		}
		for mask, n := range want {
			if got := strings.Count(string(svg), ": "+mask+"</title>"); got != n {
				t.Errorf("%s: %d blocks drawn as %s, the steps have %d", g.name, got, mask, n)
			}
		}
	}
}

func TestPictureErrors(t *testing.T) {
	l, s := phi3()
	k := mustRun(t, l, s, pass.Options{})
	limited := *k
	limited.MaxBlocks = 3
	headless := *k
	headless.HeadTiles = nil
	for _, c := range []struct {
		name string
		k    *layout.Kernel
		seq  int64
		want string
	}{
		{"nothing", k, 0, "0 tokens"},
		{"negative", k, -64, "-64 tokens"},
		{"too long", k, 1 << 20, "up to"},
		{"past the table", &limited, 200, "ends at block 3"},
		{"no heads", &headless, 1000, "no head tiles"},
		{"no tile", &layout.Kernel{}, 1000, "no tile"},
	} {
		if _, err := layout.Picture(c.k, c.seq); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}
