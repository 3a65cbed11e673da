package main

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/s2attention/s2c/diag"
)

// codeForm is a diagnostic's code, where a command expects a file.
var codeForm = regexp.MustCompile(`^(?i:s2c)[0-9]{4}$`)

// codeFacts is what is known of a code.
type codeFacts struct {
	Code    diag.Code         `json:"code"`
	Title   string            `json:"title"`
	Meaning string            `json:"meaning"`
	Example string            `json:"example"`           // a file that gives it, or what such a file is
	Files   map[string]string `json:"files,omitempty"`   // that the example imports
	Defines map[string]string `json:"defines,omitempty"` // of the example
}

// explainCode says what a diagnostic's code means, by the table that docs/errors.md
// is made from.
func explainCode(s *streams, name string, asJSON bool) error {
	info, ok := diag.Lookup(diag.Code(strings.ToUpper(name)))
	if !ok {
		return usagef("there is no code %s; docs/errors.md lists all of them", name)
	}
	f := codeFacts{info.Code, info.Title, info.Why, info.Example, info.Files, info.Defines}
	if info.Described != "" {
		f.Example = info.Described
	}
	if asJSON {
		return s.json(f)
	}
	r := newReport(s)
	r.title("%s: %s", f.Code, f.Title)
	r.print("\n%s\n", info.Why)
	if info.Described != "" {
		r.print("\nExample: %s.\n", info.Described)
		return r.end()
	}
	r.section("Example")
	r.print("%s", indented(f.Example))
	for _, name := range slices.Sorted(maps.Keys(f.Files)) {
		r.print("\nwith %s:\n\n%s", name, indented(f.Files[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(f.Defines)) {
		r.print("\nwith -D %s=%s\n", name, f.Defines[name])
	}
	return r.end()
}

// indented sets a text off by two spaces.
func indented(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		out.WriteString("  " + line)
	}
	return out.String()
}
