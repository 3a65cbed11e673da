package probe

import (
	"slices"
	"strings"
	"sync"
)

// All is every probe, by name.
func All() []Probe { return all() }

var all = sync.OnceValue(func() []Probe {
	var list []Probe
	for _, group := range []func() []Probe{arithmetic, warps, copies, matrices, mbarriers, tma, wgmmas} {
		list = append(list, group()...)
	}
	slices.SortFunc(list, func(a, b Probe) int { return strings.Compare(a.Name, b.Name) })
	for i := 1; i < len(list); i++ {
		if list[i].Name == list[i-1].Name {
			panic("probe: two probes are called " + list[i].Name)
		}
	}
	return list
})

// Find is the probe of a name, or nil.
func Find(name string) *Probe {
	list := All()
	i, ok := slices.BinarySearchFunc(list, name, func(p Probe, n string) int { return strings.Compare(p.Name, n) })
	if !ok {
		return nil
	}
	return &list[i]
}
