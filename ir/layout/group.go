package layout

// GroupTokens is the nominal length at which groups of KV heads are made to fit
// L2: long enough that a dense head alone fills it.
const GroupTokens = 131072

// groupRows is how many of the last rows count as being in flight together.
const groupRows = 4

// NominalSteps is the mean number of steps of a head tile's query tiles at the
// nominal lengths.
func (k *Kernel) NominalSteps(headTile int) float64 {
	h := k.HeadTiles[headTile]
	return CountWork(k, []Weighted{{Pattern: h.Pattern, Heads: 1}}, k.MaxBlocks).Steps
}

// GroupKVHeads is the number of KV heads in a group: the greatest divisor of
// their number such that the blocks that any run of so many still reads at
// GroupTokens fit into l2 bytes, keys and values; at least 1.
func (k *Kernel) GroupKVHeads(l2 int64) int {
	bytes := make([]int64, k.Shape.KVHeads)
	most := int64(0)
	for kv := range bytes {
		bytes[kv] = k.stripeBlocks(kv) * int64(k.Shape.Block*k.Shape.HeadDim*2*k.Shape.DType.Bytes())
		most = max(most, bytes[kv])
	}
	for n := k.Shape.KVHeads; n > 1; n-- {
		if k.Shape.KVHeads%n == 0 && int64(n)*most <= l2 {
			return n
		}
	}
	return 1
}

// stripeBlocks is the number of key blocks that the last rows of all heads of a
// KV head read together at GroupTokens.
func (k *Kernel) stripeBlocks(kvHead int) int64 {
	tokens := int64(GroupTokens)
	if k.MaxBlocks > 0 {
		tokens = min(tokens, k.MaxBlocks*int64(k.Shape.Block))
	}
	keyBlocks := ceilDiv(tokens, int64(k.Shape.Block))
	lastRow := k.Row(k.Tiles(tokens) - 1)
	read := make([]bool, keyBlocks)
	var buf []run
	for n := range k.HeadTiles {
		h := &k.HeadTiles[n]
		if h.KVHead != kvHead {
			continue
		}
		for row := max(0, lastRow-groupRows+1); row <= lastRow; row++ {
			buf = runs(buf[:0], &h.Pattern, row, keyBlocks, k.allMembers())
			for i := range buf {
				for t := range buf[i].count {
					block, _ := buf[i].at(t)
					read[block] = true
				}
			}
		}
	}
	count := int64(0)
	for _, r := range read {
		if r {
			count++
		}
	}
	return count
}
