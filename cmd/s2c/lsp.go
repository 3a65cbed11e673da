package main

import (
	"io"
	"os"

	"github.com/s2attention/s2c/internal/lsp"
)

// lspCmd serves an editor.
type lspCmd struct {
	Stdio bool `help:"Speak over standard input and output. It is the only way there is; some editors ask for it."`
}

// Help says where editors are told of it.
func (*lspCmd) Help() string { return "docs/editor.md says how to set up an editor." }

// Run answers until the editor says exit.
func (*lspCmd) Run(s *streams) error {
	version, _ := buildVersion()
	return lsp.Serve(os.Stdin, unclosed{s.out}, version)
}

// unclosed is a writer that whoever opened it will close.
type unclosed struct{ io.Writer }

func (unclosed) Close() error { return nil }
