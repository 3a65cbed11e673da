package main

import (
	"fmt"
	"slices"

	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/diag"
)

// checkCmd reports everything that is wrong with a file.
type checkCmd struct {
	Files  []fileName `arg:"" name:"file" help:"The .s2 files; - is standard input."`
	Define defineMap  `short:"D" placeholder:"NAME=VALUE" mapsep:"none" help:"Set a parameter or a model field, as in -D stride=16. Repeatable."`
	Strict bool       `help:"Take warnings for errors."`
	JSON   bool       `help:"Print the diagnostics as JSON."`
}

// Run checks every file, the good ones too, before it fails.
func (c *checkCmd) Run(s *streams) error {
	if err := onceStdin(c.Files); err != nil {
		return err
	}
	var all diag.List
	for _, file := range c.Files {
		path, opt := s.options(file, c.Define)
		unit, list := compiler.Load(path, opt)
		if c.Strict {
			list = strict(list)
		}
		all = append(all, list...)
		if unit != nil && !list.HasErrors() && !c.JSON {
			p := unit.Program
			fmt.Fprintf(s.out, "%s %s: %s, %s, %s\n", s.style(styleGood, "ok"), path, p.Model.Name, p.Model,
				plural(len(p.Requires), "require clause holds", "require clauses hold"))
		}
	}
	if c.JSON {
		if err := s.json(struct {
			OK          bool      `json:"ok"`
			Diagnostics diag.List `json:"diagnostics"`
		}{!all.HasErrors(), all}); err != nil {
			return err
		}
	} else if err := diag.Render(s.err, all, s.errColor); err != nil {
		return err
	}
	if all.HasErrors() {
		return errFailed
	}
	return nil
}

// strict makes warnings errors.
func strict(list diag.List) diag.List {
	list = slices.Clone(list)
	for n := range list {
		list[n].Severity = diag.Error
	}
	return list
}

// plural is a number with its noun.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(n) + " " + many
}

// load reads a file for a command that goes on with it: warnings are shown,
// errors end the command.
func (c *source) load(s *streams) (*compiler.Unit, error) {
	path, opt := s.options(c.File, c.Define)
	return shown(s)(compiler.Load(path, opt))
}

// shown takes a loader's answer, shows its warnings and turns its errors into
// one error.
func shown(s *streams) func(*compiler.Unit, diag.List) (*compiler.Unit, error) {
	return func(unit *compiler.Unit, list diag.List) (*compiler.Unit, error) {
		errors, warnings := list.Split()
		if unit == nil || len(errors) > 0 {
			return nil, list
		}
		return unit, diag.Render(s.err, warnings, s.errColor)
	}
}
