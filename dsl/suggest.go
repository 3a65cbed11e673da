package dsl

import (
	"maps"
	"slices"
	"strings"

	"github.com/s2attention/s2c/diag"
)

// suggest is the closest of the known names, the first of several in their order, or "".
func suggest(name string, known []string) string {
	best, least := "", 1+len(name)/3
	for _, k := range known {
		if d := distance(name, k, least); d < least || d == least && (best == "" || k < best) {
			best, least = k, d
		}
	}
	return best
}

// distance is Levenshtein's, or something above most.
func distance(a, b string, most int) int {
	const longest = 64
	if len(a)-len(b) > most || len(b)-len(a) > most || len(a) > longest {
		return most + 1
	}
	var space [2 * longest]int
	row := space[:len(b)+1] // len(b) ≤ len(a) + most ≤ 64 + 22
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

func withSuggestion(d diag.Diagnostic, name string, known []string) diag.Diagnostic {
	if s := suggest(name, known); s != "" {
		return d.WithHint("did you mean `%s`?", s).WithFix(d.Span, s)
	}
	if len(known) > 0 && len(known) <= 12 {
		return d.WithHint("there is %s", strings.Join(slices.Sorted(slices.Values(known)), ", "))
	}
	return d
}

// synonyms are names that others give to the sets of this language.
var synonyms = map[string]string{
	"local": "window", "sliding": "window", "sliding_window": "window", "local_window": "window", "local_attention": "window",
	"swa": "window", "band": "window", "banded": "window", "diagonal": "window", "neighbours": "window", "neighbors": "window",
	"full": "dense", "full_attention": "dense", "everything": "dense", "causal_dense": "dense",
	"strided": "stride", "stripes": "stride", "vertical": "stride", "vertical_stride": "stride", "vert_stride": "stride", "stride_v": "stride",
	"dilate": "dilated", "dilation": "dilated", "atrous": "dilated", "relative_stride": "dilated",
	"sinks": "sink", "attention_sink": "sink", "attention_sinks": "sink", "sink_tokens": "sink", "prefix": "sink", "first": "sink",
	"globals": "global", "global_tokens": "global", "global_blocks": "global", "global_attention": "global",
	"column": "columns", "cols": "columns", "keys": "columns", "row": "rows", "queries": "rows",
	"none": "empty", "nothing": "empty", "custom": "where", "mask": "where", "predicate": "where",
}

// suggestSet adds what an unknown name of a pattern may stand for: a pattern of
// the file that is spelt much like it, else what the language calls it, else
// the closest of all names.
func (c *checker) suggestSet(d diag.Diagnostic, name string) diag.Diagnostic {
	if c.bag.Full() {
		return d
	}
	own := slices.Collect(maps.Keys(c.patterns))
	b := builtins[synonyms[strings.ToLower(name)]]
	switch {
	case suggest(name, own) != "" || b == nil:
		return withSuggestion(d, name, slices.AppendSeq(own, maps.Keys(builtins)))
	case b.constantSet():
		return d.WithHint("did you mean `%s`?", b.name).WithFix(d.Span, b.name)
	}
	return d.WithHint("did you mean `%s`, as in %s?", b.name, b.usage).WithFix(d.Span, b.name)
}

// missingColon reports an argument such as `phase -h`, which reads as a
// difference, where `phase` is a parameter and nothing else is called so.
func (s *scope) missingColon(a *argExpr, parameters []string) bool {
	e, ok := a.value.lo.(*binaryExpr)
	if !ok || a.name != "" || a.value.ranged {
		return false
	}
	for {
		x, deeper := e.x.(*binaryExpr)
		if !deeper {
			break
		}
		e = x
	}
	n, ok := e.x.(*nameExpr)
	if !ok || e.op != "-" && e.op != "+" || !slices.Contains(parameters, n.id) || s.knows(n.id) || headNames[n.id] != "" {
		return false
	}
	value := a.value.span
	value.Start = n.span.End
	s.c.bag.Add(diag.New(diag.UndefinedName, n.span, "`%s` is not defined", n.id).
		WithHint("a colon sets it apart as the argument's name: %s: %s", n.id, clip(strings.TrimSpace(value.Text()))).
		WithFix(n.span, n.id+":"))
	return true
}
