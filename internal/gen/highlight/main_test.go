package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"github.com/s2attention/s2c/diag"
	"github.com/s2attention/s2c/dsl"
)

const (
	root      = "../../.."
	extension = root + "/editors/vscode"
	file      = extension + "/syntaxes/s2.tmLanguage.json"
)

func TestFresh(t *testing.T) {
	want, err := text(build(dsl.Vocabulary()))
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("go generate ./internal/gen/highlight\n%s", d)
	}
}

// TestKeywords holds the table of scopes to the language.
func TestKeywords(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range dsl.Vocabulary() {
		if e.Group == dsl.Keyword {
			seen[e.Name] = true
			if keywordScopes[e.Name] == "" {
				t.Errorf("keyword %s has no scope", e.Name)
			}
		}
	}
	for name := range keywordScopes {
		if !seen[name] {
			t.Errorf("%s is no keyword", name)
		}
	}
}

// missing skips a test for want of a tool, or fails it where tools are required.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("S2C_REQUIRE_TOOLS") == "1" {
		t.Fatalf("S2C_REQUIRE_TOOLS=1, but %s", what)
	}
	t.Skipf("SKIPPED, %s", what)
}

func node(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("node")
	if err != nil {
		missing(t, "the editor's files are not tried: there is no Node.js")
	}
	return path
}

// token is what the engine makes of a piece of a line.
type token struct {
	Line, Start, End int
	Scopes           []string
}

// tokenise runs VS Code's engine.
func tokenise(t *testing.T, texts []string) [][]token {
	t.Helper()
	modules, err := filepath.Abs(root + "/.textmate/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(modules); err != nil {
		missing(t, "nothing is tokenised: run script/textmate")
	}
	in, err := json.Marshal(texts)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(node(t), "testdata/tokenise.js", modules, file)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	var tokens [][]token
	if err := json.Unmarshal(out, &tokens); err != nil {
		t.Fatal(err)
	}
	return tokens
}

// samples is every example and every file of the documentation.
func samples(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob(root + "/examples/*.s2")
	if err != nil || len(paths) < 10 {
		t.Fatal(paths, err)
	}
	var out []string
	for _, path := range append(paths, root+"/docs/language.md") {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(path, ".md") {
			out = append(out, string(b))
			continue
		}
		for _, m := range regexp.MustCompile("(?s)```s2(?:-part)?\n(.*?)```").FindAllStringSubmatch(string(b), -1) {
			out = append(out, m[1])
		}
	}
	return out
}

// roleScopes is what a word's scope begins with, by what the language makes of it.
var roleScopes = map[dsl.Role]string{
	dsl.RoleComment: "comment.", dsl.RoleNumber: "constant.numeric.", dsl.RoleText: "string.quoted.", dsl.RoleModel: "entity.name.type.",
	dsl.RoleType: typeScope, dsl.RoleProperty: propertyScope, dsl.RoleFunction: "support.", dsl.RoleSide: sideScope,
	dsl.RoleHead: specialScope, dsl.RoleBlock: specialScope, dsl.RoleArgument: "variable.parameter.",
}

// TestScopes tokenises all samples: every word has the scope of its role, and
// every sign has one.
func TestScopes(t *testing.T) {
	texts := append(samples(t),
		"layer * -> dilated(4, side: both) | stride(8, phase: /* é\U0001f600 */ -(h + 1)) - where(i mod 2 == 0 and not j > 3, max: 64K)\n"+
			"import \"x.s2\" param a = if true then 1e-3 else [1, 2][0] // rest\nrequire density < 0.2 at 32768,\n  coverage on every layer\nparam coverage = 1\n",
		// Half-typed, the rest keeps its colours.
		"model m { heads 4\n}\nlayer * -> window(\nrequire\nlayer 0 -> dense\n")
	words := 0
	for n, tokens := range tokenise(t, texts) {
		byPlace := map[[2]int][]string{}
		lines := strings.Split(texts[n], "\n")
		for _, k := range tokens {
			units := utf16.Encode([]rune(lines[k.Line]))
			for at := k.Start; at < min(k.End, len(units)); at++ {
				byPlace[[2]int{k.Line, at}] = k.Scopes
				if blank := strings.ContainsRune(" \t\r", rune(units[at])); !blank && len(k.Scopes) < 2 {
					t.Errorf("%q: %q has no scope", lines[k.Line], string(utf16.Decode(units[at:k.End])))
				}
			}
		}
		src := diag.NewSource("t.s2", texts[n])
		for _, w := range dsl.NewOutline(src).Words {
			want := roleScopes[w.Role]
			if w.Role == dsl.RoleKeyword {
				want = keywordScopes[w.Span.Text()]
				if w.Span.Text() == "rows" {
					want = "keyword."
				}
			}
			if w.Role == dsl.RoleField && w.Declares {
				want = fieldScope
			}
			if w.Role == dsl.RoleGlobal && w.Declares {
				want = "" // a pattern's name or a parameter's
			}
			p := w.Span.Pos()
			start := len(utf16.Encode([]rune(src.Text[w.Span.Start-columnBytes(src, w.Span.Start) : w.Span.Start])))
			scopes := byPlace[[2]int{p.Line - 1, start}]
			if !hasScope(scopes, want) {
				t.Errorf("%v: %q has scopes %v, want %s", p, w.Span.Text(), scopes, want)
			}
			words++
		}
	}
	if words < 1000 {
		t.Errorf("only %d words", words)
	}
}

// columnBytes is how many bytes of its line stand in front of an offset.
func columnBytes(src *diag.Source, offset int) int {
	return offset - (strings.LastIndexByte(src.Text[:offset], '\n') + 1)
}

func hasScope(scopes []string, want string) bool {
	for _, s := range scopes {
		if s != "source.s2" && strings.HasPrefix(s, want) {
			return true
		}
	}
	return false
}

// TestExtension activates the extension, and follows the files that it names.
func TestExtension(t *testing.T) {
	b, err := os.ReadFile(extension + "/package.json")
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct {
		Main        string
		Contributes struct {
			Languages []struct{ ID, Configuration string }
			Grammars  []struct{ Language, ScopeName, Path string }
		}
	}
	if err := json.Unmarshal(b, &manifest); err != nil {
		t.Fatal(err)
	}
	c := manifest.Contributes
	if len(c.Languages) != 1 || len(c.Grammars) != 1 || c.Languages[0].ID != "s2" || c.Grammars[0].Language != "s2" || c.Grammars[0].ScopeName != "source.s2" {
		t.Fatalf("%+v", c)
	}
	for _, name := range []string{c.Languages[0].Configuration, c.Grammars[0].Path} {
		b, err := os.ReadFile(filepath.Join(extension, name))
		if err != nil || !json.Valid(b) {
			t.Errorf("%s: %v", name, err)
		}
	}
	out, err := exec.Command(node(t), "testdata/activate.js", filepath.Join(extension, manifest.Main)).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := `{"watches":"**/*.s2","server":{"command":"/opt/s2c","args":["lsp"],"transport":0},"selector":[{"language":"s2"}],"started":true,"stopped":true}`
	if d := cmp.Diff(want, strings.TrimSpace(string(out))); d != "" {
		t.Error(d)
	}
}
