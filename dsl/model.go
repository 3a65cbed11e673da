package dsl

import (
	"fmt"
	"math"

	"github.com/s2attention/s2c/diag"
	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/limit"
)

// Bounds on a model's shape.
const (
	maxHeads   = limit.Heads
	maxLayers  = limit.Layers
	maxHeadDim = limit.HeadDim
	maxArg     = limit.Number // window, stride, column, …
	minScale   = limit.MinScale
	maxScale   = limit.MaxScale
)

// fieldValue is an integer field of the model, or what follows from them.
func (c *checker) fieldValue(name string, at diag.Span) (value, bool) {
	return c.lazy(name, at, func() (value, bool) {
		if name == "group" {
			h, ok1 := c.fieldValue("heads", at)
			k, ok2 := c.fieldValue("kv_heads", at)
			if !ok1 || !ok2 || k.i == 0 {
				return value{}, false
			}
			return intValue(h.i / k.i), true
		}
		f := c.fields[name]
		if f == nil {
			return c.fieldDefault(name, at)
		}
		x, ok := c.evalInt(f.value.lo, &env{})
		if !ok {
			return value{}, false
		}
		return intValue(x), c.fieldInRange(name, x, f.value.span)
	})
}

func (c *checker) fieldDefault(name string, at diag.Span) (value, bool) {
	switch name {
	case "kv_heads":
		return c.fieldValue("heads", at)
	case "block":
		return intValue(64), true
	case "layers":
		n, ok := c.layersNamed()
		return intValue(n), ok
	}
	if c.model == nil || c.missing[name] {
		return value{}, false
	}
	c.missing[name] = true
	span := c.model.span
	span.End = min(span.End, span.Start+len("model"))
	c.bag.Add(diag.New(diag.MissingField, span, "the model does not say `%s`", name).
		WithHint("add `%s` (%s)", name, fieldByName(name).usage))
	return value{}, false
}

func (c *checker) fieldInRange(name string, x int64, span diag.Span) bool {
	bad := func(hint string) bool {
		c.bag.Add(diag.New(diag.BadField, span, "`%s` cannot be %d", name, x).WithHint("%s", hint))
		return false
	}
	switch name {
	case "heads", "kv_heads":
		if x < 1 || x > maxHeads {
			return bad(fmt.Sprintf("it is between 1 and %d", maxHeads))
		}
	case "head_dim":
		if x < 8 || x > maxHeadDim || x%8 != 0 {
			return bad(fmt.Sprintf("it is a multiple of 8 from 8 to %d", maxHeadDim))
		}
	case "block":
		if x != 16 && x != 32 && x != 64 && x != 128 {
			return bad("it is 16, 32, 64 or 128")
		}
	case "layers":
		if x < 1 || x > maxLayers {
			return bad(fmt.Sprintf("it is between 1 and %d", maxLayers))
		}
	}
	return true
}

// shape evaluates the model's fields. The model is complete only if ok.
func (c *checker) shape() (m Model, ok bool) {
	if c.model == nil {
		return m, false
	}
	ok = true
	number := func(name string) int {
		v, fine := c.fieldValue(name, c.model.span)
		ok = ok && fine
		return int(v.i)
	}
	m.Name = c.model.name
	m.TotalHeads, m.TotalKVHeads = number("heads"), number("kv_heads")
	m.HeadDim, m.Block, m.Layers = number("head_dim"), number("block"), number("layers")
	if m.TotalHeads > 0 && m.TotalKVHeads > 0 && m.TotalHeads%m.TotalKVHeads != 0 {
		c.bag.Add(diag.New(diag.HeadsNotDivided, c.fieldSpan("kv_heads"), "%d KV heads cannot share %d query heads evenly",
			m.TotalKVHeads, m.TotalHeads).WithHint("kv_heads divides heads"))
		ok = false
	}
	m.DType = c.dtype(&ok)
	m.Causal = c.direction(&ok)
	m.Scale = c.scale(m.HeadDim, &ok)
	if ok {
		c.activeHeads(&m, &ok)
	}
	return m, ok
}

// fieldSpan is where a field is set, or the model.
func (c *checker) fieldSpan(name string) diag.Span {
	if f := c.fields[name]; f != nil {
		return f.span.To(f.value.span)
	}
	return c.model.span
}

func (c *checker) dtype(ok *bool) dtype.Type {
	f := c.fields["dtype"]
	if f == nil {
		return dtype.BF16
	}
	if n, isName := f.value.lo.(*nameExpr); isName && !f.value.ranged {
		if d := dtype.Type(n.id); d.Model() {
			return d
		}
	}
	*ok = false
	c.bag.Add(diag.New(diag.BadField, f.value.span, "`dtype` cannot be %s", clip(f.value.span.Text())).
		WithHint("it is bf16 or f16"))
	return dtype.BF16
}

func (c *checker) direction(ok *bool) bool {
	causal, both := c.fields["causal"], c.fields["bidirectional"]
	switch {
	case causal != nil && both != nil:
		c.bag.Add(diag.New(diag.Duplicate, both.span, "the model is both causal and bidirectional").
			WithRelated(causal.span, "the other is here").WithHint("keep one"))
		*ok = false
	case causal == nil && both == nil:
		span := c.model.span
		span.End = min(span.End, span.Start+len("model"))
		c.bag.Add(diag.New(diag.NoDirection, span, "the model does not say whether it is causal").
			WithHint("add `causal` or `bidirectional`"))
		*ok = false
	}
	return causal != nil
}

func (c *checker) scale(headDim int, ok *bool) float64 {
	f := c.fields["scale"]
	if f == nil {
		return 1 / math.Sqrt(float64(max(1, headDim)))
	}
	if f.value.lo == nil || f.value.ranged {
		*ok = false
		return 0
	}
	s, fine := c.evalReal(f.value.lo)
	if fine && !(s >= minScale && s <= maxScale) {
		c.bag.Add(diag.New(diag.BadField, f.value.span, "`scale` cannot be %g", s).
			WithHint("it is a number from 1e-30 to 1e6, usually 1/sqrt(head_dim)"))
		fine = false
	}
	*ok = *ok && fine
	return s
}

// activeHeads narrows the model to this device's slice.
func (c *checker) activeHeads(m *Model, ok *bool) {
	m.Heads, m.KVHeads = m.TotalHeads, m.TotalKVHeads
	f := c.fields["active_heads"]
	if f == nil || f.value.lo == nil {
		return
	}
	fail := func(hint, format string, args ...any) {
		c.bag.Add(diag.New(diag.BadActiveHeads, f.value.span, format, args...).WithHint("%s", hint))
		*ok = false
	}
	lo, hi, fine := c.closedRange(&f.value, int64(m.TotalHeads)-1)
	if !fine {
		*ok = false
		return
	}
	if lo < 0 || hi >= int64(m.TotalHeads) {
		fail("write the first and the last head of the slice: active_heads 8..15",
			"heads %d..%d are not among the %d heads of the model", lo, hi, m.TotalHeads)
		return
	}
	group := int64(m.TotalHeads / m.TotalKVHeads)
	n := hi - lo + 1
	switch {
	case lo/group == hi/group:
		m.KVHeads = 1
	case lo%group == 0 && n%group == 0:
		m.KVHeads = int(n / group)
	default:
		fail("a slice holds whole KV groups, or a part of a single one",
			"heads %d..%d cut a KV group of %d query heads", lo, hi, group)
		return
	}
	m.Heads, m.FirstHead = int(n), int(lo)
}

// closedRange evaluates lo..hi with both ends; last stands for an open end.
func (c *checker) closedRange(r *rangeExpr, last int64) (lo, hi int64, ok bool) {
	return c.rangeIn(r, &env{}, last)
}

// rangeIn evaluates a range and reports one that runs backwards.
func (c *checker) rangeIn(r *rangeExpr, v *env, open int64) (lo, hi int64, ok bool) {
	lo, ok = c.evalInt(r.lo, v)
	if !ok {
		return 0, 0, false
	}
	switch {
	case !r.ranged:
		hi = lo
	case r.hi == nil:
		hi = open
	default:
		if hi, ok = c.evalInt(r.hi, v); !ok {
			return 0, 0, false
		}
		if hi < lo {
			c.bag.Add(diag.New(diag.ReversedRange, r.span, "the range %d..%d runs backwards%s", lo, hi, v.where()).
				WithHint("both ends are included; an empty range cannot be written"))
			return 0, 0, false
		}
	}
	return lo, hi, true
}
