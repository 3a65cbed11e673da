package lower

import (
	"github.com/s2attention/s2c/diag"
	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/limit"
)

// maxSteps is what the conditions of all predicates may take together to be evaluated
// at every pair: some eight seconds.
const maxSteps = limit.WhereSteps

// affordable reports conditions of `where` that would take too long, before the first
// is evaluated. Heads that say the same are evaluated once.
func (l *lowerer) affordable() bool {
	seen := map[string]bool{}
	steps, layer, head := 0, -1, 0
	for _, numbers := range l.program.LayerClasses() {
		if l.program.Limit(numbers[0]) == 0 {
			continue
		}
		for h := range l.program.Model.Heads {
			set := l.program.Head(numbers[0], h)
			l.key = appendKey(l.key[:0], set)
			if seen[string(l.key)] {
				continue
			}
			seen[string(l.key)] = true
			before := steps
			if steps += l.steps(set); before <= l.left.steps && steps > l.left.steps {
				layer, head = numbers[0], h
			}
		}
	}
	if layer < 0 {
		return true
	}
	l.bag.Add(diag.New(diag.PatternTooLarge, l.program.RuleSpan(layer, head),
		"the conditions of `where` take %d steps, all heads and layers together; at most %d are possible", steps, l.left.steps).
		WithHint("a step is an operator, a number or a name of the condition, at one pair; heads that differ: %d. Lower `max`, shorten the condition, or let it not depend on the head", len(seen)))
	return false
}

// steps is what the predicates of a set take in all rows of its table.
func (l *lowerer) steps(s dsl.Set) int {
	limit, _ := whereLimit(s)
	pairs := limit * limit
	if l.program.Model.Causal {
		pairs = limit * (limit + 1) / 2
	}
	sum := 0
	each(s, func(s dsl.Set) {
		if w, ok := s.(dsl.Where); ok {
			sum += int(pairs) * w.Steps
		}
	})
	return sum
}
