// Package ptxas runs NVIDIA's PTX assembler in tests and reads its report.
//
// The assembler is a tool of the tests, never of s2c: script/ptxas installs
// the pinned one into .venv, and .ci/run demands it with S2C_REQUIRE_TOOLS=1.
package ptxas

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Find is the path of ptxas: $S2C_PTXAS, else the repository's .venv, else PATH.
// Without one the test is skipped, or fails where S2C_REQUIRE_TOOLS=1.
func Find(t testing.TB) string {
	t.Helper()
	path, err := find(os.Getenv, exec.LookPath, ".")
	switch {
	case err == nil:
		return path
	case os.Getenv("S2C_REQUIRE_TOOLS") == "1":
		t.Fatalf("S2C_REQUIRE_TOOLS=1, but %v", err)
	default:
		t.Skipf("SKIPPED, kernels are not assembled: %v", err)
	}
	return ""
}

func find(getenv func(string) string, lookPath func(string) (string, error), dir string) (string, error) {
	if p := getenv("S2C_PTXAS"); p != "" {
		if !executable(p) {
			// A wrong path must not fall through to another version.
			return "", fmt.Errorf("S2C_PTXAS=%s is no executable file", p)
		}
		return filepath.Abs(p)
	}
	if root, ok := moduleRoot(dir); ok {
		if p := filepath.Join(root, ".venv", "bin", "ptxas"); executable(p) {
			return p, nil
		}
	}
	if p, err := lookPath("ptxas"); err == nil {
		return filepath.Abs(p)
	}
	return "", errors.New("no ptxas: run script/ptxas, or set S2C_PTXAS to its path")
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}

// moduleRoot is the nearest directory above dir with a go.mod.
func moduleRoot(dir string) (string, bool) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", false
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, true
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", false
		}
		dir = up
	}
}

// Assemble compiles PTX text for arch ("sm_80") at -O3 and returns the report.
// Text that ptxas refuses fails the test, with the lines it complains about.
func Assemble(t testing.TB, ptx, arch string) Report {
	t.Helper()
	report, err := Run(Find(t), ptx, arch, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// Run compiles PTX text for arch in dir, where it leaves kernel.ptx and kernel.cubin.
func Run(path, ptx, arch, dir string) (Report, error) {
	src := filepath.Join(dir, "kernel.ptx")
	if err := os.WriteFile(src, []byte(ptx), 0o644); err != nil {
		return Report{}, err
	}
	cmd := exec.Command(path, "-v", "-O3", "-arch", arch, "-o", filepath.Join(dir, "kernel.cubin"), src)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	err := cmd.Run()
	text := strings.ReplaceAll(log.String(), src, "kernel.ptx")
	if err != nil {
		return Report{}, fmt.Errorf("ptxas -arch %s: %w\n%s", arch, err, annotate(text, ptx))
	}
	return Parse(text), nil
}

// annotate adds the PTX line to each message that names one.
func annotate(log, ptx string) string {
	lines := strings.Split(ptx, "\n")
	var b strings.Builder
	for line := range strings.Lines(log) {
		b.WriteString(line)
		var n int
		if _, at, ok := strings.Cut(line, ", line "); !ok {
			continue
		} else if _, err := fmt.Sscanf(at, "%d", &n); err != nil || n < 1 || n > len(lines) {
			continue
		}
		if !strings.HasSuffix(line, "\n") {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "\t%s\n", strings.TrimSpace(lines[n-1]))
	}
	return b.String()
}
