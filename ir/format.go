package ir

import (
	"fmt"
	"strings"
)

// String is the module as text: a line for the shape, one for each layer and
// each group of heads with equal patterns, one for each cell. The text is
// stable: equal modules give equal bytes.
func (m *Module) String() string {
	var b strings.Builder
	s := m.Shape
	direction := "bidirectional"
	if s.Causal {
		direction = "causal"
	}
	fmt.Fprintf(&b, "module %s: heads %d, kv_heads %d, head_dim %d, block %d, %s, %s, scale %g\n",
		m.Name, s.Heads, s.KVHeads, s.HeadDim, s.Block, s.DType, direction, s.Scale)
	for _, l := range m.Layers {
		fmt.Fprintf(&b, "\n%s", l.String())
	}
	return b.String()
}

// String is the layer as text, without the module's first line.
func (l Layer) String() string {
	var b strings.Builder
	word := "layer"
	if len(l.Numbers) != 1 {
		word = "layers"
	}
	fmt.Fprintf(&b, "%s %s\n", word, numberList(l.Numbers))
	var ids patternIDs
	var heads [][]int // by pattern
	for h, p := range l.Heads {
		id, known := ids.of(p)
		if !known {
			heads = append(heads, nil)
		}
		heads[id] = append(heads[id], h)
	}
	for _, same := range heads {
		word := "head"
		if len(same) > 1 {
			word = "heads"
		}
		fmt.Fprintf(&b, "  %s %s\n", word, numberList(same))
		for line := range strings.Lines(l.Heads[same[0]].String()) {
			fmt.Fprintf(&b, "    %s", line)
		}
	}
	return b.String()
}

// String is the pattern as text, one line for each cell, then the table's.
func (p Pattern) String() string {
	var b strings.Builder
	for _, c := range p.Cells {
		fmt.Fprintf(&b, "%v\n", c)
	}
	if t := p.Table; t != nil {
		more := ""
		if t.Limited {
			more = ", no rows beyond"
		}
		fmt.Fprintf(&b, "table: rows 0…%d, %d entries%s\n", t.Rows-1, len(t.Col), more)
		for i := range t.Rows {
			fmt.Fprintf(&b, "  i = %d: %s\n", i, t.rowString(i))
		}
	}
	if b.Len() == 0 {
		return "empty\n"
	}
	return b.String()
}

// rowString is a table row as runs of key blocks.
func (t *Table) rowString(i int64) string {
	cols, members := t.row(i)
	if len(cols) == 0 {
		return "none"
	}
	var parts []string
	for n := 0; n < len(cols); {
		end := n + 1
		for end < len(cols) && cols[end] == cols[end-1]+1 && members[end] == members[n] {
			end++
		}
		part := fmt.Sprint(cols[n])
		if end-1 > n {
			part = fmt.Sprintf("%d…%d", cols[n], cols[end-1])
		}
		if members[n] != 1 {
			part += fmt.Sprintf(" for %#b", members[n])
		}
		parts = append(parts, part)
		n = end
	}
	return strings.Join(parts, ", ")
}

// String is the cell as one line: its rows, its interval, its progression.
func (c Cell) String() string {
	var b strings.Builder
	last := "…"
	if c.Rows.Hi != Inf {
		last = fmt.Sprintf("…%d", c.Rows.Hi-1)
	}
	if c.Rows.Lo == c.Rows.Hi-1 {
		last = ""
	}
	rows := fmt.Sprintf("i = %d%s", c.Rows.Lo, last)
	if c.Rows.Mod != 1 {
		rows += fmt.Sprintf(", i ≡ %d mod %d", c.Rows.Res, c.Rows.Mod)
	}
	fmt.Fprintf(&b, "%-24s j = %v", rows+":", c.Lo)
	switch {
	case !c.Hi.bounded():
		b.WriteString("…")
	case c.Hi != c.Lo:
		fmt.Fprintf(&b, "…%v", c.Hi)
	}
	if c.Step != 1 {
		fmt.Fprintf(&b, ", j ≡ %s mod %d", c.phaseString(), c.Step)
	}
	if c.Members != 1 {
		fmt.Fprintf(&b, ", for %#b", c.Members)
	}
	return b.String()
}

// phaseString writes the phase over i where its rows are not guarded by a
// class, else over the row's index t.
func (c Cell) phaseString() string {
	switch {
	case c.Phase.A == 0:
		return fmt.Sprint(c.Phase.C)
	case c.Rows.Mod == 1:
		return c.Phase.String()
	}
	return fmt.Sprintf("%d + %d·⌊i/%d⌋", c.Phase.C, c.Phase.A, c.Rows.Mod)
}

// String is the line in terms of i: "i - 15", "2i + 1", "3".
func (l Line) String() string {
	switch {
	case l.C == Inf:
		return "∞"
	case l.C == -Inf:
		return "-∞"
	case l.A == 0:
		return fmt.Sprint(l.C)
	}
	a := "i"
	if l.A != 1 {
		a = fmt.Sprintf("%di", l.A)
	}
	switch {
	case l.C > 0:
		return fmt.Sprintf("%s+%d", a, l.C)
	case l.C < 0:
		return fmt.Sprintf("%s-%d", a, -l.C)
	}
	return a
}

// numberList writes ascending numbers, runs and progressions of more than three
// shortened: "0…3, 8", "0, 2, …, 30".
func numberList(ns []int) string {
	var parts []string
	for i := 0; i < len(ns); {
		end := i + 1
		for end < len(ns) && ns[end]-ns[end-1] == ns[i+1]-ns[i] {
			end++
		}
		switch step := ns[min(i+1, len(ns)-1)] - ns[i]; {
		case end-i > 2 && step == 1:
			parts = append(parts, fmt.Sprintf("%d…%d", ns[i], ns[end-1]))
		case end-i > 3:
			parts = append(parts, fmt.Sprintf("%d, %d, …, %d", ns[i], ns[i+1], ns[end-1]))
		default:
			end = i + 1
			parts = append(parts, fmt.Sprint(ns[i]))
		}
		i = end
	}
	return strings.Join(parts, ", ")
}
