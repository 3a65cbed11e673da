package diag

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Markdown is the reference of all codes, docs/errors.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString("# Errors and warnings\n\n" +
		"<!-- Generated from diag/table.go by `go generate ./dsl`; do not edit. -->\n\n" +
		"Every diagnostic has a code that never changes its meaning. It is printed as\n" +
		"`file:line:col: error[S2C0201]: message`, with the source line, a caret and often a hint; with `--json` as an\n" +
		"object with `file`, `line`, `col`, `end_line`, `end_col`, `severity`, `code`, `message` and `hint`.\n" +
		"All errors of a file are reported in one run. Each example below is compiled by a test.\n")
	for _, i := range table {
		fmt.Fprintf(&b, "\n## %s: %s\n\n%s\n", i.Code, i.Title, i.Why)
		switch {
		case i.Described != "":
			fmt.Fprintf(&b, "\nExample: %s.\n", i.Described)
		case i.Example != "":
			fmt.Fprintf(&b, "\n```\n%s```\n", i.Example)
		}
		for _, name := range slices.Sorted(maps.Keys(i.Files)) {
			fmt.Fprintf(&b, "\nwith %s:\n\n```\n%s```\n", name, i.Files[name])
		}
		for _, name := range slices.Sorted(maps.Keys(i.Defines)) {
			fmt.Fprintf(&b, "\nwith `-D %s=%s`.\n", name, i.Defines[name])
		}
	}
	return b.String()
}
