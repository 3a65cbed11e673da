package dsl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/s2attention/s2c/diag"
)

// Options are what a file's reading depends on besides its text.
type Options struct {
	// Defines override parameters and model fields: "stride": "16",
	// "dtype": "f16", "causal": "false". Values are expressions of the language.
	Defines map[string]string
	// ReadFile reads a file and what it imports; nil is the file system.
	ReadFile func(path string) ([]byte, error)
	// Main, where it is set, is the text of the file itself: its path is then a
	// name, beside which imports are looked for.
	Main io.Reader
	// Context ends the reading early: there is no program then, and the list may
	// be empty. Nil never ends it.
	Context context.Context
}

// Cancelled reports whether the reading is to end.
func (o Options) Cancelled() bool { return o.Context != nil && o.Context.Err() != nil }

// Load reads a file and what it imports, and checks it. It returns every error
// it finds; the program is nil if there is one. Warnings alone are in the list
// and in the program.
func Load(path string, opt Options) (*Program, diag.List) {
	bag := &diag.Bag{}
	l := loader{read: opt.ReadFile, main: opt.Main, bag: bag, state: map[string]loadState{}}
	if l.read == nil {
		l.read = readLimited
		l.regular = true
	}
	l.file(path, diag.Span{})
	if len(l.units) == 0 {
		return nil, bag.List()
	}
	c := newChecker(bag, l.units)
	c.unread = l.failed
	c.cancelled = opt.Cancelled
	c.collect()
	c.define(opt.Defines)
	c.checkAll()
	p := &Program{Path: path, Text: l.units[0].src.Text, c: c}
	p.evaluate()
	list := bag.List()
	if bag.Failed() || opt.Cancelled() {
		return nil, list
	}
	c.cancelled = nil
	_, p.Warnings = list.Split()
	c.loaded = true
	if p.Model.Sliced() {
		p.whole = sync.OnceValues(p.evaluateWhole)
	}
	return p, list
}

func newChecker(bag *diag.Bag, units []*unit) *checker {
	return &checker{
		bag: bag, units: units,
		fields: map[string]*fieldDef{}, params: map[string]*paramDef{}, patterns: map[string]*patternDef{},
		paramKinds: map[string]kind{}, kindBusy: map[string]bool{}, values: map[string]*lazyValue{},
		fixed: map[string]bool{}, missing: map[string]bool{}, total: map[string]bool{},
	}
}

// evaluate computes parameters, shape, rules and requires. After errors it
// goes on where the rest can still be judged.
func (p *Program) evaluate() {
	c := p.c
	for _, d := range c.order {
		v, ok := c.evalName(&nameExpr{place: place{d.span}, id: d.name}, &env{})
		if ok {
			p.Params = append(p.Params, Param{d.name, v.String(), d.overridden})
		}
	}
	m, ok := c.shape()
	if !ok {
		return
	}
	c.fieldValue("group", c.model.span)
	p.Model = m
	if len(c.layers) > 0 {
		p.classify()
	} else if !c.units[0].broken {
		c.bag.Add(diag.New(diag.LayerWithoutRule, c.model.span, "the file has no layer rules").
			WithHint("add one, such as: layer * -> dense"))
	}
	p.requiresOf()
}

// readLimited reads a regular file or pipe, and never more than is allowed.
func readLimited(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, errors.New("it is a directory")
	}
	return io.ReadAll(io.LimitReader(f, MaxFileSize+1))
}

type loadState int

const (
	loadBusy loadState = iota + 1
	loadDone
)

// loader reads files depth first and keeps each once.
type loader struct {
	read  func(string) ([]byte, error)
	main  io.Reader // nil: read gives the main file too
	bag   *diag.Bag
	state map[string]loadState
	units []*unit
	// failed says that an import is missing, and with it perhaps names.
	failed bool
	// regular allows imports of regular files only: a pipe may never answer.
	regular bool
}

func (l *loader) file(path string, from diag.Span) {
	clean := filepath.Clean(path)
	switch l.state[clean] {
	case loadDone:
		return
	case loadBusy:
		l.bag.Add(diag.New(diag.ImportCycle, from, "%s imports itself", filepath.ToSlash(clean)).
			WithHint("move what both files need into a third"))
		return
	}
	l.state[clean] = loadBusy
	defer func() { l.state[clean] = loadDone }()
	if len(l.state) > maxFiles {
		l.bag.Add(diag.New(diag.CannotRead, from, "more than %d files are imported", maxFiles))
		return
	}
	text, err := l.text(path, from.Src != nil)
	if err != nil {
		if from.Src == nil {
			from = diag.Whole(diag.NewSource(path, ""))
		}
		l.bag.Add(diag.New(diag.CannotRead, from, "cannot read %s: %s", filepath.ToSlash(path), reason(err)))
		l.failed = true
		return
	}
	src := diag.NewSource(filepath.ToSlash(path), string(text))
	u := parse(src, l.bag)
	u.path = clean
	l.units = append(l.units, u)
	for _, i := range u.imports {
		next := filepath.FromSlash(i.path)
		if next == "" {
			l.bag.Add(diag.New(diag.CannotRead, i.span, "the import names no file"))
			continue
		}
		if !filepath.IsAbs(next) {
			next = filepath.Join(filepath.Dir(path), next)
		}
		l.file(next, i.span)
	}
}

func (l *loader) text(path string, imported bool) ([]byte, error) {
	if l.main != nil && !imported {
		return io.ReadAll(io.LimitReader(l.main, MaxFileSize+1))
	}
	if l.regular && imported {
		if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
			return nil, errors.New("it is not a regular file")
		}
	}
	return l.read(path)
}

// reason is an error without the path, which the message names already.
func reason(err error) string {
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

// define applies the command line's values.
func (c *checker) define(defines map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(defines)) {
		src := diag.NewSource("-D "+clip(name), defines[name])
		if p := c.params[name]; p != nil {
			if r, ok := parseRange(src, c.bag); ok {
				c.single(&r)
				p.value, p.overridden = r.lo, true
			}
			continue
		}
		if fieldByName(name) != nil && c.model != nil {
			c.defineField(name, src)
			continue
		}
		var known []string
		for n := range c.params {
			known = append(known, n)
		}
		for _, f := range modelFields {
			known = append(known, f.name)
		}
		if c.lost(name) || c.model == nil && fieldByName(name) != nil {
			continue
		}
		d := diag.New(diag.UnknownDefine, diag.Whole(src), "the program has no parameter or model field `%s`", clip(name))
		c.bag.Add(withSuggestion(d, name, known))
	}
}

func (c *checker) defineField(name string, src *diag.Source) {
	c.fixed[name] = true
	span := diag.Span{Src: src, Start: 0, End: len(src.Text)}
	if name == "causal" || name == "bidirectional" {
		set, known := map[string]bool{"true": true, "1": true, "": true, "false": false, "0": false}[src.Text]
		if !known {
			c.bag.Add(diag.New(diag.BadField, span, "`%s` cannot be %s", name, clip(src.Text)).WithHint("it is true or false"))
			return
		}
		delete(c.fields, "causal")
		delete(c.fields, "bidirectional")
		if set != (name == "causal") {
			name = "bidirectional"
		} else {
			name = "causal"
		}
		c.fields[name] = &fieldDef{place: place{span}, name: name}
		return
	}
	if r, ok := parseRange(src, c.bag); ok {
		c.fields[name] = &fieldDef{place: place{span}, name: name, value: r}
	}
}

// String is the model's shape in a line.
func (m Model) String() string {
	mask := "bidirectional"
	if m.Causal {
		mask = "causal"
	}
	layers := "layers"
	if m.Layers == 1 {
		layers = "layer"
	}
	return fmt.Sprintf("%d/%d heads, head_dim %d, block %d, %s, %s, %d %s", m.Heads, m.KVHeads, m.HeadDim, m.Block, m.DType, mask, m.Layers, layers)
}
