// Package limit holds what a program may say, hold and cost at most, as one table: the
// checks use it, and docs/language.md prints it.
package limit

import (
	"fmt"
	"strings"
)

// Of files and programs.
const (
	FileBytes = 1 << 20
	Files     = 64
	Nesting   = 64
	Parts     = 8192
	Steps     = 10_000_000
)

// Of models.
const (
	Heads   = 65535
	Layers  = 4096
	HeadDim = 256
	// MinScale and MaxScale are what the kernels' fp32 arithmetic holds.
	MinScale, MaxScale = 1e-30, 1e6
)

// Of contexts.
const (
	// Tokens is the longest context that is counted and proved about; kernels round it
	// up to tiles in 32 bits, so they take KernelTokens.
	Tokens       = 1<<31 - 1
	KernelTokens = 1<<31 - 1<<16
	// Number is the greatest window, stride, phase or block number that a pattern may name.
	// Blocks is what the longest context has: numbers beyond are as good as none.
	Number = 1 << 31
	Blocks = 1 << 27
)

// Of the closed form and of tables.
const (
	// Bound is the greatest constant in a bound of a cell, Period the greatest step and
	// period of rows, in blocks.
	Bound  = 1 << 30
	Period = 1 << 26
	Cells  = 4096
	// Work bounds one question about cells, BuildWork building all patterns of a module:
	// half a second. Seeing that two cells have nothing in common is 1, cutting one by
	// another CutWork.
	Work, BuildWork = 1 << 24, 1 << 24
	CutWork         = 24
	// RequireWork is what all require clauses may take together: some eight seconds.
	RequireWork = 16 * Work
	WhereBlocks = 4096
	// WhereSteps is what all conditions together take at every pair: some eight seconds.
	WhereSteps   = 3 << 29
	TableRows    = 1 << 16
	TableWidth   = 1 << 17
	TableEntries = 64 << 20
)

// Row is one limit, as the documents name it.
type Row struct{ What, Most, Beyond string }

// Table is every limit that somebody who writes a file may meet.
var Table = []Row{
	{"a file", size(FileBytes), "refused"},
	{"files of a program, imports included", count(Files), "refused"},
	{"brackets in each other", count(Nesting), "refused"},
	{"query heads", count(Heads), "refused"},
	{"layers", count(Layers), "refused"},
	{"`head_dim`", count(HeadDim), "refused"},
	{"`scale`", Scale, "refused"},
	{"parts of a head's pattern, calls resolved", count(Parts), "refused"},
	{"steps to resolve all patterns", count(Steps), "refused"},
	{"tokens of a context in counts and proofs", count(Tokens), "refused"},
	{"tokens of a context in a kernel", count(KernelTokens), "refused at launch"},
	{"a window, stride or block number", count(Number), "refused; numbers above " + count(Blocks) + ", the blocks of the longest context, are as good as none"},
	{"the common period of a pattern's strides", count(Period), "refused, or undecided in `require`"},
	{"cells of a head, or of a question in `require`", count(Cells), "refused, or undecided in `require`"},
	{"work of all `require` clauses together", count(RequireWork), "undecided; seeing that two cells have nothing in common is 1, cutting one by another " + count(CutWork)},
	{"blocks of `where`'s `max`", count(WhereBlocks), "refused"},
	{"steps of all conditions of `where`, over all heads and layers that differ", count(WhereSteps), "refused before the first is evaluated; a step is an operator, a number or a name at one pair, a part of `i` alone or of `j` alone being one"},
	{"rows of a table", count(TableRows), "rows of `blocks` beyond become cells"},
	{"entries of all tables together", count(TableEntries), "refused, or cells where they are few"},
}

// Scale is the range of the softmax scale.
var Scale = strings.ReplaceAll(fmt.Sprintf("%g to %g", MinScale, MaxScale), "e+0", "e")

// count writes a number with commas.
func count(n int) string {
	digits := fmt.Sprint(n)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

func size(bytes int) string { return fmt.Sprintf("%d MiB", bytes>>20) }
