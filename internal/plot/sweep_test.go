package plot

import (
	"bytes"
	"encoding/xml"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func sweep() *Sweep {
	return &Sweep{
		Title: "s2_gqa, forward", Subtitle: "NVIDIA H200 (sm_90), bf16, 32/8 heads, batch 1",
		Series: []Series{
			{Name: "s2c_s2_gqa_l0, sm_90a", Points: []Point{
				{131072, 520, 500, 530}, {8192, 310, 300, 340}, {32768, 450, 430, 470}, {2048, 120, 90, 150},
			}},
			{Name: "peer", Points: []Point{{8192, 200, 200, 200}, {32768, 250, 240, 260}}},
		},
	}
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	if keep := os.Getenv("S2C_PLOT_DIR"); keep != "" { // to look at them
		dir = keep
	}
	for _, name := range []string{"a.svg", "a.PNG"} {
		if err := sweep().Write(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(filepath.Join(dir, "a.svg"))
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for d := xml.NewDecoder(bytes.NewReader(data)); ; {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("the SVG is no XML: %v", err)
		}
		if c, ok := token.(xml.CharData); ok {
			text.Write(c)
		}
	}
	for _, want := range []string{"s2_gqa, forward", "NVIDIA H200", "8K", "128K", "TFLOP/s", "peer", "context length"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the SVG does not say %q", want)
		}
	}
	file, err := os.Open(filepath.Join(dir, "a.PNG"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	picture, err := png.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	if b := picture.Bounds(); b.Dx() != 1200 || b.Dy() != 788 { // 736 and a line of the legend
		t.Errorf("the PNG is %v", b)
	}
	blue := 0 // pixels of the first series
	for x := range 1200 {
		for y := range 736 {
			if r, g, b, _ := picture.At(x, y).RGBA(); r>>8 == 0 && g>>8 == 0x72 && b>>8 == 0xB2 {
				blue++
			}
		}
	}
	if blue < 1000 {
		t.Errorf("%d pixels of the line's colour", blue)
	}
}

func TestRefuses(t *testing.T) {
	for _, c := range []struct {
		s    Sweep
		path string
		want string
	}{
		{Sweep{}, "a.svg", "nothing to plot"},
		{*sweep(), "a.pdf", "a plot ends in .svg or .png"},
		{*sweep(), "a", "a plot ends in"},
		{Sweep{Series: []Series{{Points: []Point{{8, math.NaN(), 0, 0}}}}}, "a.svg", "no throughput"},
		{Sweep{Series: []Series{{Points: []Point{{0, 1, 1, 1}}}}}, "a.svg", "0 tokens"},
	} {
		path := filepath.Join(t.TempDir(), c.path)
		if err := c.s.Write(path); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s was made nevertheless", path)
		}
	}
}

func TestOnePoint(t *testing.T) {
	for _, v := range []float64{0, 3} {
		s := Sweep{Series: []Series{{Name: "x", Points: []Point{{64, v, v, v}}}}}
		if err := s.Write(filepath.Join(t.TempDir(), "a.png")); err != nil {
			t.Error(err)
		}
	}
}

func TestTicks(t *testing.T) {
	var got []string
	for _, tick := range (lengths{}).Ticks(400, 3e6) {
		got = append(got, tick.Label)
	}
	if text := strings.Join(got, " "); text != "512 2K 8K 32K 128K 512K 2M" {
		t.Errorf("ticks %s", text)
	}
}
