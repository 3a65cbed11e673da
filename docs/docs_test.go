package docs

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = ".."

// documents is every Markdown file of the project.
func documents(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, pattern := range []string{"*.md", "*/*.md", "*/*/*.md"} {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			texts[path] = string(text)
		}
	}
	if len(texts) < 7 {
		t.Fatalf("only %d documents: is the test looking at the right place?", len(texts))
	}
	return texts
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	fence   = regexp.MustCompile("(?ms)^```.*?^```")
)

// TestLinks follows every link that stays within the project.
func TestLinks(t *testing.T) {
	texts := documents(t)
	for path, text := range texts {
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			file, anchor, _ := strings.Cut(m[1], "#")
			to := path
			if file != "" {
				to = filepath.Join(filepath.Dir(path), file)
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: link %s: %v", path, m[1], err)
				continue
			}
			if anchor != "" && !anchors(texts[to])[anchor] {
				t.Errorf("%s: link %s: no such heading", path, m[1])
			}
		}
	}
}

// anchors are the headings of a document as links name them.
func anchors(text string) map[string]bool {
	drop := regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	found := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		name := drop.ReplaceAllString(strings.ToLower(m[1]), "")
		found[strings.ReplaceAll(name, " ", "-")] = true
	}
	return found
}

// TestPackages finds every package in docs/architecture.md, but for those below
// tests.
func TestPackages(t *testing.T) {
	gobin, err := exec.LookPath("go")
	if err != nil {
		if os.Getenv("S2C_REQUIRE_TOOLS") == "1" {
			t.Fatal("S2C_REQUIRE_TOOLS=1, but there is no go command")
		}
		t.Skip("SKIPPED, packages are not compared with docs/architecture.md: no go command")
	}
	const module = "github.com/s2attention/s2c"
	cmd := exec.Command(gobin, "list", "-e", "-tags", "gorgonia", module+"/...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	text, err := os.ReadFile("architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range strings.FieldsSeq(string(out)) {
		name := strings.TrimPrefix(strings.TrimPrefix(pkg, module), "/")
		if name == "" {
			name = module // the root package goes by its import path
		}
		if name == "docs" || strings.HasPrefix(name, "tests/") {
			continue
		}
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("architecture.md does not mention package %s", name)
		}
	}
}

// TestReadme finds every example and every command in the README.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	examples, err := filepath.Glob(filepath.Join(root, "examples", "*.s2"))
	if err != nil || len(examples) == 0 {
		t.Fatalf("examples: %v, %v", examples, err)
	}
	for _, path := range examples {
		name := "examples/" + filepath.Base(path)
		if !strings.Contains(string(readme), "]("+name+")") {
			t.Errorf("README.md does not link %s", name)
		}
	}
	source, err := os.ReadFile(filepath.Join(root, "cmd", "s2c", "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	commands := regexp.MustCompile("(?m)^\t([A-Z][a-z]+) +[a-z]+Cmd +`cmd:").FindAllStringSubmatch(string(source), -1)
	if len(commands) < 9 {
		t.Fatalf("found %d commands in cmd/s2c/main.go", len(commands))
	}
	for _, m := range commands {
		if name := strings.ToLower(m[1]); !strings.Contains(string(readme), "`s2c "+name) {
			t.Errorf("README.md does not mention s2c %s", name)
		}
	}
}
