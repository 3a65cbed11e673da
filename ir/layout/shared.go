package layout

import (
	"fmt"

	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/ir"
)

// Region is a part of a thread block's dynamic shared memory.
type Region struct {
	Name   string   // "q", "k0", "v0", "k1" …
	Offset int      // bytes from the start of dynamic shared memory
	Bytes  int      //
	Tile   SmemTile // what lies there; zero if it is no tile
}

// memory is a map of shared memory in the making.
type memory struct {
	elem    dtype.Type
	regions []Region
	end     int
}

func (m *memory) add(name string, bytes int, tile SmemTile) {
	m.regions = append(m.regions, Region{name, m.end, bytes, tile})
	m.end += bytes
}

func (m *memory) tile(name string, rows, cols int) {
	t := SmemTile{Rows: rows, Cols: cols, Type: m.elem}
	m.add(name, t.Bytes(), t)
}

func (m *memory) stages(name string, stages, rows, cols int) {
	for stage := range stages {
		m.tile(fmt.Sprint(name, stage), rows, cols)
	}
}

// SharedMap lists the regions of shared memory in order of address.
func (k *Kernel) SharedMap() []Region {
	_, e, err := k.emitter()
	if err != nil {
		return nil
	}
	return e.Memory(k.Shape, k.candidate())
}

// candidate is the kernel's configuration in the form that emitters take.
func (k *Kernel) candidate() Candidate {
	return Candidate{
		Pack: k.Pack, Merge: k.Merge, Split: k.Split, Rows: k.Rows, KVTile: k.KVTile,
		Stages: k.Stages, Warps: k.Warps, QInRegisters: k.QInRegisters,
	}
}

// bankLine is the bytes that all banks of shared memory hold side by side.
const bankLine = 128

// verifyMemory checks that regions follow one another without holes, that tiles
// start where their swizzle needs it, and that the end is what the kernel declares.
// Hardware that swizzles takes the permutation from the address, so that a slab
// must start where the permutation does; software takes it from the row in the
// tile, and a slab may start at any line of banks.
func verifyMemory(regions []Region, declared int, hardware bool) error {
	end := 0
	for _, r := range regions {
		if r.Offset != end {
			return fmt.Errorf("layout: shared region %s at %d: want it at %d", r.Name, r.Offset, end)
		}
		end += r.Bytes
		if r.Tile == (SmemTile{}) {
			continue
		}
		if err := r.Tile.Check(); err != nil {
			return fmt.Errorf("%s: %w", r.Name, err)
		}
		if r.Tile.Bytes() != r.Bytes {
			return fmt.Errorf("layout: shared region %s of %d bytes holds a tile of %d", r.Name, r.Bytes, r.Tile.Bytes())
		}
		for _, s := range r.Tile.Slabs() {
			align := bankLine
			if hardware { // it permutes inside 8 rows
				align = 8 * s.RowBytes()
			}
			if at := r.Offset + s.Offset; at%align != 0 {
				return fmt.Errorf("layout: shared region %s: a slab at %d breaks the %d-byte swizzle", r.Name, at, s.RowBytes())
			}
		}
	}
	if end != declared {
		return fmt.Errorf("layout: regions take %d bytes of shared memory, the kernel declares %d", end, declared)
	}
	return nil
}

// configurationError is the target's or emitter's objection to a configuration, nil if it fits.
func configurationError(t Target, e Emitter, s ir.Shape, c Candidate) error {
	switch limit := e.RegisterLimit(c); {
	case c.SharedBytes > t.BlockShared:
		return fmt.Errorf("needs %d bytes of shared memory of %d", c.SharedBytes, t.BlockShared)
	case e.Live(s, c) > limit:
		return fmt.Errorf("needs about %d registers of %d", e.Live(s, c), limit)
	}
	return nil
}

// Fit fills in what a candidate takes; the error says what the target has too little of.
func (t Target) Fit(e Emitter, s ir.Shape, c *Candidate) error {
	c.SharedBytes = e.Shared(s, *c)
	c.Registers = e.Registers(s, *c)
	c.Resident = t.resident(e, *c)
	if err := configurationError(t, e, s, *c); err != nil {
		return err
	}
	if c.Resident < 1 {
		return fmt.Errorf("a multiprocessor cannot hold one thread block")
	}
	return nil
}

// resident is how many thread blocks a multiprocessor holds at once. An emitter
// that runs alone distributes the registers itself, within its own limit.
func (t Target) resident(e Emitter, c Candidate) int {
	byShared := t.CoreShared / (c.SharedBytes + t.SharedReserve)
	if e.Loop.Alone {
		return min(byShared, 1)
	}
	registers := (c.Registers + 7) / 8 * 8 * 32 * c.Warps
	return min(byShared, t.CoreRegisters/registers, t.CoreWarps/c.Warps, t.CoreBlocks)
}
