package dsl

import "math"

// Checked integer arithmetic: ok is false where the result does not fit in 64
// bits or does not exist.

func addChecked(a, b int64) (int64, bool) {
	s := a + b
	return s, (s > a) == (b > 0)
}

func subChecked(a, b int64) (int64, bool) {
	d := a - b
	return d, (d < a) == (b > 0)
}

func mulChecked(a, b int64) (int64, bool) {
	if a == 0 || b == 0 {
		return 0, true
	}
	p := a * b
	if p/b != a || a == -1 && b == math.MinInt64 || b == -1 && a == math.MinInt64 {
		return 0, false
	}
	return p, true
}

// floorDiv rounds towards −∞; b ≠ 0.
func floorDiv(a, b int64) (int64, bool) {
	if a == math.MinInt64 && b == -1 {
		return 0, false
	}
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q, true
}

// euclid is the remainder in [0, |b|); b ≠ 0.
func euclid(a, b int64) int64 {
	if b == -1 {
		return 0
	}
	r := a % b
	if r < 0 {
		if b > 0 {
			r += b
		} else {
			r -= b
		}
	}
	return r
}
