package dsl

import (
	"maps"

	"github.com/s2attention/s2c/diag"
)

// Sliced reports whether the program is for a slice of the model's query heads.
func (m Model) Sliced() bool { return m.Heads != m.TotalHeads }

// Whole is the program for all query heads of the model, whichever of them are
// active: what require clauses speak about. It is the program itself where all
// are. The list holds the errors of heads outside of the slice; the program is
// nil if there is one. It is computed once; any goroutine may call it.
func (p *Program) Whole() (*Program, diag.List) {
	if p.whole == nil {
		return p, nil
	}
	return p.whole()
}

// evaluateWhole evaluates the file once more without active_heads.
func (p *Program) evaluateWhole() (*Program, diag.List) {
	c := *p.c
	c.bag, c.steps, c.loaded = &diag.Bag{}, 0, false
	c.fields = maps.Clone(c.fields)
	delete(c.fields, "active_heads")
	c.values, c.missing, c.total = maps.Clone(c.values), maps.Clone(c.missing), maps.Clone(c.total)
	w := &Program{Path: p.Path, c: &c}
	w.evaluate()
	list := c.bag.List()
	if c.bag.Failed() {
		return nil, list
	}
	c.loaded = true
	_, w.Warnings = list.Split()
	return w, nil
}
