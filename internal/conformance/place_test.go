package conformance

import (
	"bytes"
	"testing"

	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/internal/tensor"
	"github.com/s2attention/s2c/runtime"
	"github.com/s2attention/s2c/runtime/emu"
)

// blind is an emulator that passes for a device which cannot tell the end of an
// allocation, so that tensors have margins.
type blind struct{ *emu.Device }

func (blind) Kind() string { return "blind" }

// TestPlaceRoundTrip: what goes to a device comes back, rows in the strides'
// order, and a byte that belongs to no row is reported when it changed.
func TestPlaceRoundTrip(t *testing.T) {
	for _, p := range []Placement{BHSD, BSHD, Padded, FarRows} {
		dev := blind{emu.New(emu.Options{Workers: 1})}
		in, err := tensor.Normal(1, 2, dtype.BF16, 2, 3, 5, 8)
		if err != nil {
			t.Fatal(err)
		}
		x, err := place(dev, in, p, false, true)
		if err != nil {
			t.Fatal(err)
		}
		want := bytes.Clone(in.Data)
		clear(in.Data)
		if err := x.download(); err != nil || !bytes.Equal(in.Data, want) {
			t.Errorf("%q: the tensor comes back otherwise; %v", p, err)
		}
		row, host := make([]byte, 16), want[5*16:][:16] // of head 1, row 0
		if err := dev.Download(row, x.at+runtime.Ptr(int64(in.DType.Bytes())*x.head)); err != nil || !bytes.Equal(row, host) {
			t.Errorf("%q: a row is not where its strides say; %v", p, err)
		}
		if p == FarRows {
			continue // only its rows are copied
		}
		for _, at := range []runtime.Ptr{x.at - 1, x.base, x.base + runtime.Ptr(x.bytes) - 1, x.base + runtime.Ptr(x.bytes-x.side)} {
			if err := dev.Upload(at, []byte{gapByte ^ 1}); err != nil {
				t.Fatal(err)
			}
			if err := x.download(); err == nil {
				t.Errorf("%q: a byte at %d from the first element changed, and nothing is said", p, int64(at)-int64(x.at))
			}
			if err := dev.Upload(at, []byte{gapByte}); err != nil {
				t.Fatal(err)
			}
		}
		if err := x.download(); err != nil {
			t.Error(err)
		}
		if err := dev.Close(); err != nil {
			t.Error(err)
		}
	}
}
