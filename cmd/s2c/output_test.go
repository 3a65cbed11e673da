package main

import "testing"

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
