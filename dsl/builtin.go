package dsl

import (
	"fmt"
	"slices"
	"strings"
)

// kind is the static type of an expression.
type kind int

const (
	kindBad kind = iota // reported already; agrees with every other kind
	kindInt
	kindBool
	kindReal
	kindList
	kindSet
	kindSide // back, ahead or both, as an argument of dilated
)

func (k kind) String() string {
	return [...]string{"nothing", "an integer", "a condition", "a real number", "a list", "a set of blocks", "a side"}[k]
}

// builtin is a function of the language.
type builtin struct {
	name     string
	result   kind
	params   []parameter
	variadic bool // any number of positional arguments like params[0]
	ranges   bool // arguments may be ranges a..b
	ij       bool // params[0] may use i and j
	usage    string
	doc      string
}

// has reports whether a parameter is called so.
func (b *builtin) has(name string) bool {
	return slices.ContainsFunc(b.params, func(p parameter) bool { return p.name == name })
}

// named lists the parameters by name.
func (b *builtin) named() string {
	var names []string
	for _, p := range b.params {
		names = append(names, p.name)
	}
	if len(names) == 1 {
		return fmt.Sprintf("the parameter of `%s` is %s", b.name, names[0])
	}
	return fmt.Sprintf("the parameters of `%s` are %s", b.name, strings.Join(names, ", "))
}

type parameter struct {
	name     string
	kind     kind
	optional bool
}

// builtins is the language's library; the reference in docs/language.md is
// generated from it.
var builtins = indexBuiltins([]*builtin{
	{name: "window", result: kindSet, usage: "window(n), window(left, right)",
		params: []parameter{{"left", kindInt, false}, {"right", kindInt, true}},
		doc: "The nearest blocks. `window(n)` is i − j < n in a causal model and |i − j| < n in a bidirectional one; " +
			"`window(l, r)` is i − j < l and j − i < r. The block itself counts, so `window(1)` is the diagonal."},
	{name: "stride", result: kindSet, usage: "stride(v, phase: p)",
		params: []parameter{{"step", kindInt, false}, {"phase", kindInt, true}},
		doc:    "Vertical stripes: j ≡ p (mod v). The phase is any integer, 0 where left out; mod is Euclidean."},
	{name: "dilated", result: kindSet, usage: "dilated(v, phase: p, side: back | ahead | both)",
		params: []parameter{{"step", kindInt, false}, {"phase", kindInt, true}, {"side", kindSide, true}},
		doc: "Stripes relative to the query block: d ≡ p (mod v) where d ≥ 0 is i − j (`back`), j − i (`ahead`), " +
			"or |i − j| (`both`). Without `side`: `back` in a causal model, `both` in a bidirectional one."},
	{name: "sink", result: kindSet, usage: "sink(n)",
		params: []parameter{{"n", kindInt, false}},
		doc:    "The first n key blocks: j < n."},
	{name: "columns", result: kindSet, usage: "columns(a, b..c, d..)", variadic: true, ranges: true,
		params: []parameter{{"column", kindInt, false}},
		doc:    "The key blocks listed, ends included; `d..` has no end."},
	{name: "rows", result: kindSet, usage: "rows(a, b..c, d..)", variadic: true, ranges: true,
		params: []parameter{{"row", kindInt, false}},
		doc:    "Every key block, for the query blocks listed."},
	{name: "global", result: kindSet, usage: "global(a, b..c)", variadic: true, ranges: true,
		params: []parameter{{"block", kindInt, false}},
		doc:    "Blocks that see all and that all see: columns(…) | rows(…)."},
	{name: "where", result: kindSet, usage: "where(condition, max: tokens)", ij: true,
		params: []parameter{{"condition", kindBool, false}, {"max", kindInt, false}},
		doc: "The pairs (i, j) for which the condition holds; it may use i, j and whatever else is in scope. This is the escape hatch: it " +
			"becomes a table, and inputs longer than `max` tokens are refused. Prefer anything else that says the same."},
	{name: "dense", result: kindSet, usage: "dense", doc: "Every key block."},
	{name: "empty", result: kindSet, usage: "empty", doc: "No key block."},
	{name: "min", result: kindInt, usage: "min(a, b, …)", variadic: true,
		params: []parameter{{"value", kindInt, false}}, doc: "The least of its arguments."},
	{name: "max", result: kindInt, usage: "max(a, b, …)", variadic: true,
		params: []parameter{{"value", kindInt, false}}, doc: "The greatest of its arguments."},
	{name: "abs", result: kindInt, usage: "abs(a)",
		params: []parameter{{"value", kindInt, false}}, doc: "The absolute value."},
	{name: "len", result: kindInt, usage: "len(list)",
		params: []parameter{{"list", kindList, false}}, doc: "How many elements a list has."},
	{name: "sqrt", result: kindReal, usage: "sqrt(x)",
		params: []parameter{{"x", kindReal, false}}, doc: "The square root; only in the model's `scale` and in the bounds of `require`."},
})

func indexBuiltins(list []*builtin) map[string]*builtin {
	m := make(map[string]*builtin, len(list))
	for _, b := range list {
		m[b.name] = b
	}
	return m
}

// constantSet reports whether a builtin is used without parentheses.
func (b *builtin) constantSet() bool { return len(b.params) == 0 }

// sides are what dilated counts.
var sides = map[string]string{"back": "i − j", "ahead": "j − i", "both": "|i − j|"}

// fieldInfo describes a field of the model.
type fieldInfo struct {
	name     string
	kind     kind   // kindInt, kindReal; kindBad for those read specially
	readable bool   // an integer that expressions may use by name
	usage    string // what it holds
	normal   string // what holds where it is left out
}

// modelFields is in the order of the documentation.
var modelFields = []fieldInfo{
	{"heads", kindInt, true, fmt.Sprintf("query heads, 1 to %d", maxHeads), "required"},
	{"kv_heads", kindInt, true, "KV heads; divides heads. 1 is multi-query, fewer than heads is grouped-query attention", "heads"},
	{"head_dim", kindInt, true, "elements of a head, a multiple of 8 up to 256", "required"},
	{"block", kindInt, true, "tokens of a block: 16, 32, 64 or 128", "64"},
	{"layers", kindInt, true, fmt.Sprintf("layers, counted from 0, at most %d", maxLayers), "as many as the rules name"},
	{"dtype", kindBad, false, "bf16 or f16", "bf16"},
	{"causal", kindBad, false, "flag: query block i sees key blocks j ≤ i, and in the diagonal block the tokens up to its own", "one of the two flags is required"},
	{"bidirectional", kindBad, false, "flag: every query sees every key that the pattern names", "one of the two flags is required"},
	{"scale", kindReal, false, "softmax scale: a positive real expression such as 1/128 or 1/sqrt(head_dim)", "1/sqrt(head_dim)"},
	{"active_heads", kindBad, false, "a..b: this device's slice of the query heads; patterns keep the full numbering", "0..heads-1"},
}

// derivedNames are integers that follow from the model.
var derivedNames = map[string]string{"group": "query heads for each KV head: heads / kv_heads"}

func fieldByName(name string) *fieldInfo {
	for i := range modelFields {
		if modelFields[i].name == name {
			return &modelFields[i]
		}
	}
	return nil
}

// headNames are the names that stand for the head a rule applies to.
var headNames = map[string]string{
	"h": "the query head", "g": "its KV head, h / (heads / kv_heads)", "kv": "the same as g",
}
