package cuda

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	s2c "github.com/s2attention/s2c/runtime"
)

// Stream is a queue of work. Streams wait for the default stream and it for
// them, so Upload and Download see their work in order.
type Stream struct {
	d       *Device
	handle  uintptr // CUstream; 0 is the default stream
	foreign bool    // the program's own: never destroyed here
	closed  atomic.Bool
}

var (
	_ s2c.Stream = (*Stream)(nil)
	_ s2c.Copier = (*Stream)(nil)
)

// NewStream makes a queue of work.
func (d *Device) NewStream() (s2c.Stream, error) {
	s := &Stream{d: d}
	if err := d.With(func() error {
		var r result
		s.handle, r = ask[uintptr](d.lib, cuStreamCreate, 0)
		return d.lib.check(cuStreamCreate, r, "making a stream")
	}); err != nil {
		return nil, err
	}
	return s, nil
}

// Handle is the CUstream, for other libraries of the program to queue work on; 0
// is the default stream.
func (s *Stream) Handle() uintptr { return s.handle }

// DefaultStream is the device's default stream, to wait on and to time with.
func (d *Device) DefaultStream() *Stream { return &Stream{d: d} }

// streamHandle is the driver's handle of a stream of this device.
func (d *Device) streamHandle(s s2c.Stream) (uintptr, error) {
	if s == nil {
		return 0, nil
	}
	cs, ok := s.(*Stream)
	if !ok || cs == nil || cs.d != d {
		return 0, s2c.Errorf(s2c.ErrArgs, "the stream is not one of %s", d.name)
	}
	if cs.closed.Load() {
		return 0, s2c.Errorf(s2c.ErrClosed, "use of a stream after Close")
	}
	return cs.handle, nil
}

// with runs f with the stream's handle and its device's context.
func (s *Stream) with(f func(h uintptr) error) error {
	if s == nil || s.d == nil {
		return s2c.Errorf(s2c.ErrClosed, "use of a stream that was not opened")
	}
	h, err := s.d.streamHandle(s)
	if err != nil {
		return err
	}
	return s.d.With(func() error { return f(h) })
}

// Wait blocks until everything queued so far is done, and returns its error.
func (s *Stream) Wait() error {
	return s.with(func(h uintptr) error {
		return s.d.lib.do("waiting for a stream", cuStreamSynchronize, h)
	})
}

// UploadAsync queues a copy to the device.
func (s *Stream) UploadAsync(dst s2c.Ptr, src []byte) error {
	return s.with(func(h uintptr) error {
		return s.d.lib.copy(fmt.Sprintf("queueing a copy of %s", size(int64(len(src)))),
			cuMemcpyHtoDAsync, uintptr(dst), uintptr(unsafe.Pointer(unsafe.SliceData(src))), uintptr(len(src)), h)
	})
}

// DownloadAsync queues a copy from the device.
func (s *Stream) DownloadAsync(dst []byte, src s2c.Ptr) error {
	return s.with(func(h uintptr) error {
		return s.d.lib.copy(fmt.Sprintf("queueing a copy of %s", size(int64(len(dst)))),
			cuMemcpyDtoHAsync, uintptr(unsafe.Pointer(unsafe.SliceData(dst))), uintptr(src), uintptr(len(dst)), h)
	})
}

// Record marks this point for timing.
func (s *Stream) Record() (s2c.Event, error) {
	e := new(Event)
	if err := s.with(func(h uintptr) error {
		var r result
		if e.handle, r = ask[uintptr](s.d.lib, cuEventCreate, 0); r != success {
			return s.d.lib.check(cuEventCreate, r, "making an event")
		}
		err := s.d.lib.do("recording an event", cuEventRecord, e.handle, h)
		if err != nil {
			s.d.lib.call(cuEventDestroy, e.handle)
		}
		return err
	}); err != nil {
		return nil, err
	}
	e.d = s.d
	return e, nil
}

// Close gives the stream back once its work is done; an adopted one it leaves
// alone. A second call, and one on the default stream, does nothing.
func (s *Stream) Close() error {
	if s == nil || s.handle == 0 || s.closed.Swap(true) || s.foreign {
		return nil
	}
	return s.d.With(func() error { return s.d.lib.do("closing a stream", cuStreamDestroy, s.handle) })
}

// Event is a point in a stream.
type Event struct {
	d      *Device
	handle uintptr // CUevent
	closed atomic.Bool
}

// Since is the milliseconds from an earlier event of the device; it waits for
// both. The driver's resolution is half a microsecond.
func (e *Event) Since(earlier s2c.Event) (float64, error) {
	if e == nil || e.d == nil {
		return 0, s2c.Errorf(s2c.ErrClosed, "use of an event that was not recorded")
	}
	from, ok := earlier.(*Event)
	if !ok || from == nil || from.d != e.d {
		return 0, s2c.Errorf(s2c.ErrArgs, "the earlier event is not one of %s", e.d.name)
	}
	if e.closed.Load() || from.closed.Load() {
		return 0, s2c.Errorf(s2c.ErrClosed, "use of an event after Close")
	}
	var ms float32
	err := e.d.With(func() error {
		for _, ev := range []*Event{from, e} {
			if err := e.d.lib.do("waiting for an event", cuEventSynchronize, ev.handle); err != nil {
				return err
			}
		}
		var r result
		ms, r = ask[float32](e.d.lib, cuEventElapsedTime, from.handle, e.handle)
		return e.d.lib.check(cuEventElapsedTime, r, "timing")
	})
	return float64(ms), err
}

// Close gives the event back. A second call does nothing.
func (e *Event) Close() error {
	if e == nil || e.d == nil || e.closed.Swap(true) {
		return nil
	}
	return e.d.With(func() error { return e.d.lib.do("closing an event", cuEventDestroy, e.handle) })
}
