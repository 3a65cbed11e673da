package runtime

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/s2attention/s2c/launch"
	"github.com/s2attention/s2c/limit"
	"github.com/s2attention/s2c/target"
)

// Limits of PTX and of the launch (PTX ISA 9.0 §11.2.1; CUDA C++ Programming
// Guide, table of technical specifications).
const (
	maxBlockThreads = 1024
	maxParamBytes   = 4352 // before PTX 8.1; no kernel here comes near
	maxHeads        = 1 << 16
	maxShared       = 1 << 20
	maxGrid         = math.MaxInt32
	maxLayer        = 1 << 20
	maxEntryBytes   = 1 << 10
	maxMapAxes      = 5
	maxBoxElements  = 256
	maxKernels      = 16 // of a plan
	maxWorkspaces   = 16
	maxWorkspace    = 1 << 48 // bytes
)

// rule is one thing that a description must satisfy.
type rule struct {
	ok   bool
	what string
	got  any
}

// broken is the first rule that does not hold, as an ErrKernel that names what
// it is about.
func broken(about string, rules []rule) error {
	for _, r := range rules {
		if !r.ok {
			return Errorf(ErrKernel, "%s: %s, not %v", about, r.what, r.got)
		}
	}
	return nil
}

// CheckPlan reports the first thing in a plan that no launch could be right
// with, as an ErrKernel. Bundles and Load run it.
func CheckPlan(p *launch.Plan) error {
	if p == nil {
		return Errorf(ErrKernel, "no plan, but nil")
	}
	_, known := launch.Operations[p.Op]
	if err := broken(fmt.Sprintf("plan %q", p.Name()), []rule{
		{p.Target != target.Target{}, "target must be given", p.Target},
		{known, "op must be an operation", p.Op},
		{p.PTX != "", "the PTX text must not be empty", p.PTX},
		{!strings.Contains(p.PTX, "\x00"), "the PTX text must hold no zero byte, where drivers stop reading", "one that does"},
		{p.Heads >= 1 && p.Heads <= maxHeads, "heads must be 1 to 65536", p.Heads},
		{p.KVHeads >= 1 && p.KVHeads <= p.Heads && p.Heads%max(p.KVHeads, 1) == 0, "kv_heads must divide heads", p.KVHeads},
		{p.HeadDim >= 8 && p.HeadDim <= 256 && p.HeadDim%8 == 0, "head_dim must be a multiple of 8 up to 256", p.HeadDim},
		{slices.Contains([]int{16, 32, 64, 128}, p.Block), "block must be 16, 32, 64 or 128", p.Block},
		{p.DType.Model(), "dtype must be bf16 or f16", p.DType},
		{goodScale(p.Scale), "scale must be 1e-30 to 1e6", p.Scale},
		{p.MaxBlocks >= 0, "max_blocks must be at least 0", p.MaxBlocks},
		{goodLayers(p.Layers), "layers must ascend from 0 on", p.Layers},
		{len(p.Kernels) >= 1 && len(p.Kernels) <= maxKernels, "it must have 1 to 16 kernels", len(p.Kernels)},
		{len(p.Workspaces) <= maxWorkspaces, "it must have at most 16 workspaces", len(p.Workspaces)},
		{len(p.Table) == 0 || takes(p, launch.Constants), "a kernel must take the table", "none"},
	}); err != nil {
		return err
	}
	for i := range p.Workspaces {
		if err := checkWorkspace(p, i); err != nil {
			return err
		}
	}
	for i := range p.Kernels {
		if err := checkKernel(p, i); err != nil {
			return err
		}
	}
	return nil
}

func goodLayers(layers []int) bool {
	for i, n := range layers {
		if n < 0 || n > maxLayer || i > 0 && n <= layers[i-1] {
			return false
		}
	}
	return true
}

// takes is whether a kernel of the plan has a parameter from a kind of source.
func takes(p *launch.Plan, from launch.From) bool {
	return slices.ContainsFunc(p.Kernels, func(k launch.Kernel) bool {
		return slices.ContainsFunc(k.Params, func(param launch.Param) bool { return param.From == from })
	})
}

func checkWorkspace(p *launch.Plan, i int) error {
	w := &p.Workspaces[i]
	first := slices.IndexFunc(p.Workspaces, func(x launch.Workspace) bool { return x.Name == w.Name })
	unknown := slices.IndexFunc(w.Per, func(c launch.Count) bool { return counts[c] == nil })
	return broken(fmt.Sprintf("plan %q, workspace %q", p.Name(), w.Name), []rule{
		{w.Name != "" && first == i, "its name must be its own", w.Name},
		{w.Bytes >= 1 && w.Bytes <= maxWorkspace, "bytes must be 1 to 2⁴⁸", w.Bytes},
		{unknown < 0, "per must be counts", w.Per},
	})
}

func checkKernel(p *launch.Plan, i int) error {
	k := &p.Kernels[i]
	if err := broken(fmt.Sprintf("kernel %q", k.Entry), []rule{
		{k.Entry != "" && len(k.Entry) <= maxEntryBytes, "entry must name a PTX function", k.Entry},
		{k.SharedBytes >= 0 && k.SharedBytes <= maxShared, "shared_bytes must be at least 0", k.SharedBytes},
		{k.BlockThreads >= 32 && k.BlockThreads <= maxBlockThreads && k.BlockThreads%32 == 0,
			"block_threads must be a multiple of 32 up to 1024", k.BlockThreads},
		{tilings[k.Grid.Over] != nil, "grid over must be a known tiling", k.Grid.Over},
		{k.Grid.Positions >= 1 && k.Grid.Positions <= 1<<15, "grid positions must be 1 to 32768", k.Grid.Positions},
		{k.Grid.HeadTiles >= 1 && k.Grid.HeadTiles <= maxHeads, "grid head_tiles must be 1 to 65536", k.Grid.HeadTiles},
		{k.Grid.Persistent >= 0 && k.Grid.Persistent <= 64, "grid persistent must be 0 to 64", k.Grid.Persistent},
	}); err != nil {
		return err
	}
	end := 0
	for n := range k.Params {
		if err := checkParam(p, k, n, end); err != nil {
			return err
		}
		end = k.Params[n].Offset + launch.Types[k.Params[n].Type].Bytes
	}
	return nil
}

// checkParam checks the n-th parameter of a kernel, whose block is taken up to end.
func checkParam(p *launch.Plan, k *launch.Kernel, n, end int) error {
	param := &k.Params[n]
	about := fmt.Sprintf("kernel %q, parameter %q", k.Entry, param.Name)
	t, source := launch.Types[param.Type], sources[param.From]
	first := slices.IndexFunc(k.Params, func(x launch.Param) bool { return x.Name == param.Name })
	if err := broken(about, []rule{
		{param.Name != "" && first == n, "its name must be its own", param.Name},
		{source.typ != "", "it must come from a known kind of source", param.From},
		{param.Type == source.typ, "its type must be " + string(source.typ) + ", which the source gives", param.Type},
		{param.Offset >= end && param.Offset <= maxParamBytes-t.Bytes && param.Offset%max(t.Align, 1) == 0,
			fmt.Sprintf("its offset must be aligned, behind the parameter before it and within %d bytes", maxParamBytes), param.Offset},
		{(param.Map != nil) == (param.From == launch.Map), "a tensor map, and nothing else, must have a rule", param.From},
	}); err != nil {
		return err
	}
	if param.Map != nil {
		if err := checkMap(param.Map); err != "" {
			return Errorf(ErrKernel, "%s: its rule must have %s", about, err)
		}
	}
	if _, ok := bind(p, param); !ok {
		return Errorf(ErrKernel, "%s: %s of %q %s names nothing that %s has", about, param.From, param.Of, param.Axis, p.Op)
	}
	return nil
}

// Softmax scales that the kernels compute with. A subnormal one would be flushed,
// and 0 · −∞ is NaN; beyond the greatest, the fp32 products of scale and scores
// leave nothing to tell exponents apart by, and overflow soon.
const (
	minScale = limit.MinScale
	maxScale = limit.MaxScale
)

func goodScale(x float64) bool { return x >= minScale && x <= maxScale }

// checkMap is what a map rule must have and does not, or "".
func checkMap(m *launch.MapRule) string {
	if len(m.Axes) < 2 || len(m.Axes) > maxMapAxes || m.Axes[0] != launch.AxisDim {
		return "2 to 5 axes, the first of them dim"
	}
	if len(m.Box) != len(m.Axes) {
		return "as many box extents as axes"
	}
	for i, a := range m.Axes {
		if slices.Contains(m.Axes[:i], a) {
			return "no axis twice"
		}
	}
	for _, b := range m.Box {
		if b < 1 || b > maxBoxElements {
			return "box extents from 1 to 256"
		}
	}
	switch inner := 2 * int(m.Box[0]); {
	case !slices.Contains([]int{0, 32, 64, 128}, m.Swizzle):
		return "a swizzle of 0, 32, 64 or 128 bytes"
	case inner%16 != 0:
		return "an inner box extent that is a multiple of 16 bytes"
	case m.Swizzle > 0 && inner > m.Swizzle:
		return "an inner box extent within the swizzle's span"
	}
	return ""
}
