package conformance

import "strings"

// Redone counts the warps' looks at rows that may have to be computed again, as an
// emulator has counted them for a kernel's PTX. The main path of a kernel must be
// right by itself: it asks for this where something in a tile is not finite, or
// scores are huge. No case but those that provoke it may get there: it would hide
// mistakes, and cost time.
func (o *Output) Redone(ptx string) int64 {
	if o.Stats == nil {
		return 0
	}
	var n int64
	line := 1
	for text := range strings.Lines(ptx) {
		line++ // the one behind the text
		if strings.HasSuffix(text, "_redo_row:\n") {
			n += o.Stats.Lines[line]
		}
	}
	return n
}
