package runtime

import (
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/s2attention/s2c/launch"
	"github.com/s2attention/s2c/target"
)

// withDrivers replaces the registered kinds of device during a test.
func withDrivers(t *testing.T, list ...driver) {
	drivers.Lock()
	defer drivers.Unlock()
	old := drivers.list
	drivers.list = nil
	t.Cleanup(func() {
		drivers.Lock()
		defer drivers.Unlock()
		drivers.list = old
	})
	drivers.list = append(drivers.list, list...)
}

func opens(d Device, err error) Opener { return func(string) (Device, error) { return d, err } }

func TestOpenDevice(t *testing.T) {
	gpu, emu := newFake(9, 0), newFake(8, 0)
	boom := errors.New("boom")
	for _, c := range []struct {
		name string
		gpu  error
		emu  error
		want Device
		kind error
	}{
		{"auto", nil, nil, gpu, nil},
		{"auto", ErrNoDriver, nil, emu, nil},
		{"auto", boom, nil, nil, boom}, // a broken GPU is not passed over
		{"auto", ErrNoDriver, ErrNoDevice, nil, ErrNoDevice},
		{"gpu", nil, nil, gpu, nil},
		{"gpu", ErrNoDriver, nil, nil, ErrNoDriver},
		{"gpu:1", nil, nil, gpu, nil},
		{"emu", boom, nil, emu, nil},
		{"tpu", nil, nil, nil, ErrNoDevice},
		{"auto:1", nil, nil, nil, ErrNoDevice},
		{"", nil, nil, nil, ErrNoDevice},
	} {
		withDrivers(t)
		Register("emu", 90, func(string) (Device, error) { return emu, c.emu })
		Register("gpu", 10, func(arg string) (Device, error) {
			if want := map[bool]string{true: "1"}[c.name == "gpu:1"]; arg != want {
				t.Errorf("%s: the opener got %q", c.name, arg)
			}
			return gpu, c.gpu
		})
		if got := DeviceKinds(); !slices.Equal(got, []string{"gpu", "emu"}) {
			t.Errorf("kinds %v", got)
		}
		dev, err := OpenDevice(c.name)
		if !errors.Is(err, c.kind) || err == nil && dev != c.want {
			t.Errorf("%s with %v, %v: %v, %v", c.name, c.gpu, c.emu, dev, err)
		}
	}
	withDrivers(t)
	if _, err := OpenDevice("auto"); !errors.Is(err, ErrNoDevice) || !strings.Contains(err.Error(), "import") {
		t.Errorf("without any kind: %v", err)
	}
}

func TestRegisterTwice(t *testing.T) {
	withDrivers(t)
	Register("gpu", 1, nil)
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	Register("gpu", 2, nil)
}

func TestModel(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.s2b")
	if err := WriteBundleFile(path, testBundle()); err != nil {
		t.Fatal(err)
	}
	dev := newFake(9, 0)
	withDrivers(t, driver{"gpu", 10, opens(dev, nil)})
	m, err := Open(path, "auto")
	if err != nil {
		t.Fatal(err)
	}
	first, err := m.Layer(0)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := m.Layer(2); err != nil || again != first {
		t.Errorf("layers 0 and 2 share a kernel but not the loaded one: %v", err)
	}
	if dense, err := m.Layer(1); err != nil || dense == first || dense.Plan().Target != target.SM90a {
		t.Errorf("layer 1: %v, %v", dense, err)
	}
	if _, err := m.Layer(7); !errors.Is(err, ErrArgs) {
		t.Errorf("layer 7: %v", err)
	}
	for range 2 {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	if dev.unloads != 2 || dev.closes != 1 || len(dev.memory) != 0 {
		t.Errorf("%d modules unloaded, device closed %d times, %d allocations left", dev.unloads, dev.closes, len(dev.memory))
	}
	if _, err := m.Layer(0); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if _, err := Open(path+"x", "auto"); err == nil {
		t.Error("opened a file that is not there")
	}
	if _, err := Open(path, "tpu"); !errors.Is(err, ErrNoDevice) {
		t.Errorf("unknown device: %v", err)
	}
}

// A layer that was unloaded and is asked for again is loaded again.
func TestModelReloads(t *testing.T) {
	dev := newFake(9, 0)
	m := &Model{Bundle: testBundle(), Device: dev}
	first, err := m.Layer(0)
	if err != nil {
		t.Fatal(err)
	}
	dense, err := m.Layer(1)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Unload(); err != nil {
		t.Fatal(err)
	}
	again, err := m.Layer(2)
	if err != nil || again == first {
		t.Fatalf("after Unload: %v, %v", again, err)
	}
	if err := again.Launch(nil, testArgs()); err != nil {
		t.Error(err)
	}
	if same, err := m.Layer(1); err != nil || same != dense {
		t.Errorf("the other layer was loaded again, too: %v", err)
	}
	if err := m.Close(); err != nil || dev.unloads != 3 {
		t.Errorf("%d modules unloaded of 3: %v", dev.unloads, err)
	}
}

func TestZeroValues(t *testing.T) {
	var noModel *Model
	var noAttention *Attention
	var noBundle *Bundle
	for what, c := range map[string]struct{ err, kind error }{
		"a layer of no model":         {second(noModel.Layer(0)), ErrClosed},
		"a layer of a zero model":     {second(new(Model).Layer(0)), ErrClosed},
		"a launch of nothing":         {noAttention.Launch(nil, testArgs()), ErrClosed},
		"a launch of a zero value":    {new(Attention).Launch(nil, testArgs()), ErrClosed},
		"a workspace of nothing":      {second(noAttention.WorkspaceBytes(testArgs())), ErrClosed},
		"a workspace of a zero value": {second(new(Attention).WorkspaceBytes(testArgs())), ErrClosed},
		"a launch without arguments":  {mustLoad(t, newFake(9, 0), testPlan("sm_90a")).Launch(nil, Args{}), ErrArgs},
		"a plan of no bundle":         {second(noBundle.Select(newFake(9, 0), launch.Forward, 0)), ErrArgs},
		"a plan for no device":        {second(testBundle().Select(nil, launch.Forward, 0)), ErrArgs},
		"a plan of a zero bundle":     {second(new(Bundle).Select(newFake(9, 0), launch.Forward, 0)), ErrArgs},
		"writing no bundle":           {WriteBundle(io.Discard, nil), ErrBundle},
		"writing a zero bundle":       {WriteBundle(io.Discard, &Bundle{}), ErrBundle},
		"checking no plan":            {CheckPlan(nil), ErrKernel},
		"checking a zero plan":        {CheckPlan(&launch.Plan{}), ErrKernel},
	} {
		if !errors.Is(c.err, c.kind) {
			t.Errorf("%s: %v, want %v", what, c.err, c.kind)
		}
	}
	if err := errors.Join(noModel.Close(), new(Model).Close(), noAttention.Unload(), new(Attention).Unload()); err != nil {
		t.Errorf("closing nothing: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }
