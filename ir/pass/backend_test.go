package pass_test

import (
	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/ir/layout"
	"github.com/s2attention/s2c/target"
)

// on is a target with its code generators, as the compiler puts them together.
func on(t target.Target) layout.Backend {
	b, err := compiler.Backend(t)
	if err != nil {
		panic(err)
	}
	return b
}

var ampere, hopper = on(target.SM80), on(target.SM90a)
