// Package cuda runs kernels on NVIDIA GPUs. It opens the driver's library,
// libcuda.so.1, at run time: no cgo, no toolkit, and programs that import it
// still start where there is no GPU.
//
// Devices share the primary context with CUDA's run-time API, so memory that
// PyTorch or another library in the process allocated is theirs too; [Adopt] takes a
// context that the program made itself, [Device.AdoptStream] a stream. Every
// call makes the context current on its thread and restores what was current
// before, so all methods can be called from any goroutine.
//
// Names, numbers and structures follow cuda.h of CUDA 12 and 13; a test
// compares them with the headers themselves.
package cuda
