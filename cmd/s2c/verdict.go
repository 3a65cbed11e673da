package main

import (
	"fmt"

	"github.com/s2attention/s2c/internal/reference"
)

// distance is how far an output is from the reference, in the names that other
// programs read. What is no number is null.
type distance struct {
	OutRel number `json:"out_rel_err"`
	OutRow number `json:"out_max_row_err"`
	LSE    number `json:"lse_max_err"`
}

func toDistance(d reference.Distance) distance {
	return distance{number(d.OutRel), number(d.OutRow), number(d.LSE)}
}

// verdictHelp says how run and bench judge; docs/architecture.md says why.
const verdictHelp = `The result is judged by the float64 reference: ‖out − ref‖ / ‖ref‖ over the whole output and over the worst row, and the greatest
|lse − ref|. Scores that are so large that fp32 cannot hold them to the tolerance are given what fp32 loses of them; with --json, the
three errors are as measured, "excess" is what remains of them beyond that, and decides. Where a row attends a NaN or an infinity, its
output must be not finite; "rows_not_finite" counts such rows. "rows_not_judged" counts rows with Σ|q·k| · max(1, scale · log₂ e) of 2^126
or more, of which nothing is promised.`

// errorLine writes one error with its tolerance, how much of it decides where
// that is less, and where it is too large.
func errorLine(r *report, label, what string, raw, excess, tolerance float64, where string) {
	text := fmt.Sprintf("%-9.3g of %-6.3g %s", raw, tolerance, what)
	if !(raw <= tolerance) && excess < raw {
		text += fmt.Sprintf(", %.3g of it more than large scores explain", excess)
	}
	if !(excess <= tolerance) {
		text = r.s.style(styleError, text)
		if where != "" {
			text += ": " + where
		}
	}
	r.line(label, "%s", text)
}
