package emu

import (
	"errors"
	"sync"
	"time"

	"github.com/s2attention/s2c/runtime"
)

// Stream is a queue of launches that run one after the other.
type Stream struct {
	dev *Device

	mu      sync.Mutex
	idle    *sync.Cond
	tasks   []func() error
	running bool
	closed  bool
	errs    []error
}

var _ runtime.Stream = (*Stream)(nil)

// NewStream makes a queue.
func (d *Device) NewStream() (runtime.Stream, error) {
	if err := d.open(); err != nil {
		return nil, err
	}
	s := &Stream{dev: d}
	s.idle = sync.NewCond(&s.mu)
	d.mu.Lock()
	d.streams[s] = true
	d.mu.Unlock()
	return s, nil
}

// queue appends a task; a goroutine lives as long as there are any.
func (s *Stream) queue(task func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.New("emu: the stream is closed")
	}
	s.tasks = append(s.tasks, task)
	if !s.running {
		s.running = true
		go s.drain()
	}
	return nil
}

func (s *Stream) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.tasks) > 0 {
		task := s.tasks[0]
		s.tasks = s.tasks[1:]
		s.mu.Unlock()
		err := task()
		s.mu.Lock()
		if err != nil {
			s.errs = append(s.errs, err)
		}
	}
	s.running = false
	s.idle.Broadcast()
}

func (s *Stream) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.running {
		s.idle.Wait()
	}
}

// Wait blocks until the queue is empty and returns the faults since the last Wait.
func (s *Stream) Wait() error {
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

// Close waits and ends the stream.
func (s *Stream) Close() error {
	err := s.Wait()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.dev.mu.Lock()
	delete(s.dev.streams, s)
	s.dev.mu.Unlock()
	return err
}

// event is a point in time.
type event struct {
	at   time.Time
	done chan struct{}
}

// Record marks this point of the queue.
func (s *Stream) Record() (runtime.Event, error) {
	e := &event{done: make(chan struct{})}
	err := s.queue(func() error {
		e.at = time.Now()
		close(e.done)
		return nil
	})
	return e, err
}

// Since is the wall time between two events of this device in milliseconds.
func (e *event) Since(earlier runtime.Event) (float64, error) {
	other, ok := earlier.(*event)
	if !ok {
		return 0, errors.New("emu: the event belongs to another device")
	}
	<-e.done
	<-other.done
	return float64(e.at.Sub(other.at)) / float64(time.Millisecond), nil
}

func (e *event) Close() error { return nil }

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
