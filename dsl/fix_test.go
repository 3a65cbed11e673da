package dsl

import (
	"testing"

	"github.com/s2attention/s2c/diag"
)

// TestFixes carries out the change of each diagnostic that has one: the file
// is good then.
func TestFixes(t *testing.T) {
	const model = "model m { heads 4 head_dim 64 causal layers 2 }\n"
	for _, text := range []string{
		model + "layer * => dense\n",
		model + "layer * -> windw(3)\n",
		model + "layer * -> local(3)\n",
		model + "layer * -> full\n",
		model + "param stride = 8\nlayer * -> window(strde)\n",
		model + "param p = 7 % 2\nlayer * -> dense\n",
		model + "param p = 7%2\nlayer * -> dense\n",
		model + "param p = if !true then 1 else 2\nlayer * -> dense\n",
		model + "param p = 3 − 2\nlayer * -> dense\n",
		model + "layer * -> window(1) ∪ sink(1)\n",
		model + "layer * -> window(1) || sink(1)\n",
		model + "layer * -> window(4) && sink(1) | window(1)\n",
		model + "layer * -> stride(8, phase -h) | window(1)\n",
		model + "layer * -> stride(8, phase=h) | window(1)\n",
		model + "layer * -> stride(8, phase h) | window(1)\n",
		model + "layer * -> dense # all\n",
		model + "layer * -> where(i = j, max: 4096)\n",
		model + "layer * -> dense\nrequire coverage on even\n",
		model + "layer * -> dense\nrequire coverge\n",
		model + "layer * -> dense\npatern p = dense\n",
		"model m { heads 4 headdim 64 causal layers 2 }\nlayer * -> dense\n",
	} {
		now, changes := text, 0
		for range 3 {
			_, list := loadText(now, nil)
			if !list.HasErrors() {
				break
			}
			for _, d := range list {
				if d.Fix != nil {
					changes++
					now = now[:d.Fix.Span.Start] + d.Fix.Text + now[d.Fix.Span.End:]
					break
				}
			}
		}
		if _, list := loadText(now, nil); list.HasErrors() || changes != 1 {
			t.Errorf("%q\nafter %d changes\n%q\n%s", text, changes, now, diag.Text(list, false))
		}
	}
}
