package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/mattn/go-isatty"
	"golang.org/x/term"
)

// newStreams looks at what the files are: colours and progress go to terminals
// only, and not where NO_COLOR is set (https://no-color.org).
func newStreams(out, err *os.File) *streams {
	s := &streams{in: os.Stdin, out: out, err: err}
	plain := os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb"
	s.outColor = isatty.IsTerminal(out.Fd()) && !plain
	s.errColor = isatty.IsTerminal(err.Fd()) && !plain
	s.outTerminal = isatty.IsTerminal(out.Fd())
	if s.outTerminal {
		if width, _, sizeErr := term.GetSize(int(out.Fd())); sizeErr == nil {
			s.width = width
		}
	}
	return s
}

// Styles of text, as ANSI attributes.
const (
	styleBold  = "1"
	styleFaint = "2"
	styleGood  = "32;1"
	styleError = "31;1"
)

func styled(on bool, style, text string) string {
	if !on {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

func (s *streams) style(style, text string) string    { return styled(s.outColor, style, text) }
func (s *streams) errStyle(style, text string) string { return styled(s.errColor, style, text) }

// json writes one value, indented.
func (s *streams) json(value any) error {
	encoder := json.NewEncoder(s.out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// number is a float64 that JSON can always hold: NaN and infinities are null.
type number float64

func (n number) MarshalJSON() ([]byte, error) {
	if f := float64(n); math.IsNaN(f) || math.IsInf(f, 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

// patience is how long work may go on without a word.
const patience = time.Second

// progress shows how far a piece of work is, on a terminal, once it takes longer
// than patience.
type progress struct {
	mu    sync.Mutex
	s     *streams
	what  string
	start time.Time
	shown time.Time // last; zero: not yet
	most  int       // done, as far as anybody said
}

// progress begins a piece of work.
func (s *streams) progress(what string) *progress {
	return &progress{s: s, what: what, start: time.Now()}
}

const (
	barWidth = 30
	barPause = 100 * time.Millisecond // between two states of a bar
	barClear = "\r\x1b[K"
)

// set says that done of total are done. Any goroutine may call it.
func (p *progress) set(done, total int) {
	if !p.s.errColor || total <= 0 || time.Since(p.start) < patience {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if done <= p.most || time.Since(p.shown) < barPause {
		return
	}
	p.most, p.shown = done, time.Now()
	part := min(1, float64(done)/float64(total))
	left := time.Since(p.start).Seconds() * (1/part - 1)
	full := strings.Repeat("█", int(barWidth*part))
	fmt.Fprintf(p.s.err, "%s%-12s %3.0f %% |%-*s| %s left", barClear, p.what, 100*part, barWidth, full, duration(1e3*left))
}

// end removes the bar.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.shown.IsZero() {
		fmt.Fprint(p.s.err, barClear)
	}
}

// duration writes milliseconds with three significant digits: 17.3 s.
func duration(ms float64) string {
	x, unit := ms*1e3, "µs"
	for _, next := range []struct {
		unit  string
		ratio float64
	}{{"ms", 1e3}, {"s", 1e3}, {"min", 60}, {"h", 60}} {
		if math.Abs(x) < next.ratio-next.ratio/2e3 { // what rounds to the ratio is one of the next
			break
		}
		x, unit = x/next.ratio, next.unit
	}
	decimals := 0
	for limit := 99.95; decimals < 2 && math.Abs(x) < limit; limit = 9.995 {
		decimals++
	}
	return strconv.FormatFloat(x, 'f', decimals, 64) + " " + unit
}

// grouped writes an integer with commas: 1,048,576.
func grouped[T int | int64](n T) string {
	digits := fmt.Sprint(n)
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return sign + digits
}

// scaled writes a large number with a decimal prefix: 348.2 M.
func scaled(x float64) string {
	prefixes := []string{"", " k", " M", " G", " T", " P", " E"}
	n := 0
	for math.Abs(x) >= 1000 && n < len(prefixes)-1 {
		x, n = x/1000, n+1
	}
	if n == 0 && x == math.Trunc(x) {
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.4g%s", x, prefixes[n])
}
