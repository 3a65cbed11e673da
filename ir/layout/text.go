package layout

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/s2attention/s2c/ir"
)

// String is the tile program as text: stable, made to be read and compared.
func (k *Kernel) String() string {
	var b strings.Builder
	s := k.Shape
	fmt.Fprintf(&b, "kernel %s\n", k.Entry)
	fmt.Fprintf(&b, "  target   %v, family %s: %s\n", k.Target, k.Family, k.Reason)
	fmt.Fprintf(&b, "  shape    %d query heads on %d KV heads, head dimension %d (padded %d), blocks of %d tokens, %s, %s, scale %s\n",
		s.Heads, s.KVHeads, s.HeadDim, k.DimPadded, s.Block, s.DType, direction(s.Causal), strconv.FormatFloat(s.Scale, 'g', -1, 64))
	fmt.Fprintf(&b, "  tile     %d rows = %d × %d positions, %s; %d warps%s\n",
		k.Rows, k.Pack, k.Positions, k.cut(), k.Warps, map[bool]string{true: ", query in registers"}[k.QInRegisters])
	fmt.Fprintf(&b, "  step     %d tokens, %s; %d stages\n", k.KVTile, k.pieces(), k.Stages)
	fmt.Fprintf(&b, "  shared   %d bytes:", k.Memory.Bytes())
	for _, r := range k.Memory {
		fmt.Fprintf(&b, " %s@%d", r.Name, r.Offset)
	}
	fmt.Fprintln(&b)
	if k.MaxBlocks > 0 {
		fmt.Fprintf(&b, "  limit    %d blocks of context\n", k.MaxBlocks)
	}
	if k.GroupSize > 0 {
		fmt.Fprintf(&b, "  order    %d head tiles in groups of %d\n", len(k.HeadTiles), k.GroupSize)
	}
	k.headText(&b)
	k.choiceText(&b)
	return b.String()
}

// headText lists the head tiles; equal patterns are printed once.
func (k *Kernel) headText(b *strings.Builder) {
	first := map[string]int{}
	for n, h := range k.HeadTiles {
		fmt.Fprintf(b, "  head tile %d: KV head %d, query heads %s", n, h.KVHead, ints(h.Heads))
		lines := strings.Join(PatternLines(h.Pattern), "\n      ")
		if m, ok := first[lines]; ok && h.Pattern.Table == nil {
			fmt.Fprintf(b, ", as head tile %d\n", m)
			continue
		}
		first[lines] = n
		fmt.Fprintf(b, "\n      %s\n", lines)
	}
}

// choiceText lists the candidates.
func (k *Kernel) choiceText(b *strings.Builder) {
	if len(k.Choice) == 0 {
		return
	}
	fmt.Fprintln(b, "  candidates")
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "rows\tpack\tmerge\tsplit\tkv\tstages\twarps\tshared\tregisters\tresident\tcost\t  verdict")
	for _, c := range k.Choice {
		cost := "-"
		if c.Cost > 0 && !math.IsInf(c.Cost, 1) {
			cost = strconv.FormatFloat(c.Cost, 'f', 3, 64)
		}
		fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t  %s\n",
			c.Rows, c.Pack, c.Merge, c.Split, c.KVTile, c.Stages, c.Warps, c.SharedBytes, c.Registers, c.Resident, cost, c.Verdict)
	}
	w.Flush()
}

// cut says how the query axis is tiled.
func (k *Kernel) cut() string {
	switch {
	case k.Merge > 1:
		return fmt.Sprintf("%d query blocks merged", k.Merge)
	case k.Split > 1:
		return fmt.Sprintf("a query block split in %d", k.Split)
	}
	return "one query block"
}

// pieces says how a step relates to key blocks.
func (k *Kernel) pieces() string {
	if g := k.Gather(); g > 1 {
		return fmt.Sprintf("%d key blocks gathered", g)
	}
	if p := k.Parts(); p > 1 {
		return fmt.Sprintf("1/%d of a key block", p)
	}
	return "one key block"
}

// PatternLines describes a pattern, one cell a line.
func PatternLines(p ir.Pattern) []string {
	var lines []string
	for _, c := range p.Cells {
		lines = append(lines, cellText(c))
	}
	if t := p.Table; t != nil {
		end := ""
		if t.Limited {
			end = ", no row after them"
		}
		lines = append(lines, fmt.Sprintf("rows 0 to %d: table of %d key blocks%s", t.Rows-1, len(t.Col), end))
	}
	return lines
}

// cellText describes a cell.
func cellText(c ir.Cell) string {
	rows := "every row"
	switch {
	case c.Rows.Hi != ir.Inf && c.Rows.Hi == c.Rows.Lo+1:
		rows = fmt.Sprintf("row %d", c.Rows.Lo)
	case c.Rows.Hi != ir.Inf:
		rows = fmt.Sprintf("rows %d to %d", c.Rows.Lo, c.Rows.Hi-1)
	case c.Rows.Lo > 0:
		rows = fmt.Sprintf("rows from %d", c.Rows.Lo)
	}
	variable := "i"
	if c.Rows.Mod > 1 {
		rows += fmt.Sprintf(" with i ≡ %d (mod %d)", c.Rows.Res, c.Rows.Mod)
		variable = fmt.Sprintf("(i − %d)/%d", c.Rows.Res, c.Rows.Mod)
	}
	text := fmt.Sprintf("%s: key blocks %s to %s", rows, line(c.Lo, "i"), line(c.Hi, "i"))
	if c.Lo == c.Hi {
		text = fmt.Sprintf("%s: key block %s", rows, line(c.Lo, "i"))
	}
	if c.Step > 1 {
		text += fmt.Sprintf(", ≡ %s (mod %d)", line(c.Phase, variable), c.Step)
	}
	return text + fmt.Sprintf(", members %b", c.Members)
}

// line writes an affine form.
func line(l ir.Line, x string) string {
	switch {
	case l.C == ir.Inf:
		return "the last"
	case l.C == -ir.Inf:
		return "the first"
	case l.A == 0:
		return strconv.FormatInt(l.C, 10)
	}
	text := x
	if l.A != 1 {
		text = fmt.Sprintf("%d·%s", l.A, x)
	}
	switch {
	case l.C > 0:
		text += fmt.Sprintf(" + %d", l.C)
	case l.C < 0:
		text += fmt.Sprintf(" − %d", -l.C)
	}
	return text
}

func direction(causal bool) string {
	if causal {
		return "causal"
	}
	return "bidirectional"
}

// ints writes consecutive numbers as a range.
func ints(list []int) string {
	if n := len(list); n > 1 && list[n-1]-list[0] == n-1 {
		return fmt.Sprintf("%d…%d", list[0], list[n-1])
	}
	text := make([]string, len(list))
	for i, n := range list {
		text[i] = strconv.Itoa(n)
	}
	return strings.Join(text, ", ")
}
