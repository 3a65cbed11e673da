package layout

import "github.com/s2attention/s2c/target"

// Machine is what the layout needs to know of the GPUs of a target: limits that
// a kernel must keep, and rates that the cost model weighs.
type Machine struct {
	Target target.Target

	BlockShared   int // bytes of dynamic shared memory a thread block may take
	CoreShared    int // bytes a multiprocessor has for its thread blocks
	SharedReserve int // bytes of it that the system takes for each thread block
	CoreRegisters int // 32-bit registers of a multiprocessor
	CoreWarps     int // resident warps a multiprocessor
	CoreBlocks    int // resident thread blocks a multiprocessor

	// Rates a clock and multiprocessor.
	MatrixFMA  float64 // 16-bit multiply-adds of the tensor cores
	Exp        float64 // ex2
	Lanes      float64 // fp32 operations
	SharedRate float64 // bytes of shared memory
	L2Rate     float64 // bytes from L2

	// L2Group is how many bytes of keys and values may be in flight in L2 together.
	L2Group int64
}

// Ampere stands for all that sm_80 code runs on, Hopper for sm_90a. Limits: CUDA
// C++ Programming Guide, tables of compute capabilities; rates: NVIDIA's A100 and
// H100 architecture white papers.
var (
	Ampere = Machine{
		Target: target.SM80,
		// 99 KiB, not A100's 163: the same PTX then also runs on 8.6 and 8.9.
		BlockShared: 99 << 10, CoreShared: 164 << 10, SharedReserve: 1 << 10,
		CoreRegisters: 64 << 10, CoreWarps: 64, CoreBlocks: 32,
		MatrixFMA: 1024, Exp: 16, Lanes: 64, SharedRate: 128, L2Rate: 47,
		L2Group: 24 << 20,
	}
	Hopper = Machine{
		Target:      target.SM90a,
		BlockShared: 227 << 10, CoreShared: 228 << 10, SharedReserve: 1 << 10,
		CoreRegisters: 64 << 10, CoreWarps: 64, CoreBlocks: 32,
		MatrixFMA: 2048, Exp: 16, Lanes: 128, SharedRate: 128, L2Rate: 42,
		L2Group: 32 << 20,
	}
)
