package probe

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
)

// Compare says how an output differs from a recorded one, "" where it does not.
func (p *Probe) Compare(got, want []byte) string {
	if len(got) != len(want) {
		return fmt.Sprintf("%d bytes of output, want %d", len(got), len(want))
	}
	var lines []string
	n := 0
	for i := 0; i+4 <= len(got); i += 4 {
		g, w := binary.LittleEndian.Uint32(got[i:]), binary.LittleEndian.Uint32(want[i:])
		if g == w || p.ULP > 0 && near(g, w, p.ULP) || p.Abs > 0 && close(g, w, p.Abs) {
			continue
		}
		if n++; n <= 8 {
			lines = append(lines, fmt.Sprintf("word %d is %#08x (%v), want %#08x (%v)", i/4, g, math.Float32frombits(g), w, math.Float32frombits(w)))
		}
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d words differ:\n\t%s", n, len(got)/4, strings.Join(lines, "\n\t"))
}

// near is whether two fp32 numbers are at most so many units apart; any two NaNs are.
func near(a, b uint32, ulp int) bool {
	x, y := math.Float32frombits(a), math.Float32frombits(b)
	if x != x || y != y {
		return x != x && y != y
	}
	d := ordinal(a) - ordinal(b)
	return d >= -int64(ulp) && d <= int64(ulp)
}

// close is whether two numbers below 1 are at most so far apart.
func close(a, b uint32, far float64) bool {
	x, y := float64(math.Float32frombits(a)), float64(math.Float32frombits(b))
	return math.Abs(x) < 1 && math.Abs(y) < 1 && math.Abs(x-y) <= far
}

// ordinal numbers the floats in order, both zeros the same.
func ordinal(b uint32) int64 {
	if b>>31 != 0 {
		return -int64(b & 0x7fffffff)
	}
	return int64(b)
}
