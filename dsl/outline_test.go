package dsl

import (
	"fmt"
	"strings"
)

// outline writes a unit's syntax tree with full brackets and without places,
// so that two of them can be compared.
func outline(u *unit) []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for _, i := range u.imports {
		add("import %q", i.path)
	}
	for _, m := range u.models {
		for _, f := range m.fields {
			add("model %s: %s %s", m.name, f.name, rangeText(f.value))
		}
	}
	for _, p := range u.params {
		add("param %s = %s", p.name, exprText(p.value))
	}
	for _, p := range u.patterns {
		var formals []string
		for _, f := range p.formals {
			formals = append(formals, f.name+"="+exprText(f.def))
		}
		add("pattern %s(%s) = %s", p.name, strings.Join(formals, ","), exprText(p.body))
	}
	for _, l := range u.layers {
		for _, r := range l.rules {
			add("layer %s %s %s: %s", selectText(l.layers), r.kind, selectText(r.heads), exprText(r.body))
		}
	}
	for _, r := range u.requires {
		for _, c := range r.clauses {
			add("require %s %s %s at %s on %s", c.name, c.op, exprText(c.bound), exprText(c.seq), selectText(r.layers))
		}
	}
	return out
}

func selectText(s *selectExpr) string {
	if s == nil {
		return "all"
	}
	var parts []string
	for _, i := range s.items {
		parts = append(parts, fmt.Sprint(i.word, exprText(i.every), "/", exprText(i.from), rangeText(i.r)))
	}
	return strings.Join(parts, ",")
}

func rangeText(r rangeExpr) string {
	if r.ranged {
		return exprText(r.lo) + ".." + exprText(r.hi)
	}
	return exprText(r.lo)
}

func exprText(e expr) string {
	switch e := e.(type) {
	case nil:
		return ""
	case *intLit:
		return fmt.Sprint(e.v)
	case *realLit:
		return fmt.Sprint(e.v)
	case *boolLit:
		return fmt.Sprint(e.v)
	case *listLit:
		var parts []string
		for _, x := range e.items {
			parts = append(parts, exprText(x))
		}
		return "[" + strings.Join(parts, ",") + "]"
	case *nameExpr:
		return e.id
	case *callExpr:
		var parts []string
		for _, a := range e.args {
			parts = append(parts, a.name+":"+rangeText(a.value))
		}
		return e.fn + "(" + strings.Join(parts, ",") + ")"
	case *indexExpr:
		return exprText(e.list) + "[" + exprText(e.i) + "]"
	case *unaryExpr:
		return "(" + strings.Replace(e.op, "not", "not ", 1) + exprText(e.x) + ")"
	case *binaryExpr:
		return "(" + exprText(e.x) + " " + e.op + " " + exprText(e.y) + ")"
	case *condExpr:
		return "(if " + exprText(e.c) + " then " + exprText(e.a) + " else " + exprText(e.b) + ")"
	case *rowsExpr:
		s := "for rows {"
		for _, a := range e.arms {
			for _, r := range a.ranges {
				s += rangeText(r) + ","
			}
			s += ":" + exprText(a.body) + ";"
		}
		return s + "}"
	case *blocksExpr:
		s := "blocks {"
		for _, r := range e.rects {
			s += "(" + rangeText(r.rows) + "," + rangeText(r.cols) + ")"
		}
		return s + "}"
	}
	return fmt.Sprintf("%T", e)
}
