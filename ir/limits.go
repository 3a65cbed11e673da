package ir

import "fmt"

// Limits on what the algebra handles. They keep every intermediate value
// within int64 and every answer within bounded time and memory.
const (
	// MaxBound is the largest magnitude of a constant in a bound or a row guard, in blocks.
	MaxBound = 1 << 30
	// MaxPeriod is the largest Step and the largest Rows.Mod.
	MaxPeriod = 1 << 26
	// MaxCells is the largest number of cells of one pattern.
	MaxCells = 4096
	// MaxTableRows is the largest number of rows of a table.
	MaxTableRows = 1 << 16
	// MaxTableEntries is the largest number of entries of a module's tables together.
	MaxTableEntries = 64 << 20
	// MaxTokens is the largest sequence length that the counts accept.
	MaxTokens = 1<<31 - 1
	// MaxMerge is the largest number of query blocks that Merge unites: bits of Cell.Members.
	MaxMerge = 32

	// maxWork is the work that one question about cells may cost, and maxBuild what
	// building all patterns of a module may: half a second.
	maxWork  = 1 << 24
	maxBuild = 1 << 24
	// cutWork is the work of cutting a cell by another one. Seeing that two have
	// nothing in common is 1.
	cutWork = 24
	// maxSlope bounds Line.A: heads have 0 or 1, merged patterns up to MaxMerge.
	maxSlope = MaxMerge
)

// LimitError says that a pattern or a question about it passes one of the
// limits of the closed form.
type LimitError struct {
	What string // what would be too large: "cells of a head", "period in blocks" …
	Max  int64  // the limit it passes
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("%s: more than the limit of %d", e.What, e.Max)
}

// LengthError reports a sequence length that a count does not accept.
type LengthError struct {
	QLen, KLen int64
	Max        int64 // longest key length accepted
}

func (e *LengthError) Error() string {
	return fmt.Sprintf("query length %d, key length %d: need 0 ≤ query ≤ key ≤ %d tokens", e.QLen, e.KLen, e.Max)
}
