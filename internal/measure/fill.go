package measure

import (
	"encoding/binary"
	"errors"

	"github.com/s2attention/s2c/runtime"
)

// fillText stores a word to every 4 bytes of a buffer, 16 bytes a thread.
const fillText = `.version 7.0
.target sm_80
.address_size 64

.visible .entry fill(
	.param .u64 base,
	.param .u32 count,
	.param .u32 word
)
{
	.reg .pred %p<1>;
	.reg .b32 %r<6>;
	.reg .b64 %rd<2>;
	ld.param.b64 %rd0, [base];
	ld.param.b32 %r0, [count];
	ld.param.b32 %r1, [word];
	mov.u32 %r2, %ctaid.x;
	mov.u32 %r3, %ntid.x;
	mov.u32 %r4, %tid.x;
	mad.lo.u32 %r5, %r2, %r3, %r4;
	setp.ge.u32 %p0, %r5, %r0;
	@%p0 bra END;
	mul.wide.u32 %rd1, %r5, 16;
	add.s64 %rd0, %rd0, %rd1;
	st.global.v4.b32 [%rd0], {%r1, %r1, %r1, %r1};
END:
	ret;
}
`

const (
	fillThreads = 256
	fillBytes   = 16 // that a thread stores
)

// filler writes to device memory from the device, which no copy does as fast.
type filler struct {
	module runtime.Module
	fn     runtime.Function
}

func newFiller(dev runtime.Device) (*filler, error) {
	m, err := dev.LoadModule(fillText)
	if err != nil {
		return nil, err
	}
	fn, err := m.Function("fill", 0)
	if err != nil {
		return nil, errors.Join(err, m.Unload())
	}
	return &filler{m, fn}, nil
}

// fill queues the store of a word to bytes, a multiple of 16, from p on.
func (f *filler) fill(s runtime.Stream, p runtime.Ptr, bytes int64, word uint32) error {
	count := bytes / fillBytes
	var params [16]byte
	binary.LittleEndian.PutUint64(params[:], uint64(p))
	binary.LittleEndian.PutUint32(params[8:], uint32(count))
	binary.LittleEndian.PutUint32(params[12:], word)
	grid := int((count + fillThreads - 1) / fillThreads)
	return f.fn.Launch(s, [3]int{grid, 1, 1}, [3]int{fillThreads, 1, 1}, params[:])
}

func (f *filler) close() error { return f.module.Unload() }
