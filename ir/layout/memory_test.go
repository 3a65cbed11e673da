package layout_test

import (
	"strings"
	"testing"

	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/ir/layout"
)

// A tile that the hardware swizzles starts where the permutation does: at eight
// rows of its widest slab. Software needs a line of banks.
func TestMemorySwizzle(t *testing.T) {
	for _, c := range []struct {
		offset, cols int
		hardware     bool
		ok           bool
	}{
		{1024, 64, true, true}, {512, 64, true, false}, {128, 64, true, false},
		{512, 32, true, true}, {256, 32, true, false}, {256, 16, true, true}, {128, 16, true, false},
		{128, 64, false, true}, {64, 64, false, false}, {64, 16, false, false},
	} {
		var m layout.Memory
		m.Add("before", c.offset)
		m.AddTile("tile", layout.SmemTile{Rows: 64, Cols: c.cols, Type: dtype.BF16, Hardware: c.hardware})
		if err := m.Verify(); (err == nil) != c.ok || err != nil && !strings.Contains(err.Error(), "swizzle") {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestMemoryRegions(t *testing.T) {
	var m layout.Memory
	if m.Bytes() != 0 || m.Verify() == nil {
		t.Error("an empty map passes")
	}
	tile := layout.SmemTile{Rows: 16, Cols: 64, Type: dtype.BF16}
	m.AddTiles("k", 3, tile)
	m.AddTiles("key", 1, tile)
	m.Add("k_full", 24)
	if m.Bytes() != 4*2048+24 || m.Count("k") != 3 || m.Count("key") != 1 || m.Count("v") != 0 {
		t.Errorf("%d bytes, %d tiles: %v", m.Bytes(), m.Count("k"), m)
	}
	if r := m.Region("k2"); r.Offset != 4096 || r.Bytes != 2048 || r.Tile != tile {
		t.Errorf("k2: %+v", r)
	}
	if r := m.Region("k_full"); r.Offset != 4*2048 {
		t.Errorf("k_full: %+v", r)
	}
	defer func() {
		if recover() == nil {
			t.Error("a region that does not exist has a place")
		}
	}()
	m.Region("k3")
}

// given is a generator that takes so many registers.
type given int

func (given) Family() string                                  { return "given" }
func (given) Candidates(ir.Shape, int) []layout.Candidate     { return nil }
func (given) Memory(ir.Shape, layout.Candidate) layout.Memory { return layout.Memory{{Bytes: 1024}} }
func (given) Loop() layout.Loop                               { return layout.Loop{} }
func (n given) Registers(ir.Shape, layout.Candidate) layout.Registers {
	return layout.Registers{Live: 100, Limit: 240, Given: int(n)}
}

// Registers are handed out in eights a thread: 170 are 176, and 3 × 4 × 32 × 176
// are more than a multiprocessor has; so are 3 × 8 × 32 × 88, which 84 would not be.
func TestResidentRoundsRegisters(t *testing.T) {
	for _, c := range []struct{ registers, warps, want int }{
		{168, 4, 3}, {169, 4, 2}, {170, 4, 2}, {176, 4, 2}, {80, 8, 3}, {81, 8, 2}, {84, 8, 2}, {88, 8, 2},
	} {
		x := layout.Candidate{Warps: c.warps}
		if err := layout.Ampere.Fit(given(c.registers), shape, &x); err != nil || x.Resident != c.want {
			t.Errorf("%d registers: %d thread blocks, want %d; %v", c.registers, x.Resident, c.want, err)
		}
	}
}
