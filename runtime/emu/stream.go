package emu

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/s2attention/s2c/runtime"
)

// Stream is a queue of launches that run one after the other.
type Stream struct {
	dev *Device

	mu     sync.Mutex
	last   chan struct{} // closed once everything queued is done
	closed bool
	errs   []error
}

var _ runtime.Stream = (*Stream)(nil)

// NewStream makes a queue.
func (d *Device) NewStream() (runtime.Stream, error) {
	if err := d.open(); err != nil {
		return nil, err
	}
	s := &Stream{dev: d, last: make(chan struct{})}
	close(s.last)
	d.mu.Lock()
	d.streams[s] = true
	d.mu.Unlock()
	return s, nil
}

// queue runs a task behind all others.
func (s *Stream) queue(task func() error) error {
	if err := s.hold(); err != nil {
		return err
	}
	defer s.mu.Unlock()
	before, done := s.last, make(chan struct{})
	s.last = done
	go func() {
		defer close(done)
		<-before
		if err := task(); err != nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.errs = append(s.errs, err)
		}
	}()
	return nil
}

// hold locks s.mu, unless the stream cannot be used.
func (s *Stream) hold() error {
	if s == nil || s.dev == nil {
		return runtime.Errorf(runtime.ErrClosed, "emu: use of a stream that was not opened")
	}
	if err := s.dev.open(); err != nil {
		return err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return runtime.Errorf(runtime.ErrClosed, "emu: use of a stream after Close")
	}
	return nil
}

func (s *Stream) settle() {
	s.mu.Lock()
	last := s.last
	s.mu.Unlock()
	<-last
}

// Wait blocks until the queue is empty and returns the faults since the last Wait.
func (s *Stream) Wait() error {
	if err := s.hold(); err != nil {
		return err
	}
	s.mu.Unlock()
	return s.faults()
}

// faults waits and takes the faults since it was called last.
func (s *Stream) faults() error {
	s.settle()
	s.mu.Lock()
	defer s.mu.Unlock()
	errs := s.errs
	s.errs = nil
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

// Close waits and ends the stream. A second call does nothing.
func (s *Stream) Close() error {
	if s == nil || s.dev == nil {
		return nil
	}
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	err := s.faults()
	if closed {
		return nil
	}
	if err == nil {
		err = s.dev.open()
	}
	s.dev.mu.Lock()
	delete(s.dev.streams, s)
	s.dev.mu.Unlock()
	return err
}

// event is a point in time.
type event struct {
	dev    *Device
	at     time.Time
	done   chan struct{}
	closed atomic.Bool
}

// Record marks this point of the queue.
func (s *Stream) Record() (runtime.Event, error) {
	e := &event{done: make(chan struct{})}
	err := s.queue(func() error {
		e.at = time.Now()
		close(e.done)
		return nil
	})
	if err != nil {
		return nil, err
	}
	e.dev = s.dev
	return e, nil
}

// Since is the wall time between two events of this device in milliseconds.
func (e *event) Since(earlier runtime.Event) (float64, error) {
	other, ok := earlier.(*event)
	if !ok || other == nil || other.dev != e.dev {
		return 0, badArgs("the earlier event belongs to another device")
	}
	if e.closed.Load() || other.closed.Load() {
		return 0, runtime.Errorf(runtime.ErrClosed, "emu: use of an event after Close")
	}
	if err := e.dev.open(); err != nil {
		return 0, err
	}
	<-e.done
	<-other.done
	return float64(e.at.Sub(other.at)) / float64(time.Millisecond), nil
}

// Close gives the event back. A second call does nothing.
func (e *event) Close() error {
	if e.closed.Swap(true) {
		return nil
	}
	return e.dev.open()
}

// waitAll waits for every stream, as copies and the default stream do.
func (d *Device) waitAll() {
	d.mu.Lock()
	streams := make([]*Stream, 0, len(d.streams))
	for s := range d.streams {
		streams = append(streams, s)
	}
	d.mu.Unlock()
	for _, s := range streams {
		s.settle()
	}
}
