package tests

import (
	"strings"
	"sync"
	"testing"

	"github.com/s2attention/s2c/internal/conformance"
	"github.com/s2attention/s2c/internal/ptxas"
	"github.com/s2attention/s2c/target"
)

// assembled is whether a case's kernel goes to the assembler. By default these
// are the examples and the ways of cutting tiles, and of the matrix one element
// type for each head dimension and block size.
func assembled(c *conformance.Case) bool {
	switch {
	case full:
		return true
	case strings.HasPrefix(c.Name, "matrix/"):
		return strings.Contains(c.Name, " bf16 ")
	case strings.HasPrefix(c.Name, "group/"):
		return strings.HasPrefix(c.Name, "group/32 ")
	}
	return true
}

// TestAssembler feeds every kernel of the cases to the real assembler: no
// register spills, no stack frame, and no performance warning.
func TestAssembler(t *testing.T) {
	path := ptxas.Find(t)
	var mu sync.Mutex
	seen := map[string]bool{}
	first := func(ptx string) bool {
		mu.Lock()
		defer mu.Unlock()
		if seen[ptx] {
			return false
		}
		seen[ptx] = true
		return true
	}
	eachCase(t, assembled, func(t *testing.T, c *conformance.Case, on target.Target) {
		l := load(t, c, on, true) // all heads: that is the kernel that ships
		k := l.compiled.Plan
		if !first(k.PTX) {
			return
		}
		r, err := ptxas.Run(path, k.PTX, on.String(), t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Entries) != 1 {
			t.Errorf("%d entries, want 1", len(r.Entries))
		}
		if r.Spills() || r.Stack > 0 || len(r.Performance) > 0 {
			m := l.subject.Model
			t.Errorf("head dimension %d, block %d, %d/%d heads: %d registers, %d and %d bytes of spills, %d of stack %s\n%s",
				m.HeadDim, m.Block, m.Heads, m.KVHeads, r.Registers, r.SpillStores, r.SpillLoads, r.Stack,
				strings.Join(r.Performance, "; "), chosen(l))
		}
	})
	t.Cleanup(func() { t.Logf("%d kernels assembled", len(seen)) })
}

// chosen is the head of the layout's text, without patterns and candidates.
func chosen(l loaded) string {
	text, _, _ := strings.Cut(l.compiled.Layout.String(), "  head tile")
	return text
}
