package show

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
)

// SVG writes a figure as an SVG document.
func SVG(w io.Writer, f *Figure) error {
	p := arrange(f)
	out := &svgCanvas{w: bufio.NewWriter(w)}
	fmt.Fprintf(out.w, `<svg xmlns="http://www.w3.org/2000/svg" width="%g" height="%g" viewBox="0 0 %g %g" `+
		`font-family="Go, Helvetica, Arial, sans-serif" shape-rendering="crispEdges">`+"\n",
		p.width, p.height, p.width, p.height)
	out.w.WriteString("<title>")
	xml.EscapeText(out.w, []byte(f.Title))
	out.w.WriteString("</title>\n")
	p.draw(out)
	out.w.WriteString("</svg>\n")
	return out.w.Flush() // a bufio.Writer keeps its first error
}

// svgCanvas writes a path for each fill and a text element for each line.
type svgCanvas struct{ w *bufio.Writer }

func (s *svgCanvas) fill(c rgb, rects []rect) {
	if len(rects) == 0 {
		return
	}
	fmt.Fprintf(s.w, `<path fill="%s" d="`, c.hex())
	for _, r := range rects {
		fmt.Fprintf(s.w, "M%s %sh%sv%sh-%sz", short(r.x), short(r.y), short(r.w), short(r.h), short(r.w))
	}
	s.w.WriteString("\"/>\n")
}

func (s *svgCanvas) write(x, y, size float64, bold bool, c rgb, text string) {
	weight := ""
	if bold {
		weight = ` font-weight="bold"`
	}
	fmt.Fprintf(s.w, `<text x="%s" y="%s" font-size="%s"%s fill="%s">`, short(x), short(y), short(size), weight, c.hex())
	xml.EscapeText(s.w, []byte(text))
	s.w.WriteString("</text>\n")
}

func (c rgb) hex() string { return fmt.Sprintf("#%02x%02x%02x", c.r, c.g, c.b) }

// short writes a coordinate to a hundredth of a point.
func short(x float64) string {
	return strconv.FormatFloat(float64(int64(x*100+0.5))/100, 'f', -1, 64)
}
