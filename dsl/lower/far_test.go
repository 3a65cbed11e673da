package lower

import (
	"fmt"
	"testing"

	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/limit"
)

// Numbers of blocks that no context has are as good as none: what is left says the same
// of each pair as the language does, in the first blocks and in the last that exist.
func TestFar(t *testing.T) {
	edges := []int64{0, 1, 2, 5, 100, 1<<26 - 1, 1 << 26, 1<<26 + 1, limit.Blocks - 3, limit.Blocks - 2, limit.Blocks - 1}
	for _, pattern := range []string{
		"window(1) | columns(0..2147483647) - columns(5..2147483640) | rows(2147483000..)",
		"window(1) | stride(2147483647, phase: h) | dilated(2147483646, phase: h)",
		"window(2147483648) - window(2147483647) | window(1)",
		"window(1, 2147483648)",
		"window(1) | stride(67108865, phase: 5) | stride(2147483648, phase: -1)",
		"window(1) | stride(100000000, phase: 134217727)",
		"window(1) | dilated(67108865, phase: 2) - sink(2)",
		"window(1) | dilated(67108866, phase: 67108864) | dilated(2147483648, phase: -134217725)",
		"window(1) | blocks { (0..2147483648, 3), (1073741825, 5), (5, 1073741825..) }",
		"window(1073741824) - columns(1073741825)", "rows(0..1073741825) & window(1073741823)",
		"window(1) | global(2000000000, 5)", "sink(2147483648) - dense | window(2)",
	} {
		for _, mode := range []string{"causal", "bidirectional"} {
			text := fmt.Sprintf("model m { heads 2 head_dim 64 block 16 %s layers 1 }\nlayer * -> %s\n", mode, pattern)
			p, list := dsl.Load("in.s2", dsl.Options{ReadFile: func(string) ([]byte, error) { return []byte(text), nil }})
			if p == nil {
				t.Fatal(list)
			}
			m, list := Module(p)
			if m == nil {
				t.Errorf("%s\n%v", text, list)
				continue
			}
			holds := p.Evaluator(0, 1)
			for _, i := range edges {
				for _, j := range edges {
					want := holds(i, j) && (mode != "causal" || j <= i)
					if got := m.Layers[0].Heads[1].Contains(i, j); got != want {
						t.Errorf("%s(%d, %d): %v, want %v", text, i, j, got, want)
					}
				}
			}
		}
	}
}
