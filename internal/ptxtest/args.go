package ptxtest

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/runtime"
	"github.com/s2attention/s2c/runtime/emu"
)

// Parameters of a kernel.
func U32(name string) ptx.Param { return ptx.Param{Name: name, Type: "u32", Bytes: 4} }
func U64(name string) ptx.Param { return ptx.Param{Name: name, Type: "u64", Bytes: 8} }
func F32(name string) ptx.Param { return ptx.Param{Name: name, Type: "f32", Bytes: 4} }

// Map is a parameter for a Tensor.
func Map(name string) ptx.Param { return ptx.Param{Name: name, Type: "b8", Bytes: 128, Align: 64} }

// Tensor is an argument: the map by which the copy engine takes boxes from a slice of
// 16-bit numbers.
type Tensor struct {
	Data    any
	Sizes   [4]int // of the axes, the innermost first; packed
	Box     [4]int
	Swizzle int // bytes
}

func (a Tensor) place(dev *emu.Device) (block [128]byte, at runtime.Ptr, err error) {
	if at, err = In(a.Data).place(dev); err != nil {
		return
	}
	d := runtime.TensorMap{Base: at, Swizzle: a.Swizzle, DType: dtype.BF16}
	stride := uint64(2)
	for n, size := range a.Sizes {
		d.Dims = append(d.Dims, uint64(size))
		d.Box = append(d.Box, uint32(a.Box[n]))
		if stride *= uint64(size); n < 3 {
			d.Strides = append(d.Strides, stride)
		}
	}
	block, err = dev.EncodeTensorMap(d)
	return
}

// Buffer is an argument: the address of a slice's elements on the device.
type Buffer struct {
	data    any // a slice of numbers of a fixed size
	in, out bool
	offset  int64
}

// In is a buffer that the kernel reads. InOut is one that it may write, too. Of an
// Out, it must write every byte and may read none before.
func In(slice any) Buffer    { return Buffer{data: slice, in: true} }
func InOut(slice any) Buffer { return Buffer{data: slice, in: true, out: true} }
func Out(slice any) Buffer   { return Buffer{data: slice, out: true} }

// Before is the buffer by an address that lies so many bytes before its first: what
// a kernel adds to it may be as large as one likes.
func (a Buffer) Before(bytes int64) Buffer {
	a.offset = -bytes
	return a
}

// placed is a launch's parameter block and the buffers behind it.
type placed struct {
	block   []byte
	buffers []Buffer
	at      []runtime.Ptr
}

func (k *Kernel) place(args []any) (*placed, error) {
	p := &placed{}
	for i, a := range args {
		if tensor, ok := a.(Tensor); ok {
			block, at, err := tensor.place(k.dev)
			if err != nil {
				return nil, fmt.Errorf("ptxtest: parameter %s: %w", k.params[i].Name, err)
			}
			p.pad(64)
			p.block = append(p.block, block[:]...)
			p.buffers, p.at = append(p.buffers, In(tensor.Data)), append(p.at, at)
			continue
		}
		v, err := p.value(k.dev, a)
		if err != nil {
			return nil, fmt.Errorf("ptxtest: parameter %s: %w", k.params[i].Name, err)
		}
		bytes := k.params[i].Bytes
		p.pad(bytes)
		p.block = append(p.block, binary.LittleEndian.AppendUint64(nil, v)[:bytes]...)
	}
	return p, nil
}

func (p *placed) pad(align int) {
	for len(p.block)%align != 0 {
		p.block = append(p.block, 0)
	}
}

// value is an argument's bits.
func (p *placed) value(dev *emu.Device, a any) (uint64, error) {
	switch a := a.(type) {
	case int:
		return uint64(a), nil
	case uint64:
		return a, nil
	case float32:
		return uint64(math.Float32bits(a)), nil
	case Buffer:
		at, err := a.place(dev)
		p.buffers, p.at = append(p.buffers, a), append(p.at, at)
		return uint64(at) + uint64(a.offset), err
	}
	return 0, fmt.Errorf("an argument of type %T", a)
}

func (a Buffer) place(dev *emu.Device) (runtime.Ptr, error) {
	n := binary.Size(a.data)
	if n <= 0 {
		return 0, fmt.Errorf("a buffer of %T without a byte", a.data)
	}
	at, err := dev.Alloc(int64(n))
	if err != nil {
		return 0, err
	}
	if !a.in {
		return at, dev.MarkOutput(at, int64(n))
	}
	bytes, err := binary.Append(nil, binary.LittleEndian, a.data)
	if err != nil {
		return 0, err
	}
	return at, dev.Upload(at, bytes)
}

// collect reads back what the kernel may have written, and frees all buffers.
func (p *placed) collect(dev *emu.Device) error {
	for i, a := range p.buffers {
		if a.out {
			bytes := make([]byte, binary.Size(a.data))
			if err := dev.Download(bytes, p.at[i]); err != nil {
				return err
			}
			if _, err := binary.Decode(bytes, binary.LittleEndian, a.data); err != nil {
				return err
			}
		}
		if err := dev.Free(p.at[i]); err != nil {
			return err
		}
	}
	return nil
}
