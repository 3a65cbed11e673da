package tests

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/internal/golden"
	"github.com/s2attention/s2c/internal/normal"
)

// TestNormalForm compares the normal form of every golden's PTX with
// golden/normal/NAME.TARGET.gz: what a rewrite of the emitters must leave as it is.
// A kernel that is meant to change is recorded anew, by S2C_UPDATE=1, after a look
// at the difference.
func TestNormalForm(t *testing.T) {
	known := map[string]bool{}
	for _, g := range goldenCases() {
		for _, on := range compiler.Targets {
			if !g.cases.For(on) {
				continue
			}
			path := filepath.Join("golden", "normal", g.name+"."+on.String()+".gz")
			known[path] = true
			t.Run(g.name+"/"+on.String(), func(t *testing.T) {
				t.Parallel()
				checkNormal(t, path, normal.Form(load(t, &g.cases, on, true).compiled.Plan.PTX))
			})
		}
	}
	files, err := filepath.Glob("golden/normal/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !known[f] {
			t.Errorf("%s belongs to no case", f)
		}
	}
}

func checkNormal(t *testing.T, path, got string) {
	want, err := unpack(path)
	switch {
	case err == nil && want == got:
	case golden.Update():
		if err := os.WriteFile(path, pack(t, got), 0o644); err != nil {
			t.Fatal(err)
		}
	case err != nil:
		t.Fatalf("%v; S2C_UPDATE=1 writes it", err)
	default:
		t.Errorf("%s is another kernel (-want +got):\n%s", path, golden.Short(cmp.Diff(want, got)))
	}
}

func unpack(path string) (string, error) {
	packed, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(r)
	return string(text), err
}

// pack is the same for the same text, whenever and wherever it is made.
func pack(t *testing.T, text string) []byte {
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}
