package kernel

import (
	"errors"
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

// Check refuses a layout whose parts contradict each other; an emitter checks
// what is its own.
func Check(k *layout.Kernel) error {
	return errors.Join(k.VerifyShape(), k.VerifyGeometry(), k.Memory.Verify())
}
