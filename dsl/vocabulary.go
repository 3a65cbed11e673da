package dsl

import (
	"cmp"
	"maps"
	"slices"

	"github.com/s2attention/s2c/dtype"
)

// Entry documents a word of the language, from the table that also makes its
// section of docs/language.md.
type Entry struct {
	Name   string
	Group  Group
	Usage  string // how it is written
	Doc    string
	Params []string // of a function
	Needed []string // those of them that cannot be left out
}

// Group is what kind of word an [Entry] is.
type Group int

const (
	Keyword      Group = iota
	SetFunction        // window, dense, …
	MathFunction       // min, len, …
	ModelField         // heads, …
	DerivedName        // group
	HeadName           // h, g, kv
	BlockName          // i, j, inside of where
	Side               // back, ahead, both
	ElementType        // bf16, f16
	RequiredProperty
)

// blockNames are known inside of where.
var blockNames = map[string]string{"i": "the query block", "j": "the key block"}

// Vocabulary is every word of the language, in a fixed order.
func Vocabulary() []Entry {
	var out []Entry
	for _, k := range keywordList {
		out = append(out, Entry{Name: k.name, Usage: k.usage, Doc: k.doc})
	}
	for _, name := range functionOrder {
		f := builtins[name]
		e := Entry{Name: name, Group: MathFunction, Usage: f.usage, Doc: f.doc}
		if f.result == kindSet {
			e.Group = SetFunction
		}
		for _, p := range f.params {
			e.Params = append(e.Params, p.name)
			if !p.optional {
				e.Needed = append(e.Needed, p.name)
			}
		}
		out = append(out, e)
	}
	for _, f := range modelFields {
		e := Entry{Name: f.name, Group: ModelField, Usage: f.name + " …", Doc: f.usage + "; without it: " + f.normal}
		if keywords[f.name] { // a flag
			e.Usage = f.name
		}
		out = append(out, e)
	}
	out = append(out, described(DerivedName, derivedNames)...)
	out = append(out, described(HeadName, headNames)...)
	out = append(out, described(BlockName, blockNames)...)
	out = append(out, described(Side, sides)...)
	out = append(out,
		Entry{Name: string(dtype.BF16), Group: ElementType, Usage: "dtype bf16", Doc: "8 exponent bits, 7 fraction bits"},
		Entry{Name: string(dtype.F16), Group: ElementType, Usage: "dtype f16", Doc: "IEEE 754 binary16: 5 exponent bits, 10 fraction bits"})
	for _, p := range properties {
		usage := string(p.name)
		if p.compared {
			usage += " < x at n"
		}
		out = append(out, Entry{Name: string(p.name), Group: RequiredProperty, Usage: usage, Doc: p.doc})
	}
	return out
}

// Readable reports whether a field of the model is a number that expressions may
// use by name.
func Readable(field string) bool {
	f := fieldByName(field)
	return f != nil && f.readable
}

func described(g Group, docs map[string]string) []Entry {
	var out []Entry
	for _, name := range slices.SortedFunc(maps.Keys(docs), cmp.Compare) {
		out = append(out, Entry{Name: name, Group: g, Usage: name, Doc: docs[name]})
	}
	return out
}
