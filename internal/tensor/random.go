package tensor

import (
	"math/rand/v2"

	"github.com/s2attention/s2c/dtype"
)

// Normal makes a tensor of independent standard normal values, the same for the
// same seed and stream on every machine. Streams separate q, k and v of a seed.
func Normal(seed, stream uint64, d dtype.Type, shape ...int) (*Tensor, error) {
	t, err := New(d, shape...)
	if err != nil {
		return nil, err
	}
	source := rand.New(rand.NewPCG(seed, stream))
	for n := range t.Len() {
		t.Set(n, float32(source.NormFloat64()))
	}
	return t, nil
}
