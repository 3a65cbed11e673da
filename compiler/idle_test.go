package compiler_test

import (
	"testing"

	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/examples"
)

// No example has a part that does nothing, nor anything else to warn of.
func TestExamplesWithoutWarnings(t *testing.T) {
	files, err := examples.Files.ReadDir(".")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		if _, list := compiler.Load(f.Name(), dsl.Options{ReadFile: examples.Files.ReadFile}); len(list) > 0 {
			t.Errorf("%s: %v", f.Name(), list)
		}
	}
}
