package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/s2attention/s2c/diag"
	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/internal/wholefile"
)

// fmtCmd formats files.
type fmtCmd struct {
	Files []fileName `arg:"" name:"file" help:"The .s2 files; - is standard input."`
	Write bool       `short:"w" help:"Write the result back to the file."`
	Diff  bool       `short:"d" help:"Print the differences instead of the result."`
	Check bool       `help:"Print the names of files that are not formatted, and fail if there are any."`
}

// Run formats every file; by default the result goes to standard output.
func (c *fmtCmd) Run(s *streams) error {
	if c.Check && c.Write {
		return usagef("--check and --write exclude each other")
	}
	if c.Write && slices.Contains(c.Files, "-") {
		return usagef("standard input, -, cannot be written back; without --write the result goes to standard output")
	}
	if err := onceStdin(c.Files); err != nil {
		return err
	}
	failed := false
	for _, file := range c.Files {
		path, before, err := s.readSource(file, os.ReadFile)
		if err != nil {
			return err
		}
		after, list := dsl.Format(path, before)
		if list.HasErrors() {
			if err := diag.Render(s.err, list, s.errColor); err != nil {
				return err
			}
			failed = true
			continue
		}
		changed := !bytes.Equal(before, after)
		failed = failed || c.Check && changed
		if err := c.emit(s, path, before, after, changed); err != nil {
			return err
		}
	}
	if failed {
		return errFailed
	}
	return nil
}

// emit does with one file's result what the flags say.
func (c *fmtCmd) emit(s *streams, path string, before, after []byte, changed bool) error {
	if c.Diff && changed {
		if _, err := s.out.Write(diff.Diff(path, before, path+" (formatted)", after)); err != nil {
			return err
		}
	}
	switch {
	case c.Check && changed && !c.Diff:
		_, err := fmt.Fprintln(s.out, path)
		return err
	case c.Write && changed:
		return whole(func() error {
			return wholefile.Write(path, func(w io.Writer) error {
				_, err := w.Write(after)
				return err
			})
		})
	case c.Check || c.Write || c.Diff:
		return nil
	}
	_, err := s.out.Write(after)
	return err
}
