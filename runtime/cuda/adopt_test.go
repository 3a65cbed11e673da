package cuda

import (
	"testing"

	s2c "github.com/s2attention/s2c/runtime"
)

// TestAdoptContext runs in a context that somebody else made, and leaves it to them.
func TestAdoptContext(t *testing.T) {
	f := newFake(t)
	host := f.open(t)
	d, err := host.lib.adopt(host.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := d.Describe(); got != host.Describe() || d.Context() != host.Context() || d.Multiprocessors() != 132 {
		t.Errorf("it calls itself %q", got)
	}
	p, err := d.Alloc(64)
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Free(p); err != nil {
		t.Errorf("the memory is not of the same context: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if n := f.get("retained"); n != 1 {
		t.Errorf("the host holds %d contexts after Close, want its own", n)
	}
	_, err = d.Alloc(64)
	wantError(t, err, s2c.ErrClosed)
	if _, err := host.Alloc(64); err != nil {
		t.Errorf("the host's device after Close of the adopted one: %v", err)
	}
}

func TestAdoptContextFails(t *testing.T) {
	f := newFake(t)
	lib, err := openLibrary(f.path)
	if err != nil {
		t.Fatal(err)
	}
	host, err := lib.open(0)
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	other := uintptr(0xdead0)
	for _, c := range []struct {
		name    string
		context uintptr
		setup   func()
		kind    error
		words   string
	}{
		{"nil", 0, func() {}, s2c.ErrArgs, "nil"},
		{"no context", other, func() {}, s2c.ErrArgs, "no CUDA context"},
		{"no push", host.Context(), func() { f.fail("cuCtxPushCurrent_v2", 999, 0) }, errDriver, "adopting"},
		{"no device", host.Context(), func() { f.fail("cuCtxGetDevice", 999, 0) }, errDriver, "finding the GPU"},
		{"old GPU", host.Context(), func() { f.set("major", 7) }, s2c.ErrNoDevice, "needs 8.0"},
	} {
		c.setup()
		d, err := host.lib.adopt(c.context)
		wantError(t, err, c.kind, c.words)
		if d != nil {
			t.Errorf("%s: a device beside the error", c.name)
		}
	}
	if f.get("depth") != 0 {
		t.Error("a context stays current on the thread")
	}
}

// TestAdoptStream queues work on a stream that somebody else made, and leaves it to
// them.
func TestAdoptStream(t *testing.T) {
	f := newFake(t)
	d := f.open(t)
	made, err := d.NewStream()
	if err != nil {
		t.Fatal(err)
	}
	handle := made.(*Stream).Handle()
	s, err := d.AdoptStream(handle)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := d.streamHandle(s); err != nil || got != handle {
		t.Errorf("launches go to stream %#x, %v, want %#x", got, err, handle)
	}
	e, err := s.Record()
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{s.Wait(), e.Close(), s.Close(), s.Close()} {
		if err != nil {
			t.Error(err)
		}
	}
	wantError(t, s.Wait(), s2c.ErrClosed)
	if n := f.get("cuStreamDestroy_v2"); n != 0 {
		t.Errorf("the stream was destroyed %d times", n)
	}
	if err := made.Close(); err != nil {
		t.Errorf("the host's stream after Close of the adopted one: %v", err)
	}
	if s, err = d.AdoptStream(0); err != nil || s.Wait() != nil {
		t.Errorf("the default stream: %v", err)
	}
	for _, d := range []*Device{nil, {}} {
		s, err := d.AdoptStream(handle)
		wantError(t, err, s2c.ErrClosed)
		if s != nil {
			t.Error("a stream beside the error")
		}
	}
}
