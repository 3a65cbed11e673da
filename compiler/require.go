package compiler

import (
	"fmt"

	"github.com/s2attention/s2c/diag"
	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/limit"
)

// Require decides every require clause on the closed form and returns a
// diagnostic for each that does not hold: at most one a clause, for the first
// layer that breaks it. Clauses speak of the whole model, whichever of its heads
// are active: a slice of them may leave out what the others cover.
// It ends early, with what it knows, once cancelled is true.
func (u *Unit) Require(cancelled func() bool) diag.List {
	if len(u.Program.Requires) == 0 {
		return nil
	}
	all, list := u.Whole()
	if all == nil {
		return list
	}
	work := 0
	for _, r := range all.Program.Requires {
		if d, failed := all.decide(r, cancelled, &work); failed {
			list = append(list, d)
		}
	}
	return list
}

// decide looks at each distinct layer that a clause names; work is what all clauses so
// far have taken.
func (u *Unit) decide(r dsl.Require, cancelled func() bool, work *int) (diag.Diagnostic, bool) {
	seen := map[*ir.Layer]bool{}
	for _, number := range r.Layers {
		layer, err := u.Layer(number)
		if err != nil || seen[layer] {
			continue // the language has checked the numbers
		}
		seen[layer] = true
		if cancelled() {
			break
		}
		v := undecided(errTooMuch)
		if *work < limit.RequireWork {
			v = judge(r, layer, u.Module.Shape)
		}
		*work += v.work
		if !v.holds {
			return r.Fail(fmt.Sprintf("layer %d: %s", number, v.message), v.hint), true
		}
	}
	return diag.Diagnostic{}, false
}

// verdict is the answer to one clause for one layer.
type verdict struct {
	holds         bool
	work          int
	message, hint string // what is so instead, and what to do
}

func judge(r dsl.Require, layer *ir.Layer, s ir.Shape) verdict {
	switch r.Kind {
	case dsl.Coverage:
		if r.Seq > 0 {
			return covered(ir.CoverageAt(*layer, s, r.Seq))
		}
		return covered(ir.Coverage(*layer, s))
	case dsl.KVEfficient:
		if r.Seq > 0 {
			return efficient(ir.KVEfficientAt(*layer, s, r.Seq))
		}
		return efficient(ir.KVEfficient(*layer, s))
	case dsl.NonEmpty:
		if r.Seq > 0 {
			return filled(ir.EmptyRowAt(*layer, s, r.Seq))
		}
		return filled(ir.EmptyRow(*layer))
	case dsl.ClosedForm:
		return closed(layer)
	case dsl.Density:
		return compared(r, "density", ir.Density, layer, s)
	case dsl.KVKept:
		return compared(r, "kv_kept", ir.KVKept, layer, s)
	case dsl.Speedup:
		return compared(r, "speedup", ir.IdealSpeedup, layer, s)
	}
	return verdict{message: fmt.Sprintf("the compiler cannot decide %q", r.Kind)}
}

// errTooMuch says that the clauses before have taken all the time.
var errTooMuch = &ir.LimitError{What: "work of all clauses together", Max: limit.RequireWork}

// undecided is a question that passes the limits of the closed form.
func undecided(err error) verdict {
	return verdict{message: "cannot be decided: " + err.Error(),
		hint: "ask for it at a length, as in `at 32768`, or use smaller strides and bounds"}
}

func covered(v ir.Verdict) verdict {
	switch {
	case v.Err != nil:
		u := undecided(v.Err)
		u.work = v.Work
		return u
	case v.Holds:
		return verdict{holds: true, work: v.Work}
	}
	return verdict{work: v.Work, message: fmt.Sprintf("no head attends key block %d from query block %d", v.J, v.I),
		hint: "give some head a window, stride or column that reaches it"}
}

func efficient(v ir.Verdict) verdict {
	switch {
	case v.Err != nil:
		u := undecided(v.Err)
		u.work = v.Work
		return u
	case v.Holds:
		return verdict{holds: true, work: v.Work}
	}
	return verdict{
		work:    v.Work,
		message: fmt.Sprintf("KV head %d reads key block %d at query block %d, but did not at query block %d", v.Head, v.J, v.I, v.I-1),
		hint:    "vertical strides, windows and sinks never come back to a block; relative strides and gaps in rows do"}
}

func filled(e ir.Empty, empty bool, err error) verdict {
	switch {
	case err != nil:
		return undecided(err)
	case !empty:
		return verdict{holds: true}
	}
	return verdict{message: fmt.Sprintf("query block %d of head %d attends nothing", e.Row, e.Head),
		hint: "add a window; a window of one block is the query's own"}
}

func closed(layer *ir.Layer) verdict {
	for h, p := range layer.Heads {
		if p.Table != nil {
			return verdict{message: fmt.Sprintf("head %d needs a table of %d rows", h, p.Table.Rows),
				hint: "lists of blocks and `where` become tables; windows, strides, columns and ranges of rows do not"}
		}
	}
	return verdict{holds: true}
}

// compared decides a clause with a bound.
func compared(r dsl.Require, name string, value func(ir.Layer, ir.Shape, int64) (float64, error), layer *ir.Layer, s ir.Shape) verdict {
	v, err := value(*layer, s, r.Seq)
	if err != nil {
		return undecided(err)
	}
	return verdict{holds: r.Compare(v), message: fmt.Sprintf("%s is %.6g at %d tokens", name, v, r.Seq)}
}
