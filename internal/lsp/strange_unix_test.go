//go:build unix

package lsp

import (
	"path/filepath"
	"syscall"
	"testing"
)

// TestStrangeImports names what must not be read.
func TestStrangeImports(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.s2"), 0o666); err != nil {
		t.Skip("SKIPPED, no pipes here: ", err)
	}
	e := newEditor(t)
	root := uriOf(filepath.Join(dir, "root.s2"))
	e.open(root, "import \"pipe.s2\"\nimport \"\"\nimport \"/dev/zero\"\nimport \"..\"\nimport \"root.s2\"\nimport \"gone.s2\"\n"+model+"layer * -> dense\n")
	if list := e.diagnostics(root, 1); len(list) != 6 {
		t.Errorf("%v", list)
	}
	e.open("untitled:Untitled-1", model+"layer * -> window(x)\n")
	wantSame(t, []string{"[1,18,1,19] error S2C0201"}, codes(e.diagnostics("untitled:Untitled-1", 1)))
}
