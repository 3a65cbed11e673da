package kernel

import (
	"fmt"

	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/ir/layout"
)

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

// Check refuses a layout whose parts contradict each other, or that is another
// generator's; an emitter checks what is its own.
func Check(g layout.Generator, k *layout.Kernel) error {
	for _, err := range []error{k.VerifyShape(), k.VerifyGeometry(), k.VerifyMemory(g)} {
		if err != nil {
			return err
		}
	}
	return nil
}
