package reference

import (
	"fmt"
	"math"

	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/internal/tensor"
)

// Tolerance is the greatest error that a kernel may show.
type Tolerance struct {
	OutRel float64 `json:"out_rel_err"`     // ‖out − ref‖ / ‖ref‖ over the whole output
	OutRow float64 `json:"out_max_row_err"` // the same over any single row
	LSE    float64 `json:"lse_max_err"`     // absolute, any single row
}

// ToleranceOf is the tolerance for an output of a type, for inputs drawn from a
// normal distribution: some rounding errors of the type's fraction.
func ToleranceOf(d dtype.Type) Tolerance {
	if d == dtype.F16 {
		return Tolerance{OutRel: 1e-3, OutRow: 5e-3, LSE: 1e-3}
	}
	return Tolerance{OutRel: 4e-3, OutRow: 2e-2, LSE: 1e-3}
}

// Errors says how far an output is from the reference. An error is NaN or +∞
// where the output holds what no rounding explains; neither is ever within a
// tolerance.
type Errors struct {
	OutRel, OutRow, LSE float64
	// WorstRow and WorstLSE say where OutRow and LSE come from.
	WorstRow, WorstLSE Row
}

// Row names one query of a batch.
type Row struct{ Batch, Head, Query int }

func (r Row) String() string {
	return fmt.Sprintf("batch %d, head %d, query %d", r.Batch, r.Head, r.Query)
}

// Within reports whether every error is within its tolerance.
func (e Errors) Within(t Tolerance) bool {
	return e.OutRel <= t.OutRel && e.OutRow <= t.OutRow && e.LSE <= t.LSE
}

// Compare measures an output [batch, heads, q_len, dim] and log-sum-exp [batch,
// heads, q_len] against the reference, over the heads and rows that the
// reference holds.
// A reference row of zeros has no relative error; there the absolute one counts.
func Compare(out, lse *tensor.Tensor, ref *Result, heads int) (Errors, error) {
	if err := out.CheckShape([]int{ref.Batch, heads, ref.QLen, ref.Dim}); err != nil {
		return Errors{}, fmt.Errorf("out: %w", err)
	}
	if err := lse.CheckShape([]int{ref.Batch, heads, ref.QLen}); err != nil {
		return Errors{}, fmt.Errorf("lse: %w", err)
	}
	var e Errors
	var diff, norm float64 // squared
	row, sums := make([]float64, ref.Dim), make([]float64, ref.QLen)
	at := 0 // the reference's row
	for batch := range ref.Batch {
		for _, head := range ref.Heads {
			from := (batch*heads + head) * ref.QLen
			lse.Float64s(sums, from)
			for n := range ref.rows() {
				query := ref.row(n)
				out.Float64s(row, (from+query)*ref.Dim)
				d, n := distance(row, ref.Out[at*ref.Dim:(at+1)*ref.Dim])
				diff, norm = diff+d, norm+n
				here := Row{batch, head, query}
				worse(&e.OutRow, &e.WorstRow, relative(d, n), here)
				worse(&e.LSE, &e.WorstLSE, logDistance(sums[query], ref.LSE[at]), here)
				at++
			}
		}
	}
	e.OutRel = relative(diff, norm)
	return e, nil
}

// worse keeps the greater error; a NaN is greater than anything and stays.
func worse(err *float64, where *Row, candidate float64, here Row) {
	if candidate > *err || math.IsNaN(candidate) && !math.IsNaN(*err) {
		*err, *where = candidate, here
	}
}

// distance is ‖got − want‖² and ‖want‖².
func distance(got, want []float64) (diff, norm float64) {
	for n, w := range want {
		d := got[n] - w
		diff += d * d
		norm += w * w
	}
	return diff, norm
}

func relative(diff, norm float64) float64 {
	if norm == 0 {
		return math.Sqrt(diff)
	}
	return math.Sqrt(diff / norm)
}

// logDistance is |got − want|, where two equal infinities are no distance apart.
func logDistance(got, want float64) float64 {
	if got == want {
		return 0
	}
	return math.Abs(got - want)
}
