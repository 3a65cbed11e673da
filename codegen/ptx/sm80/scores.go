package sm80

import "github.com/s2attention/s2c/codegen/ptx"

// scores computes a tile's weights: S = Q Kᵀ, masked where the tile needs it,
// then the online softmax. It returns the fragments of P and, where a warp may
// have no part in the tile, the predicate that it skips it.
func (e *emitter) scores() (skip *ptx.Pred, p [][]ptx.R32) {
	b := e.b
	p = make([][]ptx.R32, e.K.KVTile/16)
	for i := range p {
		p[i] = b.R32s(4)
	}
	over := b.NewLabel("scores_skipped")
	present := e.Presence(e.cur.Chunks, e.members())
	if e.members() {
		out := b.SetpEqS32(*present, ptx.Imm(0))
		skip = &out
		e.clear(p)
		b.If(out).Bra(over)
	}
	s := e.queryKey()
	e.MaskIfNeeded(s, e.cur.Chunks, present)
	alpha, matters := e.Weigh(s, true)
	e.Rescale(e.acc, alpha, matters)
	e.Pack(p, s)
	b.Place(over)
	return skip, p
}

// clear gives the fragments a value for the path that skips the tile.
func (e *emitter) clear(p [][]ptx.R32) {
	for _, f := range p {
		for _, r := range f {
			e.b.MovB32To(r, ptx.Imm(0))
		}
	}
}

// accumulate adds the tile's P V unless the warp skips it.
func (e *emitter) accumulate(skip *ptx.Pred, p [][]ptx.R32) {
	b := e.b
	if skip == nil {
		e.weightValue(p)
		return
	}
	over := b.NewLabel("values_skipped")
	b.If(*skip).Bra(over)
	e.weightValue(p)
	b.Place(over)
}
