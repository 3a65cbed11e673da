// Package plot draws the throughput of kernels over the context length as SVG
// or PNG.
package plot

import (
	"errors"
	"fmt"
	"image/color"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/s2attention/s2c/internal/wholefile"
)

// Sweep is a figure: TFLOP/s over the length in tokens, which has a logarithmic
// axis.
type Sweep struct {
	Title, Subtitle string
	Series          []Series
}

// Series is one kernel's line.
type Series struct {
	Name   string
	Points []Point
}

// Point is the median at one length and its spread.
type Point struct {
	Seq               float64 // tokens
	TFLOPS, Low, High float64
}

// Formats are the endings that Write takes.
var Formats = []string{".svg", ".png"}

// CheckPath reports a name that Write cannot serve.
func CheckPath(path string) error {
	if !slices.Contains(Formats, strings.ToLower(filepath.Ext(path))) {
		return fmt.Errorf("%s: a plot ends in %s", path, strings.Join(Formats, " or "))
	}
	return nil
}

// The figure's size and looks. The legend adds its height below.
const (
	width, height = 7.5 * vg.Inch, 4.6 * vg.Inch
	margin        = 12
	pixels        = 160 // a PNG's, an inch
	titleSize     = 13
	textSize      = 10
)

// Colours that people with any colour vision tell apart: Okabe and Ito 2008.
var palette = []color.RGBA{
	{0x00, 0x72, 0xB2, 0xFF}, {0xD5, 0x5E, 0x00, 0xFF}, {0x00, 0x9E, 0x73, 0xFF},
	{0xCC, 0x79, 0xA7, 0xFF}, {0xE6, 0x9F, 0x00, 0xFF}, {0x56, 0xB4, 0xE9, 0xFF},
}

var (
	ink   = color.RGBA{0x1B, 0x26, 0x33, 0xFF}
	faint = color.RGBA{0x5B, 0x69, 0x78, 0xFF}
	rule  = color.RGBA{0xE1, 0xE6, 0xEB, 0xFF}
)

// Write draws the figure into a file; its ending says the format.
func (s *Sweep) Write(path string) error {
	if err := CheckPath(path); err != nil {
		return err
	}
	drawing, err := s.draw(strings.ToLower(filepath.Ext(path)))
	if err != nil {
		return err
	}
	return wholefile.Write(path, func(w io.Writer) error {
		_, err := drawing.WriteTo(w)
		return err
	})
}

// draw makes the picture in a format.
func (s *Sweep) draw(format string) (io.WriterTo, error) {
	p, names, err := s.plot()
	if err != nil {
		return nil, err
	}
	names.place(width - 2*margin)
	full := height + names.height
	if format == ".svg" {
		c := vgsvg.New(width, full)
		paint(draw.New(c), p, names)
		return c, nil
	}
	c := vgimg.NewWith(vgimg.UseWH(width, full), vgimg.UseDPI(pixels))
	paint(draw.New(c), p, names)
	return vgimg.PngCanvas{Canvas: c}, nil
}

// paint puts the plot on a page with a margin, and the legend below it.
func paint(c draw.Canvas, p *plot.Plot, names *legend) {
	c.SetColor(color.White)
	c.Fill(c.Rectangle.Path())
	c = draw.Crop(c, margin, -margin, margin, -margin)
	names.draw(c)
	p.Draw(draw.Crop(c, 0, 0, names.height, 0))
}

// plot arranges axes and lines.
func (s *Sweep) plot() (*plot.Plot, *legend, error) {
	low, high, most, err := s.extent()
	if err != nil {
		return nil, nil, err
	}
	p := plot.New()
	p.BackgroundColor = color.White
	p.Title.Padding = 6
	p.Title.TextStyle.Color = ink
	p.Title.TextStyle.Font = face(titleSize)
	lines := wrap(p.Title.TextStyle, s.Title, width-2*margin)
	if s.Subtitle != "" {
		lines = append(lines, wrap(p.Title.TextStyle, s.Subtitle, width-2*margin)...)
	}
	p.Title.Text = strings.Join(lines, "\n")
	s.axes(p, low, high, most)
	p.Add(grid())
	names := &legend{style: p.Legend.TextStyle}
	names.style.Font, names.style.Color = face(textSize), ink
	for n, series := range s.Series {
		if err := add(p, names, series, n); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", series.Name, err)
		}
	}
	return p, names, nil
}

func face(size font.Length) font.Font {
	return font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
}

// extent is the range of the data; it refuses what no axis can show.
func (s *Sweep) extent() (low, high, most float64, err error) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, series := range s.Series {
		for _, at := range series.Points {
			for _, v := range []float64{at.Seq, at.TFLOPS, at.Low, at.High} {
				if !(v >= 0) || math.IsInf(v, 0) {
					return 0, 0, 0, fmt.Errorf("%s at %v tokens: %v is no throughput", series.Name, at.Seq, v)
				}
			}
			if at.Seq < 1 {
				return 0, 0, 0, fmt.Errorf("%s: a length of %v tokens", series.Name, at.Seq)
			}
			low, high = min(low, at.Seq), max(high, at.Seq)
			most = max(most, at.TFLOPS, at.High)
		}
	}
	if math.IsInf(low, 1) {
		return 0, 0, 0, errors.New("nothing to plot")
	}
	return low, high, most, nil
}

func (s *Sweep) axes(p *plot.Plot, low, high, most float64) {
	p.X.Label.Text = "context length in tokens"
	p.Y.Label.Text = "TFLOP/s, attended pairs"
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, lengths{}
	p.Y.Tick.Marker = throughputs{}
	p.X.Min, p.X.Max = low/1.15, high*1.15
	p.Y.Min, p.Y.Max = 0, most*1.08
	if most == 0 {
		p.Y.Max = 1
	}
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Label.TextStyle.Font, a.Tick.Label.Font = face(textSize), face(textSize)
		a.Label.TextStyle.Color, a.Tick.Label.Color = faint, faint
		a.LineStyle.Color, a.Tick.LineStyle.Color = faint, faint
		a.Label.Padding = 6
	}
}

// lengths marks powers of two, and calls them 8K and 1M.
type lengths struct{}

// Ticks is at most eight marks, at equal steps of the exponent.
func (lengths) Ticks(low, high float64) []plot.Tick {
	first, last := int(math.Ceil(math.Log2(low))), int(math.Floor(math.Log2(high)))
	step := max(1, (last-first+7)/8)
	var ticks []plot.Tick
	for e := first; e <= last; e += step {
		ticks = append(ticks, plot.Tick{Value: math.Exp2(float64(e)), Label: tokens(e)})
	}
	return ticks
}

// tokens writes 2ᵉ.
func tokens(e int) string {
	switch {
	case e >= 20:
		return strconv.Itoa(1<<(e-20)) + "M"
	case e >= 10:
		return strconv.Itoa(1<<(e-10)) + "K"
	case e < 0:
		return strconv.FormatFloat(math.Exp2(float64(e)), 'g', -1, 64)
	}
	return strconv.Itoa(1 << e)
}

// throughputs marks about six round numbers.
type throughputs struct{}

// Ticks steps by 1, 2 or 5 times a power of ten.
func (throughputs) Ticks(low, high float64) []plot.Tick {
	step := math.Pow(10, math.Floor(math.Log10((high-low)/6)))
	for _, times := range []float64{2, 2.5, 2} { // 2, 5, 10
		if (high-low)/step > 7 {
			step *= times
		}
	}
	var ticks []plot.Tick
	for n := math.Ceil(low / step); n*step <= high; n++ {
		ticks = append(ticks, plot.Tick{Value: n * step, Label: strconv.FormatFloat(n*step, 'g', 4, 64)})
	}
	return ticks
}

func grid() *plotter.Grid {
	g := plotter.NewGrid()
	g.Vertical.Color, g.Horizontal.Color = rule, rule
	return g
}

// sorted is the points by length.
func (s *Series) sorted() []Point {
	points := slices.Clone(s.Points)
	slices.SortStableFunc(points, func(a, b Point) int {
		switch {
		case a.Seq < b.Seq:
			return -1
		case a.Seq > b.Seq:
			return 1
		}
		return 0
	})
	return points
}

// spread gives plotter's error bars to points.
type spread struct {
	plotter.XYs
	plotter.YErrors
}

// add draws a line, a mark at each point and bars from Low to High.
func add(p *plot.Plot, names *legend, s Series, n int) error {
	var at spread
	for _, point := range s.sorted() {
		at.XYs = append(at.XYs, plotter.XY{X: point.Seq, Y: point.TFLOPS})
		at.YErrors = append(at.YErrors, struct{ Low, High float64 }{point.TFLOPS - point.Low, point.High - point.TFLOPS})
	}
	if len(at.XYs) == 0 {
		return nil
	}
	line, marks, err := plotter.NewLinePoints(at.XYs)
	if err != nil {
		return err
	}
	bars, err := plotter.NewYErrorBars(at)
	if err != nil {
		return err
	}
	c := palette[n%len(palette)]
	line.Color, line.Width = c, 1.8
	if n >= len(palette) {
		line.Dashes = []vg.Length{5, 3}
	}
	marks.Color, marks.Shape, marks.Radius = c, draw.CircleGlyph{}, 3
	bars.Color, bars.Width, bars.CapWidth = c, 1, 6
	p.Add(line, bars, marks)
	if s.Name != "" {
		names.entries = append(names.entries, entry{name: s.Name, samples: []plot.Thumbnailer{line, marks}})
	}
	return nil
}
