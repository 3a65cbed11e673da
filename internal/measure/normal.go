package measure

import (
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/internal/tensor"
)

const (
	// poolSize is the number of distinct values of an input: a 16-bit index, so
	// that one random word picks four. The pool stays in the CPU's own cache.
	poolSize = 1 << 16
	// chunk is the elements that one random stream fills. It is fixed, so that
	// the values do not depend on the number of cores.
	chunk = 1 << 20
)

// Normal makes a tensor whose elements are drawn independently, with
// replacement, from a pool of 2¹⁶ standard normal values: fast enough for a
// gigabyte in a second, and the same for the same seed and stream on every
// machine. Streams separate q, k and v of a seed.
func Normal(seed, stream uint64, d dtype.Type, shape ...int) (*tensor.Tensor, error) {
	t, err := tensor.New(d, shape...)
	if err != nil {
		return nil, err
	}
	values, err := tensor.Normal(seed, stream, d, poolSize)
	if err != nil {
		return nil, err
	}
	var pool [poolSize]uint16
	for n := range pool {
		pool[n] = binary.LittleEndian.Uint16(values.Data[2*n:])
	}
	parallel(len(t.Data), 2*chunk, func(from, end int) {
		source := rand.NewPCG(seed, stream<<32|uint64(from/(2*chunk))+1)
		fill(t.Data[from:end], &pool, source)
	})
	return t, nil
}

// fill draws elements of two bytes.
func fill(data []byte, pool *[poolSize]uint16, source *rand.PCG) {
	for ; len(data) >= 8; data = data[8:] {
		r := source.Uint64()
		four := uint64(pool[uint16(r)]) | uint64(pool[uint16(r>>16)])<<16 |
			uint64(pool[uint16(r>>32)])<<32 | uint64(pool[uint16(r>>48)])<<48
		binary.LittleEndian.PutUint64(data, four)
	}
	for ; len(data) >= 2; data = data[2:] {
		binary.LittleEndian.PutUint16(data, pool[uint16(source.Uint64())])
	}
}

// parallel calls f for the pieces of [0, n), on every core.
func parallel(n, piece int, f func(from, end int)) {
	pieces := (n + piece - 1) / piece
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), pieces) {
		workers.Go(func() {
			for {
				at := int(next.Add(1)-1) * piece
				if at >= n {
					return
				}
				f(at, min(at+piece, n))
			}
		})
	}
	workers.Wait()
}
