package docs

import (
	"bytes"
	"image"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// pictures are the README's, and what draws them.
var pictures = map[string][]string{
	"phi3-small.png":       {"show", "examples/phi3-small.s2"},
	"phi3-small-tiles.png": {"show", "examples/phi3-small.s2", "--what", "tiles", "--seq", "2624", "--heads", "0..3", "--arch", "sm_90a"},
}

// build compiles the program; the path is where.
func build(t *testing.T) (s2c string) {
	t.Helper()
	gobin, err := exec.LookPath("go")
	if err != nil {
		if os.Getenv("S2C_REQUIRE_TOOLS") == "1" {
			t.Fatal("S2C_REQUIRE_TOOLS=1, but there is no go command")
		}
		t.Skip("SKIPPED, documents are not compared with what s2c prints: no go command")
	}
	s2c = filepath.Join(t.TempDir(), "s2c")
	if out, err := exec.Command(gobin, "build", "-o", s2c, "../cmd/s2c").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return s2c
}

// TestDumps finds what docs/architecture.md prints in what s2c prints.
func TestDumps(t *testing.T) {
	s2c := build(t)
	var printed string
	for _, emit := range []string{"ir", "layout"} {
		cmd := exec.Command(s2c, "compile", "examples/phi3-small.s2", "--emit", emit, "-o", "-")
		cmd.Dir = root
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("--emit %s: %v", emit, err)
		}
		printed += string(out)
	}
	text, err := os.ReadFile("architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```\n(.*?)^```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 2 {
		t.Fatalf("%d dumps in architecture.md", len(blocks))
	}
	for _, b := range blocks {
		if !strings.Contains(printed, b[1]) {
			t.Errorf("s2c does not print this, architecture.md does:\n%s", b[1])
		}
	}
}

// TestPictures draws the README's pictures anew; S2C_UPDATE=1 replaces those
// that are stale. Bytes may differ from machine to machine, shapes may not.
func TestPictures(t *testing.T) {
	s2c := build(t)
	dir := t.TempDir()
	for name, args := range pictures {
		fresh := filepath.Join(dir, name)
		cmd := exec.Command(s2c, append(args, "-o", fresh)...)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		want, err := os.ReadFile(fresh)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := os.ReadFile(name) // a missing picture is a stale one
		if same(got, want) {
			continue
		}
		if os.Getenv("S2C_UPDATE") != "1" {
			t.Errorf("%s is stale; S2C_UPDATE=1 draws it again", name)
			continue
		}
		if err := os.WriteFile(name, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// same is whether two pictures show the same: as large, and alike in all but a
// few pixels, which the edges of letters may round differently.
func same(a, b []byte) bool {
	x, errX := png.Decode(bytes.NewReader(a))
	y, errY := png.Decode(bytes.NewReader(b))
	if errX != nil || errY != nil || x.Bounds() != y.Bounds() {
		return false
	}
	const visible = 0x1800 // of 0xffff
	different := 0
	area := x.Bounds()
	for row := area.Min.Y; row < area.Max.Y; row++ {
		for col := area.Min.X; col < area.Max.X; col++ {
			if apart(x, y, col, row) > visible {
				different++
			}
		}
	}
	return different < 50
}

// apart is the greatest difference of a channel of one pixel.
func apart(x, y image.Image, col, row int) uint32 {
	r, g, b, _ := x.At(col, row).RGBA()
	r2, g2, b2, _ := y.At(col, row).RGBA()
	distance := func(a, b uint32) uint32 { return max(a, b) - min(a, b) }
	return max(distance(r, r2), distance(g, g2), distance(b, b2))
}
