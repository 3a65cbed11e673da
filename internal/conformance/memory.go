package conformance

import (
	"context"
	"sync"
)

// memory bounds what the cases under way hold on the host. One goroutine takes,
// any goroutine gives back.
type memory struct {
	mu    sync.Mutex
	limit int64
	used  int64
	peak  int64
	freed chan struct{} // holds a token where something came back since the last look
}

func newMemory(limit int64) *memory {
	return &memory{limit: limit, freed: make(chan struct{}, 1)}
}

// take waits until n bytes are free. What exceeds the limit waits until nothing
// else is held.
func (m *memory) take(ctx context.Context, n int64) error {
	for !m.try(n) {
		select {
		case <-m.freed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return ctx.Err()
}

func (m *memory) try(n int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.used > 0 && m.used+n > m.limit {
		return false
	}
	m.used += n
	m.peak = max(m.peak, m.used)
	return true
}

// most is the most that was held at a time.
func (m *memory) most() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.peak
}

func (m *memory) give(n int64) {
	m.mu.Lock()
	m.used -= n
	m.mu.Unlock()
	select {
	case m.freed <- struct{}{}:
	default:
	}
}

// bytes is what a case holds at its most: inputs, an output for each target, the
// reference, and one KV head's keys and values in float64.
func (c *Case) bytes(s *Subject, targets int) int64 {
	m := s.Model
	batch, heads, kv, dim := int64(c.batch()), int64(m.Heads), int64(m.KVHeads), int64(m.HeadDim)
	q, k := int64(c.qLen()), int64(c.KLen)
	rows := q
	if c.LastRows > 0 {
		rows = min(rows, int64(c.LastRows))
	}
	compared := heads
	if c.Heads != nil {
		compared = int64(len(c.Heads))
	}
	elem := int64(m.DType.Bytes())
	inputs := batch * (heads*q + 2*kv*k) * dim * elem
	outputs := int64(targets) * batch * heads * q * (dim*elem + 4)
	return inputs + outputs + batch*compared*rows*(dim+1)*8 + 2*k*dim*8
}
