package compiler

import (
	"strings"
	"testing"

	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/limit"
)

// Clauses share what they may take: a hard one takes much of it, and what comes when it
// is spent is undecided at once.
func TestRequireWork(t *testing.T) {
	const text = "model m { heads 3 head_dim 64 causal layers 1 }\nparam v = [4093, 4091, 4079]\n" +
		"layer * -> window(2048) | stride(v[h], phase: 1)\nrequire coverage, kv_efficient\n"
	u, list := Lower("m.s2", dsl.Options{ReadFile: func(string) ([]byte, error) { return []byte(text), nil }})
	if u == nil {
		t.Fatal(list)
	}
	work, never := 0, func() bool { return false }
	if d, failed := u.decide(u.Program.Requires[0], never, &work); !failed || work < 10000 || work > limit.Work {
		t.Errorf("%v, %v, %d", d, failed, work)
	}
	if d, failed := u.decide(u.Program.Requires[1], never, &work); failed {
		t.Errorf("%v", d)
	}
	work = limit.RequireWork
	d, failed := u.decide(u.Program.Requires[1], never, &work)
	if !failed || !strings.Contains(d.Message, "cannot be decided: work of all clauses together") || d.Hint == "" {
		t.Errorf("%v, %v", d, failed)
	}
}
