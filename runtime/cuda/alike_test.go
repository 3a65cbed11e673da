package cuda

import (
	"errors"
	"strings"
	"testing"

	s2c "github.com/s2attention/s2c/runtime"
	"github.com/s2attention/s2c/runtime/emu"
)

// storeText is a kernel that both the emulator and the driver for tests take.
const storeText = `.version 7.0
.target sm_80
.address_size 64
.visible .entry store(.param .u64 x, .param .u32 v)
{
	.reg .b64 %d; .reg .b32 %r;
	ld.param.b64 %d, [x];
	ld.param.b32 %r, [v];
	st.global.b32 [%d], %r;
	ret;
}
`

// bench is a device with one of everything on it, and what is another device's.
type bench struct {
	dev     s2c.Device
	mem     s2c.Ptr // 1024 bytes
	module  s2c.Module
	fn      s2c.Function
	stream  s2c.Stream
	event   s2c.Event
	foreign s2c.Stream
	later   s2c.Event // of the foreign stream
	nothing s2c.Stream
	hurt    func() // the next kernel will have failed when the stream is waited for
}

func newBench(t *testing.T, dev, other s2c.Device) *bench {
	t.Helper()
	b := &bench{dev: dev}
	var errs [7]error
	b.mem, errs[0] = dev.Alloc(1024)
	b.module, errs[1] = dev.LoadModule(storeText)
	b.stream, errs[2] = dev.NewStream()
	b.foreign, errs[3] = other.NewStream()
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	b.fn, errs[4] = b.module.Function("store", 0)
	b.event, errs[5] = b.stream.Record()
	b.later, errs[6] = b.foreign.Record()
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	return b
}

// benches are the devices that must answer alike.
var benches = map[string]func(t *testing.T) *bench{
	"cuda": func(t *testing.T) *bench {
		f := newFake(t)
		b := newBench(t, f.open(t), f.open(t))
		b.nothing = (*Stream)(nil)
		b.hurt = func() { f.fail("cuStreamSynchronize", int32(errIllegalAddress), 0) }
		return b
	},
	"emu": func(t *testing.T) *bench {
		b := newBench(t, emu.New(emu.Options{}), emu.New(emu.Options{}))
		b.nothing = (*emu.Stream)(nil)
		b.hurt = func() {
			if err := b.fn.Launch(b.stream, one, one, make([]byte, 12)); err != nil { // stores to address 0
				t.Error(err)
			}
		}
		return b
	},
}

var one = [3]int{1, 1, 1}

func (b *bench) launch(s s2c.Stream, grid, block [3]int, bytes int) error {
	params := make([]byte, bytes)
	for i := range min(8, bytes) {
		params[i] = byte(b.mem >> (8 * i))
	}
	return b.fn.Launch(s, grid, block, params)
}

func (b *bench) load(ptx string) error {
	m, err := b.dev.LoadModule(ptx)
	if err == nil {
		return m.Unload()
	}
	return err
}

func (b *bench) encode(change func(*s2c.TensorMap)) error {
	m := s2c.TensorMap{Base: 0x1000, Dims: []uint64{128, 300}, Strides: []uint64{256}, Box: []uint32{64, 64}, Swizzle: 128, DType: s2c.BF16}
	change(&m)
	_, err := b.dev.EncodeTensorMap(m)
	return err
}

func second[T any](_ T, err error) error { return err }

// mistakes are calls with the kind of their error; nil is a call that is no mistake.
var mistakes = []struct {
	name string
	kind error
	do   func(b *bench) error
}{
	{"allocate nothing", s2c.ErrArgs, func(b *bench) error { return second(b.dev.Alloc(0)) }},
	{"allocate less", s2c.ErrArgs, func(b *bench) error { return second(b.dev.Alloc(-1)) }},
	{"allocate too much", s2c.ErrOutOfMemory, func(b *bench) error { return second(b.dev.Alloc(1 << 50)) }},
	{"free nothing", nil, func(b *bench) error { return b.dev.Free(0) }},
	{"free the middle", s2c.ErrArgs, func(b *bench) error { return b.dev.Free(b.mem + 256) }},
	{"free twice", s2c.ErrArgs, func(b *bench) error { return errors.Join(b.dev.Free(b.mem), b.dev.Free(b.mem)) }},
	{"upload past the end", s2c.ErrArgs, func(b *bench) error { return b.dev.Upload(b.mem+1000, make([]byte, 32)) }},
	{"upload to nowhere", s2c.ErrArgs, func(b *bench) error { return b.dev.Upload(16, make([]byte, 32)) }},
	{"upload nothing", nil, func(b *bench) error { return b.dev.Upload(b.mem, nil) }},
	{"download past the end", s2c.ErrArgs, func(b *bench) error { return b.dev.Download(make([]byte, 32), b.mem+1000) }},
	{"download nothing", nil, func(b *bench) error { return b.dev.Download(nil, 0) }},

	{"load good PTX", nil, func(b *bench) error { return b.load(storeText) }},
	{"load no PTX", s2c.ErrCompile, func(b *bench) error { return b.load("") }},
	{"load a binary", s2c.ErrCompile, func(b *bench) error { return b.load("\x7fELF") }},
	{"load a zero byte", s2c.ErrCompile, func(b *bench) error { return b.load(storeText + "\x00") }},
	{"load bad PTX", s2c.ErrCompile, func(b *bench) error { return b.load(strings.Replace(storeText, "ret;", "mov.bad r1;", 1)) }},
	{"load for a later chip", s2c.ErrArchitecture, func(b *bench) error { return b.load(strings.Replace(storeText, "sm_80", "sm_130", 1)) }},
	{"load for another chip", s2c.ErrArchitecture, func(b *bench) error { return b.load(strings.Replace(storeText, "sm_80", "sm_80a", 1)) }},
	{"unload twice", nil, func(b *bench) error { return errors.Join(b.module.Unload(), b.module.Unload()) }},

	{"no such entry", s2c.ErrKernel, func(b *bench) error { return second(b.module.Function("other", 0)) }},
	{"an entry with a zero byte", s2c.ErrKernel, func(b *bench) error { return second(b.module.Function("store\x00", 0)) }},
	{"negative shared memory", s2c.ErrArchitecture, func(b *bench) error { return second(b.module.Function("store", -1)) }},
	{"too much shared memory", s2c.ErrArchitecture, func(b *bench) error { return second(b.module.Function("store", 1<<20)) }},
	{"an entry after Unload", s2c.ErrClosed, func(b *bench) error {
		return errors.Join(b.module.Unload(), second(b.module.Function("store", 0)))
	}},

	{"launch", nil, func(b *bench) error { return b.launch(b.stream, one, one, 12) }},
	{"launch no blocks", s2c.ErrArgs, func(b *bench) error { return b.launch(nil, [3]int{0, 1, 1}, one, 12) }},
	{"launch no threads", s2c.ErrArgs, func(b *bench) error { return b.launch(nil, one, [3]int{1, 1, -1}, 12) }},
	{"launch too many blocks", s2c.ErrArgs, func(b *bench) error { return b.launch(nil, [3]int{1 << 31, 1, 1}, one, 12) }},
	{"launch too many rows of blocks", s2c.ErrArgs, func(b *bench) error { return b.launch(nil, [3]int{1, 65536, 1}, one, 12) }},
	{"launch too many threads", s2c.ErrArgs, func(b *bench) error { return b.launch(nil, one, [3]int{64, 32, 1}, 12) }},
	{"launch with a parameter less", s2c.ErrArgs, func(b *bench) error { return b.launch(nil, one, one, 8) }},
	{"launch with a parameter more", s2c.ErrArgs, func(b *bench) error { return b.launch(nil, one, one, 16) }},
	{"launch on a nil stream", s2c.ErrArgs, func(b *bench) error { return b.launch(b.nothing, one, one, 12) }},
	{"launch on a foreign stream", s2c.ErrArgs, func(b *bench) error { return b.launch(b.foreign, one, one, 12) }},
	{"launch on a closed stream", s2c.ErrClosed, func(b *bench) error {
		return errors.Join(b.stream.Close(), b.launch(b.stream, one, one, 12))
	}},
	{"launch after Unload", s2c.ErrClosed, func(b *bench) error {
		return errors.Join(b.module.Unload(), b.launch(b.stream, one, one, 12))
	}},
	{"wait for a kernel that fails", s2c.ErrFault, func(b *bench) error { b.hurt(); return b.stream.Wait() }},

	{"wait for a closed stream", s2c.ErrClosed, func(b *bench) error { return errors.Join(b.stream.Close(), b.stream.Wait()) }},
	{"wait for a nil stream", s2c.ErrClosed, func(b *bench) error { return b.nothing.Wait() }},
	{"record in a nil stream", s2c.ErrClosed, func(b *bench) error { return second(b.nothing.Record()) }},
	{"close a nil stream", nil, func(b *bench) error { return b.nothing.Close() }},
	{"record in a closed stream", s2c.ErrClosed, func(b *bench) error {
		return errors.Join(b.stream.Close(), second(b.stream.Record()))
	}},
	{"close a stream twice", nil, func(b *bench) error { return errors.Join(b.stream.Close(), b.stream.Close()) }},
	{"time from nothing", s2c.ErrArgs, func(b *bench) error { return second(b.event.Since(nil)) }},
	{"time from a foreign event", s2c.ErrArgs, func(b *bench) error { return second(b.event.Since(b.later)) }},
	{"time from a closed event", s2c.ErrClosed, func(b *bench) error {
		return errors.Join(b.event.Close(), second(b.event.Since(b.event)))
	}},
	{"close an event twice", nil, func(b *bench) error { return errors.Join(b.event.Close(), b.event.Close()) }},

	{"encode a map", nil, func(b *bench) error { return b.encode(func(*s2c.TensorMap) {}) }},
	{"encode no dimensions", s2c.ErrKernel, func(b *bench) error { return b.encode(func(m *s2c.TensorMap) { m.Dims = nil }) }},
	{"encode no strides", s2c.ErrKernel, func(b *bench) error { return b.encode(func(m *s2c.TensorMap) { m.Strides = nil }) }},
	{"encode no box", s2c.ErrKernel, func(b *bench) error { return b.encode(func(m *s2c.TensorMap) { m.Box = nil }) }},
	{"encode another swizzle", s2c.ErrKernel, func(b *bench) error { return b.encode(func(m *s2c.TensorMap) { m.Swizzle = 16 }) }},
	{"encode another type", s2c.ErrKernel, func(b *bench) error { return b.encode(func(m *s2c.TensorMap) { m.DType = "f32" }) }},
	{"encode a misaligned tensor", s2c.ErrArgs, func(b *bench) error { return b.encode(func(m *s2c.TensorMap) { m.Base = 0x1008 }) }},
	{"encode a misaligned stride", s2c.ErrArgs, func(b *bench) error { return b.encode(func(m *s2c.TensorMap) { m.Strides[0] = 264 }) }},
	{"encode a box too large", s2c.ErrArgs, func(b *bench) error { return b.encode(func(m *s2c.TensorMap) { m.Box[1] = 257 }) }},
	{"encode an empty tensor", s2c.ErrArgs, func(b *bench) error { return b.encode(func(m *s2c.TensorMap) { m.Dims[1] = 0 }) }},

	{"close a device twice", nil, func(b *bench) error { return errors.Join(b.dev.Close(), b.dev.Close()) }},
	closed("allocate", func(b *bench) error { return second(b.dev.Alloc(16)) }),
	closed("free", func(b *bench) error { return b.dev.Free(b.mem) }),
	closed("free nothing", func(b *bench) error { return b.dev.Free(0) }),
	closed("upload", func(b *bench) error { return b.dev.Upload(b.mem, []byte("x")) }),
	closed("upload nothing", func(b *bench) error { return b.dev.Upload(b.mem, nil) }),
	closed("download", func(b *bench) error { return b.dev.Download(make([]byte, 1), b.mem) }),
	closed("download nothing", func(b *bench) error { return b.dev.Download(nil, b.mem) }),
	closed("load", func(b *bench) error { return b.load(storeText) }),
	closed("load no PTX", func(b *bench) error { return b.load("") }),
	closed("unload", func(b *bench) error { return b.module.Unload() }),
	closed("find an entry", func(b *bench) error { return second(b.module.Function("store", 0)) }),
	closed("launch", func(b *bench) error { return b.launch(nil, one, one, 12) }),
	closed("launch on a stream", func(b *bench) error { return b.launch(b.stream, one, one, 12) }),
	closed("encode", func(b *bench) error { return b.encode(func(*s2c.TensorMap) {}) }),
	closed("make a stream", func(b *bench) error { return second(b.dev.NewStream()) }),
	closed("wait", func(b *bench) error { return b.stream.Wait() }),
	closed("record", func(b *bench) error { return second(b.stream.Record()) }),
	closed("close a stream", func(b *bench) error { return b.stream.Close() }),
	closed("time", func(b *bench) error { return second(b.event.Since(b.event)) }),
	closed("close an event", func(b *bench) error { return b.event.Close() }),
}

// closed is a call after the device's Close.
func closed(name string, do func(*bench) error) struct {
	name string
	kind error
	do   func(b *bench) error
} {
	return struct {
		name string
		kind error
		do   func(b *bench) error
	}{name + " after Close", s2c.ErrClosed, func(b *bench) error { return errors.Join(b.dev.Close(), do(b)) }}
}

// TestAlike: the emulator and the CUDA driver answer the same mistake with the
// same kind of error.
func TestAlike(t *testing.T) {
	for device, open := range benches {
		for _, m := range mistakes {
			t.Run(device+"/"+m.name, func(t *testing.T) { // the driver for tests is reset for each
				if err := m.do(open(t)); !errors.Is(err, m.kind) {
					t.Errorf("error %v, want %v", err, m.kind)
				}
			})
		}
	}
}

// TestZeroValues: what was never opened says so, and does not panic.
func TestZeroValues(t *testing.T) {
	for name, dev := range map[string]s2c.Device{
		"zero emu": &emu.Device{}, "nil emu": (*emu.Device)(nil), "zero cuda": &Device{}, "nil cuda": (*Device)(nil),
	} {
		b := &bench{dev: dev}
		for call, err := range map[string]error{
			"Alloc": second(dev.Alloc(1)), "Free": dev.Free(1), "Upload": dev.Upload(1, []byte("x")), "Download": dev.Download(make([]byte, 1), 1),
			"LoadModule": b.load(storeText), "EncodeTensorMap": b.encode(func(*s2c.TensorMap) {}), "NewStream": second(dev.NewStream()),
		} {
			if !errors.Is(err, s2c.ErrClosed) {
				t.Errorf("%s of a %s device: %v", call, name, err)
			}
		}
		if err := dev.Close(); err != nil {
			t.Errorf("Close of a %s device: %v", name, err)
		}
	}
	m := s2c.TensorMap{Dims: []uint64{128}, Box: []uint32{64}, DType: s2c.BF16}
	for call, err := range map[string]error{
		"Stream.Wait of emu": new(emu.Stream).Wait(), "Stream.Record of emu": second(new(emu.Stream).Record()),
		"Stream.Wait": new(Stream).Wait(), "Stream.Record": second(new(Stream).Record()), "Stream.UploadAsync": new(Stream).UploadAsync(1, nil),
		"Module.Function": second(new(Module).Function("x", 0)), "Function.Launch": new(Function).Launch(nil, one, one, nil),
		"Event.Since": second(new(Event).Since(nil)),
	} {
		if !errors.Is(err, s2c.ErrClosed) {
			t.Errorf("%s of a zero value: %v", call, err)
		}
	}
	if err := errors.Join(new(emu.Stream).Close(), new(Stream).Close(), new(Module).Unload(), new(Event).Close()); err != nil {
		t.Errorf("closing zero values: %v", err)
	}
	if _, err := new(Library).encodeTensorMap(m); !errors.Is(err, s2c.ErrOldDriver) {
		t.Errorf("a library that was not opened: %v", err)
	}
}
