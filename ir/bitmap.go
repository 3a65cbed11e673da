package ir

import "math/bits"

// bitmap is a set of small integers.
type bitmap []uint64

func newBitmap(n int64) bitmap    { return make(bitmap, (n+63)/64) }
func (b bitmap) set(n int64)      { b[n/64] |= 1 << (n % 64) }
func (b bitmap) has(n int64) bool { return b[n/64]>>(n%64)&1 != 0 }

func (b bitmap) len() int64 {
	n := 0
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return int64(n)
}
