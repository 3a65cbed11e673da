package main

import (
	"bufio"
	"io"
	"strconv"

	"github.com/s2attention/s2c/ir"
)

// maskCmd exports one head's block mask.
type maskCmd struct {
	source
	layerFlag
	Seq    int64  `required:"" type:"tokens" placeholder:"N" help:"Context length in tokens, as in 8192 or 8K."`
	Head   int    `required:"" placeholder:"H" help:"The query head."`
	Format string `enum:"csr,dense" default:"csr" help:"csr: {\"crow\":[…],\"col\":[…]}; dense: {\"mask\":[[0,1,…],…]}; both over blocks."`
	Output string `short:"o" placeholder:"FILE" help:"Where to write; standard output without it."`
}

// maxMaskEntries keeps an export within reason: some GB of text.
const maxMaskEntries = 1 << 28

// Help says how large a mask may be.
func (*maskCmd) Help() string {
	return `A mask has at most 2^28 entries: with csr one for each row and each attended block, with dense one for each pair of blocks.
Beyond that, s2c explain --seq N counts pairs and density at any length, without a list of them.`
}

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
	head := layer.Heads[c.Head]
	if err := c.checkSize(head, blocks); err != nil {
		return err
	}
	p := s.progress("writing")
	defer p.end()
	advance := p.set
	if s.outColor && (c.Output == "" || c.Output == "-") { // the terminal shows the mask itself
		advance = func(int, int) {}
	}
	return s.write(c.Output, func(w io.Writer) error {
		out := bufio.NewWriterSize(w, 1<<16)
		if c.Format == "csr" {
			err = writeCSR(out, head, blocks, advance)
		} else {
			err = writeDense(out, head, blocks, advance)
		}
		if err != nil {
			return err
		}
		return out.Flush()
	})
}

// checkSize refuses a mask that nobody can use.
func (c *maskCmd) checkSize(head ir.Pattern, blocks int64) error {
	if c.Format == "dense" {
		if blocks*blocks <= maxMaskEntries {
			return nil
		}
		return usagef("a dense mask of %s × %s blocks is too large: at most 2^28 entries are written; use --format csr, or a shorter --seq",
			grouped(blocks), grouped(blocks))
	}
	if entries := blocks + head.Blocks(blocks, blocks); entries > maxMaskEntries {
		return usagef("the mask has %s entries, and at most 2^28 are written; use a shorter --seq, or s2c explain for counts alone", grouped(entries))
	}
	return nil
}

// writeCSR streams a pattern as JSON: blocks + 1 offsets, then the key blocks of
// each row, ascending.
func writeCSR(w *bufio.Writer, p ir.Pattern, blocks int64, advance func(done, total int)) error {
	w.WriteString(`{"crow":[0`) // a bufio.Writer keeps its first error
	total := int(blocks + p.Blocks(blocks, blocks))
	var sum int64
	var number []byte
	for i := range blocks {
		sum += p.Count(i, blocks)
		number = strconv.AppendInt(append(number[:0], ','), sum, 10)
		if _, err := w.Write(number); err != nil {
			return err
		}
		advance(int(i)+1, total)
	}
	w.WriteString(`],"col":[`)
	var columns []ir.Column
	done := 0
	for i := range blocks {
		columns = p.AppendColumns(columns[:0], i, blocks)
		for _, c := range columns {
			number = strconv.AppendInt(append(number[:0], ','), c.J, 10)
			if done == 0 {
				number = number[1:]
			}
			if _, err := w.Write(number); err != nil {
				return err
			}
			done++
		}
		advance(int(blocks)+done, total)
	}
	_, err := w.WriteString("]}\n")
	return err
}

// writeDense streams a pattern as JSON rows of 0 and 1.
func writeDense(w *bufio.Writer, p ir.Pattern, blocks int64, advance func(done, total int)) error {
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
		if _, err := w.Write(row); err != nil {
			return err
		}
		advance(int(i)+1, int(blocks))
	}
	_, err := w.WriteString("\n]}\n")
	return err
}
