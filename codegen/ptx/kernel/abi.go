// Package kernel holds what every attention kernel shares whatever its target:
// the parameter block, the pattern's words in the module, the order of the
// work, and the cursor that walks a row's key blocks.
package kernel

import (
	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/ir/layout"
	"github.com/s2attention/s2c/launch"
)

// Launch is how a layout's kernel is launched, by thread blocks of so many
// threads; persistent is how many of them a multiprocessor share all work items, 0
// for one an item.
func Launch(k *layout.Kernel, threads, persistent int, params []launch.Param) launch.Kernel {
	return launch.Kernel{
		Entry: k.Entry, SharedBytes: k.Memory.Bytes(), BlockThreads: threads, Params: params,
		Grid: launch.GridRule{Over: launch.QueryTiles, Positions: k.Positions, HeadTiles: len(k.HeadTiles), Persistent: persistent},
	}
}

// Entry declares a kernel as it is launched; a multiprocessor must hold resident
// thread blocks of it.
func Entry(l launch.Kernel, resident int) *ptx.Entry {
	e := &ptx.Entry{Name: l.Entry, Threads: l.BlockThreads, MinCTAs: resident, Shared: "smem_" + l.Entry}
	for _, p := range l.Params {
		t := launch.Types[p.Type]
		e.Params = append(e.Params, ptx.Param{Name: p.Name, Type: string(p.Type), Bytes: t.Bytes, Align: t.Align})
	}
	return e
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
