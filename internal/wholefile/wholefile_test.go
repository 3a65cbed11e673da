package wholefile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// text is a writer of a text.
func text(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

func wantText(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s holds %q, %v; want %q", path, got, err, want)
	}
}

func wantAlone(t *testing.T, folder string, files int) {
	t.Helper()
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != files {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
}

func TestWriteFails(t *testing.T) {
	broken := errors.New("broken")
	half := func(w io.Writer) error {
		return errors.Join(text("half")(w), broken)
	}
	folder := t.TempDir()
	path := filepath.Join(folder, "old")
	if err := Write(path, text("old")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]error{"old": broken, "new": broken, "missing/new": fs.ErrNotExist} {
		if err := Write(filepath.Join(folder, name), half); !errors.Is(err, want) {
			t.Errorf("%s: the error is %v", name, err)
		}
	}
	wantText(t, path, "old")
	wantAlone(t, folder, 1)
}

// A file's mode stays, a new one's is what the process gives to new files.
func TestMode(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("SKIPPED: files have no such modes on Windows")
	}
	folder := t.TempDir()
	plain, ours, old := filepath.Join(folder, "plain"), filepath.Join(folder, "ours"), filepath.Join(folder, "old")
	for path, mode := range map[string]fs.FileMode{plain: 0o666, old: 0o600} {
		if err := os.WriteFile(path, []byte("old"), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(old, 0o751); err != nil {
		t.Fatal(err)
	}
	mode := func(path string) fs.FileMode {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode()
	}
	for path, want := range map[string]fs.FileMode{ours: mode(plain), old: 0o751} {
		if err := Write(path, text("new")); err != nil {
			t.Fatal(err)
		}
		wantText(t, path, "new")
		if got := mode(path); got != want {
			t.Errorf("%s has mode %v, want %v", path, got, want)
		}
	}
}

// Links stay links, and what they lead to is written, whether it exists or not.
func TestLinks(t *testing.T) {
	folder := t.TempDir()
	at := func(name string) string { return filepath.Join(folder, name) }
	if err := os.Mkdir(at("in"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"chain": "link", "link": filepath.Join("in", "file"), "whole": at("absolute"), "self": "self"} {
		if err := os.Symlink(to, at(name)); err != nil {
			t.Skipf("SKIPPED: no links here: %v", err)
		}
	}
	for _, c := range []struct{ link, file string }{{"chain", "in/file"}, {"link", "in/file"}, {"whole", "absolute"}} {
		if err := Write(at(c.link), text(c.link)); err != nil {
			t.Fatal(err)
		}
		wantText(t, at(c.file), c.link)
		if info, err := os.Lstat(at(c.link)); err != nil || info.Mode()&fs.ModeSymlink == 0 {
			t.Errorf("%s is no link any more: %v, %v", c.link, info, err)
		}
	}
	wantAlone(t, at("in"), 1)
	if err := Write(at("self"), text("x")); err == nil {
		t.Error("a link to itself was written")
	}
}

// A program that ends on a signal leaves the old file, and nothing beside it.
func TestAbandon(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "file")
	if err := Write(path, text("old")); err != nil {
		t.Fatal(err)
	}
	err := Write(path, func(io.Writer) error {
		wantAlone(t, folder, 2)
		Abandon()
		wantAlone(t, folder, 1)
		return errors.New("ended")
	})
	if err == nil {
		t.Error("no error")
	}
	wantText(t, path, "old")
}
