package runtime

import (
	"fmt"
	"math"
	"slices"

	"github.com/s2attention/s2c/launch"
	"github.com/s2attention/s2c/limit"
)

// MaxLen is the greatest k_len: 2³¹ less room for a kernel to round up to tiles
// in 32 bits.
const MaxLen = limit.KernelTokens

// Args is one attention problem: for each of Batch sequences QLen queries, the
// last rows of a context of KLen keys, so query row r is at position
// KLen − QLen + r.
type Args struct {
	Batch, QLen, KLen int // each at least 1, QLen ≤ KLen; an empty problem is an error

	// Tensors are the operation's tensors by role: of Forward launch.Q, K and V,
	// and the outputs launch.O and, where it is wanted, launch.LSE.
	Tensors Tensors

	// Scale is the softmax scale, 1e-30 to 1e6; 0: the plan's own.
	Scale float64
	// Workspace is memory at a multiple of 256 that no other launch uses at the
	// same time, as much as Attention.WorkspaceBytes says; 0 where that is none.
	Workspace Ptr
}

// Tensors are tensors by role; launch.Tensors says what each is.
type Tensors [launch.Roles]Tensor

// Tensor is a 16-bit tensor in device memory, at a multiple of 16 bytes. Its
// head_dim elements are contiguous; the strides count elements and are
// multiples of 8. A stride of 0 repeats an input. A packed tensor, such as the
// log-sum-exp, is a pointer alone: its elements are contiguous.
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

func (t *Tensor) stride(axis launch.Axis) int64 {
	switch axis {
	case launch.AxisBatch:
		return t.Batch
	case launch.AxisHead:
		return t.Head
	case launch.AxisSeq:
		return t.Seq
	}
	return 1
}

// operand is a tensor that a launch of a plan gives.
type operand struct {
	*launch.Tensor
	role    launch.Role
	written bool
	bytes   int64   // of an element
	counts  []count // parallel to Axes
}

// operandsOf are the tensors of a plan's operation.
func operandsOf(p *launch.Plan) []operand {
	var out []operand
	op := launch.Operations[p.Op]
	for i, role := range slices.Concat(op.Reads, op.Writes) {
		o := operand{Tensor: &launch.Tensors[role], role: role, written: i >= len(op.Reads)}
		o.bytes = int64(o.Elem(p.DType).Bytes())
		for _, e := range o.Axes {
			o.counts = append(o.counts, counts[e.Count])
		}
		out = append(out, o)
	}
	return out
}

// check is the first reason why the plan cannot serve the arguments, as an ErrArgs.
func (c *call) check() error {
	if reason := c.lengths(); reason != "" {
		return c.bad(reason)
	}
	for i := range c.a.operands {
		o := &c.a.operands[i]
		if reason := o.check(c); reason != "" {
			return c.bad(o.Name + ": " + reason)
		}
	}
	if c.Scale != 0 && !goodScale(c.Scale) {
		return c.bad(fmt.Sprintf("scale %v is not 1e-30 to 1e6", c.Scale))
	}
	return nil
}

// check is what is wrong with a launch's tensor, or "".
func (o *operand) check(c *call) string {
	t := &c.Tensors[o.role]
	align := Ptr(rowAlign)
	if o.Packed {
		align = Ptr(o.bytes)
	}
	switch {
	case t.Ptr == 0 && o.Optional:
		return ""
	case t.Ptr == 0:
		return "the pointer is nil"
	case t.Ptr%align != 0:
		return fmt.Sprintf("the pointer %#x is not %d-byte aligned", uint64(t.Ptr), align)
	case o.Packed && (t.Batch != 0 || t.Head != 0 || t.Seq != 0):
		return "it is contiguous and takes no strides"
	case o.Packed:
		return ""
	}
	dim := o.counts[0](c)
	var axes [3]extent
	for i, e := range o.Axes[1:] {
		axes[i] = extent{t.stride(e.Axis), o.counts[i+1](c), e.Axis}
	}
	reason := t.check(dim, o.bytes, axes)
	if reason == "" && o.written {
		reason = distinct(dim, axes)
	}
	return reason
}

// lengths is what is wrong with the problem's size, or "".
func (c *call) lengths() string {
	a, k := &c.Args, &c.a.plan
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
	axis      launch.Axis
}

// rowAlign is what every row starts at a multiple of, in bytes: a copy's chunk.
const rowAlign = 16

// check is what is wrong with the tensor's strides, or "".
func (t *Tensor) check(dim, bytes int64, axes [3]extent) string {
	const space = 1 << 61 // elements, of an address space that never holds as many
	last, unit := dim, rowAlign/bytes
	for i := range axes {
		a := &axes[i]
		if a.stride < 0 {
			return fmt.Sprintf("the %s stride %d is negative", a.axis, a.stride)
		}
		if a.stride%unit != 0 {
			return fmt.Sprintf("the %s stride %d is no multiple of %d elements", a.axis, a.stride, unit)
		}
		if a.n > 1 && a.stride > (space-last)/(a.n-1) {
			return fmt.Sprintf("the %s stride %d overflows 64-bit addresses", a.axis, a.stride)
		}
		last += a.stride * (a.n - 1)
	}
	if uint64(t.Ptr) > math.MaxUint64-uint64(bytes)*uint64(last) {
		return fmt.Sprintf("the tensor at %#x with %d elements runs past the address space", uint64(t.Ptr), last)
	}
	return ""
}

// distinct is "" where the axes keep all rows apart, as an output must. It
// wants each axis to step over all of the one within it.
func distinct(dim int64, axes [3]extent) string {
	// Three axes: a sorting network does without an allocation.
	for _, p := range [...][2]int{{0, 1}, {1, 2}, {0, 1}} {
		if a, b := &axes[p[0]], &axes[p[1]]; b.stride < a.stride {
			*a, *b = *b, *a
		}
	}
	span := dim
	for i := range axes {
		a := &axes[i]
		if a.n <= 1 {
			continue
		}
		if a.stride < span {
			return fmt.Sprintf("the %s stride %d makes rows of the output overlap", a.axis, a.stride)
		}
		span += a.stride * (a.n - 1)
	}
	return ""
}
