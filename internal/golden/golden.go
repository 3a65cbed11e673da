// Package golden keeps a test's expected outputs in txtar files: one file a
// case, its input and the output of each stage as sections.
//
// With S2C_UPDATE=1 the files are rewritten; CI runs the tests that way and
// demands that nothing changes.
package golden

import (
	"bytes"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// Update is whether goldens are rewritten instead of compared.
func Update() bool { return os.Getenv("S2C_UPDATE") == "1" }

// File is one case.
type File struct {
	path    string
	archive *txtar.Archive
	dirty   bool
}

// Open reads a case. A file that does not exist is empty, and fails its first
// comparison.
func Open(t testing.TB, path string) *File {
	t.Helper()
	data, err := os.ReadFile(path)
	switch {
	case os.IsNotExist(err):
		return &File{path: path, archive: &txtar.Archive{}}
	case err != nil:
		t.Fatal(err)
	}
	return &File{path: path, archive: txtar.Parse(data)}
}

// Section is the text of a section, and whether there is one.
func (f *File) Section(name string) (string, bool) {
	for _, s := range f.archive.Files {
		if s.Name == name {
			return string(s.Data), true
		}
	}
	return "", false
}

// Comment is the text before the first section.
func (f *File) Comment() string { return string(f.archive.Comment) }

// SetComment replaces it; it is not compared.
func (f *File) SetComment(text string) {
	if text != f.Comment() {
		f.archive.Comment, f.dirty = []byte(text), true
	}
}

// Check compares an output with its section, or writes it there.
func (f *File) Check(t testing.TB, name, got string) {
	t.Helper()
	want, ok := f.Section(name)
	switch {
	case ok && want == got:
	case Update():
		f.set(name, got)
	case !ok:
		t.Errorf("%s has no section %s; S2C_UPDATE=1 writes it", f.path, name)
	default:
		t.Errorf("%s, section %s is stale; S2C_UPDATE=1 rewrites it (-want +got):\n%s", f.path, name, Short(cmp.Diff(want, got)))
	}
}

// CheckOnly reports sections that no output belongs to any more, or drops them.
func (f *File) CheckOnly(t testing.TB, names ...string) {
	t.Helper()
	known := map[string]bool{}
	for _, n := range names {
		known[n] = true
	}
	var kept []txtar.File
	for _, s := range f.archive.Files {
		switch {
		case known[s.Name]:
			kept = append(kept, s)
		case Update():
			f.dirty = true
		default:
			t.Errorf("%s: nothing makes section %s any more; S2C_UPDATE=1 drops it", f.path, s.Name)
			kept = append(kept, s)
		}
	}
	f.archive.Files = kept
}

// Save writes the file where an update has changed it.
func (f *File) Save(t testing.TB) {
	t.Helper()
	if !f.dirty {
		return
	}
	f.dirty = false
	if err := os.WriteFile(f.path, txtar.Format(f.archive), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (f *File) set(name, text string) {
	f.dirty = true
	for n := range f.archive.Files {
		if f.archive.Files[n].Name == name {
			f.archive.Files[n].Data = []byte(text)
			return
		}
	}
	f.archive.Files = append(f.archive.Files, txtar.File{Name: name, Data: []byte(text)})
}

// Short is as much of a difference as a person reads.
func Short(diff string) string {
	if len(diff) <= maxDiff {
		return diff
	}
	cut := bytes.LastIndexByte([]byte(diff[:maxDiff]), '\n')
	return diff[:cut+1] + "… and more\n"
}

// maxDiff is how many bytes that is.
const maxDiff = 4 << 10
