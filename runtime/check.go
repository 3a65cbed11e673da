package runtime

import (
	"math"
	"slices"
	"strings"
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
)

// paramSizes is what each parameter takes, and what it must be aligned to.
var paramSizes = func() map[string]int {
	sizes := map[string]int{"batch": 4, "q_len": 4, "k_len": 4, "scale": 4}
	for _, name := range []string{"q_map", "k_map", "v_map", "o_map"} {
		sizes[name] = 128
	}
	for _, name := range ParamNames {
		if _, ok := sizes[name]; !ok {
			sizes[name] = 8
		}
	}
	return sizes
}()

// Check reports the first thing in the kernel's description that no launch
// could be right with, as an ErrKernel. Bundles and Load run it.
func (k *Kernel) Check() error {
	if _, err := parseTarget(k.Target); err != nil {
		return err
	}
	for _, rule := range []struct {
		ok   bool
		what string
		got  any
	}{
		{k.Entry != "" && len(k.Entry) <= maxEntryBytes, "entry must name a PTX function", k.Entry},
		{k.PTX != "", "the PTX text must not be empty", k.PTX},
		{!strings.Contains(k.PTX, "\x00"), "the PTX text must hold no zero byte, where drivers stop reading", "one that does"},
		{k.SharedBytes >= 0 && k.SharedBytes <= maxShared, "shared_bytes must be at least 0", k.SharedBytes},
		{k.BlockThreads >= 32 && k.BlockThreads <= maxBlockThreads && k.BlockThreads%32 == 0,
			"block_threads must be a multiple of 32 up to 1024", k.BlockThreads},
		{k.Heads >= 1 && k.Heads <= maxHeads, "heads must be 1 to 65536", k.Heads},
		{k.KVHeads >= 1 && k.KVHeads <= k.Heads && k.Heads%max(k.KVHeads, 1) == 0, "kv_heads must divide heads", k.KVHeads},
		{k.HeadDim >= 8 && k.HeadDim <= 256 && k.HeadDim%8 == 0, "head_dim must be a multiple of 8 up to 256", k.HeadDim},
		{slices.Contains([]int{16, 32, 64, 128}, k.Block), "block must be 16, 32, 64 or 128", k.Block},
		{k.DType == BF16 || k.DType == F16, "dtype must be bf16 or f16", k.DType},
		{goodScale(k.Scale), "scale must be 1e-30 to 1e6", k.Scale},
		{k.MaxBlocks >= 0, "max_blocks must be at least 0", k.MaxBlocks},
		{k.Grid.Positions >= 1 && k.Grid.Positions <= 1<<15, "grid positions must be 1 to 32768", k.Grid.Positions},
		{k.Grid.HeadTiles >= 1 && k.Grid.HeadTiles <= maxHeads, "grid head_tiles must be 1 to 65536", k.Grid.HeadTiles},
		{k.Grid.Persistent >= 0 && k.Grid.Persistent <= 64, "grid persistent must be 0 to 64", k.Grid.Persistent},
		{slices.IsSorted(k.Layers), "layers must ascend", k.Layers},
	} {
		if !rule.ok {
			return Errorf(ErrKernel, "kernel %q: %s, not %v", k.Entry, rule.what, rule.got)
		}
	}
	for i, n := range k.Layers {
		if n < 0 || n > maxLayer || i > 0 && n == k.Layers[i-1] {
			return Errorf(ErrKernel, "kernel %q: layers must be distinct and count from 0, not %v", k.Entry, k.Layers)
		}
	}
	if err := k.checkParams(); err != nil {
		return err
	}
	return k.checkMaps()
}

// Softmax scales that the kernels compute with. A subnormal one would be flushed,
// and 0 · −∞ is NaN; beyond the greatest, the fp32 products of scale and scores
// leave nothing to tell exponents apart by, and overflow soon.
const (
	minScale = 1e-30
	maxScale = 1e6
)

func goodScale(x float64) bool { return x >= minScale && x <= maxScale }

func (k *Kernel) checkParams() error {
	end := 0
	seen := map[string]bool{}
	for _, p := range k.Params {
		size, known := paramSizes[p.Name]
		align := min(size, 64)
		switch {
		case !known:
			return Errorf(ErrKernel, "kernel %q: parameter %q is unknown", k.Entry, p.Name)
		case seen[p.Name]:
			return Errorf(ErrKernel, "kernel %q: parameter %s occurs twice", k.Entry, p.Name)
		case p.Size != size:
			return Errorf(ErrKernel, "kernel %q: parameter %s takes %d bytes, not %d", k.Entry, p.Name, size, p.Size)
		case p.Offset%align != 0:
			return Errorf(ErrKernel, "kernel %q: parameter %s at offset %d is not %d-byte aligned", k.Entry, p.Name, p.Offset, align)
		case p.Offset < end || p.Offset > maxParamBytes-size:
			return Errorf(ErrKernel, "kernel %q: parameter %s at offset %d overlaps another or passes %d bytes", k.Entry, p.Name, p.Offset, maxParamBytes)
		}
		seen[p.Name] = true
		end = p.Offset + size
	}
	if len(k.Table) > 0 && !seen["table"] {
		return Errorf(ErrKernel, "kernel %q has a table but no parameter for it", k.Entry)
	}
	return nil
}

func (k *Kernel) checkMaps() error {
	seen := map[string]bool{}
	for _, m := range k.Maps {
		if paramSizes[m.Param] != 128 || !slices.ContainsFunc(k.Params, func(p Param) bool { return p.Name == m.Param }) {
			return Errorf(ErrKernel, "kernel %q: map rule for %q, which is no tensor-map parameter of it", k.Entry, m.Param)
		}
		if seen[m.Param] {
			return Errorf(ErrKernel, "kernel %q: two map rules for %s", k.Entry, m.Param)
		}
		seen[m.Param] = true
		if err := m.check(); err != "" {
			return Errorf(ErrKernel, "kernel %q: map rule for %s: %s", k.Entry, m.Param, err)
		}
	}
	for _, p := range k.Params {
		if paramSizes[p.Name] == 128 && !seen[p.Name] {
			return Errorf(ErrKernel, "kernel %q: no map rule for %s", k.Entry, p.Name)
		}
	}
	return nil
}

// check is what is wrong with the rule, or "".
func (m *MapRule) check() string {
	if len(m.Axes) < 2 || len(m.Axes) > maxMapAxes || m.Axes[0] != AxisDim {
		return "2 to 5 axes, the first of them dim"
	}
	if len(m.Box) != len(m.Axes) {
		return "as many box extents as axes"
	}
	for i, a := range m.Axes {
		if !slices.Contains([]Axis{AxisDim, AxisSeq, AxisHead, AxisBatch}, a) {
			return "axes are dim, seq, head and batch"
		}
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
