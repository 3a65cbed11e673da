package pass

import (
	"cmp"
	"slices"

	"github.com/s2attention/s2c/ir/layout"
)

// order arranges the head tiles for launch: KV heads with the most work first,
// in groups whose keys and values fit L2 together, and inside a group the
// heaviest head tile first. The kernel walks query tiles from the last, longest
// one to the first.
func order(s *State) error {
	k := s.Kernel
	perKV := s.Shape.Group() / k.Pack
	tiles := make([]weighed, len(k.HeadTiles))
	steps := map[int]float64{} // by class of the heads
	kv := make([]weighed, s.Shape.KVHeads)
	for n, h := range k.HeadTiles {
		class := s.Classes[h.Heads[0]]
		if _, ok := steps[class]; !ok {
			steps[class] = k.NominalSteps(n)
		}
		tiles[n] = weighed{n, steps[class]}
		kv[h.KVHead].index = h.KVHead
		kv[h.KVHead].work += tiles[n].work
	}
	heaviestFirst(kv)
	k.GroupSize = perKV * k.GroupKVHeads(s.Backend.L2Group)
	old := k.HeadTiles
	k.HeadTiles = make([]layout.HeadTile, 0, len(old))
	for at := 0; at < len(kv); at += k.GroupSize / perKV {
		var group []weighed
		for _, w := range kv[at : at+k.GroupSize/perKV] {
			group = append(group, tiles[w.index*perKV:(w.index+1)*perKV]...)
		}
		heaviestFirst(group)
		for _, w := range group {
			k.HeadTiles = append(k.HeadTiles, old[w.index])
		}
	}
	return nil
}

// weighed is something with its work.
type weighed struct {
	index int
	work  float64
}

// heaviestFirst sorts by work, descending. Work within a quarter of the
// heaviest of a run counts as equal and keeps its order: phases of one stride
// differ by a block here and there, which is no reason to scatter a KV group.
func heaviestFirst(list []weighed) {
	slices.SortStableFunc(list, func(a, b weighed) int { return cmp.Compare(b.work, a.work) })
	for first := 0; first < len(list); {
		end := first + 1
		for end < len(list) && list[end].work > list[first].work*3/4 {
			end++
		}
		slices.SortFunc(list[first:end], func(a, b weighed) int { return cmp.Compare(a.index, b.index) })
		first = end
	}
}
