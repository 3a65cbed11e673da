package runtime

import (
	"encoding/hex"
	"math"
)

// checkFacts reports the first thing that a manifest says of layers and that cannot be.
func (b *Bundle) checkFacts() error {
	m := &b.Manifest
	if sum, err := hex.DecodeString(m.Source); m.Source != "" && (err != nil || len(sum) != sumBytes) {
		return Errorf(ErrBundle, "the source's hash is %.80q, which is no SHA-256", m.Source)
	}
	described := map[int]bool{}
	for i := range m.Facts {
		f := &m.Facts[i]
		if len(f.Layers) == 0 {
			return Errorf(ErrBundle, "facts %d are of no layer", i)
		}
		for _, n := range f.Layers {
			if n < 0 || n >= m.Layers || described[n] {
				return Errorf(ErrBundle, "facts of layer %d, which is past the model's %d layers or described twice", n, m.Layers)
			}
			described[n] = true
		}
		if reason, value := f.absurd(m.Shape.Block); reason != "" {
			return Errorf(ErrBundle, "facts of layer %d: %s: %v", f.Layers[0], reason, value)
		}
	}
	return b.checkLengths()
}

// absurd is what cannot be of the facts by themselves, with the value that is wrong.
func (f *Facts) absurd(block int) (reason string, value any) {
	most := int64(MaxLen)
	if f.MaxBlocks > 0 {
		most = f.MaxBlocks * int64(block)
	}
	for _, rule := range []struct {
		holds  bool
		reason string
		value  any
	}{
		{f.MaxBlocks >= 0 && f.MaxBlocks <= MaxLen/int64(block), "max_blocks is no length in blocks", f.MaxBlocks},
		{f.MaxBlocks == 0 || f.Tables, "a greatest length without tables, in blocks", f.MaxBlocks},
		{!f.Dense || f.Coverage, "dense, and not covering", f.Coverage},
		{!f.Dense || f.KVEfficient, "dense, and not KV-efficient", f.KVEfficient},
		{!f.Dense || !f.Tables, "dense, with tables", f.Tables},
	} {
		if !rule.holds {
			return rule.reason, rule.value
		}
	}
	last := int64(0)
	for _, d := range f.Densities {
		switch {
		case d.Seq <= last:
			return "the lengths of densities do not ascend from 1 on", d.Seq
		case d.Seq > most:
			return "a density beyond the greatest length, in tokens", d.Seq
		case !(d.Value >= 0 && d.Value <= 1):
			return "a density that is not 0 to 1", d.Value
		case f.Dense && math.Abs(d.Value-1) > 1e-9:
			return "dense, with a density that is not 1", d.Value
		}
		last = d.Seq
	}
	return "", nil
}

// checkLengths reports a plan that takes other lengths than the facts of its layers
// say, or tables that they do not know of.
func (b *Bundle) checkLengths() error {
	for i := range b.Plans {
		p := &b.Plans[i]
		for _, n := range p.Layers {
			f := b.FactsOf(n)
			if f == nil {
				continue
			}
			if p.MaxBlocks > 0 && f.MaxBlocks != p.MaxBlocks {
				return Errorf(ErrBundle, "facts of layer %d: max_blocks is %d, and %d in plan %s", n, f.MaxBlocks, p.MaxBlocks, p.Name())
			}
			if !f.Tables && len(p.Table) > 0 {
				return Errorf(ErrBundle, "facts of layer %d: no tables, and plan %s has some of %d bytes", n, p.Name(), len(p.Table))
			}
		}
	}
	return nil
}
