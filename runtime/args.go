package runtime

import (
	"fmt"
	"math"
)

// MaxLen is the greatest k_len: 2³¹ less room for a kernel to round up to tiles
// in 32 bits.
const MaxLen = 1<<31 - 1<<16

// Args is one attention problem: for each of Batch sequences QLen queries, the
// last rows of a context of KLen keys, so query row r is at position
// KLen − QLen + r.
type Args struct {
	Batch, QLen, KLen int // each at least 1, QLen ≤ KLen; an empty problem is an error

	Q Tensor // [batch, heads, q_len, head_dim]
	K Tensor // [batch, kv_heads, k_len, head_dim]
	V Tensor // like K
	O Tensor // like Q; written

	// LSE takes the natural log-sum-exp of each row's scaled scores as fp32
	// [batch, heads, q_len], contiguous; 0: not wanted.
	LSE Ptr
	// Scale is the softmax scale, 1e-30 to 1e6; 0: the kernel's own.
	Scale float64
}

// Tensor is a 16-bit tensor in device memory, at a multiple of 16 bytes. Its
// head_dim elements are contiguous; the strides count elements and are
// multiples of 8. A stride of 0 repeats an input.
type Tensor struct {
	Ptr              Ptr
	Batch, Head, Seq int64
}

// BHSD is a contiguous tensor [batch, heads, seq, dim] at p.
func BHSD(p Ptr, heads, seq, dim int) Tensor {
	h, s, d := int64(heads), int64(seq), int64(dim)
	return Tensor{Ptr: p, Batch: h * s * d, Head: s * d, Seq: d}
}

// BSHD is a contiguous tensor [batch, seq, heads, dim] at p.
func BSHD(p Ptr, seq, heads, dim int) Tensor {
	h, s, d := int64(heads), int64(seq), int64(dim)
	return Tensor{Ptr: p, Batch: s * h * d, Head: d, Seq: h * d}
}

// check is the first reason why k cannot serve the arguments, as an ErrArgs.
func (a *Args) check(k *Kernel) error {
	if reason := a.lengths(k); reason != "" {
		return badArgs(k, reason)
	}
	for _, t := range [...]struct {
		name       string
		t          *Tensor
		heads, len int
		written    bool
	}{
		{"q", &a.Q, k.Heads, a.QLen, false},
		{"k", &a.K, k.KVHeads, a.KLen, false},
		{"v", &a.V, k.KVHeads, a.KLen, false},
		{"o", &a.O, k.Heads, a.QLen, true},
	} {
		axes := [3]extent{{t.t.Seq, int64(t.len), "seq"}, {t.t.Head, int64(t.heads), "head"}, {t.t.Batch, int64(a.Batch), "batch"}}
		reason := t.t.check(k.HeadDim, axes)
		if reason == "" && t.written {
			reason = distinct(k.HeadDim, axes)
		}
		if reason != "" {
			return badArgs(k, t.name+": "+reason)
		}
	}
	if a.LSE%4 != 0 {
		return badArgs(k, fmt.Sprintf("lse: the pointer %#x is not 4-byte aligned", uint64(a.LSE)))
	}
	if a.Scale != 0 && !goodScale(a.Scale) {
		return badArgs(k, fmt.Sprintf("scale %v is not 1e-30 to 1e6", a.Scale))
	}
	return nil
}

func badArgs(k *Kernel, reason string) error {
	return Errorf(ErrArgs, "launch of %s: %s", k.Entry, reason)
}

// lengths is what is wrong with the problem's size, or "".
func (a *Args) lengths(k *Kernel) string {
	limit := int64(MaxLen)
	if k.MaxBlocks > 0 && k.MaxBlocks < limit/int64(k.Block) {
		limit = k.MaxBlocks * int64(k.Block)
	}
	switch {
	case a.Batch < 1:
		return fmt.Sprintf("batch %d is less than 1", a.Batch)
	case a.Batch > math.MaxInt32:
		return fmt.Sprintf("batch %d exceeds 2³¹ − 1", a.Batch)
	case a.QLen < 1:
		return fmt.Sprintf("q_len %d is less than 1", a.QLen)
	case a.KLen < 1:
		return fmt.Sprintf("k_len %d is less than 1", a.KLen)
	case a.QLen > a.KLen:
		return fmt.Sprintf("q_len %d exceeds k_len %d; queries are the last rows of the context", a.QLen, a.KLen)
	case int64(a.KLen) > limit && limit < MaxLen:
		return fmt.Sprintf("k_len %d exceeds %d, the greatest length that the pattern's tables cover", a.KLen, limit)
	case int64(a.KLen) > limit:
		return fmt.Sprintf("k_len %d exceeds %d", a.KLen, limit)
	}
	return ""
}

// extent is one axis of a tensor: n items, stride elements apart.
type extent struct {
	stride, n int64
	name      string
}

// check is what is wrong with the tensor's address or strides, or "".
func (t *Tensor) check(dim int, axes [3]extent) string {
	if t.Ptr == 0 {
		return "the pointer is nil"
	}
	if t.Ptr%16 != 0 {
		return fmt.Sprintf("the pointer %#x is not 16-byte aligned", uint64(t.Ptr))
	}
	const space = 1 << 61 // elements, of an address space that never holds as many
	last := int64(dim)
	for i := range axes {
		a := &axes[i]
		if a.stride < 0 {
			return fmt.Sprintf("the %s stride %d is negative", a.name, a.stride)
		}
		if a.stride%8 != 0 {
			return fmt.Sprintf("the %s stride %d is no multiple of 8 elements", a.name, a.stride)
		}
		if a.n > 1 && a.stride > (space-last)/(a.n-1) {
			return fmt.Sprintf("the %s stride %d overflows 64-bit addresses", a.name, a.stride)
		}
		last += a.stride * (a.n - 1)
	}
	if uint64(t.Ptr) > math.MaxUint64-2*uint64(last) {
		return fmt.Sprintf("the tensor at %#x with %d elements runs past the address space", uint64(t.Ptr), last)
	}
	return ""
}

// distinct is "" where the axes keep all rows apart, as an output must. It
// wants each axis to step over all of the one within it.
func distinct(dim int, axes [3]extent) string {
	// Three axes: a sorting network does without an allocation.
	for _, p := range [...][2]int{{0, 1}, {1, 2}, {0, 1}} {
		if a, b := &axes[p[0]], &axes[p[1]]; b.stride < a.stride {
			*a, *b = *b, *a
		}
	}
	span := int64(dim)
	for i := range axes {
		a := &axes[i]
		if a.n == 1 {
			continue
		}
		if a.stride < span {
			return fmt.Sprintf("the %s stride %d makes rows of the output overlap", a.name, a.stride)
		}
		span += a.stride * (a.n - 1)
	}
	return ""
}
