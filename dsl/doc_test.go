package dsl

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/s2attention/s2c/diag"
)

const languageDoc = "../docs/language.md"

func readDoc(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(languageDoc)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestLanguageDoc holds the generated sections of docs/language.md to the
// compiler. S2C_UPDATE=1 rewrites them.
func TestLanguageDoc(t *testing.T) {
	text := readDoc(t)
	for name, section := range Reference() {
		open, end := "<!-- "+name+" -->", "<!-- /"+name+" -->"
		a, b := strings.Index(text, open), strings.Index(text, end)
		if a < 0 || b < a {
			t.Fatalf("no section %q", name)
		}
		text = text[:a+len(open)] + "\n" + section + text[b:]
	}
	compareFile(t, languageDoc, text)
}

// fenced finds the code blocks of one kind.
func fenced(text, kind string) []string {
	var out []string
	for _, m := range regexp.MustCompile("(?s)```"+kind+"\n(.*?)```").FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	return out
}

// TestExamplesInDoc compiles every example of docs/language.md.
func TestExamplesInDoc(t *testing.T) {
	text := readDoc(t)
	whole, parts := fenced(text, "s2"), fenced(text, "s2-part")
	if len(whole) < 6 || len(parts) < 5 {
		t.Fatalf("%d files and %d parts", len(whole), len(parts))
	}
	for _, p := range parts {
		whole = append(whole, "model m { heads 4  head_dim 64  causal  layers 2 }\n"+p)
	}
	for _, file := range whole {
		if _, list := loadText(file, nil); len(list) > 0 {
			t.Errorf("%s\n%s", file, diag.Text(list, false))
		}
		checkFormat(t, file)
	}
}
