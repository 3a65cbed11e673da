package layout

import (
	"fmt"

	"github.com/s2attention/s2c/ir"
)

// Generator is what the passes and the cost model ask of a code generator. All
// answers depend on the arguments alone.
type Generator interface {
	// Family is its name, in layouts, tuning files and messages.
	Family() string
	// Candidates is called by the weigh pass, once: the configurations whose
	// geometry is legal for a shape, in a fixed order, where heads is the greatest
	// number of equal heads that may be packed. None: it does not serve the shape,
	// and the next generator is asked.
	Candidates(s ir.Shape, heads int) []Candidate
	// Memory is called for each candidate, to see what fits, and for the chosen one
	// once more: that map is the kernel's, in which emission finds its regions.
	Memory(s ir.Shape, c Candidate) Memory
	// Registers is called for each candidate after Memory, and by verification.
	Registers(s ir.Shape, c Candidate) Registers
	// Loop is called for each candidate that fits, to predict its cost.
	Loop() Loop
}

// Registers is what a thread needs in the main loop.
type Registers struct {
	Live  int // what it must hold, by estimate
	Limit int // what it may hold and be sure not to spill
	Given int // what it will be given
}

// Loop is what the cost model needs to know of a generator's main loop.
type Loop struct {
	ReadRows   int     // query rows that share one read of a key or value tile
	CopyOps    float64 // issue slots of the computing warps for each 16 bytes loaded
	StepClocks float64 // barriers, reductions and addresses of one step
	// Overlap: a warp's softmax runs beside its own matrix products.
	Overlap bool
	// Alone: one thread block a multiprocessor, which stays for all its work.
	Alone bool
}

// Ranked is a generator in a backend's order, and why it is asked.
type Ranked struct {
	Generator
	Reason string
}

// Backend is a target with the generators that serve it, in order of
// preference. The compiler puts them together.
type Backend struct {
	Machine
	Generators []Ranked
}

// generator is the one that a kernel's family names.
func (b Backend) generator(family string) (Generator, error) {
	for _, g := range b.Generators {
		if g.Family() == family {
			return g, nil
		}
	}
	return nil, fmt.Errorf("layout: %v has no code generator %q", b.Target, family)
}

// Fit fills in what a candidate takes; the error says what the machine has too little of.
func (m Machine) Fit(g Generator, s ir.Shape, c *Candidate) error {
	r := g.Registers(s, *c)
	c.SharedBytes, c.Registers = g.Memory(s, *c).Bytes(), r.Given
	c.Resident = m.resident(g.Loop(), *c)
	if err := m.limits(r, c.SharedBytes); err != nil {
		return err
	}
	if c.Resident < 1 {
		return fmt.Errorf("a multiprocessor cannot hold one thread block")
	}
	return nil
}

// limits is the machine's or generator's objection to what a configuration takes.
func (m Machine) limits(r Registers, sharedBytes int) error {
	switch {
	case sharedBytes > m.BlockShared:
		return fmt.Errorf("needs %d bytes of shared memory of %d", sharedBytes, m.BlockShared)
	case r.Live > r.Limit:
		return fmt.Errorf("needs about %d registers of %d", r.Live, r.Limit)
	}
	return nil
}

// resident is how many thread blocks a multiprocessor holds at once. Registers
// are handed to warps in eights a thread. A generator that runs alone distributes
// them itself, within its own limit.
func (m Machine) resident(l Loop, c Candidate) int {
	byShared := m.CoreShared / (c.SharedBytes + m.SharedReserve)
	if l.Alone {
		return min(byShared, 1)
	}
	registers := (c.Registers + 7) / 8 * 8 * 32 * c.Warps
	return min(byShared, m.CoreRegisters/registers, m.CoreWarps/c.Warps, m.CoreBlocks)
}
