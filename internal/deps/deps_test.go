package deps

import (
	"bytes"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/s2attention/s2c/"

// root is the name of the root package, relative to the module.
const root = "."

// A rule keeps packages from others, through any number of imports. Names are
// relative to the module; "ir/..." is ir and all below it.
type rule struct {
	packages string
	except   []string // packages that the rule leaves alone
	never    []string
	but      []string // of never, what is allowed
	reason   string
}

var rules = []rule{
	{packages: "target", never: all, reason: "everything asks it"},
	{packages: "dtype", never: all, reason: "everything asks it"},
	{packages: "runtime/...", never: []string{"dsl/...", "ir/...", "compiler/...", "codegen/...", "internal/reference/..."},
		but: []string{"codegen/ptx/inst"}, reason: "a program that launches kernels needs no compiler"},
	{packages: "runtime/...", except: []string{"runtime/emu"}, never: []string{"codegen/..."},
		reason: "only the emulator reads the instruction table"},
	{packages: "runtime", never: []string{"runtime/cuda", "runtime/emu", "runtime/gorgonia"},
		reason: "devices register themselves"},
	{packages: "dsl/...", except: []string{"dsl/lower"}, never: []string{"ir/...", "codegen/...", "compiler/...", "runtime/..."},
		reason: "the language stands alone; lowering joins it to the IR"},
	{packages: "ir/...", never: []string{"dsl/...", "codegen/...", "compiler/...", "runtime/..."},
		reason: "the closed form knows neither its source nor its use"},
	{packages: "codegen/...", except: []string{"internal/ptxtest"}, never: []string{"dsl/...", "compiler/...", "runtime/..."},
		reason: "kernels come from the IR alone"},
	{packages: "internal/ptxtest", never: []string{"dsl/...", "ir/...", "compiler/..."},
		reason: "a small kernel in the emulator takes a builder and a device"},
	{packages: "...", never: []string{"internal/ptxtest"}, reason: "it is for tests, which the rules leave alone"},
	{packages: "internal/reference/...", never: []string{"ir/...", "dsl/lower", "codegen/...", "compiler/...", "runtime/..."},
		reason: "the reference must not share what it checks"},
	{packages: "launch", never: []string{"dsl/...", "ir/...", "codegen/...", "compiler/...", "runtime/...", "internal/..."},
		reason: "compiler and runtime agree through its tables"},
	{packages: "internal/lsp", never: []string{"runtime/cuda", "runtime/emu", "runtime/gorgonia", "internal/...", "cmd/...", root}, but: []string{"internal/wholefile"},
		reason: "an editor asks the language and its closed form, and runs nothing"},
	{packages: "...", except: []string{"cmd/s2c"}, never: []string{"internal/lsp"},
		reason: "only the command serves editors"},
	{packages: "diag", never: all, reason: "everything that reads files reports with it"},
	{packages: "...", except: []string{root, "cmd/...", "examples/..."}, never: []string{root},
		reason: "the root package is for programs; what it is made of does not know it"},
	{packages: "limit", never: all, reason: "everything asks it"},
	{packages: "internal/wholefile", never: all, reason: "everything that writes files asks it"},
	{packages: root, never: []string{"internal/...", "cmd/...", "examples/...", "runtime/gorgonia"}, but: []string{"internal/wholefile"},
		reason: "what an embedder sees is made of public packages"},
	{packages: "examples/embed", never: []string{"dsl/...", "ir/...", "compiler/...", "internal/..."}, but: []string{"internal/wholefile"},
		reason: "it shows that runtime and its tables are enough"},
}

// all is every package that has code.
var all = []string{"dsl/...", "ir/...", "codegen/...", "compiler/...", "runtime/...", "internal/...", "target", "dtype", "launch", "diag", root, "cmd/...", "examples/..."}

// matches is whether a package, relative to the module, is what the pattern says.
func matches(pattern, pkg string) bool {
	if pattern == "..." {
		return true
	}
	base, below := strings.CutSuffix(pattern, "/...")
	return pkg == base || below && strings.HasPrefix(pkg, base+"/")
}

func anyMatches(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, pkg) })
}

func (r *rule) breaks(pkg, dep string) bool {
	return matches(r.packages, pkg) && !anyMatches(r.except, pkg) && anyMatches(r.never, dep) && !anyMatches(r.but, dep)
}

// dependencies lists the module's packages with all module packages that each
// needs, for every build tag at once.
func dependencies(t *testing.T) map[string][]string {
	t.Helper()
	gobin, err := exec.LookPath("go")
	if err != nil {
		if os.Getenv("S2C_REQUIRE_TOOLS") == "1" {
			t.Fatal("S2C_REQUIRE_TOOLS=1, but there is no go command")
		}
		t.Skip("SKIPPED, dependencies are not checked: no go command")
	}
	// -e: a package that does not build at the moment still has imports.
	cmd := exec.Command(gobin, "list", "-e", "-tags", "gorgonia", "-f", `{{.ImportPath}} {{join .Deps " "}}`, module+"...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	deps := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		var in []string
		for _, f := range fields[1:] {
			if rel, ok := relative(f); ok {
				in = append(in, rel)
			}
		}
		pkg, _ := relative(fields[0])
		deps[pkg] = in
	}
	return deps
}

// relative is the name of a package of the module within it.
func relative(path string) (string, bool) {
	if path+"/" == module {
		return root, true
	}
	return strings.CutPrefix(path, module)
}

func TestDependencies(t *testing.T) {
	deps := dependencies(t)
	for _, pkg := range []string{root, "runtime", "runtime/cuda", "ir", "dsl"} {
		if _, ok := deps[pkg]; !ok {
			t.Errorf("go list does not know %s: is the test looking at the right place?", pkg)
		}
	}
	for pkg, in := range deps {
		for _, dep := range in {
			for i := range rules {
				if r := &rules[i]; r.breaks(pkg, dep) {
					t.Errorf("%s depends on %s: %s", pkg, dep, r.reason)
				}
			}
		}
	}
}

func TestRulesBreak(t *testing.T) {
	for _, c := range []struct {
		pkg, dep string
		want     bool
	}{
		{"runtime", "ir", true}, {"runtime/cuda", "dsl", true}, {"runtime/emu", "codegen/ptx/inst", false},
		{"runtime/emu", "codegen/ptx", true}, {"runtime/cuda", "codegen/ptx/inst", true}, {"runtime", "runtime/cuda", true},
		{"runtime/emu", "runtime", false}, {"codegen/ptx/sm80", "dsl", true}, {"codegen/ptx/sm80", "ir/layout", false},
		{"internal/reference", "ir", true}, {"internal/reference", "dsl", false}, {"dsl", "ir", true},
		{"dsl/lower", "ir", false}, {"dsl/foo", "ir/layout", true}, {"launch", "runtime", true}, {"runtime", "launch", false}, {"irrelevant", "dsl", false}, {"cmd/s2c", "ir", false},
		{root, "compiler", false}, {root, "internal/show", true}, {"runtime", root, true}, {"cmd/s2c", root, false}, {"diag", "dtype", true},
		{"target", "dtype", true}, {"launch", "dtype", false},
		{"internal/ptxtest", "runtime/emu", false}, {"internal/ptxtest", "ir", true}, {"codegen/ptx/kernel", "internal/ptxtest", true},
		{"internal/lsp", "runtime/emu", true}, {"internal/lsp", "compiler", false}, {"compiler", "internal/lsp", true}, {"cmd/s2c", "internal/lsp", false},
	} {
		got := slices.ContainsFunc(rules, func(r rule) bool { return r.breaks(c.pkg, c.dep) })
		if got != c.want {
			t.Errorf("%s → %s: forbidden is %v, want %v", c.pkg, c.dep, got, c.want)
		}
	}
}
