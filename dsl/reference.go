package dsl

import (
	"fmt"
	"strings"

	"github.com/s2attention/s2c/limit"
)

//go:generate env S2C_UPDATE=1 go test -run Doc$ .

// Reference is the sections of docs/language.md that are made from the
// compiler's own tables and parser, by the name of their marker.
func Reference() map[string]string {
	return map[string]string{
		"grammar":           "```ebnf\n" + grammar() + "\n```\n",
		"keywords":          keywordTable(),
		"fields":            fieldTable(),
		"set functions":     functionTable(kindSet),
		"integer functions": functionTable(kindInt),
		"properties":        propertyTable(),
		"limits":            limitTable(),
	}
}

// grammar is the parser's own description of itself.
func grammar() string {
	return strings.NewReplacer("Operands", "Expr", "RangeOf", "Range", "RuleDecl", "Rule", "CallArgs", "Arguments",
		"BlockItems", "Blocks", "RowSwitch", "Rows").Replace(fileParser.String())
}

func keywordTable() string {
	var b strings.Builder
	b.WriteString("| keyword | use |\n| --- | --- |\n")
	for _, k := range keywordList {
		fmt.Fprintf(&b, "| `%s` | `%s`: %s |\n", k.name, cell(k.usage), cell(k.doc))
	}
	return b.String()
}

func fieldTable() string {
	var b strings.Builder
	b.WriteString("| field | holds | without it |\n| --- | --- | --- |\n")
	for _, f := range modelFields {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.name, cell(f.usage), cell(f.normal))
	}
	return b.String()
}

// functionOrder is the order of the documentation.
var functionOrder = []string{
	"window", "stride", "dilated", "sink", "columns", "rows", "global", "dense", "empty", "where",
	"min", "max", "abs", "len", "sqrt",
}

func functionTable(result kind) string {
	var b strings.Builder
	b.WriteString("| | |\n| --- | --- |\n")
	for _, name := range functionOrder {
		f := builtins[name]
		if f.result == result || f.result == kindReal && result == kindInt {
			fmt.Fprintf(&b, "| `%s` | %s |\n", cell(f.usage), cell(f.doc))
		}
	}
	return b.String()
}

func limitTable() string {
	var b strings.Builder
	b.WriteString("| limit on | most | beyond |\n| --- | --- | --- |\n")
	for _, r := range limit.Table {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", cell(r.What), r.Most, cell(r.Beyond))
	}
	return b.String()
}

func propertyTable() string {
	var b strings.Builder
	b.WriteString("| property | holds if, or is |\n| --- | --- |\n")
	for _, p := range properties {
		name := "`" + string(p.name) + "`"
		if p.compared {
			name = "`" + string(p.name) + " < x at n`"
		}
		fmt.Fprintf(&b, "| %s | %s |\n", name, cell(p.doc))
	}
	return b.String()
}

// cell keeps a bar from ending a cell of a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
