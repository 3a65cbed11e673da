package layout

import "fmt"

// Region is a tile's place in a thread block's dynamic shared memory.
type Region struct {
	Name   string // "q", "k0", "v0", "k1" …
	Offset int    // bytes from the start of dynamic shared memory
	Tile   SmemTile
}

// SharedMap lists the regions in order of address: the query tile, which becomes
// the output's staging buffer after the last step, then the key tile of each
// stage, then the value tiles.
func (k *Kernel) SharedMap() []Region {
	at := 0
	var list []Region
	add := func(name string, rows int) {
		tile := SmemTile{Rows: rows, Cols: k.DimPadded}
		list = append(list, Region{name, at, tile})
		at += tile.Bytes()
	}
	add("q", k.Rows)
	for _, name := range []string{"k", "v"} {
		for stage := range k.Stages {
			add(fmt.Sprint(name, stage), k.KVTile)
		}
	}
	return list
}
