package lower

import (
	"errors"

	"github.com/s2attention/s2c/diag"
	"github.com/s2attention/s2c/ir"
)

// errTable says that a table cannot hold a pattern's leading rows.
var errTable = errors.New("the rows that a list of blocks names make too large a table")

// errCancelled says that the answer is not wanted any more.
var errCancelled = errors.New("cancelled")

// report adds a diagnostic for a head that has no closed form.
func (l *lowerer) report(layer, head int, err error) {
	code := diag.NoClosedForm
	hint := "use strides with common factors, and fewer ranges and single columns"
	switch {
	case errors.Is(err, errTable):
		code, hint = diag.PatternTooLarge, "lower `max`, or name fewer rows and columns"
	}
	l.bag.Add(diag.New(code, l.program.RuleSpan(layer, head), "the pattern of head %d in layer %d is too large: %v",
		l.program.Model.FirstHead+head, layer, err).WithHint("%s", hint))
}

// checkRows reports a query block that attends nothing, at any length.
func (l *lowerer) checkRows(layer ir.Layer) {
	empty, found, err := ir.EmptyRow(layer)
	if err == nil && !found {
		return
	}
	number := layer.Numbers[0]
	span := l.program.RuleSpan(number, empty.Head)
	head := l.program.Model.FirstHead + empty.Head
	if err != nil {
		l.bag.Add(diag.Warn(diag.NoClosedForm, span, "whether every query block of head %d in layer %d attends something cannot be decided: %v",
			head, number, err).WithHint("add a window of one block, which is the query's own"))
		return
	}
	what := "at any length"
	if !l.program.Model.Causal {
		what = "when it is the last"
	}
	l.bag.Add(diag.New(diag.EmptyRow, span, "query block %d of head %d in layer %d attends nothing %s",
		empty.Row, head, number, what).WithHint("add a window of one block, which is the query's own"))
}
