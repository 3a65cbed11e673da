package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/dsl"
)

// TestWriteFails wants a failed writer to leave the old file as it was, and
// nothing beside it.
func TestWriteFails(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "out.txt")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	s := &streams{out: io.Discard, err: io.Discard}
	err := s.write(path, func(w io.Writer) error {
		if _, err := io.WriteString(w, "half"); err != nil {
			return err
		}
		return broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("the error is %v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "old" {
		t.Errorf("the file holds %q, %v", text, err)
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
}

// TestMaskProgress wants both formats to say how far they are: upwards, to the
// end, and in steps.
func TestMaskProgress(t *testing.T) {
	read := func(string) ([]byte, error) {
		return []byte("model m { heads 2  head_dim 64  block 16  causal  layers 1 }\nlayer * -> window(2) | stride(4, phase: -h)\n"), nil
	}
	unit, list := compiler.Load("m.s2", dsl.Options{ReadFile: read})
	if unit == nil {
		t.Fatal(list)
	}
	head := unit.Module.Layers[0].Heads[1]
	for name, write := range map[string]func(*bufio.Writer, func(done, total int)) error{
		"csr": func(w *bufio.Writer, advance func(done, total int)) error { return writeCSR(w, head, 50, advance) },
		"dense": func(w *bufio.Writer, advance func(done, total int)) error {
			return writeDense(w, head, 50, advance)
		},
	} {
		last, end, steps := 0, 0, 0
		err := write(bufio.NewWriter(&bytes.Buffer{}), func(done, total int) {
			if done < last || done > total {
				t.Errorf("%s: %d of %d after %d", name, done, total, last)
			}
			last, end = done, total
			steps++
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if last != end || steps < 50 {
			t.Errorf("%s: the last word is %d of %d, in %d steps", name, last, end, steps)
		}
		if err := write(bufio.NewWriterSize(full{}, 16), func(int, int) {}); err == nil {
			t.Errorf("%s: a full disk is not reported", name)
		}
	}
}

// full is a disk without space.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }
