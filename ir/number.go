package ir

import "math/bits"

// floorDiv is ⌊a/b⌋ for b > 0.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// ceilDiv is ⌈a/b⌉ for b > 0.
func ceilDiv(a, b int64) int64 { return -floorDiv(-a, b) }

// mod is the Euclidean remainder of a by m > 0.
func mod(a, m int64) int64 {
	r := a % m
	if r < 0 {
		r += m
	}
	return r
}

// mulMod is a·b mod m for 0 ≤ a, b < m, without overflow.
func mulMod(a, b, m int64) int64 {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	return int64(bits.Rem64(hi, lo, uint64(m)))
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	if a < 0 {
		return -a
	}
	return a
}

// inverse is the x with a·x ≡ 1 (mod m), 0 ≤ x < m; a and m are coprime, m ≥ 1.
func inverse(a, m int64) int64 {
	r0, r1 := m, mod(a, m)
	x0, x1 := int64(0), int64(1)
	for r1 != 0 {
		q := r0 / r1
		r0, r1 = r1, r0-q*r1
		x0, x1 = x1, x0-q*x1
	}
	return mod(x0, m)
}

// solve finds all t with a + b·t ≡ 0 (mod m): they are t ≡ t0 (mod period).
func solve(a, b, m int64) (t0, period int64, ok bool) {
	a, b = mod(a, m), mod(b, m)
	d := gcd(b, m)
	if a%d != 0 {
		return 0, 0, false
	}
	period = m / d
	return mulMod(mod(-a/d, period), inverse(b/d, period), period), period, true
}

// lcm is the least common multiple, or false where it passes MaxPeriod.
func lcm(a, b int64) (int64, bool) {
	l := a / gcd(a, b) * b // a, b ≤ MaxPeriod = 2²⁶
	return l, l <= MaxPeriod
}

// crt finds all x with x ≡ r1 (mod m1) and x ≡ r2 (mod m2): they are x ≡ r
// (mod m), m the least common multiple. ok is false where there are none.
func crt(r1, m1, r2, m2 int64) (r, m int64, ok bool) {
	u, period, ok := solve(r1-r2, m1, m2)
	if !ok {
		return 0, 0, false
	}
	return r1 + m1*u, m1 * period, true
}

// floorSum is Σ ⌊(a·t + b)/m⌋ over 0 ≤ t < n, for m > 0, in O(log m) steps.
// The sum is exact modulo 2⁶⁴, so exact when it fits int64; a·n + b must fit.
func floorSum(n, m, a, b int64) int64 {
	if n <= 0 {
		return 0
	}
	var sum int64
	q := floorDiv(a, m)
	sum += q * triangle(n)
	a -= q * m
	q = floorDiv(b, m)
	sum += q * n
	b -= q * m
	// 0 ≤ a, b < m from here on.
	for {
		top := a*n + b
		if top < m {
			return sum
		}
		n, b = top/m, top%m
		m, a = a, m
		q = a / m
		sum += q * triangle(n)
		a -= q * m
		q = b / m
		sum += q * n
		b -= q * m
	}
}

// triangle is 0 + 1 + … + (n − 1), modulo 2⁶⁴.
func triangle(n int64) int64 {
	if n%2 == 0 {
		return n / 2 * (n - 1)
	}
	return (n - 1) / 2 * n
}
