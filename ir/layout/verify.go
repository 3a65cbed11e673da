package layout

import (
	"errors"
	"fmt"
	"slices"

	"github.com/s2attention/s2c/ir"
)

// Verify checks every law that a finished tile program keeps. All violations
// are reported together.
func (k *Kernel) Verify(b Backend) error {
	return errors.Join(k.VerifyShape(), k.VerifyTile(b), k.VerifyHeads(), k.VerifyOrder(), k.VerifyEntry())
}

// VerifyShape checks the model's shape and the padding.
func (k *Kernel) VerifyShape() error {
	if err := CheckShape(k.Shape); err != nil {
		return err
	}
	if want := PaddedDim(k.Shape); k.DimPadded != want {
		return fmt.Errorf("layout: head dimension %d padded to %d, want %d", k.Shape.HeadDim, k.DimPadded, want)
	}
	return nil
}

// CheckShape refuses a shape that no kernel serves.
func CheckShape(s ir.Shape) error {
	switch {
	case s.Heads <= 0 || s.KVHeads <= 0 || s.Heads%s.KVHeads != 0:
		return fmt.Errorf("layout: %d query heads over %d KV heads", s.Heads, s.KVHeads)
	case !s.DType.Model():
		return fmt.Errorf("layout: elements of type %q", s.DType)
	case s.HeadDim <= 0 || s.HeadDim%8 != 0 || s.HeadDim > 256:
		return fmt.Errorf("layout: head dimension %d: want a multiple of 8 up to 256", s.HeadDim)
	case s.Block != 16 && s.Block != 32 && s.Block != 64 && s.Block != 128:
		return fmt.Errorf("layout: blocks of %d tokens: want 16, 32, 64 or 128", s.Block)
	}
	return nil
}

// VerifyTile checks the tile's geometry against itself, and what it takes
// against the limits of the target and its code generator.
func (k *Kernel) VerifyTile(b Backend) error {
	if k.Target != b.Target {
		return fmt.Errorf("layout: a kernel for %v is none for %v", k.Target, b.Target)
	}
	g, err := b.generator(k.Family)
	if err != nil {
		return err
	}
	if err := k.VerifyGeometry(); err != nil {
		return err
	}
	if err := b.limits(g.Registers(k.Shape, k.candidate()), k.Memory.Bytes()); err != nil {
		return fmt.Errorf("layout: %v, %s: %w", k.Target, k.Family, err)
	}
	return k.VerifyMemory(g)
}

// VerifyMemory checks that shared memory is laid out as a generator does it for
// this tile, and by the laws of a map.
func (k *Kernel) VerifyMemory(g Generator) error {
	if err := k.Memory.Verify(); err != nil {
		return err
	}
	if !slices.Equal(k.Memory, g.Memory(k.Shape, k.candidate())) {
		return fmt.Errorf("layout: shared memory is not laid out for this tile of %s", g.Family())
	}
	return nil
}

// VerifyGeometry checks the tile's geometry against itself.
func (k *Kernel) VerifyGeometry() error {
	block := k.Shape.Block
	switch {
	case k.Pack < 1 || k.Merge < 1 || k.Split < 1 || k.KVTile < 1 || k.Stages < 1 || k.Warps < 1:
		return fmt.Errorf("layout: pack %d, merge %d, split %d, KV tile %d, stages %d, warps %d: all must be positive",
			k.Pack, k.Merge, k.Split, k.KVTile, k.Stages, k.Warps)
	case k.Merge > 1 && k.Split > 1:
		return fmt.Errorf("layout: merge %d and split %d exclude each other", k.Merge, k.Split)
	case k.Merge > ir.MaxMerge:
		return fmt.Errorf("layout: merge %d: members have %d bits", k.Merge, ir.MaxMerge)
	case k.Positions*k.Split != k.Merge*block:
		return fmt.Errorf("layout: %d positions a tile, want %d × %d / %d", k.Positions, k.Merge, block, k.Split)
	case k.Rows != k.Pack*k.Positions:
		return fmt.Errorf("layout: %d rows, want %d heads × %d positions", k.Rows, k.Pack, k.Positions)
	case k.Positions%WarpRows != 0:
		return fmt.Errorf("layout: %d positions a tile: a warp's 16 rows would span two heads", k.Positions)
	case k.Shape.Group()%k.Pack != 0:
		return fmt.Errorf("layout: %d packed heads do not divide the group of %d", k.Pack, k.Shape.Group())
	case k.KVTile%16 != 0 || k.KVTile%block != 0 && block%k.KVTile != 0:
		return fmt.Errorf("layout: a KV tile of %d tokens neither divides nor gathers blocks of %d", k.KVTile, block)
	case k.Rows != WarpRows*k.Warps:
		return fmt.Errorf("layout: %d warps for %d rows, want 16 rows each", k.Warps, k.Rows)
	}
	return nil
}

// VerifyHeads checks that the head tiles partition the query heads and that
// their patterns name only query blocks that exist.
func (k *Kernel) VerifyHeads() error {
	seen := make([]bool, k.Shape.Heads)
	for n, h := range k.HeadTiles {
		if len(h.Heads) != k.Pack {
			return fmt.Errorf("layout: head tile %d has %d heads, want %d", n, len(h.Heads), k.Pack)
		}
		for i, head := range h.Heads {
			switch {
			case head < 0 || head >= k.Shape.Heads || seen[head]:
				return fmt.Errorf("layout: head tile %d: head %d is unknown or taken", n, head)
			case i > 0 && head <= h.Heads[i-1]:
				return fmt.Errorf("layout: head tile %d: heads %v are not ascending", n, h.Heads)
			case head/k.Shape.Group() != h.KVHead:
				return fmt.Errorf("layout: head tile %d: head %d does not read KV head %d", n, head, h.KVHead)
			}
			seen[head] = true
		}
		if err := k.verifyMembers(&h.Pattern); err != nil {
			return fmt.Errorf("head tile %d: %w", n, err)
		}
	}
	for head, ok := range seen {
		if !ok {
			return fmt.Errorf("layout: head %d is in no head tile", head)
		}
	}
	return nil
}

// verifyMembers checks that members are a non-empty subset of the merged query blocks.
func (k *Kernel) verifyMembers(p *ir.Pattern) error {
	bad := func(m uint32) bool { return m == 0 || m&^k.allMembers() != 0 }
	for n, c := range p.Cells {
		if bad(c.Members) {
			return fmt.Errorf("layout: cell %d: members %#b of %d merged query blocks", n, c.Members, k.Merge)
		}
	}
	if t := p.Table; t != nil {
		for n, m := range t.Members {
			if bad(m) {
				return fmt.Errorf("layout: table entry %d: members %#b of %d merged query blocks", n, m, k.Merge)
			}
		}
	}
	return nil
}

// VerifyOrder checks that groups divide the head tiles and never share a KV head.
func (k *Kernel) VerifyOrder() error {
	if k.GroupSize < 1 || len(k.HeadTiles)%k.GroupSize != 0 {
		return fmt.Errorf("layout: groups of %d do not divide %d head tiles", k.GroupSize, len(k.HeadTiles))
	}
	owner := map[int]int{}
	for n, h := range k.HeadTiles {
		group := n / k.GroupSize
		if g, ok := owner[h.KVHead]; ok && g != group {
			return fmt.Errorf("layout: KV head %d is in groups %d and %d", h.KVHead, g, group)
		}
		owner[h.KVHead] = group
	}
	return nil
}

// VerifyEntry checks that the entry is a PTX identifier (PTX ISA 9.0 §4.4).
func (k *Kernel) VerifyEntry() error {
	for i, r := range k.Entry {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r != '_' && (r < '0' || r > '9')) {
			return fmt.Errorf("layout: entry %q is not a PTX identifier", k.Entry)
		}
	}
	if k.Entry == "" {
		return errors.New("layout: the kernel has no entry name")
	}
	return nil
}
