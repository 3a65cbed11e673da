package plot

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"gonum.org/v1/plot/vg"
)

// label is a text of an SVG: where its baseline starts, in points from the top
// left.
type label struct {
	text string
	x, y float64
}

// labels reads the texts that are not turned, and the size of the figure.
func labels(t *testing.T, s *Sweep) (all []label, w, h float64) {
	t.Helper()
	drawing, err := s.draw(".svg")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := drawing.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	var open *label
	for d := xml.NewDecoder(&out); ; {
		token, err := d.Token()
		if err != nil {
			return all, w, h
		}
		switch token := token.(type) {
		case xml.StartElement:
			attr := map[string]string{}
			for _, a := range token.Attr {
				attr[a.Name.Local] = a.Value
			}
			number := func(name string) float64 {
				v, _ := strconv.ParseFloat(strings.TrimSuffix(attr[name], "pt"), 64)
				return v
			}
			switch token.Name.Local {
			case "svg":
				w, h = number("width"), number("height")
			case "text":
				// The page is drawn upside down, so that its y grows upwards.
				all = append(all, label{x: number("x"), y: h + number("y")})
				open = &all[len(all)-1]
			}
		case xml.CharData:
			if open != nil {
				open.text += string(token)
			}
		case xml.EndElement:
			open = nil
		}
	}
}

// named is a sweep of so many lines with names of so many letters.
func named(lines, letters int, spaces bool) *Sweep {
	s := &Sweep{Title: "a sweep"}
	for n := range lines {
		name := fmt.Sprintf("%d%s", n, strings.Repeat("W", letters-1))
		if spaces {
			name = fmt.Sprintf("%d%s", n, strings.Repeat("W WWWWW", letters/7+1))
		}
		// Falling lines, which once had their legend on the axis.
		s.Series = append(s.Series, Series{Name: name, Points: []Point{{1024, 9, 8, 10}, {8192, float64(n), float64(n), float64(n)}}})
	}
	return s
}

// The legend lies below the axes' label and inside of the page, and no two names
// meet, however wide they are and however many there are.
func TestLegend(t *testing.T) {
	for _, c := range []struct {
		lines, letters int
		spaces         bool
	}{
		{1, 1, false}, {2, 12, false}, {3, 30, false}, {6, 50, true}, {2, 200, true}, {2, 300, false}, {12, 20, false},
	} {
		s := named(c.lines, c.letters, c.spaces)
		all, w, h := labels(t, s)
		_, names, err := s.plot()
		if err != nil {
			t.Fatal(err)
		}
		axis, most := 0.0, 0.0
		found := ""
		var below []label
		for _, l := range all {
			if strings.HasPrefix(l.text, "context length") {
				axis = l.y
			}
		}
		for _, l := range all {
			if !strings.Contains(l.text, "W") && l.text != "0" || l.text == "0" && l.y <= axis {
				continue
			}
			found += l.text
			right := l.x + names.style.Width(l.text).Points()
			if l.y <= axis || l.y > h || l.x < 0 || right > w {
				t.Errorf("%+v: %.20q at %.0f…%.0f, %.0f on a page of %.0f × %.0f with the axis at %.0f", c, l.text, l.x, right, l.y, w, h, axis)
			}
			for _, other := range below {
				if other.y == l.y && other.x+names.style.Width(other.text).Points() > l.x-sampleWidth {
					t.Errorf("%+v: %.20q and %.20q meet", c, other.text, l.text)
				}
			}
			below, most = append(below, l), max(most, l.y)
		}
		var want string
		for _, series := range s.Series {
			want += series.Name
		}
		if axis == 0 || strings.ReplaceAll(found, " ", "") != strings.ReplaceAll(want, " ", "") {
			t.Errorf("%+v: the names are %.60q, want %.60q", c, found, want)
		}
		if most > h-float64(margin)+1 {
			t.Errorf("%+v: the legend ends at %.0f of %.0f", c, most, h)
		}
	}
}

// A legend takes the height of its lines, none without names.
func TestLegendHeight(t *testing.T) {
	for _, lines := range []int{1, 2, 9} {
		_, names, err := named(lines, 40, false).plot()
		if err != nil {
			t.Fatal(err)
		}
		names.place(width - 2*margin)
		if want := vg.Length(legendTop) + vg.Length(lines)*textSize*lineSpacing; names.height != want {
			t.Errorf("%d lines take %v, want %v", lines, names.height, want)
		}
	}
	var none legend
	if none.place(width); none.height != 0 {
		t.Errorf("no legend takes %v", none.height)
	}
}

// A title wider than the page is broken, too.
func TestTitleWidth(t *testing.T) {
	s := named(1, 3, false)
	s.Title, s.Subtitle = strings.Repeat("Mmmmm ", 40), strings.Repeat("n", 300)
	all, w, _ := labels(t, s)
	p, _, err := s.plot()
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for _, l := range all {
		if strings.Contains(l.text, "Mm") || strings.Contains(l.text, "nnnn") {
			lines++
			if right := l.x + p.Title.TextStyle.Width(l.text).Points(); l.x < 0 || right > w {
				t.Errorf("%.20q at %.0f…%.0f on a page of %.0f", l.text, l.x, right, w)
			}
		}
	}
	if lines < 4 {
		t.Errorf("the title has %d lines", lines)
	}
}
