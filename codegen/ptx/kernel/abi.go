// Package kernel holds what every attention kernel shares whatever its target:
// the parameter block, the pattern's words in the module, the order of the
// work, and the cursor that walks a row's key blocks.
package kernel

import (
	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/launch"
)

// Declare turns a launch's parameters into the entry's.
func Declare(ps []launch.Param) []ptx.Param {
	var out []ptx.Param
	for _, p := range ps {
		t := launch.Types[p.Type]
		out = append(out, ptx.Param{Name: p.Name, Type: string(p.Type), Bytes: t.Bytes, Align: t.Align})
	}
	return out
}

// Param64, Param32 and ParamF32 load a parameter.
func Param64(b *ptx.Builder, name string) ptx.R64 {
	return b.LdParamB64(ptx.ParamAddr{Name: name})
}

func Param32(b *ptx.Builder, name string) ptx.R32 {
	return b.LdParamB32(ptx.ParamAddr{Name: name})
}

func ParamF32(b *ptx.Builder, name string) ptx.F32 {
	return b.LdParamF32(ptx.ParamAddr{Name: name})
}
