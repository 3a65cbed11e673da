package reference

import (
	"fmt"
	"math"

	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/internal/tensor"
)

// Tolerance is the greatest error that a kernel may show, beyond what the
// rounding of large scores explains.
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

// Distance is how far an output is from the reference. A distance is NaN or +∞
// where the output holds what no rounding explains; neither is ever within a
// tolerance.
type Distance struct {
	OutRel, OutRow, LSE float64
	// WorstRow and WorstLSE say where OutRow and LSE come from.
	WorstRow, WorstLSE Row
}

// Errors is what a comparison found: the distance, and the part of it that
// decides.
//
// Let δ be [ScoreRounding] · 2⁻²² · scale · Σ|q_d·k_d|, at its greatest over the
// keys that a row attends: what fp32 loses of a scaled score. The excess is what
// is left when each log-sum-exp is given δ + 4 · 2⁻²⁴ · |lse|, and each element of
// the output the least of 2 · max|v| and (e^2δ − 1) · Σp|v|. Where δ is
// negligible, as it is for inputs drawn from a normal distribution, the output
// is given nothing.
//
// Where the reference is not finite, a kernel's element must be not finite
// either, and has no distance.
type Errors struct {
	Distance
	Excess Distance
	// Rows counts the rows compared. Of them, NotFinite hold an element that is
	// rightly not finite, and Beyond have a score beyond [Limit]: they are not
	// judged.
	Rows, NotFinite, Beyond int
	// Stray names the first element that is finite where the reference is not, or
	// the reverse.
	Stray string
}

// Row names one query of a batch.
type Row struct{ Batch, Head, Query int }

func (r Row) String() string {
	return fmt.Sprintf("batch %d, head %d, query %d", r.Batch, r.Head, r.Query)
}

// Within reports whether every distance is within its tolerance.
func (d Distance) Within(t Tolerance) bool {
	return d.OutRel <= t.OutRel && d.OutRow <= t.OutRow && d.LSE <= t.LSE
}

// Within reports whether what rounding does not explain is within the tolerance.
func (e Errors) Within(t Tolerance) bool { return e.Excess.Within(t) }

// Reason says why errors are not within a tolerance; "" where they are.
func (e Errors) Reason(t Tolerance) string {
	switch {
	case e.Within(t):
		return ""
	case e.Stray != "":
		return e.Stray
	}
	all, excess := e.Distance.text(), e.Excess.text()
	if all == excess {
		return "the error is " + all
	}
	return "the error is " + all + "; more than large scores explain are " + excess
}

func (d *Distance) text() string {
	return fmt.Sprintf("%.3g of the output, %.3g of a row (%s), %.3g of a log-sum-exp (%s)",
		d.OutRel, d.OutRow, d.WorstRow, d.LSE, d.WorstLSE)
}

// Notes says what a good verdict does not speak of.
func (e Errors) Notes() []string {
	var notes []string
	if e.NotFinite > 0 {
		notes = append(notes, fmt.Sprintf("%d of %d rows hold values that are not finite, as the inputs that they attend do", e.NotFinite, e.Rows))
	}
	if e.Beyond > 0 {
		notes = append(notes, fmt.Sprintf(
			"%d of %d rows are not judged: Σ|q·k| · max(1, scale · log₂ e) reaches 2^126, where nothing is promised", e.Beyond, e.Rows))
	}
	return notes
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
	var c comparison
	row, sums := make([]float64, ref.Dim), make([]float64, ref.QLen)
	at := 0 // the reference's row
	for batch := range ref.Batch {
		for _, head := range ref.Heads {
			from := (batch*heads + head) * ref.QLen
			lse.Float64s(sums, from)
			for n := range ref.rows() {
				query := ref.row(n)
				out.Float64s(row, (from+query)*ref.Dim)
				c.row(Row{batch, head, query}, ref.margin(at), row, ref.Out[at*ref.Dim:(at+1)*ref.Dim], sums[query], ref.LSE[at])
				at++
			}
		}
	}
	return c.errors(), nil
}

// comparison is one under way.
type comparison struct {
	Errors
	raw, excess, norm float64 // squared, of the whole output
}

func (c *comparison) errors() Errors {
	c.OutRel, c.Excess.OutRel = relative(c.raw, c.norm), relative(c.excess, c.norm)
	return c.Errors
}

// row compares one row.
func (c *comparison) row(here Row, m margin, got, want []float64, lse, wantLSE float64) {
	c.Rows++
	if m.beyond {
		c.Beyond++
		return
	}
	d := m.distance(got, want)
	c.raw, c.excess, c.norm = c.raw+d.raw, c.excess+d.excess, c.norm+d.norm
	worse(&c.OutRow, &c.WorstRow, relative(d.raw, d.norm), here)
	worse(&c.Excess.OutRow, &c.Excess.WorstRow, relative(d.excess, d.norm), here)
	raw, excess := m.lse(lse, wantLSE)
	worse(&c.LSE, &c.WorstLSE, raw, here)
	worse(&c.Excess.LSE, &c.Excess.WorstLSE, excess, here)

	if d.notFinite || math.IsNaN(wantLSE) {
		c.NotFinite++
	}
	switch {
	case c.Stray != "":
	case d.stray >= 0:
		c.Stray = fmt.Sprintf("the output is %v at %s, element %d, where the reference is %.6g", got[d.stray], here, d.stray, want[d.stray])
	case !finite(raw):
		c.Stray = fmt.Sprintf("the log-sum-exp is %v at %s, where the reference is %.6g", lse, here, wantLSE)
	}
}

// worse keeps the greater error; a NaN is greater than anything and stays.
func worse(err *float64, where *Row, candidate float64, here Row) {
	if candidate > *err || math.IsNaN(candidate) && !math.IsNaN(*err) {
		*err, *where = candidate, here
	}
}

// rowDistance is ‖got − want‖², the same without what is open, and ‖want‖².
type rowDistance struct {
	raw, excess, norm float64
	notFinite         bool // an element is rightly not finite
	stray             int  // the first element that wrongly is or is not; −1: none
}

// distance compares a row of the output.
func (m *margin) distance(got, want []float64) rowDistance {
	r := rowDistance{stray: -1}
	for n, w := range want {
		d := got[n] - w
		if !finite(d) {
			if !finite(got[n]) && (!finite(w) || m.lost || m.faint != nil && m.faint[n]) {
				r.notFinite = true
				continue
			}
			if r.stray < 0 {
				r.stray = n
			}
		}
		excess := d
		if m.out != nil {
			excess = max(math.Abs(d)-m.out[n], 0)
		}
		r.raw += d * d
		r.excess += excess * excess
		if finite(w) {
			r.norm += w * w
		}
	}
	return r
}

func relative(diff, norm float64) float64 {
	if norm == 0 {
		return math.Sqrt(diff)
	}
	return math.Sqrt(diff / norm)
}

// lseRounding is the error of a log-sum-exp in fp32, relative to its size: the
// rounding of the maximum's scale, of the logarithm, of their sum and of the
// conversion to the natural logarithm.
const lseRounding = 4 * 0x1p-24

// lse compares a log-sum-exp: the distance, and the same without what is open.
func (m *margin) lse(got, want float64) (raw, excess float64) {
	if !finite(got) && (math.IsNaN(want) || m.lost) {
		return 0, 0
	}
	raw = logDistance(got, want)
	if !finite(raw) {
		return raw, raw
	}
	return raw, max(raw-m.score-lseRounding*math.Abs(want), 0)
}

// logDistance is |got − want|, where two equal infinities are no distance apart.
func logDistance(got, want float64) float64 {
	if got == want {
		return 0
	}
	return math.Abs(got - want)
}
