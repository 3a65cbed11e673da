package layout

import (
	"fmt"
	"slices"

	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/target"
)

// Target is what the layout needs to know of a GPU: limits that a kernel must
// keep, rates that the cost model weighs, and the emitters that serve it.
type Target struct {
	Name target.Target

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

	Emitters []Emitter // in order of preference
}

// Emitter is a code generator that serves a target.
type Emitter struct {
	Family string
	Reason string // why this one
	// Serves says whether it can compile the shape at all.
	Serves func(s ir.Shape) bool
	// Candidates lists the configurations whose geometry is legal, in a fixed
	// order; memory and registers are checked afterwards. heads is the greatest
	// number of equal heads that may be packed.
	Candidates func(s ir.Shape, heads int) []Candidate
	// Live estimates the registers that a thread must hold in the main loop,
	// RegisterLimit how many it may hold and be sure not to spill, Registers how
	// many it will be given.
	Live          func(s ir.Shape, c Candidate) int
	RegisterLimit func(c Candidate) int
	Registers     func(s ir.Shape, c Candidate) int
	// Memory is the map of a thread block's dynamic shared memory.
	Memory func(s ir.Shape, c Candidate) []Region
	// Loop describes the main loop to the cost model.
	Loop Loop
}

// Loop is what the cost model needs to know of an emitter's main loop.
type Loop struct {
	ReadRows   int     // query rows that share one read of a key or value tile
	CopyOps    float64 // issue slots of the computing warps for each 16 bytes loaded
	StepClocks float64 // barriers, reductions and addresses of one step
	// Overlap: a warp's softmax runs beside its own matrix products.
	Overlap bool
	// Alone: one thread block a multiprocessor, which stays for all its work.
	Alone bool
}

// Shared is the dynamic shared memory of a thread block in bytes.
func (e Emitter) Shared(s ir.Shape, c Candidate) int {
	regions := e.Memory(s, c)
	last := regions[len(regions)-1]
	return last.Offset + last.Bytes
}

// Targets lists the targets by name. Limits: CUDA C++ Programming Guide, tables
// of compute capabilities; rates: NVIDIA's A100 and H100 architecture white papers.
var Targets = []Target{
	{
		Name: target.SM80,
		// 99 KiB, not A100's 163: the same PTX then also runs on 8.6 and 8.9.
		BlockShared: 99 << 10, CoreShared: 164 << 10, SharedReserve: 1 << 10,
		CoreRegisters: 64 << 10, CoreWarps: 64, CoreBlocks: 32,
		MatrixFMA: 1024, Exp: 16, Lanes: 64, SharedRate: 128, L2Rate: 47,
		L2Group: 24 << 20,
		Emitters: []Emitter{
			sm80Emitter("mma.sync and cp.async are the matrix and copy instructions of this target"),
		},
	},
	{
		Name:        target.SM90a,
		BlockShared: 227 << 10, CoreShared: 228 << 10, SharedReserve: 1 << 10,
		CoreRegisters: 64 << 10, CoreWarps: 64, CoreBlocks: 32,
		MatrixFMA: 2048, Exp: 16, Lanes: 128, SharedRate: 128, L2Rate: 42,
		L2Group: 32 << 20,
		Emitters: []Emitter{
			sm90aEmitter("wgmma, TMA and warp specialisation are what this target has beyond sm_80"),
			sm80Emitter("no tile of a whole warpgroup serves this shape and pattern; mma.sync runs on every target since sm_80"),
		},
	},
}

// FindTarget looks a target up.
func FindTarget(name target.Target) (Target, error) {
	var names []string
	for _, t := range Targets {
		if t.Name == name {
			return t, nil
		}
		names = append(names, t.Name.String())
	}
	return Target{}, fmt.Errorf("layout: unknown target %q: want one of %q", name, names)
}

// Emitter picks the first emitter that serves a shape.
func (t Target) Emitter(s ir.Shape) (Emitter, error) {
	for _, e := range t.Emitters {
		if e.Serves(s) {
			return e, nil
		}
	}
	return Emitter{}, fmt.Errorf("layout: no code generator of %v serves head dimension %d in blocks of %d tokens",
		t.Name, s.HeadDim, s.Block)
}

// After is the next emitter that serves a shape; ok is false where there is none.
func (t Target) After(e Emitter, s ir.Shape) (next Emitter, ok bool) {
	at := slices.IndexFunc(t.Emitters, func(x Emitter) bool { return x.Family == e.Family })
	for _, next := range t.Emitters[at+1:] {
		if next.Serves(s) {
			return next, true
		}
	}
	return Emitter{}, false
}

// emitter is the one that a kernel's family names.
func (k *Kernel) emitter() (Target, Emitter, error) {
	t, err := FindTarget(k.Target)
	if err != nil {
		return t, Emitter{}, err
	}
	for _, e := range t.Emitters {
		if e.Family == k.Family {
			return t, e, nil
		}
	}
	return t, Emitter{}, fmt.Errorf("layout: %v has no code generator %q", k.Target, k.Family)
}

// PaddedDim is the head dimension rounded up to what the matrix instructions take.
func PaddedDim(s ir.Shape) int {
	unit := matrixBytes / s.DType.Bytes()
	return (s.HeadDim + unit - 1) / unit * unit
}

// matrixBytes is the k of every matrix instruction, of whatever type.
const matrixBytes = 32
