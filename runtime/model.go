package runtime

import (
	"sync"
)

// Model is a bundle on a device: the shortest way from a file to a launch.
type Model struct {
	Bundle *Bundle
	Device Device

	mu     sync.Mutex
	loaded []*Attention
	byName map[kernelID]*Attention
	closed bool
}

// kernelID tells a bundle's kernels apart.
type kernelID struct{ target, entry string }

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
	return &Model{Bundle: b, Device: dev, byName: map[kernelID]*Attention{}}, nil
}

// Layer is the attention of a layer of the model, loaded on first use; layers
// that share a kernel share it here too. Close unloads it.
func (m *Model) Layer(layer int) (*Attention, error) {
	k, err := m.Bundle.Select(m.Device, layer)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, Errorf(ErrClosed, "layer %d of a model after Close", layer)
	}
	id := kernelID{k.Target, k.Entry}
	if a := m.byName[id]; a != nil {
		return a, nil
	}
	a, err := Load(m.Device, k)
	if err != nil {
		return nil, err
	}
	m.byName[id] = a
	m.loaded = append(m.loaded, a)
	return a, nil
}

// Close unloads the layers and closes the device. A second call does nothing.
func (m *Model) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil
	}
	m.closed = true
	var first error
	for _, a := range m.loaded {
		if err := a.Unload(); first == nil {
			first = err
		}
	}
	if err := m.Device.Close(); first == nil {
		first = err
	}
	return first
}
