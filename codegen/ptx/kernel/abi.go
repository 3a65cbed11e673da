// Package kernel holds what every attention kernel shares whatever its target:
// the parameter block, the pattern's words in the module, the order of the
// work, and the cursor that walks a row's key blocks.
package kernel

import (
	"github.com/s2attention/s2c/codegen/ptx"
)

// ParamSpec is one kernel parameter: its name and PTX type.
type ParamSpec struct {
	Name  string
	Type  string // PTX type; "b8" for a 128-byte tensor map
	Bytes int
	Align int
}

// scalars are the parameters that every kernel takes, in order. Strides count
// elements; the innermost dimension of a tensor is contiguous.
var scalars = []ParamSpec{
	{"q", "u64", 8, 8}, {"k", "u64", 8, 8}, {"v", "u64", 8, 8}, {"o", "u64", 8, 8},
	{"lse", "u64", 8, 8}, {"table", "u64", 8, 8},
	{"q_batch", "s64", 8, 8}, {"q_head", "s64", 8, 8}, {"q_seq", "s64", 8, 8},
	{"k_batch", "s64", 8, 8}, {"k_head", "s64", 8, 8}, {"k_seq", "s64", 8, 8},
	{"v_batch", "s64", 8, 8}, {"v_head", "s64", 8, 8}, {"v_seq", "s64", 8, 8},
	{"o_batch", "s64", 8, 8}, {"o_head", "s64", 8, 8}, {"o_seq", "s64", 8, 8},
	{"batch", "u32", 4, 4}, {"q_len", "u32", 4, 4}, {"k_len", "u32", 4, 4}, {"scale", "f32", 4, 4},
}

// Maps are the tensor-map parameters of a Hopper kernel, after the scalars.
func Maps(names ...string) []ParamSpec {
	var ps []ParamSpec
	for _, n := range names {
		ps = append(ps, ParamSpec{n, "b8", 128, 64})
	}
	return ps
}

// Params is the parameter list of a kernel: the scalars and then extra.
func Params(extra ...ParamSpec) []ParamSpec {
	return append(append([]ParamSpec(nil), scalars...), extra...)
}

// Offsets is the byte offset of each parameter, and the size of the block.
func Offsets(ps []ParamSpec) (offsets []int, size int) {
	for _, p := range ps {
		size = (size + p.Align - 1) / p.Align * p.Align
		offsets = append(offsets, size)
		size += p.Bytes
	}
	return offsets, size
}

// Declare turns the list into PTX parameters.
func Declare(ps []ParamSpec) []ptx.Param {
	var out []ptx.Param
	for _, p := range ps {
		out = append(out, ptx.Param{Name: p.Name, Type: p.Type, Bytes: p.Bytes, Align: p.Align})
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

// Stride loads a stride parameter and turns elements into bytes.
func Stride(b *ptx.Builder, name string) ptx.R64 {
	return b.ShlB64(Param64(b, name), ptx.Imm(1))
}
