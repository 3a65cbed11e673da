package lower

import (
	"slices"

	"github.com/s2attention/s2c/diag"
	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/ir"
)

// idler finds parts of patterns that attend nothing, or nothing that other parts do
// not attend as well, in every head and layer that they are for.
type idler struct {
	builder *ir.Builder
	lowerer *lowerer
	places  map[diag.Span]*usefulness
	order   []diag.Span
}

// usefulness is what is known of a place in the file.
type usefulness struct {
	useful  bool // in some head, or that is not ruled out
	attends bool // something, though nothing of its own
	callers []diag.Span
}

// idle warns of such parts. It says nothing that is not proved: a part that passes the
// limits of the closed form counts as useful.
func (l *lowerer) idle() diag.List {
	all, _ := l.program.Whole() // a part may be for heads that are not active
	if all == nil || all.Recounted() {
		return nil
	}
	d := &idler{builder: ir.NewBuilder(l.program.Model.Causal), places: map[diag.Span]*usefulness{}}
	d.lowerer = &lowerer{program: all, builder: d.builder}
	for _, numbers := range all.LayerClasses() {
		for h := range all.Model.Heads {
			if parts := all.Parts(numbers[0], h); !d.known(parts) {
				d.look(parts)
			}
		}
	}
	return d.warnings(all.Model.Causal)
}

// known notes the places of parts, and says whether all are useful already.
func (d *idler) known(parts []dsl.Part) bool {
	all := true
	for _, p := range parts {
		for n, s := range p.Spans {
			u := d.places[s]
			if u == nil {
				u = &usefulness{}
				d.places[s] = u
				d.order = append(d.order, s)
			}
			if n > 0 && !slices.Contains(u.callers, p.Spans[n-1]) {
				u.callers = append(u.callers, p.Spans[n-1])
			}
			all = all && u.useful
		}
	}
	return all
}

// look sorts out the parts of one head.
func (d *idler) look(parts []dsl.Part) {
	cells, closed := make([][]ir.Cell, len(parts)), make([]bool, len(parts))
	for n, p := range parts {
		if !p.Void && !opaque(p.Set) {
			cells[n] = d.lowerer.cells(p.Set, 0)
			closed[n] = d.builder.Recover() == nil
		}
	}
	for n := len(parts) - 1; n >= 0; n-- { // of two that say the same, the second is idle
		idle := closed[n] && d.covered(cells, n)
		for _, s := range parts[n].Spans {
			u := d.places[s]
			u.useful = u.useful || !idle
			u.attends = u.attends || len(cells[n]) > 0
		}
		if idle {
			cells[n] = nil
		}
	}
}

// covered is whether the other cells hold all of the n-th, provably.
func (d *idler) covered(cells [][]ir.Cell, n int) bool {
	if len(cells[n]) == 0 {
		return true
	}
	others := slices.Concat(slices.Concat(cells[:n]...), slices.Concat(cells[n+1:]...))
	if len(others) == 0 {
		return false
	}
	rest := d.builder.Difference(cells[n], others)
	return d.builder.Recover() == nil && len(rest) == 0
}

// opaque is whether a set has parts that cells cannot hold.
func opaque(s dsl.Set) bool {
	found := false
	each(s, func(s dsl.Set) {
		_, where := s.(dsl.Where)
		found = found || where
	})
	return found
}

// warnings is one for the outermost of each place that is never useful.
func (d *idler) warnings(causal bool) diag.List {
	hint := "leave it out, or change what it picks"
	if causal {
		hint += "; in a causal model every part ends at the query's own block"
	}
	useful := func(s diag.Span) bool { return d.places[s].useful }
	var list diag.List
	for _, s := range d.order {
		u := d.places[s]
		if u.useful || len(u.callers) > 0 && !slices.ContainsFunc(u.callers, useful) {
			continue
		}
		w := diag.Warn(diag.IdlePart, s, "this part of the pattern attends nothing")
		if u.attends {
			w = diag.Warn(diag.IdlePart, s, "this part of the pattern adds nothing: the other parts attend all that it does")
		}
		list = append(list, w.WithHint("%s", hint))
	}
	return list
}
