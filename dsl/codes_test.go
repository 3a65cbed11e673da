package dsl

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s2attention/s2c/diag"
)

// memory is a file system of a few texts.
func memory(files map[string]string) func(string) ([]byte, error) {
	return func(path string) ([]byte, error) {
		text, ok := files[filepath.ToSlash(path)]
		if !ok {
			return nil, &fs.PathError{Op: "open", Path: path, Err: errors.New("no such file or directory")}
		}
		return []byte(text), nil
	}
}

// loadText loads a single text called t.s2.
func loadText(text string, defines map[string]string) (*Program, diag.List) {
	return Load("t.s2", Options{ReadFile: memory(map[string]string{"t.s2": text}), Defines: defines})
}

func mustLoad(t testing.TB, text string, defines map[string]string) *Program {
	t.Helper()
	p, list := loadText(text, defines)
	if p == nil {
		t.Fatalf("%s\n%s", text, diag.Text(list, false))
	}
	return p
}

// TestCodes compiles each code's example and demands that code of it.
func TestCodes(t *testing.T) {
	for _, info := range diag.Table() {
		t.Run(string(info.Code), func(t *testing.T) {
			if info.Title == "" || info.Why == "" {
				t.Error("not documented")
			}
			files := map[string]string{"example.s2": info.Example}
			for name, text := range info.Files {
				files[name] = text
			}
			p, list := Load("example.s2", Options{ReadFile: memory(files), Defines: info.Defines})
			if info.Proof {
				if len(list) > 0 {
					t.Errorf("reading should succeed:\n%s", diag.Text(list, false))
				}
				return
			}
			has := func(d diag.Diagnostic) bool { return d.Code == info.Code }
			if !slices.ContainsFunc(list, has) {
				t.Fatalf("missing among:\n%s", diag.Text(list, false))
			}
			if info.Code != diag.TooMany && slices.ContainsFunc(list, func(d diag.Diagnostic) bool { return !has(d) }) {
				t.Errorf("other diagnostics too:\n%s", diag.Text(list, false))
			}
			if (p == nil) != list.HasErrors() {
				t.Errorf("program %v with %d diagnostics", p != nil, len(list))
			}
		})
	}
}

// TestErrorsDoc holds docs/errors.md to the table. S2C_UPDATE=1 rewrites it.
func TestErrorsDoc(t *testing.T) {
	compareFile(t, "../docs/errors.md", diag.Markdown())
}

// compareFile compares a generated file, or rewrites it with S2C_UPDATE=1.
func compareFile(t *testing.T, path, want string) {
	t.Helper()
	if os.Getenv("S2C_UPDATE") == "1" {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(fmt.Errorf("%w; S2C_UPDATE=1 writes it", err))
	}
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Errorf("%s is stale (S2C_UPDATE=1 rewrites it):\n%s", path, d)
	}
}
