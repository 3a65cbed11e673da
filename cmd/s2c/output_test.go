package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// TestDuration wants three significant digits in a unit that suits.
func TestDuration(t *testing.T) {
	for want, ms := range map[string]float64{
		"0.00 µs": 0, "0.50 µs": 0.0005, "1.23 µs": 0.001234, "12.3 µs": 0.01234, "999 µs": 0.9994, "1.00 ms": 0.9996,
		"9.99 ms": 9.994, "10.0 ms": 9.996, "99.9 ms": 99.94, "100 ms": 99.96, "123 ms": 123.4,
		"17.3 s": 17333.575, "1.00 s": 999.7, "59.9 s": 59940, "1.00 min": 59980, "2.50 min": 150e3, "1.50 h": 5400e3, "250 h": 9e8,
	} {
		if got := duration(ms); got != want {
			t.Errorf("%v ms is %q, want %q", ms, got, want)
		}
	}
}

// TestProgress shows a bar on a terminal alone, after a while, never backwards,
// and removes it.
func TestProgress(t *testing.T) {
	var out bytes.Buffer
	s := &streams{err: &out, errColor: true}
	p := s.progress("running")
	p.set(1, 4)
	p.end()
	if out.Len() > 0 {
		t.Errorf("work of a moment shows %q", out.String())
	}
	p.start = time.Now().Add(-10 * time.Second)
	p.set(1, 4)
	if got, want := out.String(), "\r\x1b[Krunning       25 % |███████                       | 30.0 s left"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	out.Reset()
	p.set(2, 4) // too soon
	p.shown = p.shown.Add(-time.Second)
	p.set(1, 4)
	if out.Len() > 0 {
		t.Errorf("%q", out.String())
	}
	p.set(5, 4)
	if got := out.String(); !strings.Contains(got, "100 % |"+strings.Repeat("█", barWidth)+"| ") {
		t.Errorf("%q", got)
	}
	out.Reset()
	p.end()
	if got := out.String(); got != "\r\x1b[K" {
		t.Errorf("the bar ends with %q", got)
	}
	s.errColor = false
	out.Reset()
	p.set(3, 3)
	if out.Len() > 0 {
		t.Errorf("no terminal, and %q", out.String())
	}
}
