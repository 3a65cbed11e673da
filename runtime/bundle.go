package runtime

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/s2attention/s2c/launch"
	"github.com/s2attention/s2c/target"
)

// BundleFormat is the version of the file format that this package writes, and
// the only one it reads.
const BundleFormat = 2

// Bundle is a compiled model: a plan for every operation of every distinct layer
// and every target, and what the compiler proved about the layers.
type Bundle struct {
	Manifest Manifest
	Plans    []launch.Plan // no two for one operation, target and layer

	// Sum is the file's SHA-256, set by ReadBundle: what to pin where a bundle
	// must be a certain one. The hashes within the file tell damage, not origin.
	Sum [32]byte
}

// Manifest is what a bundle says of itself.
type Manifest struct {
	Format  int             `json:"format"` // BundleFormat; WriteBundle sets it
	Model   string          `json:"model"`
	Source  string          `json:"source,omitempty"` // SHA-256 of the source text, in hexadecimal
	Shape   launch.Shape    `json:"shape"`
	Layers  int             `json:"layers"`  // of the model
	Targets []target.Target `json:"targets"` // ascending; WriteBundle sets them from Plans
	Facts   []Facts         `json:"facts,omitempty"`
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

// Select is the plan for an operation of a layer of the model, counted from 0,
// that is best on a device: code for that very chip before portable code, newer
// before older. What the bundle lacks is an ErrArgs; an operation without a
// target that runs on the device an ErrArchitecture.
func (b *Bundle) Select(dev Device, op launch.Op, layer int) (*launch.Plan, error) {
	if b == nil || dev == nil {
		return nil, Errorf(ErrArgs, "Select needs a bundle and a device, not nil")
	}
	major, minor := dev.ComputeCapability()
	var best *launch.Plan
	var have []string
	for i := range b.Plans {
		p := &b.Plans[i]
		if p.Op != op || !slices.Contains(p.Layers, layer) {
			continue
		}
		have = append(have, p.Target.String())
		if p.Target.RunsOn(major, minor) && (best == nil || p.Target.Closer(best.Target)) {
			best = p
		}
	}
	switch {
	case len(have) == 0:
		return nil, Errorf(ErrArgs, "model %q has no layer %d for %s in this bundle; it has %s", b.Manifest.Model, layer, op, ranges(b.layers(op)))
	case best == nil:
		return nil, Errorf(ErrArchitecture, "layer %d of %q is compiled for %s, none of which runs on %s (compute capability %d.%d); compile for another target with --arch",
			layer, b.Manifest.Model, strings.Join(have, ", "), dev.Describe(), major, minor)
	}
	return best, nil
}

// layers is every layer that has the operation, ascending.
func (b *Bundle) layers(op launch.Op) []int {
	var all []int
	for i := range b.Plans {
		if b.Plans[i].Op == op {
			all = append(all, b.Plans[i].Layers...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// ranges writes ascending numbers as "0–3, 5".
func ranges(ns []int) string {
	var parts []string
	for i := 0; i < len(ns); {
		end := i + 1
		for end < len(ns) && ns[end] == ns[end-1]+1 {
			end++
		}
		if end-i > 2 {
			parts = append(parts, fmt.Sprintf("%d–%d", ns[i], ns[end-1]))
			i = end
		} else {
			parts = append(parts, fmt.Sprint(ns[i]))
			i++
		}
	}
	return cmp.Or(strings.Join(parts, ", "), "none")
}

// targets is the distinct targets of the plans, ascending.
func (b *Bundle) targets() []target.Target {
	list := []target.Target{}
	for i := range b.Plans {
		list = append(list, b.Plans[i].Target)
	}
	slices.SortFunc(list, target.Compare)
	return slices.Compact(list)
}

// Check reports the first contradiction in the bundle, as an ErrBundle or an
// ErrKernel.
func (b *Bundle) Check() error {
	m := &b.Manifest
	if m.Format != BundleFormat {
		return Errorf(ErrBundle, "the manifest's format is %d, not %d", m.Format, BundleFormat)
	}
	if len(b.Plans) == 0 {
		return Errorf(ErrBundle, "a bundle without plans")
	}
	if m.Layers < 1 || m.Layers > maxLayer {
		return Errorf(ErrBundle, "a model of %d layers", m.Layers)
	}
	if !slices.Equal(m.Targets, b.targets()) {
		return Errorf(ErrBundle, "the manifest names targets %v, the plans are for %v", m.Targets, b.targets())
	}
	seen := seen{}
	for i := range b.Plans {
		p := &b.Plans[i]
		if err := CheckPlan(p); err != nil {
			return err
		}
		if p.Shape != m.Shape {
			return Errorf(ErrBundle, "plan %s is of another shape than the model", p.Name())
		}
		if err := seen.plan(p, m.Layers); err != nil {
			return err
		}
	}
	return b.checkFacts()
}

// seen is what the plans of a bundle may each have once: entries and layers.
type seen map[any]bool

type entryKey struct {
	target target.Target
	entry  string
}

type layerKey struct {
	op     launch.Op
	target target.Target
	layer  int
}

// plan notes what a plan has, of a model with so many layers.
func (s seen) plan(p *launch.Plan, layers int) error {
	for i := range p.Kernels {
		key := entryKey{p.Target, p.Kernels[i].Entry}
		if s[key] {
			return Errorf(ErrBundle, "two kernels %s for %s", key.entry, key.target)
		}
		s[key] = true
	}
	for _, n := range p.Layers {
		key := layerKey{p.Op, p.Target, n}
		if n >= layers || s[key] {
			return Errorf(ErrBundle, "plan %s: layer %d is past the model's %d layers or has two plans of %s for %s", p.Name(), n, layers, p.Op, p.Target)
		}
		s[key] = true
	}
	return nil
}
