package compiler

import (
	"fmt"
	"strings"

	"github.com/s2attention/s2c/codegen/ptx/kernel"
	"github.com/s2attention/s2c/codegen/ptx/sm80"
	"github.com/s2attention/s2c/codegen/ptx/sm90a"
	"github.com/s2attention/s2c/ir/layout"
	"github.com/s2attention/s2c/target"
)

// Targets are those that Compile accepts, the default one first.
var Targets = []target.Target{target.SM80, target.SM90a}

// generators are the code generators.
var generators = []kernel.Generator{sm80.Generator{}, sm90a.Generator{}}

// backends say which of them serve a target, best first, and why.
var backends = map[target.Target]layout.Backend{
	target.SM80: {Machine: layout.Ampere, Generators: []layout.Ranked{
		{Generator: sm80.Generator{}, Reason: "mma.sync and cp.async are the matrix and copy instructions of this target"},
	}},
	target.SM90a: {Machine: layout.Hopper, Generators: []layout.Ranked{
		{Generator: sm90a.Generator{}, Reason: "wgmma, TMA and warp specialisation are what this target has beyond sm_80"},
		{Generator: sm80.Generator{}, Reason: "no tile of a whole warpgroup serves this shape and pattern; mma.sync runs on every target since sm_80"},
	}},
}

// ParseTarget reads the name of a target that there is code for.
func ParseTarget(name string) (target.Target, error) {
	t, err := target.Parse(name)
	if err == nil {
		_, err = Backend(t)
	}
	if err != nil {
		return t, unknownTarget(name)
	}
	return t, nil
}

// Backend is what the layout passes know of a target.
func Backend(t target.Target) (layout.Backend, error) {
	b, ok := backends[t]
	if !ok {
		return b, unknownTarget(t.String())
	}
	return b, nil
}

func unknownTarget(name string) error {
	var names []string
	for _, t := range Targets {
		names = append(names, t.String())
	}
	return fmt.Errorf("unknown target %q: want one of %s", name, strings.Join(names, ", "))
}

// generator is the one that made a layout.
func generator(k *layout.Kernel) (kernel.Generator, error) {
	for _, g := range generators {
		if g.Family() == k.Family {
			return g, nil
		}
	}
	return nil, fmt.Errorf("no code generator %q", k.Family)
}
