package dsl

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s2attention/s2c/diag"
)

// TestLineBreaksMeanNothing writes every example on one line, and with each word
// on a line of its own: what is read stays the same. The formatter gives each
// declaration its line back.
func TestLineBreaksMeanNothing(t *testing.T) {
	for _, path := range examples(t) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want := parsed(t, string(text))
		tokens, _ := scan(diag.NewSource(path, string(text)), &diag.Bag{})
		tokens = withoutComments(tokens)
		declared := len(pieces(tokens)) // the examples have a line for each
		var words []string
		for _, token := range tokens {
			words = append(words, token.Value)
		}
		for _, between := range []string{" ", "\n", "\n\n  "} {
			if d := cmp.Diff(want, parsed(t, strings.Join(words, between))); d != "" {
				t.Errorf("%s, words apart by %q: %s", path, between, d)
			}
		}
		formatted := mustFormat(t, strings.Join(words, " "))
		if d := cmp.Diff(want, parsed(t, formatted)); d != "" {
			t.Errorf("%s, formatted from one line: %s", path, d)
		}
		if lines := strings.Count(formatted, "\n"); declared < 2 || lines != declared {
			t.Errorf("%s: %d declarations on %d lines:\n%s", path, declared, lines, formatted)
		}
	}
}
