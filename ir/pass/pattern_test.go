package pass_test

import (
	"pgregory.net/rapid"

	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/ir"
)

// local is a window of blocks joined with a vertical stride.
func local(causal bool, window, stride, phase int64) ir.Pattern {
	b := ir.NewBuilder(causal)
	lo := int64(0)
	if !causal {
		lo = 1 - window
	}
	return ir.Pattern{Cells: b.Union(b.Band(lo, window-1), b.Stride(stride, phase))}
}

func dense(causal bool) ir.Pattern {
	return ir.Pattern{Cells: ir.NewBuilder(causal).Dense()}
}

// layer repeats patterns over the heads.
func layer(heads int, pattern func(h int) ir.Pattern) ir.Layer {
	l := ir.Layer{Numbers: []int{0}}
	for h := range heads {
		l.Heads = append(l.Heads, pattern(h))
	}
	return l
}

// cells draws the closed form of a union of one to three primitive sets.
func cells(t *rapid.T, b *ir.Builder, causal bool) []ir.Cell {
	var sets [][]ir.Cell
	for range rapid.IntRange(1, 3).Draw(t, "sets") {
		n := rapid.Int64Range(1, 6).Draw(t, "n")
		m := rapid.Int64Range(0, 6).Draw(t, "m")
		var set []ir.Cell
		switch rapid.IntRange(0, 5).Draw(t, "kind") {
		case 0:
			set = b.Band(0, n-1)
		case 1:
			set = b.Band(-m, n)
		case 2:
			set = b.Stride(n, m)
		case 3:
			set = b.Dilated(n, m)
		case 4:
			set = b.Rect(m, m+n, 0, n)
		case 5:
			set = b.Rect(0, ir.Inf, 0, n-1)
		}
		sets = append(sets, set)
	}
	return b.Union(sets...)
}

// table draws rows that have no closed form.
func table(t *rapid.T, causal bool) *ir.Table {
	tab := &ir.Table{
		Rows: rapid.Int64Range(1, 9).Draw(t, "table rows"),
		Crow: []int64{0}, Limited: rapid.Bool().Draw(t, "limited"),
	}
	for i := range tab.Rows {
		last := int64(12)
		if causal {
			last = i
		}
		for j := range last + 1 {
			if rapid.Bool().Draw(t, "attends") {
				tab.Col = append(tab.Col, int32(j))
				tab.Members = append(tab.Members, 1)
			}
		}
		tab.Crow = append(tab.Crow, int64(len(tab.Col)))
	}
	return tab
}

// pattern draws a head's pattern, one in four with a table.
func pattern(t *rapid.T, causal bool) ir.Pattern {
	b := ir.NewBuilder(causal)
	p := ir.Pattern{Cells: cells(t, b, causal)}
	if rapid.IntRange(0, 3).Draw(t, "table") == 0 {
		p.Table = table(t, causal)
		if p.Table.Limited {
			p.Cells = nil
		} else {
			p.Cells = b.From(p.Cells, p.Table.Rows)
		}
	}
	if err := b.Err(); err != nil {
		t.Fatal(err)
	}
	if len(p.Cells) == 0 && p.Table == nil {
		p.Cells = b.Dense()
	}
	return p
}

// problem is a layer, the model's shape, and a context length.
type problem struct {
	layer ir.Layer
	shape ir.Shape
	kLen  int64
}

// problems draws small problems; heads share patterns often.
var problems = rapid.Custom(func(t *rapid.T) problem {
	s := ir.Shape{
		KVHeads: rapid.IntRange(1, 2).Draw(t, "kv heads"),
		HeadDim: rapid.SampledFrom([]int{8, 64, 96, 128, 256}).Draw(t, "head dim"),
		Block:   rapid.SampledFrom([]int{16, 32, 64, 128}).Draw(t, "block"),
		DType:   dtype.BF16, Causal: rapid.Bool().Draw(t, "causal"), Scale: 0.125,
	}
	s.Heads = s.KVHeads * rapid.SampledFrom([]int{1, 2, 3, 4}).Draw(t, "group")
	distinct := []ir.Pattern{pattern(t, s.Causal), pattern(t, s.Causal)}
	share := rapid.IntRange(1, s.Heads).Draw(t, "share")
	p := problem{shape: s, layer: layer(s.Heads, func(h int) ir.Pattern { return distinct[h/share%2] })}
	blocks := int64(12)
	for _, h := range p.layer.Heads {
		blocks = min(blocks, h.Limit())
	}
	p.kLen = rapid.Int64Range(1, blocks*int64(s.Block)).Draw(t, "k_len")
	return p
})
