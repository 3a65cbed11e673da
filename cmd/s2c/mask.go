package main

import (
	"bufio"
	"fmt"
	"io"

	"github.com/s2attention/s2c/ir"
)

// maskCmd exports one head's block mask.
type maskCmd struct {
	source
	layerFlag
	Seq    int64  `required:"" placeholder:"N" help:"Context length in tokens."`
	Head   int    `required:"" placeholder:"H" help:"The query head."`
	Format string `enum:"csr,dense" default:"csr" help:"csr: {\"crow\":[…],\"col\":[…]}; dense: {\"mask\":[[0,1,…],…]}; both over blocks."`
	Output string `short:"o" placeholder:"FILE" help:"Where to write; standard output without it."`
}

// maxDenseBlocks keeps a dense export within reason: 64 Mi entries.
const maxDenseBlocks = 8192

// Run writes the mask.
func (c *maskCmd) Run(s *streams) error {
	unit, err := c.load(s)
	if err != nil {
		return err
	}
	layer, _, err := c.pick(unit)
	if err != nil {
		return err
	}
	if c.Head < 0 || c.Head >= len(layer.Heads) {
		return usagef("--head %d does not exist; the model has query heads 0 to %d", c.Head, len(layer.Heads)-1)
	}
	if err := checkSeq(unit, layer, c.Seq); err != nil {
		return err
	}
	block := int64(unit.Module.Shape.Block)
	blocks := (c.Seq + block - 1) / block
	if c.Format == "dense" && blocks > maxDenseBlocks {
		return usagef("a dense mask of %d × %d blocks is too large; use --format csr", blocks, blocks)
	}
	return s.write(c.Output, func(w io.Writer) error {
		out := bufio.NewWriter(w)
		if c.Format == "csr" {
			writeCSR(out, layer.Heads[c.Head], blocks)
		} else {
			writeDense(out, layer.Heads[c.Head], blocks)
		}
		return out.Flush() // a bufio.Writer keeps its first error
	})
}

// writeCSR streams a pattern as JSON: blocks + 1 offsets, then the key blocks of
// each row, ascending.
func writeCSR(w *bufio.Writer, p ir.Pattern, blocks int64) {
	w.WriteString(`{"crow":[0`)
	var sum int64
	for i := range blocks {
		sum += p.Count(i, blocks)
		fmt.Fprintf(w, ",%d", sum)
	}
	w.WriteString(`],"col":[`)
	var columns []ir.Column
	first := true
	for i := range blocks {
		columns = p.AppendColumns(columns[:0], i, blocks)
		for _, c := range columns {
			if !first {
				w.WriteByte(',')
			}
			first = false
			fmt.Fprint(w, c.J)
		}
	}
	w.WriteString("]}\n")
}

// writeDense streams a pattern as JSON rows of 0 and 1.
func writeDense(w *bufio.Writer, p ir.Pattern, blocks int64) {
	w.WriteString(`{"mask":[`)
	row := make([]byte, 2*blocks) // "0,1,…0]"
	var columns []ir.Column
	for i := range blocks {
		for j := range row {
			row[j] = "0,"[j%2]
		}
		columns = p.AppendColumns(columns[:0], i, blocks)
		for _, c := range columns {
			row[2*c.J] = '1'
		}
		row[len(row)-1] = ']'
		if i > 0 {
			w.WriteByte(',')
		}
		w.WriteString("\n[")
		w.Write(row)
	}
	w.WriteString("\n]}\n")
}
