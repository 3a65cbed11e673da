//go:build gorgonia

package gorgonia

import (
	"sync/atomic"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/s2attention/s2c/runtime"
)

// Stream is a queue of work: the caller's, or one that NewStream made.
type Stream struct {
	d      *Device
	s      cu.Stream
	owned  bool
	closed atomic.Bool
}

var (
	_ runtime.Stream = (*Stream)(nil)
	_ runtime.Copier = (*Stream)(nil)
)

// Stream uses the caller's stream; Close leaves it alone. cu.NoStream is the
// default stream.
func (d *Device) Stream(s cu.Stream) *Stream { return &Stream{d: d, s: s} }

// AdoptStream is Stream for a CUstream that the program has as a number, such as
// another library's; 0 is the default stream. See AdoptStream of runtime/cuda.
func (d *Device) AdoptStream(handle uintptr) (runtime.Stream, error) {
	if err := d.with(func() error { return nil }); err != nil {
		return nil, err
	}
	return d.Stream(*(*cu.Stream)(unsafe.Pointer(&handle))), nil
}

// NewStream makes a queue of work.
func (d *Device) NewStream() (runtime.Stream, error) {
	s := &Stream{d: d, owned: true}
	if err := d.with(func() (err error) {
		s.s, err = cu.MakeStream(cu.DefaultStream)
		return failed("making a stream", err)
	}); err != nil {
		return nil, err
	}
	return s, nil
}

// streamHandle is the CUstream of a stream of this device.
func (d *Device) streamHandle(s runtime.Stream) (uintptr, error) {
	if s == nil {
		return 0, nil
	}
	gs, ok := s.(*Stream)
	if !ok || gs == nil || gs.d != d {
		return 0, runtime.Errorf(runtime.ErrArgs, "the stream is not one of %s", d.name)
	}
	if gs.closed.Load() {
		return 0, runtime.Errorf(runtime.ErrClosed, "use of a stream after Close")
	}
	return uintptr(unsafe.Pointer(gs.s.C())), nil
}

// with runs f in the device's context, unless the stream is closed.
func (s *Stream) with(f func() error) error {
	if _, err := s.d.streamHandle(s); err != nil {
		return err
	}
	return s.d.with(f)
}

// Wait blocks until everything queued so far is done, and returns its error.
func (s *Stream) Wait() error {
	return s.with(func() error { return failed("waiting for a stream", s.s.Synchronize()) })
}

// UploadAsync queues a copy to the device.
func (s *Stream) UploadAsync(dst runtime.Ptr, src []byte) error {
	return s.with(func() error {
		if len(src) == 0 {
			return nil
		}
		return failed("queueing a copy", cu.MemcpyHtoDAsync(cu.DevicePtr(dst), unsafe.Pointer(&src[0]), int64(len(src)), s.s))
	})
}

// DownloadAsync queues a copy from the device.
func (s *Stream) DownloadAsync(dst []byte, src runtime.Ptr) error {
	return s.with(func() error {
		if len(dst) == 0 {
			return nil
		}
		return failed("queueing a copy", cu.MemcpyDtoHAsync(unsafe.Pointer(&dst[0]), cu.DevicePtr(src), int64(len(dst)), s.s))
	})
}

// Record marks this point for timing.
func (s *Stream) Record() (runtime.Event, error) {
	e := &Event{d: s.d}
	if err := s.with(func() (err error) {
		if e.e, err = cu.MakeEvent(cu.DefaultEvent); err != nil {
			return failed("making an event", err)
		}
		if err := e.e.Record(s.s); err != nil {
			_ = cu.DestroyEvent(&e.e)
			return failed("recording an event", err)
		}
		return nil
	}); err != nil {
		return nil, err
	}
	return e, nil
}

// Close gives a stream that NewStream made back. A second call does nothing.
func (s *Stream) Close() error {
	if s.closed.Swap(true) || !s.owned {
		return nil
	}
	return s.d.with(func() error { return failed("closing a stream", s.s.Destroy()) })
}

// Event is a point in a stream.
type Event struct {
	d      *Device
	e      cu.Event
	closed atomic.Bool
}

// Since is the milliseconds from an earlier event; it waits for both.
func (e *Event) Since(earlier runtime.Event) (ms float64, err error) {
	from, ok := earlier.(*Event)
	if !ok || from == nil || from.d != e.d {
		return 0, runtime.Errorf(runtime.ErrArgs, "the earlier event is not one of %s", e.d.name)
	}
	if e.closed.Load() || from.closed.Load() {
		return 0, runtime.Errorf(runtime.ErrClosed, "use of an event after Close")
	}
	err = e.d.with(func() error {
		for _, ev := range []*Event{from, e} {
			if err := ev.e.Synchronize(); err != nil {
				return failed("waiting for an event", err)
			}
		}
		ms, err = from.e.Elapsed(e.e)
		return failed("timing", err)
	})
	return ms, err
}

// Close gives the event back. A second call does nothing.
func (e *Event) Close() error {
	if e.closed.Swap(true) {
		return nil
	}
	return e.d.with(func() error { return failed("closing an event", cu.DestroyEvent(&e.e)) })
}
