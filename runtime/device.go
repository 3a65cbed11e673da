package runtime

// Ptr is an address in a device's memory; 0 is no memory.
type Ptr uint64

// Device is one place where kernels run. All methods are safe for use by many
// goroutines.
type Device interface {
	// Kind is "cuda" or "emu".
	Kind() string
	// Describe names the device for people: "NVIDIA H200 (sm_90)".
	Describe() string
	// ComputeCapability is (9, 0) on Hopper.
	ComputeCapability() (major, minor int)
	// Multiprocessors is the number of SMs.
	Multiprocessors() int

	Alloc(bytes int64) (Ptr, error)
	Free(Ptr) error
	Upload(dst Ptr, src []byte) error
	Download(dst []byte, src Ptr) error

	// LoadModule compiles PTX text for this device; the error carries the compiler's log.
	LoadModule(ptx string) (Module, error)
	// EncodeTensorMap fills the 128-byte object that TMA copies take.
	EncodeTensorMap(TensorMap) ([128]byte, error)
	// NewStream makes a queue of work; a nil Stream is the default one.
	NewStream() (Stream, error)
	Close() error
}

// Module is loaded code.
type Module interface {
	// Function finds an entry and grants it dynamic shared memory.
	Function(entry string, sharedBytes int) (Function, error)
	Unload() error
}

// Function is a kernel ready to launch.
type Function interface {
	// Launch queues the kernel; params is the parameter block as declared in PTX.
	// It copies params before it returns. A nil stream is the default one.
	Launch(s Stream, grid, block [3]int, params []byte) error
}

// Stream is a queue of work on a device.
type Stream interface {
	// Wait blocks until everything queued so far is done, and returns its error.
	Wait() error
	// Record marks this point for timing.
	Record() (Event, error)
	Close() error
}

// Event is a point in a stream.
type Event interface {
	// Since is the milliseconds from an earlier event; it waits for both.
	Since(earlier Event) (float64, error)
	Close() error
}

// Adopter is a Device that runs work on streams that the program made itself, by
// their handle: a CUstream.
type Adopter interface {
	AdoptStream(handle uintptr) (Stream, error)
}

// OutputChecker is a Device that knows which bytes kernels have written.
type OutputChecker interface {
	// MarkOutput says that kernels must write every byte of a range, and poisons it.
	MarkOutput(p Ptr, bytes int64) error
	// CheckOutputs reports a byte of the marked ranges that was never written, and
	// forgets the marks.
	CheckOutputs() error
}

// MemoryTeller is a Device that knows how many bytes of its memory are free, and how
// many it has.
type MemoryTeller interface {
	MemInfo() (free, total int64, err error)
}

// Logger is a Module whose compiler left a log, also when it succeeded: register
// counts, spills and performance warnings in the form of `ptxas -v`.
type Logger interface {
	JITLog() string
}

// Copier is a Stream that copies between host and device in order with its other
// work. The host memory must stay as it is until the stream has been waited for.
type Copier interface {
	UploadAsync(dst Ptr, src []byte) error
	DownloadAsync(dst []byte, src Ptr) error
}

// TensorMap describes a tiled tensor for TMA (PTX ISA 9.0 §5.5), 16-bit elements,
// innermost dimension first.
type TensorMap struct {
	Base    Ptr
	Dims    []uint64 // elements
	Strides []uint64 // bytes, one fewer than Dims (the innermost is contiguous)
	Box     []uint32 // elements
	Swizzle int      // bytes: 0, 32, 64 or 128
	DType   DType
}
