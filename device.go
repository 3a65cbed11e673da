package s2c

import (
	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/runtime"
	"github.com/s2attention/s2c/runtime/cuda"
	"github.com/s2attention/s2c/target"
)

// OpenDevice opens a device by name: "cuda" or "cuda:1" for a GPU by its number,
// "emu" for the emulator, "auto" for the first GPU and the emulator where there is
// none. An absent device is an [ErrNoDevice]; a GPU that fails otherwise is an error
// for "auto" too, never a slow run without a word.
func OpenDevice(name string) (Device, error) { return runtime.OpenDevice(name) }

// TargetFor is the target that suits a device best: on a GPU the closest fit,
// elsewhere portable code, which is emulated faster. A device that no code runs on is
// an [ErrArchitecture].
func TargetFor(dev Device) (target.Target, error) {
	if dev == nil {
		return target.Target{}, runtime.Errorf(ErrArgs, "no target suits a nil device")
	}
	major, minor := dev.ComputeCapability()
	n := target.Best(compiler.Targets, major, minor)
	switch {
	case n < 0:
		return target.Target{}, runtime.Errorf(ErrArchitecture, "there is no code for %s (compute capability %d.%d)", dev.Describe(), major, minor)
	case dev.Kind() == "emu":
		n = 0
	}
	return compiler.Targets[n], nil
}

// targets are those to compile for.
func (o *Options) targets() ([]target.Target, error) {
	switch {
	case len(o.Targets) > 0:
		for _, t := range o.Targets {
			if _, err := compiler.Backend(t); err != nil {
				return nil, runtime.Errorf(ErrArgs, "%v", err)
			}
		}
		return o.Targets, nil
	case o.Device == nil:
		return compiler.Targets, nil
	}
	t, err := TargetFor(o.Device)
	return []target.Target{t}, err
}

// AdoptContext is the GPU of a CUcontext that the program made itself. Closing the
// device leaves the context alone. A program on the primary context, such as one that
// uses PyTorch or CUDA's run-time API, opens "cuda" instead: the memory is the same.
func AdoptContext(context uintptr) (Device, error) {
	dev, err := cuda.Adopt(context)
	if err != nil {
		return nil, err // dev in the interface would be no nil
	}
	return dev, nil
}

// AdoptStream is a CUstream that the program holds, in the context of a device; 0 is
// the default stream. Closing it leaves the CUstream alone. Copies do not wait for a
// stream of CU_STREAM_NON_BLOCKING, nor it for them. A device without such
// streams, as the emulator is, gives an [ErrArgs].
func AdoptStream(dev Device, stream uintptr) (Stream, error) {
	adopter, ok := dev.(runtime.Adopter)
	switch {
	case dev == nil:
		return nil, runtime.Errorf(ErrArgs, "a nil device adopts no stream")
	case !ok:
		return nil, runtime.Errorf(ErrArgs, "%s knows no CUDA streams; make one with NewStream", dev.Describe())
	}
	return adopter.AdoptStream(stream)
}
