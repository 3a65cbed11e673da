package conformance

import (
	"math"
	"testing"

	"github.com/s2attention/s2c/internal/tensor"
)

// TestPoison: the inputs hold NaN in exactly the keys and values that no query
// attends, counted token by token.
func TestPoison(t *testing.T) {
	poisoned := 0
	for _, c := range Cases() {
		if c.Huge || c.KLen > 700 || c.batch() > 4 {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			s, err := c.Load(false)
			if err != nil {
				t.Fatal(err)
			}
			p, err := c.Problem(s)
			if err != nil {
				t.Fatal(err)
			}
			for kv := range s.Model.KVHeads {
				for token := range c.KLen {
					want := !p.tokenAttended(kv, token)
					for b := range c.batch() {
						for name, x := range map[string]*tensor.Tensor{"k": p.K, "v": p.V} {
							if got := allNaN(x, b, kv, token); got != want {
								t.Fatalf("%s, batch %d, KV head %d, token %d: NaN is %v, want %v", name, b, kv, token, got, want)
							}
						}
					}
					if want {
						poisoned++
					}
				}
			}
		})
	}
	if t.Logf("%d tokens are poisoned", poisoned); poisoned == 0 {
		t.Error("no case has a token that no query attends")
	}
}

// tokenAttended asks every query of the call.
func (p *Problem) tokenAttended(kv, token int) bool {
	m := p.Subject.Model
	block, group := m.Block, m.Heads/m.KVHeads
	for pos := p.Case.KLen - p.Case.qLen(); pos < p.Case.KLen; pos++ {
		if m.Causal && token > pos {
			continue
		}
		for h := kv * group; h < (kv+1)*group; h++ {
			if p.Subject.Attends(h, int64(pos/block), int64(token/block)) {
				return true
			}
		}
	}
	return false
}

func allNaN(x *tensor.Tensor, b, head, token int) bool {
	row := make([]float64, x.Shape[3])
	x.Float64s(row, ((b*x.Shape[1]+head)*x.Shape[2]+token)*len(row))
	for _, v := range row {
		if !math.IsNaN(v) {
			return false
		}
	}
	return true
}
