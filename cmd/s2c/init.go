package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// initCmd writes a file to start from.
type initCmd struct {
	File  fileName `arg:"" optional:"" default:"pattern.s2" help:"The file to write; - is standard output (${default})."`
	Force bool     `short:"f" help:"Overwrite the file where it is there already."`
}

// starter is the file: small, commented, and right.
//
//go:embed starter.s2
var starter string

// Run writes it.
func (c *initCmd) Run(s *streams) error {
	text := func(w io.Writer) error {
		_, err := io.WriteString(w, starter)
		return err
	}
	if c.File == "-" {
		return text(s.out)
	}
	if err := c.create(s, text); err != nil {
		return err
	}
	_, err := fmt.Fprintf(s.err, "%s: written; s2c check, show, explain and run take it\n", c.File)
	return err
}

// create writes the file; without -f, only where there is none.
func (c *initCmd) create(s *streams, text func(io.Writer) error) error {
	if c.Force {
		return s.write(string(c.File), text)
	}
	file, err := os.OpenFile(string(c.File), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already; -f overwrites it, s2c init NAME writes another", c.File)
	}
	if err != nil {
		return err
	}
	if err := errors.Join(text(file), file.Close()); err != nil {
		return errors.Join(err, os.Remove(string(c.File)))
	}
	return nil
}
