package reference

import "github.com/s2attention/s2c/dsl"

// Source is the predicate of a layer as the file states it.
func Source(p *dsl.Program, layer int) Predicate {
	heads := make([]func(i, j int64) bool, p.Model.Heads)
	for h := range heads {
		heads[h] = p.Evaluator(layer, h)
	}
	return func(head int, i, j int64) bool { return heads[head](i, j) }
}
