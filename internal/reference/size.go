package reference

import (
	"runtime"

	"github.com/s2attention/s2c/internal/memory"
)

// Size is what the memory of a problem depends on.
type Size struct {
	Batch, Heads, Rows int // that are computed
	KLen, Dim          int
	Width              int // the most keys that a row attends
}

// Bytes is what [Attention] holds at a time: the result, the keys and values of one KV
// head, and the scores that each worker has under way.
func (s Size) Bytes() memory.Bytes {
	const float, pointer = 8, 8
	result := memory.Of(float*(s.Dim+1)+pointer, s.Batch, s.Heads, s.Rows)
	keys := memory.Of(2*float, s.KLen, s.Dim)
	scores := memory.Of(float, min(runtime.GOMAXPROCS(0), s.Rows/sweep+1), sweep, s.Width)
	return result.Plus(keys).Plus(scores)
}
