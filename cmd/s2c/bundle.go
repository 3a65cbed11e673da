package main

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/s2attention/s2c/internal/show"
	"github.com/s2attention/s2c/launch"
	"github.com/s2attention/s2c/runtime"
)

// bundleCmd groups what is done with compiled bundles.
type bundleCmd struct {
	Inspect bundleInspectCmd `cmd:"" help:"Check a bundle's hashes and say what it holds."`
}

// bundleInspectCmd describes one bundle.
type bundleInspectCmd struct {
	File fileName `arg:"" help:"The bundle."`
	JSON bool     `help:"Print JSON."`
	PTX  string   `name:"ptx" placeholder:"ENTRY" help:"Print the PTX of one entry instead; add a target as in ENTRY@sm_80 where several have it."`
}

// Run prints the description.
func (c *bundleInspectCmd) Run(s *streams) error {
	b, err := runtime.ReadBundleFile(string(c.File))
	if err != nil {
		return err
	}
	switch {
	case c.PTX != "":
		return printPTX(s, b, c.PTX)
	case c.JSON:
		return s.json(struct {
			runtime.Manifest
			SHA256 string        `json:"sha256"`
			Plans  []launch.Plan `json:"plans"`
		}{b.Manifest, hex.EncodeToString(b.Sum[:]), b.Plans})
	}
	return c.text(s, b)
}

// printPTX prints the module of the one kernel of the name.
func printPTX(s *streams, b *runtime.Bundle, name string) error {
	entry, on, _ := strings.Cut(name, "@")
	var found []*launch.Plan
	var have []string
	for n := range b.Plans {
		p := &b.Plans[n]
		for i := range p.Kernels {
			k := &p.Kernels[i]
			have = append(have, fmt.Sprintf("%s@%v", k.Entry, p.Target))
			if k.Entry == entry && (on == "" || p.Target.String() == on) {
				found = append(found, p)
			}
		}
	}
	if len(found) != 1 {
		return usagef("%d kernels are called %s; the bundle holds %s", len(found), name, strings.Join(have, ", "))
	}
	_, err := fmt.Fprint(s.out, found[0].PTX)
	return err
}

// text is the description for people.
func (c *bundleInspectCmd) text(s *streams, b *runtime.Bundle) error {
	m := &b.Manifest
	r := newReport(s)
	r.title("%s", m.Model)
	r.line("shape", "%s", shapeText(m.Shape))
	r.line("layers", "%d", m.Layers)
	r.line("targets", "%s", archNames(m.Targets))
	if m.Source != "" {
		r.line("source", "SHA-256 %s", m.Source)
	}
	r.line("file", "SHA-256 %s", hex.EncodeToString(b.Sum[:]))
	for n := range m.Facts {
		f := &m.Facts[n]
		r.section("%s", show.LayerNames(f.Layers, m.Layers))
		r.line("pattern", "%s", factsText(f))
		for _, d := range f.Densities {
			r.line("density", "%.4f at %s tokens", d.Value, grouped(d.Seq))
		}
		for i := range b.Plans {
			if p := &b.Plans[i]; slices.Equal(p.Layers, f.Layers) {
				r.line(p.Target.String(), "%s: %s bytes of PTX%s", p.Op, grouped(len(p.PTX)), tableText(p))
				for n := range p.Kernels {
					k := &p.Kernels[n]
					r.line("", "%s: %d threads, %s bytes of shared memory", k.Entry, k.BlockThreads, grouped(k.SharedBytes))
				}
			}
		}
	}
	return r.end()
}

func tableText(p *launch.Plan) string {
	if len(p.Table) == 0 {
		return ""
	}
	return fmt.Sprintf(", tables of %s bytes", grouped(len(p.Table)))
}

// shapeText is a model's shape in one line.
func shapeText(m launch.Shape) string {
	mask := "bidirectional"
	if m.Causal {
		mask = "causal"
	}
	return fmt.Sprintf("%s, %s, head dimension %d, blocks of %d, %s, %s, scale %.6g",
		plural(m.Heads, "query head", "query heads"), plural(m.KVHeads, "KV head", "KV heads"), m.HeadDim, m.Block, m.DType, mask, m.Scale)
}

// factsText is what is known of a layer, for every length.
func factsText(f *runtime.Facts) string {
	if f.Dense {
		return "dense"
	}
	facts := []string{not(f.Coverage) + "covering", not(f.KVEfficient) + "KV-efficient", not(f.Tables) + "table-driven"}
	if f.MaxBlocks > 0 {
		facts = append(facts, fmt.Sprintf("up to %s blocks", grouped(f.MaxBlocks)))
	}
	return strings.Join(facts, ", ")
}

func not(holds bool) string {
	if holds {
		return ""
	}
	return "not "
}
