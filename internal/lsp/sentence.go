package lsp

import (
	"fmt"
	"math"
	"strings"

	"github.com/s2attention/s2c/dsl"
)

// maxParts is how many parts of a set are put into words.
const maxParts = 12

// sentence is a set in words. i stands for the query block, j for the key block.
func sentence(s dsl.Set, causal bool) string {
	w := speaker{causal: causal, left: maxParts}
	return w.set(s)
}

type speaker struct {
	causal bool
	left   int
}

func (w *speaker) set(s dsl.Set) string {
	if w.left--; w.left < 0 {
		return "…"
	}
	switch s := s.(type) {
	case dsl.Band:
		return w.band(s)
	case dsl.Stride:
		return fmt.Sprintf("%s key block (j ≡ %d mod %d)", everyNth(s.Step), s.Phase, s.Step)
	case dsl.Dilated:
		return fmt.Sprintf("%s key block counted from the query block (i − j ≡ %d mod %d)", everyNth(s.Step), s.Phase, s.Step)
	case dsl.Columns:
		if s.Lo <= 0 && s.Hi != dsl.Inf {
			return count(s.Hi+1, "the first key block", "the first %d key blocks")
		}
		return span("key block", s.Lo, s.Hi)
	case dsl.Rows:
		return "every key block, for " + span("query block", s.Lo, s.Hi)
	case dsl.Blocks:
		return count(int64(len(s.List)), "a rectangle of blocks", "%d rectangles of blocks")
	case dsl.Where:
		return fmt.Sprintf("the pairs for which a condition holds, up to %d blocks", s.Limit)
	case dsl.Empty:
		return "no key block"
	case dsl.Union:
		return w.joined(s)
	case dsl.Intersection:
		return w.set(s.A) + ", of these only " + w.set(s.B)
	case dsl.Difference:
		return w.set(s.A) + ", without " + w.set(s.B)
	}
	return "a set of blocks"
}

// joined lists the parts of a union, which may be deep on the left.
func (w *speaker) joined(u dsl.Union) string {
	parts := []dsl.Set{u.B}
	a := u.A
	for {
		deeper, ok := a.(dsl.Union)
		if !ok {
			break
		}
		parts, a = append(parts, deeper.B), deeper.A
	}
	text := w.set(a)
	for n := len(parts) - 1; n >= 0 && w.left >= 0; n-- {
		text += "; and " + w.set(parts[n])
	}
	return text
}

func (w *speaker) band(b dsl.Band) string {
	lo, hi := b.LoDiff, b.HiDiff
	if w.causal && lo <= 0 {
		lo = 0
	}
	switch {
	case b.HiDiff == dsl.Inf && (lo <= 0 && w.causal || b.LoDiff == -dsl.Inf):
		return "every key block"
	case lo == 0 && hi != dsl.Inf && w.causal:
		return count(hi+1, "the query block itself", "the %d nearest key blocks, the query block among them")
	case lo == 0 && hi == 0:
		return "the query block itself"
	}
	return fmt.Sprintf("the key blocks from %s to %s", relative(hi), relative(lo))
}

// relative is the block at a distance i − j.
func relative(d int64) string {
	switch {
	case d == dsl.Inf:
		return "the first"
	case d == -dsl.Inf || d == math.MinInt64:
		return "the last"
	case d == 0:
		return "i"
	case d < 0:
		return fmt.Sprintf("i + %d", -d)
	}
	return fmt.Sprintf("i − %d", d)
}

func span(what string, lo, hi int64) string {
	switch {
	case hi == dsl.Inf:
		return fmt.Sprintf("the %ss from %d on", what, lo)
	case lo == hi:
		return fmt.Sprintf("%s %d", what, lo)
	}
	return fmt.Sprintf("the %ss %d to %d", what, lo, hi)
}

func everyNth(n int64) string {
	switch {
	case n == 1:
		return "every"
	case n == 2:
		return "every second"
	case n == 3:
		return "every third"
	}
	suffix := "th"
	if n%100 < 11 || n%100 > 13 {
		suffix = [...]string{"th", "st", "nd", "rd", "th", "th", "th", "th", "th", "th"}[n%10]
	}
	return fmt.Sprintf("every %d%s", n, suffix)
}

func count(n int64, one, many string) string {
	if n == 1 {
		return one
	}
	return fmt.Sprintf(many, n)
}

// capital begins a sentence.
func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
