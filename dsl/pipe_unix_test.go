//go:build unix

package dsl

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/s2attention/s2c/diag"
)

// TestImportOfPipe demands that a pipe that nobody writes to is refused.
func TestImportOfPipe(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.s2"), 0o600); err != nil {
		t.Skip("SKIPPED, a pipe as an import is not tried: no named pipes here: ", err)
	}
	main := filepath.Join(dir, "main.s2")
	if err := os.WriteFile(main, []byte("import \"pipe.s2\"\n"+testModel+"layer * -> dense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, list := Load(main, Options{}); len(list) != 1 || list[0].Code != diag.CannotRead {
		t.Error(diag.Text(list, false))
	}
}
