package runtime

import (
	"fmt"
	"math"
	"sync"
)

// mapCacheSize is the number of tensor maps an Attention remembers. A model
// that reuses its buffers needs four for each; an encode costs about as much
// as a launch.
const mapCacheSize = 256

// mapKey is everything that a tensor map of a kernel depends on.
type mapKey struct {
	rule  int
	t     Tensor
	len   int
	batch int
}

type mapEntry struct {
	key        mapKey
	value      [128]byte
	newer, old *mapEntry
}

// mapCache keeps the tensor maps used last, in a ring by time of use. The zero
// value is empty.
type mapCache struct {
	mu      sync.Mutex
	entries map[mapKey]*mapEntry
	ring    mapEntry // ring.old is the newest, ring.newer the oldest
}

// get is the tensor map of the kernel's i-th rule for a launch.
func (c *mapCache) get(dev Device, k *Kernel, i int, args *Args) (m [128]byte, err error) {
	t, heads, length := mapTensor(k, &k.Maps[i], args)
	key := mapKey{i, *t, length, args.Batch}
	if m, ok := c.find(key); ok {
		return m, nil
	}
	// Two goroutines may encode the same map at once; both get the same bytes.
	desc, err := k.Maps[i].describe(k, t, heads, length, args.Batch)
	if err != nil {
		return m, err
	}
	if m, err = dev.EncodeTensorMap(desc); err != nil {
		return m, err
	}
	c.add(key, m)
	return m, nil
}

func (c *mapCache) find(key mapKey) (m [128]byte, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[key]
	if e == nil {
		return m, false
	}
	e.unlink()
	c.push(e)
	return e.value, true
}

func (c *mapCache) add(key mapKey, m [128]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil {
		c.entries = map[mapKey]*mapEntry{}
		c.ring.old, c.ring.newer = &c.ring, &c.ring
	}
	if c.entries[key] != nil {
		return
	}
	if len(c.entries) == mapCacheSize {
		oldest := c.ring.newer
		oldest.unlink()
		delete(c.entries, oldest.key)
	}
	e := &mapEntry{key: key, value: m}
	c.entries[key] = e
	c.push(e)
}

func (c *mapCache) push(e *mapEntry) {
	e.old, e.newer = c.ring.old, &c.ring
	e.old.newer, e.newer.old = e, e
}

func (e *mapEntry) unlink() {
	e.old.newer, e.newer.old = e.newer, e.old
}

// mapTensor is the tensor of a rule, with its heads and its length.
func mapTensor(k *Kernel, m *MapRule, args *Args) (t *Tensor, heads, length int) {
	switch m.Param {
	case "q_map":
		return &args.Q, k.Heads, args.QLen
	case "k_map":
		return &args.K, k.KVHeads, args.KLen
	case "v_map":
		return &args.V, k.KVHeads, args.KLen
	default:
		return &args.O, k.Heads, args.QLen
	}
}

// describe applies the rule to a tensor. TMA takes strides below 2⁴⁰ bytes
// (cuda.h, cuTensorMapEncodeTiled).
func (m *MapRule) describe(k *Kernel, t *Tensor, heads, length, batch int) (TensorMap, error) {
	d := TensorMap{Base: t.Ptr, Box: m.Box, Swizzle: m.Swizzle, DType: k.DType}
	for i, axis := range m.Axes {
		n, stride := int64(k.HeadDim), int64(1)
		switch axis {
		case AxisSeq:
			n, stride = int64(length), t.Seq
		case AxisHead:
			n, stride = int64(heads), t.Head
		case AxisBatch:
			n, stride = int64(batch), t.Batch
		}
		d.Dims = append(d.Dims, uint64(n))
		if i == 0 {
			continue
		}
		if n == 1 {
			stride = int64(k.HeadDim) // never stepped over
		}
		if stride > math.MaxInt64/2 || 2*stride >= 1<<40 {
			return d, badArgs(k, fmt.Sprintf("%s: the %s stride %d is 2⁴⁰ bytes or more, which a tensor map cannot hold", m.Param, axis, stride))
		}
		d.Strides = append(d.Strides, uint64(2*stride))
	}
	return d, nil
}
