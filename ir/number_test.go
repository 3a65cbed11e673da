package ir

import (
	"testing"

	"pgregory.net/rapid"
)

func TestFloorSumAgainstLoop(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, m := rapid.Int64Range(0, 60).Draw(t, "n"), rapid.Int64Range(1, 40).Draw(t, "m")
		a, b := rapid.Int64Range(-90, 90).Draw(t, "a"), rapid.Int64Range(-90, 90).Draw(t, "b")
		var want int64
		for x := range n {
			want += floorDiv(a*x+b, m)
		}
		if got := floorSum(n, m, a, b); got != want {
			t.Fatalf("got %d, want %d", got, want)
		}
	})
}

func TestDivision(t *testing.T) {
	for a := int64(-20); a <= 20; a++ {
		for b := int64(1); b <= 7; b++ {
			q, r := floorDiv(a, b), mod(a, b)
			if q*b+r != a || r < 0 || r >= b || ceilDiv(a, b) != -floorDiv(-a, b) {
				t.Fatalf("%d by %d: %d rest %d", a, b, q, r)
			}
		}
	}
}

func TestSolveAgainstSearch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Int64Range(-50, 50).Draw(t, "a"), rapid.Int64Range(-50, 50).Draw(t, "b")
		m := rapid.Int64Range(1, 30).Draw(t, "m")
		t0, period, ok := solve(a, b, m)
		for x := range 2 * m {
			holds := mod(a+b*x, m) == 0
			if holds != (ok && x%period == t0) {
				t.Fatalf("x = %d: %d mod %d, %v", x, t0, period, ok)
			}
		}
	})
}

func TestCRTAgainstSearch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m1, m2 := rapid.Int64Range(1, 30).Draw(t, "m1"), rapid.Int64Range(1, 30).Draw(t, "m2")
		r1, r2 := rapid.Int64Range(0, m1-1).Draw(t, "r1"), rapid.Int64Range(0, m2-1).Draw(t, "r2")
		r, m, ok := crt(r1, m1, r2, m2)
		for x := range m1 * m2 {
			holds := x%m1 == r1 && x%m2 == r2
			if holds != (ok && mod(x-r, m) == 0) {
				t.Fatalf("x = %d: %d mod %d, %v", x, r, m, ok)
			}
		}
	})
}
