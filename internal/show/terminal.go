package show

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// TerminalOptions says what the terminal can do.
type TerminalOptions struct {
	Color bool
	Width int // columns; 80 where it is not known
}

// Terminal writes a figure as text. A character is two cells, one above the
// other; without colour a cell is either attended or not.
func Terminal(w io.Writer, f *Figure, opt TerminalOptions) error {
	if opt.Width <= 0 {
		opt.Width = 80
	}
	t := &terminal{w: bufio.NewWriter(w), color: opt.Color}
	fmt.Fprintln(t.w, t.style("1", f.Title))
	if f.Subtitle != "" {
		fmt.Fprintln(t.w, t.style("2", f.Subtitle))
	}
	panels := f.Panels
	if f.Lead != nil {
		panels = append([]Panel{*f.Lead}, panels...)
	}
	for len(panels) > 0 {
		n, used := 0, 0
		for n < len(panels) && (n == 0 || used+panelWidth(&panels[n]) <= opt.Width) {
			used += panelWidth(&panels[n]) + 2
			n++
		}
		fmt.Fprintln(t.w)
		t.row(shrunk(panels[:n], opt.Width))
		panels = panels[n:]
	}
	fmt.Fprintln(t.w)
	if t.color {
		t.legend(f, opt.Width)
	} else {
		fmt.Fprintln(t.w, "a filled cell is attended, or loaded; colours on a terminal tell the classes apart")
	}
	return t.w.Flush() // a bufio.Writer keeps its first error
}

// terminal is the writer under way.
type terminal struct {
	w     *bufio.Writer
	color bool
}

// style wraps text in an escape sequence where colours are on.
func (t *terminal) style(code, text string) string {
	if !t.color || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// panelWidth is the columns a panel takes, its title included.
func panelWidth(p *Panel) int { return max(p.Cols, utf8.RuneCountInString(p.Title)) }

// shrunk puts several cells into one where a panel alone is wider than the line.
func shrunk(panels []Panel, width int) []Panel {
	if len(panels) != 1 || panels[0].Cols <= width {
		return panels
	}
	return []Panel{panels[0].shrink((panels[0].Cols + width - 1) / width)}
}

// shrink is the panel with factor × factor cells in one: the strongest of them.
func (p *Panel) shrink(factor int) Panel {
	rows, cols := (p.Rows+factor-1)/factor, (p.Cols+factor-1)/factor
	small := Panel{Title: p.Title, Rows: rows, Cols: cols, Cells: make([]Cell, rows*cols)}
	for row := range p.Rows {
		for col := range p.Cols {
			into, cell := small.At(row/factor, col/factor), *p.At(row, col)
			stronger := cell.attended() && (!into.attended() || cell.Level > into.Level)
			if stronger || !into.attended() && cell.Class == Skipped {
				*into = cell
			}
		}
	}
	return small
}

// row writes panels side by side.
func (t *terminal) row(panels []Panel) {
	height := 0
	for n := range panels {
		height = max(height, panels[n].Rows)
	}
	var line strings.Builder
	for n := range panels {
		title := panels[n].Title
		if n < len(panels)-1 {
			title += strings.Repeat(" ", panelWidth(&panels[n])+2-utf8.RuneCountInString(title))
		}
		line.WriteString(title)
	}
	fmt.Fprintln(t.w, t.style("1", line.String()))
	for top := 0; top < height; top += 2 {
		line.Reset()
		for n := range panels {
			p := &panels[n]
			t.pair(&line, p, top)
			line.WriteString(strings.Repeat(" ", panelWidth(p)+2-p.Cols))
		}
		fmt.Fprintln(t.w, strings.TrimRight(line.String(), " "))
	}
}

// pair writes two rows of a panel as one line of characters.
func (t *terminal) pair(line *strings.Builder, p *Panel, top int) {
	if top >= p.Rows {
		line.WriteString(strings.Repeat(" ", p.Cols))
		return
	}
	for col := range p.Cols {
		upper, lower := *p.At(top, col), Cell{}
		if top+1 < p.Rows {
			lower = *p.At(top+1, col)
		}
		if t.color {
			line.WriteString(colored(upper, lower))
		} else {
			line.WriteRune(plain(upper.attended(), lower.attended()))
		}
	}
	if t.color {
		line.WriteString("\x1b[0m")
	}
}

func plain(upper, lower bool) rune {
	switch {
	case upper && lower:
		return '█'
	case upper:
		return '▀'
	case lower:
		return '▄'
	}
	return ' '
}

// colored is one character: the upper half in the foreground's colour, the lower
// in the background's.
func colored(upper, lower Cell) string {
	u, l := upper.ansi(), lower.ansi()
	switch {
	case u < 0 && l < 0:
		return "\x1b[0m "
	case u < 0:
		return fmt.Sprintf("\x1b[0;38;5;%dm▄", l)
	case l < 0:
		return fmt.Sprintf("\x1b[0;38;5;%dm▀", u)
	}
	return fmt.Sprintf("\x1b[38;5;%d;48;5;%dm▀", u, l)
}

// shades are the union's colours from few heads to all of them.
var shades = [Full + 1]int{236, 242, 243, 244, 246, 247, 248, 250, 251}

// ansi is a cell's colour number, -1 for none.
func (c Cell) ansi() int {
	switch c.Class {
	case Shared:
		return shades[min(c.Level, Full)]
	case Owned:
		return owners[c.Owner].ansi
	}
	return looks[c.Class].ansi
}

// legend names the colours.
func (t *terminal) legend(f *Figure, width int) {
	used := 0
	for _, class := range f.legend() {
		name, sample := looks[class].name, t.sample(class)
		size := utf8.RuneCountInString(name) + 5
		if used > 0 && used+size > width {
			fmt.Fprintln(t.w)
			used = 0
		}
		fmt.Fprintf(t.w, "%s %s  ", sample, name)
		used += size
	}
	fmt.Fprintln(t.w)
}

// sample shows a class's colour in two columns, of Owned and Shared two of them.
func (t *terminal) sample(class Class) string {
	left, right := Cell{Class: class, Level: Full}, Cell{Class: class, Level: Full}
	switch class {
	case Owned:
		right.Owner = 4
	case Shared:
		left.Level = 1
	}
	return t.style(fmt.Sprintf("38;5;%d", left.ansi()), "█") + t.style(fmt.Sprintf("38;5;%d", right.ansi()), "█")
}
