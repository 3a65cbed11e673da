package conformance

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/s2attention/s2c/internal/tensor"
	"github.com/s2attention/s2c/runtime"
)

// Placement says how the rows of a tensor lie in memory.
type Placement string

const (
	BHSD   Placement = ""       // [batch, heads, seq, dim], contiguous
	BSHD   Placement = "bshd"   // [batch, seq, heads, dim], contiguous
	Padded Placement = "padded" // BHSD with gaps after each row, head and batch entry
	// The far ones place elements past 2³¹, by the stride that they name.
	FarRows  Placement = "far rows"
	FarHeads Placement = "far heads"
	FarBatch Placement = "far batch"
)

const far = 1<<31 + 8 // elements

// strides are those of a tensor [batch, heads, seq, dim], in elements.
func (p Placement) strides(heads, seq, dim int) (batch, head, row int64) {
	h, s, d := int64(heads), int64(seq), int64(dim)
	switch p {
	case BSHD:
		return s * h * d, d, h * d
	case Padded:
		row = d + 24
		head = s*row + 40
		return h*head + 8, head, row
	case FarRows:
		row = far/s/8*8 + 8
		return s * row, d + 8, row
	case FarHeads:
		return h * far, far, d
	case FarBatch:
		return far, s * d, d
	}
	return h * s * d, s * d, d
}

const (
	gapByte  = 0xA5    // what lies between the rows of an output
	imageMax = 1 << 28 // bytes of a tensor that is copied in one piece
	// margin is what lies on both sides of a tensor on devices that cannot tell
	// the end of an allocation.
	margin = 512
)

// placed is a tensor in device memory.
type placed struct {
	*tensor.Tensor
	dev     runtime.Device
	at      runtime.Ptr // of the first element
	base    runtime.Ptr // of the allocation
	bytes   int64       // of the allocation
	side    int64       // margin on both sides
	batch   int64       // strides in elements
	head    int64
	row     int64
	written bool // an output
}

// place allocates memory for a tensor and copies it there.
func place(dev runtime.Device, t *tensor.Tensor, p Placement, shared, written bool) (*placed, error) {
	x := &placed{Tensor: t, dev: dev, written: written}
	n, heads, seq, dim := t.Shape[0], t.Shape[1], t.Shape[2], t.Shape[3]
	x.batch, x.head, x.row = p.strides(heads, seq, dim)
	if shared {
		x.batch = 0
	}
	if dev.Kind() != "emu" {
		x.side = margin
	}
	span := int64(n-1)*x.batch + int64(heads-1)*x.head + int64(seq-1)*x.row + int64(dim)
	x.bytes = span*int64(t.DType.Bytes()) + 2*x.side
	var err error
	if x.base, err = dev.Alloc(x.bytes); err != nil {
		return nil, err
	}
	x.at = x.base + runtime.Ptr(x.side)
	if err := x.upload(); err != nil {
		return nil, errors.Join(err, dev.Free(x.base))
	}
	return x, nil
}

// runtimeTensor is how a launch names it.
func (x *placed) runtimeTensor() runtime.Tensor {
	return runtime.Tensor{Ptr: x.at, Batch: x.batch, Head: x.head, Seq: x.row}
}

// contiguous is whether the tensor's bytes lie in memory as they do on the host.
func (x *placed) contiguous() bool {
	batch, head, row := BHSD.strides(x.Shape[1], x.Shape[2], x.Shape[3])
	return x.batch == batch && x.head == head && x.row == row
}

// dense is whether the tensor's rows touch, in whatever order.
func (x *placed) dense() bool { return x.bytes-2*x.side == int64(len(x.Data)) }

// eachRow calls f with the bytes of each row and their distance from the first.
func (x *placed) eachRow(f func(data []byte, off int64) error) error {
	heads, seq, row := x.Shape[1], x.Shape[2], x.Shape[3]*x.DType.Bytes()
	for n := range x.Shape[0] * heads * seq {
		b, h, s := n/seq/heads, n/seq%heads, n%seq
		off := int64(b)*x.batch + int64(h)*x.head + int64(s)*x.row
		if err := f(x.Data[n*row:(n+1)*row], off*int64(x.DType.Bytes())); err != nil {
			return err
		}
	}
	return nil
}

// fill is the byte around the rows: NaNs around inputs, so that a key too many
// shows, and a known byte around outputs.
func (x *placed) fill() byte {
	if x.written {
		return gapByte
	}
	return 0xff
}

// upload copies the tensor with what lies around its rows.
func (x *placed) upload() error {
	switch {
	case x.contiguous():
		side := bytes.Repeat([]byte{x.fill()}, int(x.side))
		return errors.Join(x.dev.Upload(x.base, side), x.dev.Upload(x.at, x.Data),
			x.dev.Upload(x.at+runtime.Ptr(len(x.Data)), side))
	case x.bytes > imageMax:
		return x.eachRow(func(data []byte, off int64) error { return x.dev.Upload(x.at+runtime.Ptr(off), data) })
	}
	image := bytes.Repeat([]byte{x.fill()}, int(x.bytes))
	_ = x.eachRow(func(data []byte, off int64) error { copy(image[x.side+off:], data); return nil })
	return x.dev.Upload(x.base, image)
}

// download brings the rows back and reports a byte between them that changed.
func (x *placed) download() error {
	switch {
	case x.contiguous():
		return x.downloadWhole()
	case x.bytes > imageMax:
		return x.eachRow(func(data []byte, off int64) error { return x.dev.Download(data, x.at+runtime.Ptr(off)) })
	}
	image := make([]byte, x.bytes)
	if err := x.dev.Download(image, x.base); err != nil {
		return err
	}
	_ = x.eachRow(func(data []byte, off int64) error {
		row := image[x.side+off:][:len(data)]
		copy(data, row)
		for n := range row {
			row[n] = gapByte
		}
		return nil
	})
	return untouched(image, -x.side)
}

// downloadWhole brings a contiguous tensor back. It needs no image: some are
// gigabytes.
func (x *placed) downloadWhole() error {
	if err := x.dev.Download(x.Data, x.at); err != nil {
		return err
	}
	side, size := make([]byte, x.side), int64(len(x.Data))
	for _, from := range []int64{-x.side, size} {
		if err := x.dev.Download(side, runtime.Ptr(int64(x.at)+from)); err != nil {
			return err
		}
		if err := untouched(side, from); err != nil {
			return err
		}
	}
	return nil
}

// untouched reports the first byte that is no gap; the first one lies so many
// bytes from the output's first element.
func untouched(gap []byte, from int64) error {
	for n, b := range gap {
		if b != gapByte {
			return fmt.Errorf("the kernel wrote %#x to byte %d, counted from the output's first, which belongs to no row", b, int64(n)+from)
		}
	}
	return nil
}

// mark tells a device that can check it which bytes the kernel has to write.
func (x *placed) mark() error {
	checker, ok := x.dev.(runtime.OutputChecker)
	switch {
	case !ok:
		return nil
	case x.dense():
		return checker.MarkOutput(x.at, int64(len(x.Data)))
	}
	return x.eachRow(func(data []byte, off int64) error {
		return checker.MarkOutput(x.at+runtime.Ptr(off), int64(len(data)))
	})
}
