//go:build unix

package lower

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/s2attention/s2c/diag"
	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/ir"
)

// processorTime is what this process has taken, which other processes do not change.
func processorTime(t *testing.T) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		t.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// What is too much work is refused before much of it is done.
func TestRefusedInTime(t *testing.T) {
	var terms []string
	for k := 1; k < 100; k++ {
		terms = append(terms, fmt.Sprintf("(i * %d + j * %d + h) mod %d == %d", k, k+1, 999+k, k-1))
	}
	long := strings.Join(terms, " or ")
	for name, c := range map[string]struct {
		model, pattern, says string
		limit                time.Duration
	}{
		"coprime strides": {"heads 64 causal", "window(1) | stride(63, phase: h) - dilated(62, phase: h) | dilated(61, phase: 5)",
			"work on cells", 4 * time.Second},
		"a long condition": {"heads 1 causal", "window(1) | where(" + long + ", max: 262144)",
			"take 8298358784 steps, all heads and layers together; at most 1610612736 are possible", time.Second},
		"many heads": {"heads 32 bidirectional", "window(1) | where((i * 7 + j * 13 + h * 3 + h * h * i) mod 211 < 60, max: 262144)",
			"take 5905580032 steps, all heads and layers together", time.Second},
	} {
		text := fmt.Sprintf("model m { %s head_dim 64 block 64 layers 1 }\nlayer * -> %s\n", c.model, c.pattern)
		start := processorTime(t)
		p, list := dsl.Load("in.s2", dsl.Options{ReadFile: func(string) ([]byte, error) { return []byte(text), nil }})
		if p == nil {
			t.Fatal(name, list)
		}
		m, list := Module(p)
		if m != nil || len(list) == 0 || !strings.Contains(list[0].Message, c.says) {
			t.Errorf("%s: %v, %v", name, m, list)
		}
		if took := processorTime(t) - start; took > c.limit {
			t.Errorf("%s: %v", name, took)
		}
	}
}

// Heads that say the same share one table, and what one of them takes is counted once.
func TestConditionOfManyHeads(t *testing.T) {
	text := "model m { heads 65535 head_dim 64 block 64 causal layers 1 }\nlayer * -> window(1) | where((i * j) mod 7 == 3, max: 65536)\n"
	p, list := dsl.Load("in.s2", dsl.Options{ReadFile: func(string) ([]byte, error) { return []byte(text), nil }})
	if p == nil {
		t.Fatal(list)
	}
	m, list := Module(p)
	if m == nil {
		t.Fatal(list)
	}
	if first, last := m.Layers[0].Heads[0], m.Layers[0].Heads[65534]; !ir.Same(first, last) || first.Table == nil {
		t.Error("heads that say the same differ")
	}
	if list.HasErrors() || len(list) > 0 && list[0].Code == diag.PatternTooLarge {
		t.Error(list)
	}
}
