package runtime

import (
	"container/list"
	"fmt"
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
	key   mapKey
	value [128]byte
}

// mapCache keeps the tensor maps used last. The zero value is empty.
type mapCache struct {
	mu      sync.Mutex
	entries map[mapKey]*list.Element
	recent  list.List // of *mapEntry, the one used last in front
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

func (m *mapCache) find(key mapKey) (value [128]byte, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.entries[key]
	if e == nil {
		return value, false
	}
	m.recent.MoveToFront(e)
	return e.Value.(*mapEntry).value, true
}

func (m *mapCache) add(key mapKey, value [128]byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.entries == nil {
		m.entries = map[mapKey]*list.Element{}
	}
	if m.entries[key] != nil {
		return
	}
	if len(m.entries) == mapCacheSize {
		delete(m.entries, m.recent.Remove(m.recent.Back()).(*mapEntry).key)
	}
	m.entries[key] = m.recent.PushFront(&mapEntry{key, value})
}

// describe applies a rule to a tensor. TMA takes strides below 2⁴⁰ bytes
// (cuda.h, cuTensorMapEncodeTiled).
func (c *call) describe(key *mapKey, param string) (TensorMap, error) {
	rule, dim, bytes := key.rule, key.extent[0], int64(c.a.plan.DType.Bytes())
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
		if stride >= 1<<40/bytes {
			return d, c.bad(fmt.Sprintf("%s: the %s stride %d is 2⁴⁰ bytes or more, which a tensor map cannot hold", param, axis, stride))
		}
		d.Strides = append(d.Strides, uint64(bytes*stride))
	}
	return d, nil
}
