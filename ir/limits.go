package ir

import (
	"fmt"

	"github.com/s2attention/s2c/limit"
)

// Limits on what the algebra handles. They keep every intermediate value
// within int64 and every answer within bounded time and memory.
const (
	// MaxBound is the largest magnitude of a constant in a bound or a row guard, in blocks.
	MaxBound = limit.Bound
	// MaxPeriod is the largest Step and the largest Rows.Mod.
	MaxPeriod = limit.Period
	// MaxCells is the largest number of cells of one pattern.
	MaxCells = limit.Cells
	// MaxTableRows is the largest number of rows of a table.
	MaxTableRows = limit.TableRows
	// MaxTableEntries is the largest number of entries of a module's tables together.
	MaxTableEntries = limit.TableEntries
	// MaxTokens is the largest sequence length that the counts accept.
	MaxTokens = limit.Tokens
	// MaxMerge is the largest number of query blocks that Merge unites: bits of Cell.Members.
	MaxMerge = 32

	maxWork  = limit.Work
	maxBuild = limit.BuildWork
	cutWork  = limit.CutWork
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
