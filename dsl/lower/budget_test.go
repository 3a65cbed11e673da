package lower

import (
	"fmt"
	"testing"

	"github.com/s2attention/s2c/diag"
	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/ir"
)

// What tables may cost is bounded for the module, not for each head: heads that
// differ spend it together, heads that are equal spend it once.
func TestBudget(t *testing.T) {
	plenty := budget{entries: 1 << 20, steps: 1 << 20, words: 1 << 20}
	for _, c := range []struct {
		name, pattern string
		spend         func(*budget)
		code          diag.Code // "": it fits
		table         bool
	}{
		{"enough", "window(1) | where((i + h) mod 3 == j mod 3, max: 640)", func(*budget) {}, "", true},
		{"steps of one head", "window(1) | where(i mod 3 == j mod 3, max: 640)", func(b *budget) { b.steps = 3 * 55 }, "", true},
		{"steps of two heads", "window(1) | where((i + h) mod 3 == j mod 3, max: 640)", func(b *budget) { b.steps = 3*2*55 - 1 }, diag.PatternTooLarge, false},
		{"entries", "window(1) | where(j <= i, max: 640)", func(b *budget) { b.entries = 54 }, diag.PatternTooLarge, false},
		{"words", "window(1) | where(j <= i, max: 640)", func(b *budget) { b.words = 5 }, diag.PatternTooLarge, false},
		// Lists of blocks have another way out.
		{"entries of a list", "window(2) | blocks { (9, 1) }", func(b *budget) { b.entries = 10 }, "", false},
		{"words of a list", "window(2) | blocks { (2..9, 1) }", func(b *budget) { b.words = 3 }, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := fmt.Sprintf("model m { heads 2 head_dim 64 causal }\nlayer * -> %s\n", c.pattern)
			p, list := dsl.Load("in.s2", dsl.Options{ReadFile: func(string) ([]byte, error) { return []byte(text), nil }})
			if p == nil {
				t.Fatal(list)
			}
			b := plenty
			c.spend(&b)
			l := newLowerer(p, nil)
			l.left = b
			m, list := l.module()
			if c.code != "" {
				if m != nil || len(list) == 0 || list[0].Code != c.code {
					t.Fatalf("got %v, %v", m, list)
				}
				return
			}
			if m == nil {
				t.Fatal(list)
			}
			if err := ir.VerifyModule(m); err != nil {
				t.Fatal(err)
			}
			for h, pattern := range m.Layers[0].Heads {
				if (pattern.Table != nil) != c.table {
					t.Errorf("head %d:\n%v", h, pattern)
				}
				holds := p.Evaluator(0, h)
				for i := range int64(10) {
					for j := range int64(10) {
						if pattern.Contains(i, j) != holds(i, j) {
							t.Fatalf("head %d (%d, %d)\n%v", h, i, j, pattern)
						}
					}
				}
			}
		})
	}
}
