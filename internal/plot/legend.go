package plot

import (
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// legend names the lines, in a band of its own below the axes: over them it would
// hide data, wherever it stood. It takes as many lines as the names need.
type legend struct {
	style   draw.TextStyle
	entries []entry
	height  vg.Length // of the band, its distance from the axes included
}

// entry is a line's name with its place: x from the left, y down from the band's
// top.
type entry struct {
	name    string
	samples []plot.Thumbnailer
	lines   []string // the name, broken to fit the page
	x, y    vg.Length
	width   vg.Length
}

// The geometry of a legend.
const (
	sampleWidth = 24 // of the piece of line before a name
	sampleGap   = 6
	entryGap    = 22
	legendTop   = 10 // from the axes' label
	lineSpacing = 1.35
)

// place breaks names that are wider than the page, and puts entries side by side
// as long as they fit.
func (l *legend) place(page vg.Length) {
	if len(l.entries) == 0 {
		return
	}
	line := l.style.Font.Size * lineSpacing
	x, y, tall := vg.Length(0), vg.Length(legendTop), vg.Length(0)
	for n := range l.entries {
		e := &l.entries[n]
		e.lines = wrap(l.style, e.name, page-sampleWidth-sampleGap)
		e.width = sampleWidth + sampleGap
		for _, text := range e.lines {
			e.width = max(e.width, sampleWidth+sampleGap+l.style.Width(text))
		}
		if x > 0 && x+e.width > page {
			x, y, tall = 0, y+tall, 0
		}
		e.x, e.y = x, y
		x += e.width + entryGap
		tall = max(tall, line*vg.Length(len(e.lines)))
	}
	l.height = y + tall
}

// draw puts the legend at the bottom of a page.
func (l *legend) draw(c draw.Canvas) {
	line := l.style.Font.Size * lineSpacing
	top := c.Min.Y + l.height
	for n := range l.entries {
		e := &l.entries[n]
		left, base := c.Min.X+e.x, top-e.y-line
		sample := draw.Canvas{Canvas: c.Canvas, Rectangle: vg.Rectangle{
			Min: vg.Point{X: left, Y: base}, Max: vg.Point{X: left + sampleWidth, Y: base + line},
		}}
		for _, s := range e.samples {
			s.Thumbnail(&sample)
		}
		style := l.style
		style.YAlign = -0.4 // letters without descenders are level with the line
		for at, text := range e.lines {
			c.FillText(style, vg.Point{X: left + sampleWidth + sampleGap, Y: base + line/2 - line*vg.Length(at)}, text)
		}
	}
}

// wrap breaks a text into lines no wider than width, at spaces where there are
// any.
func wrap(style draw.TextStyle, text string, width vg.Length) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && style.Width(line+" "+word) <= width {
			line += " " + word
			continue
		}
		if line != "" {
			lines = append(lines, line)
		}
		line = word
		for style.Width(line) > width && len([]rune(line)) > 1 {
			n := fitting(style, []rune(line), width)
			lines, line = append(lines, string([]rune(line)[:n])), string([]rune(line)[n:])
		}
	}
	return append(lines, line)
}

// fitting is how many of the first letters fit, at least one.
func fitting(style draw.TextStyle, text []rune, width vg.Length) int {
	n := 1
	for n < len(text) && style.Width(string(text[:n+1])) <= width {
		n++
	}
	return n
}
