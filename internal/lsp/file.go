package lsp

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	protocol "github.com/tliron/glsp/protocol_3_16"

	"github.com/s2attention/s2c/diag"
	"github.com/s2attention/s2c/dsl"
)

// file is one state of a text, which never changes; what is derived from it is
// made when it is first asked for.
type file struct {
	uri     string
	path    string
	version int32
	src     *diag.Source
	lines   func() *lines
	outline func() *dsl.Outline
}

func newFile(uri, path string, version int32, text string) *file {
	f := &file{uri: uri, path: path, version: version, src: diag.NewSource(filepath.ToSlash(path), text)}
	f.lines = sync.OnceValue(func() *lines { return newLines(text) })
	f.outline = sync.OnceValue(func() *dsl.Outline { return dsl.NewOutline(f.src) })
	return f
}

func (f *file) rangeOf(s diag.Span) protocol.Range {
	return f.lines().rangeOf(max(s.Start, 0), max(s.End, 0))
}

func (f *file) location(s diag.Span) protocol.Location {
	return protocol.Location{URI: f.uri, Range: f.rangeOf(s)}
}

// library reports whether a file is meant to be imported: it has parameters or
// patterns and nothing that only a whole program has.
func (f *file) library() bool {
	n := 0
	for _, d := range f.outline().Declarations {
		switch d.Keyword {
		case "param", "pattern":
			n++
		case "import":
		default:
			return false
		}
	}
	return n > 0
}

// files is every text that is known: those that are open, and what they import.
type files struct {
	mu   sync.Mutex
	open map[string]*file // by URI
	disk map[string]diskFile
}

// diskFile is a file as it was when it was last read.
type diskFile struct {
	file     *file
	modified time.Time
	size     int64
}

// maxDisk bounds how many files on disk are remembered.
const maxDisk = 256

func newFiles() *files { return &files{open: map[string]*file{}, disk: map[string]diskFile{}} }

func (s *files) put(f *file) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[f.uri] = f
}

func (s *files) drop(uri string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, uri)
}

// get is an open text, nil for none.
func (s *files) get(uri string) *file {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open[uri]
}

// all is every open text.
func (s *files) all() []*file {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*file, 0, len(s.open))
	for _, f := range s.open {
		out = append(out, f)
	}
	return out
}

// at is the text of a path: what is open, else what is on disk.
func (s *files) at(path string) (*file, error) {
	clean := filepath.Clean(path)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.open {
		if f.path == path || filepath.Clean(f.path) == clean {
			return f, nil
		}
	}
	return s.read(clean)
}

// read takes a regular file from disk, and never more than the language allows.
func (s *files) read(path string) (*file, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	if d, ok := s.disk[path]; ok && d.modified.Equal(info.ModTime()) && d.size == info.Size() {
		return d.file, nil
	}
	r, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, dsl.MaxFileSize+1))
	if err != nil {
		return nil, err
	}
	if len(s.disk) >= maxDisk {
		clear(s.disk)
	}
	f := newFile(uriOf(path), path, 0, string(text))
	s.disk[path] = diskFile{f, info.ModTime(), info.Size()}
	return f, nil
}

// maxReached is how many files one text may import, as the language has it.
const maxReached = 64

// reached is a file and what it imports, itself first.
func (s *files) reached(f *file) []*file {
	out, seen := []*file{f}, map[string]bool{filepath.Clean(f.path): true}
	for n := 0; n < len(out) && len(out) < maxReached; n++ {
		for _, path := range imports(out[n]) {
			if seen[filepath.Clean(path)] || len(seen) > maxReached {
				continue
			}
			seen[filepath.Clean(path)] = true
			if g, err := s.at(path); err == nil {
				out = append(out, g)
			}
		}
	}
	return out
}

// imports is the paths that a file names.
func imports(f *file) []string {
	var out []string
	o := f.outline()
	for _, w := range o.Words {
		if w.Role == dsl.RoleText && o.Declarations[w.Decl].Keyword == "import" {
			out = append(out, importPath(f, w))
		}
	}
	return out
}

// importPath is where the file is that a word names.
func importPath(f *file, w dsl.Word) string {
	path := filepath.FromSlash(strings.Trim(w.Span.Text(), `"`))
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(f.path), path)
}

// family is every file that shares names with one: what it imports, and the
// open texts that import it with all that they import.
func (s *files) family(f *file) []*file {
	out := s.reached(f)
	seen := map[*file]bool{}
	for _, g := range out {
		seen[g] = true
	}
	for _, root := range s.all() {
		reach := s.reached(root)
		if !contains(reach, f) {
			continue
		}
		for _, g := range reach {
			if !seen[g] {
				seen[g] = true
				out = append(out, g)
			}
		}
	}
	return out
}

func contains(list []*file, f *file) bool {
	for _, g := range list {
		if g == f {
			return true
		}
	}
	return false
}
