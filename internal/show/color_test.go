package show

import (
	"math"
	"testing"
)

// eyes are how colours appear to people who lack one kind of cone, as matrices on
// linear RGB: Machado, Oliveira and Fernandes 2009, severity 1. The first is the
// usual eye.
var eyes = map[string][9]float64{
	"usual": {1, 0, 0, 0, 1, 0, 0, 0, 1},
	"protan": {0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116,
		1.051998},
	"deutan": {0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.011820, 0.042940, 0.968881},
	"tritan": {1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367, 0.303900},
}

// linear is a colour without its gamma.
func (c rgb) linear() [3]float64 {
	one := func(x uint8) float64 {
		v := float64(x) / 255
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return [3]float64{one(c.r), one(c.g), one(c.b)}
}

// contrast is the ratio of WCAG 2.
func contrast(a, b rgb) float64 {
	luminance := func(c rgb) float64 {
		l := c.linear()
		return 0.2126*l[0] + 0.7152*l[1] + 0.0722*l[2]
	}
	x, y := luminance(a)+0.05, luminance(b)+0.05
	return max(x, y) / min(x, y)
}

// oklab is where an eye sees a colour in a space of even steps (Ottosson 2020).
func oklab(c rgb, eye [9]float64) [3]float64 {
	in := c.linear()
	var seen [3]float64
	for n := range seen {
		seen[n] = min(1, max(0, eye[3*n]*in[0]+eye[3*n+1]*in[1]+eye[3*n+2]*in[2]))
	}
	r, g, b := seen[0], seen[1], seen[2]
	l := math.Cbrt(0.4122214708*r + 0.5363325363*g + 0.0514459929*b)
	m := math.Cbrt(0.2119034982*r + 0.6806995451*g + 0.1073969566*b)
	s := math.Cbrt(0.0883024619*r + 0.2817188376*g + 0.6299787005*b)
	return [3]float64{
		0.2104542553*l + 0.7936177850*m - 0.0040720468*s,
		1.9779984951*l - 2.4285922050*m + 0.4505937099*s,
		0.0259040371*l + 0.7827717662*m - 0.8086757660*s,
	}
}

// apart is how far two colours are from each other for an eye; 2 is hardly seen.
func apart(a, b rgb, eye [9]float64) float64 {
	x, y := oklab(a, eye), oklab(b, eye)
	return 100 * math.Sqrt((x[0]-y[0])*(x[0]-y[0])+(x[1]-y[1])*(x[1]-y[1])+(x[2]-y[2])*(x[2]-y[2]))
}

// TestColors holds what a mask is drawn in: every class stands out from what is
// skipped, and from every other for any eye, on white and in a dark page.
func TestColors(t *testing.T) {
	for _, theme := range []struct {
		name string
		of   func(look) rgb
	}{{"light", func(l look) rgb { return l.color }}, {"dark", func(l look) rgb { return l.dark }}} {
		for a := Diagonal; a <= Everyone; a++ {
			if got := contrast(theme.of(looks[a]), theme.of(looks[Skipped])); got < 2 {
				t.Errorf("%s: %q has a contrast of %.2f with what is skipped", theme.name, looks[a].name, got)
			}
			for b := Skipped; b < a; b++ {
				for eye, matrix := range eyes {
					if got := apart(theme.of(looks[a]), theme.of(looks[b]), matrix); got < 8 {
						t.Errorf("%s: %q and %q are %.1f apart for the %s eye", theme.name, looks[a].name, looks[b].name, got, eye)
					}
				}
			}
		}
	}
}

// TestSharedColors holds the ramp from few heads to all: readable from its first
// step on (WCAG asks for 3 to 1 of a graphic), and in order.
func TestSharedColors(t *testing.T) {
	skipped := looks[Skipped]
	last, lastDark := skipped.color, skipped.dark
	for level := uint8(1); level <= Full+1; level++ {
		cell := Cell{Class: Shared, Level: level}
		if level > Full {
			cell = Cell{Class: Everyone, Level: Full}
		}
		for _, c := range []struct{ now, last, skipped rgb }{{cell.color(), last, skipped.color}, {cell.darkColor(), lastDark, skipped.dark}} {
			if got := contrast(c.now, c.skipped); got < 3 || got <= contrast(c.last, c.skipped) {
				t.Errorf("level %d has a contrast of %.2f with what is skipped", level, got)
			}
			for eye, matrix := range eyes {
				if got := apart(c.now, c.last, matrix); got < 2 {
					t.Errorf("level %d is %.1f from the one before for the %s eye", level, got, eye)
				}
			}
		}
		last, lastDark = cell.color(), cell.darkColor()
		for n := range owners {
			if got := apart(cell.color(), owners[n].color, eyes["usual"]); got < 8 {
				t.Errorf("level %d is %.1f from the colour of panel %d", level, got, n)
			}
		}
	}
}

// Part of the heads is never drawn as all of them.
func TestNotEveryone(t *testing.T) {
	f := mask(t, 768)
	for _, c := range []struct {
		heads int
		want  Class
	}{{11, Shared}, {12, Everyone}} {
		union := newTally(4, true)
		for range c.heads {
			union.add(3, 0, Shared)
		}
		panel := union.panel(12)
		if got := panel.At(3, 0).Class; got != c.want {
			t.Errorf("%d of 12 heads are drawn as %q", c.heads, looks[got].name)
		}
	}
	if got := f.Lead.At(8, 7).Class; got != Everyone {
		t.Errorf("the window is drawn as %q", looks[got].name)
	}
}
