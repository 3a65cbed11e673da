package dsl

import "github.com/s2attention/s2c/diag"

// The syntax tree: what the grammar's types become once precedence is applied
// and every node knows its place. The checker fills in the fields marked so.

type expr interface{ at() diag.Span }

type place struct{ span diag.Span }

func (p place) at() diag.Span { return p.span }

type (
	badExpr struct{ place } // reported already
	intLit  struct {
		place
		v int64
	}
	realLit struct {
		place
		v float64
	}
	boolLit struct {
		place
		v bool
	}
	listLit struct {
		place
		items []expr
	}
	nameExpr struct {
		place
		id      string
		pattern *patternDef // checker: a pattern called without parentheses
	}
	callExpr struct {
		place
		fn      string
		fnSpan  diag.Span
		args    []argExpr
		pattern *patternDef  // checker: the pattern called, or
		builtin *builtin     // checker: the builtin called
		bound   []*rangeExpr // checker: one for each parameter, nil where left out
	}
	indexExpr struct {
		place
		list expr
		i    expr
	}
	unaryExpr struct {
		place
		op string
		x  expr
	}
	binaryExpr struct {
		place
		op     string
		opSpan diag.Span
		x, y   expr
	}
	condExpr struct {
		place
		c, a, b expr
	}
	rowsExpr struct {
		place
		arms []armExpr
	}
	blocksExpr struct {
		place
		rects []rectExpr
	}
)

type argExpr struct {
	name     string // "" where positional
	nameSpan diag.Span
	value    rangeExpr
}

// rangeExpr is lo, lo..hi or lo.. (hi nil).
type rangeExpr struct {
	place
	lo, hi expr
	ranged bool
}

type armExpr struct {
	place
	ranges []rangeExpr // empty for else
	body   expr
}

type rectExpr struct {
	place
	rows, cols rangeExpr
}

// selectExpr picks layers or heads.
type selectExpr struct {
	place
	items []selectItem
}

type selectItem struct {
	place
	word        string // * even odd every, or "" for a range
	every, from expr
	r           rangeExpr
}

type modelDef struct {
	place
	name   string
	fields []*fieldDef
}

type fieldDef struct {
	place
	name  string
	value rangeExpr // lo is nil for a flag
}

type paramDef struct {
	name  string
	span  diag.Span // of the name
	value expr

	overridden bool // checker: by a define
}

type patternDef struct {
	name    string
	span    diag.Span // of the name
	formals []formalDef
	body    expr

	checked bool // checker: found free of recursion
	entered bool // checker: evaluated for some head
}

type formalDef struct {
	name string
	span diag.Span
	def  expr // nil: no default
}

type layerDef struct {
	place
	layers *selectExpr
	rules  []*ruleDef
}

type ruleDef struct {
	place
	kind  string // head, kv_head, or "" for every head
	heads *selectExpr
	body  expr

	used bool // checker: holds for a head of a layer
	idle bool // checker: picks no layer or no head
}

type requireDef struct {
	layers  *selectExpr // nil: every layer
	clauses []clauseDef
}

type clauseDef struct {
	place
	name     string
	nameSpan diag.Span
	op       string
	bound    expr
	seq      expr // tokens; nil: every length
}

type importDef struct {
	path string
	span diag.Span
}

// unit is one file's declarations.
type unit struct {
	src      *diag.Source
	path     string
	imports  []importDef
	models   []*modelDef
	params   []*paramDef
	patterns []*patternDef
	layers   []*layerDef
	requires []*requireDef
	broken   bool            // some of it could not be parsed
	lost     map[string]bool // names that the broken parts declare
}
