package show

import (
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"math"
	"sync"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// pngScale is the pixels of a point.
const pngScale = 2

// PNG writes a figure as a PNG picture.
func PNG(w io.Writer, f *Figure) error {
	p := arrange(f)
	size := image.Rect(0, 0, int(p.width*pngScale), int(p.height*pngScale))
	out := &pngCanvas{image: image.NewRGBA(size)}
	p.draw(out)
	if out.err != nil {
		return out.err
	}
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	return encoder.Encode(w, out.image)
}

// pngCanvas paints pixels; it keeps its first error.
type pngCanvas struct {
	image *image.RGBA
	err   error
}

// fill paints whole pixels: an edge goes to the nearest one.
func (p *pngCanvas) fill(c rgb, rects []rect) {
	paint := image.NewUniform(c.rgba())
	for _, r := range rects {
		x0, y0, x1, y1 := pixel(r.x), pixel(r.y), pixel(r.x+r.w), pixel(r.y+r.h)
		draw.Draw(p.image, image.Rect(x0, y0, max(x1, x0+1), max(y1, y0+1)), paint, image.Point{}, draw.Src)
	}
}

func (p *pngCanvas) write(x, y, size float64, bold bool, c rgb, text string) {
	face, err := faceOf(size*pngScale, bold)
	if err != nil {
		p.err = err
		return
	}
	drawer := font.Drawer{
		Dst: p.image, Src: image.NewUniform(c.rgba()), Face: face,
		Dot: fixed.P(pixel(x), pixel(y)),
	}
	drawer.DrawString(text)
}

func (c rgb) rgba() color.RGBA { return color.RGBA{c.r, c.g, c.b, 0xFF} }

func pixel(x float64) int { return int(math.Round(x * pngScale)) }

// The two weights of the Go font (golang.org/x/image/font/gofont).
var fonts = [2]func() (*opentype.Font, error){
	sync.OnceValues(func() (*opentype.Font, error) { return opentype.Parse(goregular.TTF) }),
	sync.OnceValues(func() (*opentype.Font, error) { return opentype.Parse(gobold.TTF) }),
}

// faceOf is a font at a size in pixels.
func faceOf(size float64, bold bool) (font.Face, error) {
	weight := 0
	if bold {
		weight = 1
	}
	parsed, err := fonts[weight]()
	if err != nil {
		return nil, err
	}
	return opentype.NewFace(parsed, &opentype.FaceOptions{Size: size, DPI: 72, Hinting: font.HintingNone})
}

// textWidth is the width of a line of text in points. The fonts are part of the
// program; should one not parse, half an em a letter is near enough to go on.
func textWidth(s string, size float64, bold bool) float64 {
	face, err := faceOf(size, bold)
	if err != nil {
		return size / 2 * float64(len([]rune(s)))
	}
	return float64(font.MeasureString(face, s)) / 64
}
