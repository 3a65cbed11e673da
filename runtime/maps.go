package runtime

import (
	"fmt"
	"math"
	"sync"

	"github.com/s2attention/s2c/launch"
)

// mapCacheSize is the number of tensor maps an Attention remembers. A model
// that reuses its buffers needs four for each; an encode costs about as much
// as a launch.
const mapCacheSize = 256

// mapKey is everything that a tensor map of a plan depends on.
type mapKey struct {
	rule   *launch.MapRule
	t      Tensor
	extent [maxMapAxes]int64
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

// put copies the tensor map of a parameter.
func (m *mapCache) put(c *call, f *field, to []byte) error {
	key := mapKey{rule: f.param.Map, t: c.Tensors[f.role]}
	for i, n := range f.extents {
		key.extent[i] = n(c)
	}
	value, ok := m.find(key)
	if !ok {
		// Two goroutines may encode the same map at once; both get the same bytes.
		desc, err := c.describe(&key, f.param.Name)
		if err != nil {
			return err
		}
		if value, err = c.a.dev.EncodeTensorMap(desc); err != nil {
			return err
		}
		m.add(key, value)
	}
	copy(to, value[:])
	return nil
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

// describe applies a rule to a tensor. TMA takes strides below 2⁴⁰ bytes
// (cuda.h, cuTensorMapEncodeTiled).
func (c *call) describe(key *mapKey, param string) (TensorMap, error) {
	rule, dim := key.rule, key.extent[0]
	d := TensorMap{Base: key.t.Ptr, Box: rule.Box, Swizzle: rule.Swizzle, DType: c.a.plan.DType}
	for i, axis := range rule.Axes {
		n := key.extent[i]
		d.Dims = append(d.Dims, uint64(n))
		if i == 0 {
			continue
		}
		stride := key.t.stride(axis)
		if n == 1 {
			stride = dim // never stepped over
		}
		if stride > math.MaxInt64/2 || 2*stride >= 1<<40 {
			return d, c.bad(fmt.Sprintf("%s: the %s stride %d is 2⁴⁰ bytes or more, which a tensor map cannot hold", param, axis, stride))
		}
		d.Strides = append(d.Strides, uint64(2*stride))
	}
	return d, nil
}
