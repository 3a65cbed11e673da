package tests

import (
	"fmt"
	"strings"

	"pgregory.net/rapid"

	"github.com/s2attention/s2c/internal/conformance"
)

// blockSizes are the block sizes of random models, with how many blocks a context
// has at most; the greater ones cost the emulator more.
var blockSizes = []struct{ tokens, blocks int }{{16, 13}, {32, 7}, {64, 4}, {16, 9}, {128, 3}}

// drawCase draws a model, a pattern for its heads, and a call.
func drawCase(t *rapid.T) conformance.Case {
	block := rapid.SampledFrom(blockSizes).Draw(t, "block")
	kv := rapid.IntRange(1, 2).Draw(t, "kv heads")
	heads := kv * rapid.SampledFrom([]int{1, 2, 3, 4}).Draw(t, "group")
	if heads > 4 {
		heads = kv
	}
	fields := fmt.Sprintf("heads %d  kv_heads %d  head_dim %d  block %d  dtype %s  %s  layers 1", heads, kv,
		rapid.SampledFrom([]int{8, 16, 64, 40, 32, 24, 56, 128}).Draw(t, "head dim"), block.tokens,
		rapid.SampledFrom([]string{"bf16", "f16"}).Draw(t, "dtype"),
		rapid.SampledFrom([]string{"causal", "bidirectional"}).Draw(t, "direction"))
	full := block.tokens * block.blocks
	kLen := full - rapid.IntRange(0, full-1).Draw(t, "k_len short of the limit by")
	return conformance.Case{
		Source: fmt.Sprintf("model drawn { %s }\nlayer * -> %s\n", fields, drawHeads(t, heads, full)),
		Batch:  rapid.IntRange(1, 2).Draw(t, "batch"),
		KLen:   kLen, QLen: kLen - rapid.IntRange(0, kLen-1).Draw(t, "first query"),
		Place: rapid.SampledFrom([]conformance.Placement{conformance.BHSD, conformance.BSHD, conformance.Padded}).Draw(t, "place"),
	}
}

// alikeInGroup makes a pattern that depends on the head depend on its KV head, so
// that a group's heads can be packed.
var alikeInGroup = strings.NewReplacer("-h)", "-g)", "* h)", "* g)")

// drawHeads draws one pattern for all heads, alike in each group or not, or one
// for each head.
func drawHeads(t *rapid.T, heads, limit int) string {
	switch rapid.SampledFrom([]string{"a group", "a head", "all"}).Draw(t, "a pattern for") {
	case "a group":
		return alikeInGroup.Replace(drawPattern(t, limit))
	case "all":
		return drawPattern(t, limit)
	}
	var rules []string
	for h := range heads {
		rules = append(rules, fmt.Sprintf("head %d: %s", h, drawPattern(t, limit)))
	}
	return strings.Join(rules, ", ")
}

// drawPattern draws a pattern without empty rows.
func drawPattern(t *rapid.T, limit int) string {
	base := rapid.SampledFrom([]string{"window(1)", "sink(1)", "window(2)"}).Draw(t, "base")
	return base + " | " + drawSet(t, limit, rapid.IntRange(0, 2).Draw(t, "depth"))
}

// drawSet draws a set of blocks; where a table of it needs a length, it is limit tokens.
func drawSet(t *rapid.T, limit, depth int) string {
	n := func(lo, hi int) int { return rapid.IntRange(lo, hi).Draw(t, "n") }
	if depth > 0 {
		form := rapid.SampledFrom([]string{"(%s | %s)", "(%s - %s)", "(%s & %s)", "(for rows { 1..3, 6..7: %s; else: %s })"}).Draw(t, "form")
		return fmt.Sprintf(form, drawSet(t, limit, depth-1), drawSet(t, limit, depth-1))
	}
	return rapid.SampledFrom([]func() string{
		func() string { return fmt.Sprintf("window(%d)", n(1, 4)) },
		func() string { return fmt.Sprintf("window(%d, %d)", n(1, 3), n(1, 3)) },
		func() string { return fmt.Sprintf("stride(%d, phase: %d)", n(2, 5), n(-3, 6)) },
		func() string { return fmt.Sprintf("stride(%d, phase: -h)", n(2, 5)) },
		func() string { return fmt.Sprintf("stride(%d, phase: %d - 2 * g)", n(2, 5), n(0, 6)) },
		func() string { return fmt.Sprintf("dilated(%d, phase: %d)", n(2, 4), n(0, 3)) },
		func() string { return fmt.Sprintf("sink(%d)", n(1, 3)) },
		func() string { return fmt.Sprintf("columns(%d, %d..%d)", n(0, 4), n(5, 6), n(7, 9)) },
		func() string { return fmt.Sprintf("rows(%d, %d..%d)", n(0, 4), n(5, 6), n(7, 9)) },
		func() string {
			return fmt.Sprintf("blocks { (%d..%d, %d), (%d, %d..%d) }", n(0, 3), n(4, 9), n(0, 6), n(3, 9), n(0, 2), n(3, 9))
		},
		func() string {
			return fmt.Sprintf("where((i * j + %d * h) mod %d == %d, max: %d)", n(0, 2), n(2, 4), n(0, 1), limit)
		},
		func() string { return "dense" },
	}).Draw(t, "set")()
}
