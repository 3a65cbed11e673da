package kernel

import (
	"fmt"

	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/ir/layout"
)

// PatternSym is the module variable that holds a kernel's pattern.
func PatternSym(k *layout.Kernel) ptx.Sym { return ptx.Sym(k.Entry + "_pattern") }

// Module finishes a kernel: the verified module of one entry and its pattern.
func Module(k *layout.Kernel, b *ptx.Builder, p *Pattern) (*ptx.Module, error) {
	if err := b.Finish(); err != nil {
		return nil, fmt.Errorf("%s: %w", k.Family, err)
	}
	m := &ptx.Module{
		Target:  k.Target,
		Globals: []ptx.Global{{Name: string(PatternSym(k)), Align: 16, Words: p.Words}},
		Entries: []*ptx.Entry{b.Entry()},
	}
	return m, ptx.VerifyModule(m)
}

// CheckGeometry refuses a layout whose parts contradict each other; an emitter
// checks what is its own.
func CheckGeometry(k *layout.Kernel) error {
	switch {
	case k.Rows != k.Pack*k.Positions || k.Positions%RowsPerWarp != 0:
		return fmt.Errorf("%s: %d rows cannot hold %d heads × %d positions", k.Family, k.Rows, k.Pack, k.Positions)
	case k.Positions*k.Split != k.Merge*k.Shape.Block || k.Split > 1 && k.Merge > 1:
		return fmt.Errorf("%s: %d positions are not %d blocks of %d in %d parts", k.Family, k.Positions, k.Merge, k.Shape.Block, k.Split)
	case k.KVTile%16 != 0 || k.KVTile%k.Shape.Block != 0 && k.Shape.Block%k.KVTile != 0:
		return fmt.Errorf("%s: a KV tile of %d does not fit blocks of %d", k.Family, k.KVTile, k.Shape.Block)
	case k.DimPadded%16 != 0 || k.DimPadded < k.Shape.HeadDim:
		return fmt.Errorf("%s: padded head dimension %d for %d", k.Family, k.DimPadded, k.Shape.HeadDim)
	}
	return nil
}
