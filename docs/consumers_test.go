package docs

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// screens is the lines that two screens show.
const screens = 2 * 66

var quoted = regexp.MustCompile("`([ce]\\.[^`…]+)`")

// TestConsumers holds what architecture.md says of the forward consumers: they fit on
// two screens, name no register, and have the lines that stand beside the paper's.
func TestConsumers(t *testing.T) {
	text, err := os.ReadFile("architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "## The forward pass, line for line")
	section, _, _ = strings.Cut(section, "\n## ")
	for column, family := range map[int]string{3: "sm80", 4: "sm90a"} {
		path := filepath.Join(root, "codegen", "ptx", family, "consumer.go")
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(source), "\n"); n > screens {
			t.Errorf("%s has %d lines", path, n)
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, source, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range file.Imports {
			if strings.HasSuffix(i.Path.Value, `/codegen/ptx"`) {
				t.Errorf("%s imports the package of registers", path)
			}
		}
		n := 0
		for row := range strings.Lines(section) {
			cells := strings.Split(row, " | ")
			if !strings.HasPrefix(row, "|") || len(cells) < 4 {
				continue
			}
			for _, m := range quoted.FindAllStringSubmatch(cells[column-1], -1) {
				n++
				if !strings.Contains(string(source), m[1]) {
					t.Errorf("%s has no %s", path, m[1])
				}
			}
		}
		if n < 10 {
			t.Errorf("the table quotes %s %d times", path, n)
		}
	}
}
