// Package lower brings a checked program into closed form: the resolved
// pattern of every head becomes disjoint cells, or a table where it is
// irregular.
//
// Primitive sets and their algebra become cells. A list of blocks makes a table
// of the rows up to the last one that it names, with all that the head attends
// in them; rows beyond stay cells. A `where` makes a table of all rows up to
// its declared limit, and longer inputs are refused.
package lower

import (
	"errors"
	"slices"

	"github.com/s2attention/s2c/diag"
	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/ir"
)

// Module is the program in closed form. The list has an error for every rule
// whose pattern passes the limits of the closed form and for every layer with a
// query block that attends nothing; the module is nil then.
func Module(p *dsl.Program) (*ir.Module, diag.List) {
	return newLowerer(p, nil).module()
}

// ModuleUnless is Module for as long as it is wanted: once cancelled is true, it
// ends without a module.
func ModuleUnless(cancelled func() bool, p *dsl.Program) (*ir.Module, diag.List) {
	return newLowerer(p, cancelled).module()
}

// Pattern is one set in closed form, as a head of the program's model has it.
func Pattern(cancelled func() bool, p *dsl.Program, s dsl.Set) (ir.Pattern, error) {
	return newLowerer(p, cancelled).pattern(s)
}

func newLowerer(p *dsl.Program, cancelled func() bool) *lowerer {
	if cancelled == nil {
		cancelled = func() bool { return false }
	}
	return &lowerer{
		program:   p,
		builder:   ir.NewBuilder(p.Model.Causal),
		known:     map[string]ir.Pattern{},
		left:      budget{entries: ir.MaxTableEntries, steps: maxSteps, words: maxWords},
		cancelled: cancelled,
	}
}

func (l *lowerer) module() (*ir.Module, diag.List) {
	p := l.program
	if !l.affordable() {
		return nil, l.bag.List()
	}
	m := &ir.Module{Name: p.Model.Name, Shape: shape(p.Model)}
	for _, numbers := range p.LayerClasses() {
		layer := ir.Layer{Numbers: numbers, Heads: make([]ir.Pattern, p.Model.Heads)}
		failed := false
		for h := range layer.Heads {
			if l.cancelled() {
				return nil, nil
			}
			pattern, err := l.head(numbers[0], h)
			if err != nil {
				l.report(numbers[0], h, err)
				failed = true
				continue
			}
			layer.Heads[h] = pattern
		}
		if !failed {
			l.checkRows(layer)
			m.Layers = addLayer(m.Layers, layer)
		}
	}
	list := l.bag.List()
	if l.cancelled() {
		return nil, nil
	}
	if list.HasErrors() {
		return nil, list
	}
	list = append(list, l.idle()...)
	slices.SortFunc(m.Layers, func(x, y ir.Layer) int { return x.Numbers[0] - y.Numbers[0] })
	return m, list
}

func shape(m dsl.Model) ir.Shape {
	return ir.Shape{
		Heads: m.Heads, KVHeads: m.KVHeads, HeadDim: m.HeadDim, Block: m.Block,
		DType: m.DType, Causal: m.Causal, Scale: m.Scale,
	}
}

// addLayer joins layers that turned out to have the same patterns, though the
// program writes them differently.
func addLayer(layers []ir.Layer, l ir.Layer) []ir.Layer {
	for n := range layers {
		if slices.EqualFunc(layers[n].Heads, l.Heads, ir.Same) {
			layers[n].Numbers = slices.Sorted(slices.Values(slices.Concat(layers[n].Numbers, l.Numbers)))
			return layers
		}
	}
	return append(layers, l)
}

// lowerer is the state of one Module call.
type lowerer struct {
	program *dsl.Program
	builder *ir.Builder
	bag     diag.Bag
	known   map[string]ir.Pattern // by what the head's tree says
	left    budget                // for tables
	key     []byte                // scratch

	cancelled func() bool
}

// head is the pattern of one head; heads that say the same share it.
func (l *lowerer) head(layer, head int) (ir.Pattern, error) {
	set := l.program.Head(layer, head)
	l.key = appendKey(l.key[:0], set)
	if p, ok := l.known[string(l.key)]; ok {
		return p, nil
	}
	p, err := l.pattern(set)
	if err == nil {
		l.known[string(l.key)] = p
	}
	return p, err
}

// pattern chooses between cells and a table.
func (l *lowerer) pattern(s dsl.Set) (ir.Pattern, error) {
	if limit, ok := whereLimit(s); ok {
		t, err := l.table(s, limit, limit)
		if err != nil {
			return ir.Pattern{}, err
		}
		t.Limited = true
		return ir.Pattern{Table: t}, nil
	}
	if t := listed(s); t.rows > 0 {
		p, err := l.partTable(s, t)
		if err == nil || !errors.Is(err, errTable) {
			return p, err
		}
		// A table cannot hold it: the rectangles may still be few.
	}
	return l.allCells(s)
}

// allCells is the pattern without a table: every rectangle becomes a cell.
func (l *lowerer) allCells(s dsl.Set) (ir.Pattern, error) {
	cells := l.cells(s, 0)
	return ir.Pattern{Cells: cells}, l.builder.Recover()
}

// partTable is the pattern with the rows that lists of blocks name in a table.
func (l *lowerer) partTable(s dsl.Set, need listing) (ir.Pattern, error) {
	rows, width := need.rows, need.width
	cells := l.cells(s, rows)
	if err := l.builder.Recover(); err != nil {
		return ir.Pattern{}, err
	}
	if !l.program.Model.Causal {
		w, bounded := l.widthBelow(cells, rows)
		if !bounded || need.open {
			return ir.Pattern{}, errTable
		}
		width = max(width, w)
	}
	t, err := l.table(s, rows, width)
	if err != nil {
		return ir.Pattern{}, err
	}
	cells = l.builder.From(cells, rows)
	return ir.Pattern{Cells: cells, Table: t}, l.builder.Recover()
}

// widthBelow is the number of leading key blocks that the cells reach in rows
// below rows, if there is a last one.
func (l *lowerer) widthBelow(cells []ir.Cell, rows int64) (width int64, bounded bool) {
	for _, c := range cells {
		if c.Rows.Lo >= rows {
			continue
		}
		if c.Hi.C == ir.Inf {
			return 0, false
		}
		width = max(width, c.Hi.At(min(rows, c.Rows.Hi)-1)+1)
	}
	return width, true
}
