package layout

import (
	"errors"
	"fmt"
	"strings"
)

// Memory is the map of a thread block's dynamic shared memory: regions in order
// of address, without holes.
type Memory []Region

// Region is a part of it.
type Region struct {
	Name   string   // "q", "k0", "v0", "k1" …
	Offset int      // bytes from the start of dynamic shared memory
	Bytes  int      //
	Tile   SmemTile // what lies there; zero if it is no tile
}

// Add appends a region.
func (m *Memory) Add(name string, bytes int) { m.add(name, bytes, SmemTile{}) }

// AddTile appends a tile.
func (m *Memory) AddTile(name string, t SmemTile) { m.add(name, t.Bytes(), t) }

// AddTiles appends tiles with numbered names.
func (m *Memory) AddTiles(name string, count int, t SmemTile) {
	for n := range count {
		m.AddTile(fmt.Sprint(name, n), t)
	}
}

func (m *Memory) add(name string, bytes int, t SmemTile) {
	*m = append(*m, Region{name, m.Bytes(), bytes, t})
}

// Bytes is the end of the last region.
func (m Memory) Bytes() int {
	if len(m) == 0 {
		return 0
	}
	last := m[len(m)-1]
	return last.Offset + last.Bytes
}

// Region is the region of a name. A generator asks for what its own map holds.
func (m Memory) Region(name string) Region {
	for _, r := range m {
		if r.Name == name {
			return r
		}
	}
	panic(fmt.Sprintf("layout: shared memory has no region %q", name))
}

// Count is how many regions have a name and a number.
func (m Memory) Count(name string) int {
	n := 0
	for _, r := range m {
		if digits, ok := strings.CutPrefix(r.Name, name); ok && digits != "" && strings.Trim(digits, "0123456789") == "" {
			n++
		}
	}
	return n
}

// bankLine is the bytes that all banks of shared memory hold side by side.
const bankLine = 128

// Verify checks that regions follow one another without holes, and that tiles
// start where their swizzle needs it.
// Hardware that swizzles takes the permutation from the address, so that a slab
// must start where the permutation does; software takes it from the row in the
// tile, and a slab may start at any line of banks.
func (m Memory) Verify() error {
	if len(m) == 0 {
		return errors.New("layout: the kernel has no map of shared memory")
	}
	end := 0
	for _, r := range m {
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
			if r.Tile.Hardware { // it permutes inside 8 rows
				align = 8 * s.RowBytes()
			}
			if at := r.Offset + s.Offset; at%align != 0 {
				return fmt.Errorf("layout: shared region %s: a slab at %d breaks the %d-byte swizzle", r.Name, at, s.RowBytes())
			}
		}
	}
	return nil
}
