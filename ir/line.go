package ir

import "math"

// At is the line's value at x. Unbounded lines stay ±Inf, and results that
// pass int64 saturate to ±Inf.
func (l Line) At(x int64) int64 {
	if l.A == 0 {
		return l.C
	}
	if x > math.MaxInt64>>8 || x < -(math.MaxInt64>>8) {
		if (x > 0) == (l.A > 0) {
			return Inf
		}
		return -Inf
	}
	return l.A*x + l.C
}

// bounded says that the line is no ±Inf.
func (l Line) bounded() bool { return l.C != Inf && l.C != -Inf }

// plus is the line moved by d; unbounded lines stay.
func (l Line) plus(d int64) Line {
	if l.bounded() {
		l.C += d
	}
	return l
}

// minus is the difference of two bounded lines.
func (l Line) minus(m Line) Line { return Line{l.A - m.A, l.C - m.C} }

// negative is the condition "l(x) < 0" as "result(x) ≥ 0".
func (l Line) negative() Line { return Line{-l.A, -l.C - 1} }

// first and last admitted rows of a guard; last is Inf where there is none.
func (r Rows) first() int64 { return r.Lo + mod(r.Res-r.Lo, r.Mod) }

func (r Rows) last() int64 {
	if r.Hi == Inf {
		return Inf
	}
	return r.Hi - 1 - mod(r.Hi-1-r.Res, r.Mod)
}

// has says that the guard admits row i.
func (r Rows) has(i int64) bool {
	return r.Lo <= i && i < r.Hi && (r.Mod == 1 || i%r.Mod == r.Res)
}

// index is the t of row i = Res + Mod·t.
func (r Rows) index(i int64) int64 { return (i - r.Res) / r.Mod }

// clip restricts the guard to rows [lo, hi).
func (r Rows) clip(lo, hi int64) Rows {
	r.Lo, r.Hi = max(r.Lo, lo), min(r.Hi, hi)
	return r
}

// where restricts the guard to the rows with l(i) ≥ 0: a half-line.
func (r Rows) where(l Line) Rows {
	switch {
	case l.A > 0:
		r.Lo = max(r.Lo, ceilDiv(-l.C, l.A))
	case l.A < 0:
		r.Hi = min(r.Hi, floorDiv(l.C, -l.A)+1)
	case l.C < 0:
		r.Hi = r.Lo
	}
	return r
}

// tight moves Lo and Hi onto admitted rows: Lo to the first, Hi behind the
// last. It reports false where no row is left.
func (r Rows) tight() (Rows, bool) {
	if r.Lo >= r.Hi {
		return r, false
	}
	r.Lo = r.first()
	if r.Hi != Inf {
		r.Hi = r.last() + 1
	}
	return r, r.Lo < r.Hi
}

// meet is the intersection of two guards. ok is false where it is empty; over
// says that its period passes MaxPeriod.
func (r Rows) meet(o Rows) (m Rows, ok, over bool) {
	m = r.clip(o.Lo, o.Hi)
	if m.Lo >= m.Hi {
		return m, false, false
	}
	if r.Mod == o.Mod {
		return m, r.Res == o.Res, false
	}
	res, period, ok := crt(r.Res, r.Mod, o.Res, o.Mod)
	if !ok {
		return m, false, false
	}
	if period > MaxPeriod {
		// One admitted row in the whole range needs no period.
		if m.Hi == Inf {
			return m, false, true
		}
		first := m.Lo + mod(res-m.Lo, period)
		switch {
		case first >= m.Hi:
			return m, false, false
		case first+period < m.Hi:
			return m, false, true
		}
		return Rows{first, first + 1, 1, 0}, true, false
	}
	m.Res, m.Mod = res, period
	m, ok = m.tight()
	if m.Lo == m.Hi-1 {
		m.Mod, m.Res = 1, 0
	}
	return m, ok, false
}
