package dsl

import "github.com/s2attention/s2c/diag"

// RuleSpan is the place of the rule that gives a head of a layer its pattern.
func (p *Program) RuleSpan(layer, head int) diag.Span {
	return p.class(layer).rules[head].span
}
