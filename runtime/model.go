package runtime

import (
	"cmp"
	"slices"
	"sync"

	"github.com/s2attention/s2c/launch"
)

// Model is a bundle on a device: the shortest way from a file to a launch.
type Model struct {
	Bundle *Bundle
	Device Device

	shared bool // the device is the caller's
	mu     sync.Mutex
	loaded []loaded // in the order of their first use
	closed bool
}

// loaded is a plan of the bundle on the device.
type loaded struct {
	plan *launch.Plan
	*Attention
}

// Open reads the bundle at path and opens a device, as OpenDevice names it.
func Open(path, device string) (*Model, error) {
	b, err := ReadBundleFile(path)
	if err != nil {
		return nil, err
	}
	dev, err := OpenDevice(device)
	if err != nil {
		return nil, err
	}
	return &Model{Bundle: b, Device: dev}, nil
}

// On is the bundle on a device that stays the caller's: Close of the model unloads
// its layers alone.
func (b *Bundle) On(dev Device) *Model { return &Model{Bundle: b, Device: dev, shared: true} }

// Layer is the forward pass of a layer of the model, see Load.
func (m *Model) Layer(layer int) (*Attention, error) { return m.Load(launch.Forward, layer) }

// Load is an operation of a layer of the model, loaded on first use and after an
// Unload; layers that share a plan share it here too. Close unloads it.
func (m *Model) Load(op launch.Op, layer int) (*Attention, error) {
	if m == nil || m.Bundle == nil || m.Device == nil {
		return nil, Errorf(ErrClosed, "layer %d of a model that was not opened", layer)
	}
	p, err := m.Bundle.Select(m.Device, op, layer)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, Errorf(ErrClosed, "layer %d of a model after Close", layer)
	}
	m.loaded = slices.DeleteFunc(m.loaded, func(l loaded) bool { return l.isUnloaded() })
	if i := slices.IndexFunc(m.loaded, func(l loaded) bool { return l.plan == p }); i >= 0 {
		return m.loaded[i].Attention, nil
	}
	a, err := Load(m.Device, p)
	if err != nil {
		return nil, err
	}
	m.loaded = append(m.loaded, loaded{p, a})
	return a, nil
}

// Close unloads the layers, and closes the device that Open opened. A second call
// does nothing.
func (m *Model) Close() error {
	if m == nil || m.Device == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil
	}
	m.closed = true
	var err error
	for _, a := range m.loaded {
		err = cmp.Or(err, a.Unload())
	}
	if m.shared {
		return err
	}
	return cmp.Or(err, m.Device.Close())
}
