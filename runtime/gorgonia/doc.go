// Package gorgonia runs kernels for programs that use gorgonia.org/cu, and
// already hold a cu context, streams and device pointers: New wraps the
// context, Device.Stream a stream, and runtime.Ptr(p) converts a pointer. Adopt and
// Device.AdoptStream take the handles as numbers.
//
// It is built with the tag gorgonia only, because it needs cgo, CUDA's headers
// and libcuda when it is compiled. script/gorgonia builds it against the
// headers that script/venv installs; with CUDA 13 it puts cuda13/cuda.h before
// the real one, which restores the prototypes that cu v0.9.6 was written for.
//
// Memory and code go through cu. What cu lacks (dynamic shared memory above 48 KB,
// parameters of more than 8 bytes, tensor maps, unloading) comes from package
// runtime/cuda, which opens the same driver library, and with the launches their
// streams and events.
package gorgonia
