package diag

import (
	"os"
	"regexp"
	"testing"
)

// allCodes reads the constants out of codes.go, so that none is forgotten.
func allCodes(t *testing.T) []Code {
	t.Helper()
	text, err := os.ReadFile("codes.go")
	if err != nil {
		t.Fatal(err)
	}
	var out []Code
	for _, m := range regexp.MustCompile(`Code\s*= "(S2C\d{4})"`).FindAllStringSubmatch(string(text), -1) {
		out = append(out, Code(m[1]))
	}
	if len(out) < 40 {
		t.Fatalf("%d codes", len(out))
	}
	return out
}
