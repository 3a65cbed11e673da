package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/ir/pass"
	"github.com/s2attention/s2c/launch"
	"github.com/s2attention/s2c/runtime"
	"github.com/s2attention/s2c/target"
)

// compileCmd compiles a file.
type compileCmd struct {
	source
	layerFlag
	tuningFlag
	Arch   archList `default:"${arch}" placeholder:"A,…" help:"Targets: ${arches} (${default})."`
	Emit   string   `enum:"bundle,ptx,ir,layout" default:"bundle" help:"bundle: every layer and target in one file; ptx, ir, layout: text of one layer."`
	Output string   `short:"o" required:"" placeholder:"PATH" help:"Where to write; - is standard output. With ptx or layout and several targets, the target is put before the name's ending."`
	Dump   []string `placeholder:"after:PASS" help:"Print the state after a layout pass to standard error: ${passes}, or all. Repeatable."`
	Times  bool     `name:"time-passes" help:"Print what each layout pass took, over all layers and targets, to standard error."`
	JSON   bool     `help:"Say in JSON on standard output what was written, and with --time-passes what the passes took."`

	report compileReport
	times  passTimes
}

// compileReport is what a compilation wrote.
type compileReport struct {
	Model   string          `json:"model"`
	Files   []string        `json:"files"`
	Kernels []writtenKernel `json:"kernels"`
	Passes  passTimes       `json:"passes,omitempty"`
}

// writtenKernel is one layer on one target.
type writtenKernel struct {
	Entry  string        `json:"entry"`
	Target target.Target `json:"target"`
	Layers []int         `json:"layers"`
}

// note adds the kernels of a plan to the report.
func (r *compileReport) note(p *launch.Plan) {
	for i := range p.Kernels {
		r.Kernels = append(r.Kernels, writtenKernel{p.Kernels[i].Entry, p.Target, p.Layers})
	}
}

// passNames lists the layout passes.
func passNames() []string {
	var names []string
	for _, p := range pass.Pipeline {
		names = append(names, p.Name)
	}
	return names
}

// Run compiles.
func (c *compileCmd) Run(s *streams) error {
	slices.SortFunc(c.Arch, func(a, b arch) int { return target.Compare(a.Target, b.Target) })
	c.Arch = slices.Compact(c.Arch)
	if c.Output == "" {
		return usagef("-o names no file; - is standard output")
	}
	if c.Emit == "bundle" {
		if err := s.refuseBinary(c.Output, "a bundle"); err != nil {
			return err
		}
	}
	if c.Output == "-" && len(c.Arch) > 1 && (c.Emit == "ptx" || c.Emit == "layout") {
		return usagef("standard output takes the text of one target, not of %s", archNames(c.Arch))
	}
	if c.Output == "-" && c.JSON {
		return usagef("standard output takes the result of -o - or the report of --json, not both")
	}
	dump, err := c.dumps(s)
	if err != nil {
		return err
	}
	opt := compiler.Options{Pass: pass.Options{Dump: dump}}
	if c.Times {
		opt.Pass.Time = c.times.add
	}
	if opt.Tuning, err = c.tuning(s, nil); err != nil {
		return err
	}
	unit, err := c.load(s)
	if err != nil {
		return err
	}
	c.report.Model, c.report.Kernels = unit.Module.Name, []writtenKernel{} // never null
	if err := c.compile(s, unit, opt); err != nil {
		return err
	}
	return c.finish(s)
}

// finish reports what was written and how long it took.
func (c *compileCmd) finish(s *streams) error {
	if c.JSON {
		c.report.Passes = c.times
		return s.json(c.report)
	}
	if c.Times && len(c.times) == 0 {
		fmt.Fprintln(s.err, "no layout pass ran: --emit ir stops before them")
		return nil
	}
	if c.Times {
		return c.times.print(s)
	}
	return nil
}

// compile writes what was asked for.
func (c *compileCmd) compile(s *streams, unit *compiler.Unit, opt compiler.Options) error {
	if c.Emit == "bundle" {
		return c.bundle(s, unit, opt)
	}
	layer, _, err := c.pick(unit)
	if err != nil {
		return err
	}
	if c.Emit == "ir" {
		if c.Layer == nil {
			return c.text(s, c.Output, unit.Module.String())
		}
		return c.text(s, c.Output, layer.String())
	}
	for _, a := range c.Arch {
		text, err := c.emit(unit, layer, a.Target, opt)
		if err != nil {
			return err
		}
		path := c.Output
		if len(c.Arch) > 1 {
			ending := filepath.Ext(path)
			path = strings.TrimSuffix(path, ending) + "." + a.String() + ending
		}
		if err := c.text(s, path, text); err != nil {
			return err
		}
	}
	return nil
}

// emit makes the text of one layer on one target.
func (c *compileCmd) emit(unit *compiler.Unit, layer *ir.Layer, on target.Target, opt compiler.Options) (string, error) {
	compiled, err := unit.Compile(layer, on, opt)
	if err != nil {
		return "", err
	}
	c.report.note(compiled.Plan)
	if c.Emit == "layout" {
		return compiled.Layout.String(), nil
	}
	return compiled.Plan.PTX, nil
}

func (c *compileCmd) text(s *streams, path, text string) error {
	c.report.Files = append(c.report.Files, path)
	return s.write(path, func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
}

// bundle writes every layer and target.
func (c *compileCmd) bundle(s *streams, unit *compiler.Unit, opt compiler.Options) error {
	if c.Layer != nil {
		return usagef("a bundle holds every layer; --layer goes with --emit ptx, ir or layout")
	}
	b, err := unit.Bundle(targets(c.Arch), unit.Program.Text, opt)
	if err != nil {
		return err
	}
	var size counter
	if err := s.write(c.Output, func(w io.Writer) error {
		return runtime.WriteBundle(io.MultiWriter(w, &size), b)
	}); err != nil || c.Output == "-" {
		return err
	}
	c.report.Files = append(c.report.Files, c.Output)
	for n := range b.Plans {
		c.report.note(&b.Plans[n])
	}
	if c.JSON {
		return nil
	}
	fmt.Fprintf(s.err, "%s: %s, %s for %s, %s bytes\n", c.Output, unit.Module.Name,
		plural(len(c.report.Kernels), "kernel", "kernels"), archNames(c.Arch), grouped(int64(size)))
	return nil
}

// counter counts the bytes that it is given.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// dumps turns the flag into writers; every pass is named by "all".
func (c *compileCmd) dumps(s *streams) (map[string]io.Writer, error) {
	if len(c.Dump) == 0 {
		return nil, nil
	}
	out := map[string]io.Writer{}
	var unknown []error
	for _, d := range c.Dump {
		name := strings.TrimPrefix(d, "after:")
		switch {
		case name == "all":
			for _, p := range passNames() {
				out["after:"+p] = s.err
			}
		case slices.Contains(passNames(), name):
			out["after:"+name] = s.err
		default:
			unknown = append(unknown, fmt.Errorf("there is no pass %q; there are %s", name, strings.Join(passNames(), ", ")))
		}
	}
	if len(unknown) > 0 {
		return nil, usageError{errors.Join(unknown...)}
	}
	return out, nil
}
