package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestEditor drives `s2c lsp` with a client that is not of this project, from
// script/venv.
func TestEditor(t *testing.T) {
	python, err := filepath.Abs("../../.venv/bin/python")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(python, "-c", "import pygls.lsp.client").CombinedOutput(); err != nil {
		if os.Getenv("S2C_REQUIRE_TOOLS") == "1" {
			t.Fatalf("S2C_REQUIRE_TOOLS=1, but %v\n%s", err, out)
		}
		t.Skip("SKIPPED, the language server meets no client of another make: run script/venv")
	}
	client, err := filepath.Abs("testdata/editor/client.py")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/editor",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PYTHON", python)
			env.Setenv("CLIENT", client)
			return nil
		},
	})
}
