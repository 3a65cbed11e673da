package runtime

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/s2attention/s2c/launch"
)

// tellingDevice knows its memory.
type tellingDevice struct {
	*fakeDevice
	free int64
	err  error
}

func (d *tellingDevice) MemInfo() (free, total int64, err error) { return d.free, 1 << 40, d.err }

// TestProblemMemory wants a problem that does not fit refused before its first
// tensor is allocated, with what it takes and what there is.
func TestProblemMemory(t *testing.T) {
	shape := launch.Shape{Heads: 4, KVHeads: 2, HeadDim: 8, Block: 16, DType: BF16, Scale: 1}
	args := Args{Batch: 2, QLen: 5, KLen: 10}
	const takes = 2 * (2*5*4*8*2 + 2*10*2*8*2 + 5*4*4)
	for _, c := range []struct {
		free int64
		err  error
		want error
	}{{takes, nil, nil}, {takes - 1, nil, ErrOutOfMemory}, {takes, ErrClosed, ErrClosed}} {
		dev := &tellingDevice{newFake(9, 0), c.free, c.err}
		p, err := NewProblem(dev, launch.Forward, shape, args, HeadsFirst)
		if !errors.Is(err, c.want) {
			t.Errorf("%d bytes free: %v", c.free, err)
		}
		if c.want != nil && len(dev.memory) > 0 {
			t.Errorf("%d bytes free: %d tensors were allocated", c.free, len(dev.memory))
		}
		if c.want == ErrOutOfMemory && (err == nil || !strings.Contains(err.Error(), "the tensors take 2720 bytes; Fake (sm_90) has 2719 free of 1099511627776")) {
			t.Errorf("%v", err)
		}
		if err := p.Free(); err != nil {
			t.Error(err)
		}
	}
}

// TestTensorBytes: the sum must fit 64 bits, not each size alone.
func TestTensorBytes(t *testing.T) {
	shape := launch.Shape{Heads: 1, KVHeads: 1, HeadDim: 256, Block: 16, DType: BF16, Scale: 1}
	sizes, err := TensorBytes(launch.Forward, shape, Args{Batch: 1, QLen: 1, KLen: MaxLen})
	if err != nil || sizes[launch.K] != MaxLen*512 || sizes[launch.LSE] != 4 {
		t.Errorf("%v, %v", sizes, err)
	}
	for _, a := range []Args{{}, {Batch: 1 << 22, QLen: MaxLen, KLen: MaxLen}, {Batch: math.MaxInt32, QLen: MaxLen, KLen: MaxLen}} {
		if _, err := TensorBytes(launch.Forward, shape, a); !errors.Is(err, ErrArgs) {
			t.Errorf("%+v: %v", a, err)
		}
	}
}
