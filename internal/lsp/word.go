package lsp

import (
	"fmt"
	"sync"

	"github.com/s2attention/s2c/dsl"
)

// words is the language's own words, by name. Of two with one name, such as the
// keyword and the flag `causal`, it is the first.
var words = sync.OnceValue(func() map[string]dsl.Entry {
	m := map[string]dsl.Entry{}
	for _, e := range dsl.Vocabulary() {
		if _, ok := m[e.Name]; !ok {
			m[e.Name] = e
		}
	}
	return m
})

// known reports whether a word is of the language.
func known(word string) bool {
	_, ok := words()[word]
	return ok
}

// document is what the language's documentation says of a word.
func document(e dsl.Entry) string {
	return fmt.Sprintf("```s2\n%s\n```\n%s", e.Usage, e.Doc)
}
