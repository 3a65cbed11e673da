package golden

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// recorder takes a test's errors instead of failing.
type recorder struct {
	testing.TB
	errors []string
}

func (r *recorder) Helper() {}
func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "case.txtar")
	check := func(outputs ...string) []string {
		r := &recorder{TB: t}
		f := Open(r, path)
		var names []string
		for n := 0; n < len(outputs); n += 2 {
			f.Check(r, outputs[n], outputs[n+1])
			names = append(names, outputs[n])
		}
		f.CheckOnly(r, names...)
		f.Save(r)
		return r.errors
	}
	expect := func(what string, got []string, want ...string) {
		t.Helper()
		if len(got) != len(want) {
			t.Fatalf("%s: %q, want %d errors", what, got, len(want))
		}
		for n, w := range want {
			if !strings.Contains(got[n], w) {
				t.Errorf("%s: %q, want %q", what, got[n], w)
			}
		}
	}
	t.Setenv("S2C_UPDATE", "")
	expect("no file", check("a", "one\n"), "has no section a")
	if _, err := os.Stat(path); err == nil {
		t.Fatal("a comparison wrote the file")
	}
	t.Setenv("S2C_UPDATE", "1")
	expect("update", check("a", "one\n", "b", "two\n"))
	t.Setenv("S2C_UPDATE", "")
	expect("fresh", check("a", "one\n", "b", "two\n"))
	expect("stale", check("a", "one\n", "b", "three\n"), "section b is stale")
	expect("left over", check("a", "one\n"), "nothing makes section b")
	t.Setenv("S2C_UPDATE", "1")
	expect("drop", check("a", "one\n"))
	t.Setenv("S2C_UPDATE", "")
	expect("dropped", check("a", "one\n"))
}

func TestShort(t *testing.T) {
	long := strings.Repeat("a line\n", 10000)
	if got := Short(long); len(got) > maxDiff+20 || !strings.HasSuffix(got, "line\n… and more\n") {
		t.Errorf("%d bytes, ending in %q", len(got), got[len(got)-30:])
	}
}
