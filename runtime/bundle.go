package runtime

import (
	"fmt"
	"slices"
	"strings"
)

// BundleFormat is the version of the file format that this package writes, and
// the only one it reads.
const BundleFormat = 1

// Bundle is a compiled model: every distinct layer's kernel for every target,
// and what the compiler proved about them.
type Bundle struct {
	Manifest Manifest
	Kernels  []Kernel // a kernel for each target of each distinct layer

	// Sum is the file's SHA-256, set by ReadBundle: what to pin where a bundle
	// must be a certain one. The hashes within the file tell damage, not origin.
	Sum [32]byte
}

// Manifest is what a bundle says of itself.
type Manifest struct {
	Format  int      `json:"format"` // BundleFormat; WriteBundle sets it
	Model   string   `json:"model"`
	Source  string   `json:"source,omitempty"` // SHA-256 of the source text, in hexadecimal
	Shape   Shape    `json:"shape"`
	Layers  int      `json:"layers"`  // of the model
	Targets []string `json:"targets"` // ascending; WriteBundle sets them from Kernels
	Facts   []Facts  `json:"facts,omitempty"`
}

// Shape is what all layers of a model have in common.
type Shape struct {
	Heads   int     `json:"heads"`
	KVHeads int     `json:"kv_heads"`
	HeadDim int     `json:"head_dim"`
	Block   int     `json:"block"`
	DType   DType   `json:"dtype"`
	Causal  bool    `json:"causal"`
	Scale   float64 `json:"scale"`
}

// Shape is the part of a kernel's description that a bundle's kernels share.
func (k *Kernel) Shape() Shape {
	return Shape{k.Heads, k.KVHeads, k.HeadDim, k.Block, k.DType, k.Causal, k.Scale}
}

// Facts are what the compiler knows of one distinct layer.
type Facts struct {
	Layers      []int     `json:"layers"`              // the model's layers that it describes
	Coverage    bool      `json:"coverage"`            // for every length
	KVEfficient bool      `json:"kv_efficient"`        // for every length
	Dense       bool      `json:"dense"`               // every pair is attended
	Tables      bool      `json:"tables"`              // some rows come from a table
	MaxBlocks   int64     `json:"max_blocks"`          // greatest length in blocks; 0: no limit
	Densities   []Density `json:"densities,omitempty"` // at some lengths, ascending
}

// Density is attended ÷ dense token pairs, summed over heads, at one length.
type Density struct {
	Seq   int64   `json:"seq"`
	Value float64 `json:"density"`
}

// FactsOf is what the bundle says of a layer, or nil.
func (b *Bundle) FactsOf(layer int) *Facts {
	for i := range b.Manifest.Facts {
		if slices.Contains(b.Manifest.Facts[i].Layers, layer) {
			return &b.Manifest.Facts[i]
		}
	}
	return nil
}

// Select is the kernel that serves a layer of the model, counted from 0, best
// on a device: code for that very chip before portable code, newer before
// older. A layer that the bundle lacks is an ErrArgs; one without a target that
// runs on the device an ErrArchitecture.
func (b *Bundle) Select(dev Device, layer int) (*Kernel, error) {
	major, minor := dev.ComputeCapability()
	var best *Kernel
	var bestTarget target
	var have []string
	for i := range b.Kernels {
		k := &b.Kernels[i]
		if !slices.Contains(k.Layers, layer) {
			continue
		}
		have = append(have, k.Target)
		t, err := parseTarget(k.Target)
		if err != nil {
			return nil, err
		}
		if t.runsOn(major, minor) && (best == nil || t.better(bestTarget)) {
			best, bestTarget = k, t
		}
	}
	switch {
	case len(have) == 0:
		return nil, Errorf(ErrArgs, "model %q has no layer %d in this bundle; it has %s", b.Manifest.Model, layer, ranges(b.layers()))
	case best == nil:
		return nil, Errorf(ErrArchitecture, "layer %d of %q is compiled for %s, none of which runs on %s (compute capability %d.%d); compile for another target with --arch",
			layer, b.Manifest.Model, strings.Join(have, ", "), dev.Describe(), major, minor)
	}
	return best, nil
}

// layers is every layer that some kernel serves, ascending.
func (b *Bundle) layers() []int {
	var all []int
	for i := range b.Kernels {
		all = append(all, b.Kernels[i].Layers...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// ranges writes ascending numbers as "0–3, 5".
func ranges(ns []int) string {
	if len(ns) == 0 {
		return "none"
	}
	var parts []string
	for i := 0; i < len(ns); {
		j := i
		for j+1 < len(ns) && ns[j+1] == ns[j]+1 {
			j++
		}
		switch j - i {
		case 0:
			parts = append(parts, fmt.Sprint(ns[i]))
		case 1:
			parts = append(parts, fmt.Sprint(ns[i]), fmt.Sprint(ns[j]))
		default:
			parts = append(parts, fmt.Sprintf("%d–%d", ns[i], ns[j]))
		}
		i = j + 1
	}
	return strings.Join(parts, ", ")
}

// targets is the distinct targets of the kernels, ascending.
func (b *Bundle) targets() []string {
	names := []string{}
	for i := range b.Kernels {
		names = append(names, b.Kernels[i].Target)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Check reports the first contradiction in the bundle, as an ErrBundle or an
// ErrKernel.
func (b *Bundle) Check() error {
	m := &b.Manifest
	if m.Format != BundleFormat {
		return Errorf(ErrBundle, "the manifest's format is %d, not %d", m.Format, BundleFormat)
	}
	if len(b.Kernels) == 0 {
		return Errorf(ErrBundle, "a bundle without kernels")
	}
	if m.Layers < 1 || m.Layers > maxLayer {
		return Errorf(ErrBundle, "a model of %d layers", m.Layers)
	}
	if !slices.Equal(m.Targets, b.targets()) {
		return Errorf(ErrBundle, "the manifest names targets %v, the kernels are for %v", m.Targets, b.targets())
	}
	type serves struct {
		target string
		layer  int
	}
	entries, served := map[kernelID]bool{}, map[serves]bool{}
	for i := range b.Kernels {
		k := &b.Kernels[i]
		if err := k.Check(); err != nil {
			return err
		}
		id := kernelID{k.Target, k.Entry}
		if entries[id] {
			return Errorf(ErrBundle, "two kernels %s for %s", k.Entry, k.Target)
		}
		entries[id] = true
		if k.Shape() != m.Shape {
			return Errorf(ErrBundle, "kernel %s is of another shape than the model", k.Entry)
		}
		for _, n := range k.Layers {
			if n >= m.Layers || served[serves{k.Target, n}] {
				return Errorf(ErrBundle, "kernel %s: layer %d is past the model's %d layers or served twice for %s", k.Entry, n, m.Layers, k.Target)
			}
			served[serves{k.Target, n}] = true
		}
	}
	described := map[int]bool{}
	for _, f := range m.Facts {
		for _, n := range f.Layers {
			if n < 0 || n >= m.Layers || described[n] {
				return Errorf(ErrBundle, "facts of layer %d, which is past the model's %d layers or described twice", n, m.Layers)
			}
			described[n] = true
		}
	}
	return nil
}
