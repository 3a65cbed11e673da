package kernel

import (
	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/ir/layout"
	"github.com/s2attention/s2c/launch"
)

// Generator is a code generator: what the layout passes ask of it first, and
// what the compiler asks with the layout that they have made.
type Generator interface {
	layout.Generator
	// Emit is called once for a layout: its verified PTX module. The pattern's
	// tables, if any, come back beside it.
	Emit(k *layout.Kernel) (*ptx.Module, *Pattern, error)
	// Launch is called after Emit: how the kernel is launched, its parameters and
	// their tensor maps included.
	Launch(k *layout.Kernel) launch.Kernel
}
