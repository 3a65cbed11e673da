// Command highlight writes the TextMate grammar of the VS Code extension from
// the language's own vocabulary, so that keywords and functions cannot drift.
package main

import (
	"log"
	"os"

	"github.com/s2attention/s2c/dsl"
)

//go:generate go run . ../../../editors/vscode/syntaxes/s2.tmLanguage.json

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: highlight FILE")
	}
	b, err := text(build(dsl.Vocabulary()))
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(os.Args[1], b, 0o644); err != nil {
		log.Fatal(err)
	}
}
