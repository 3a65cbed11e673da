package broken

// harmlessVariants are changes that break nothing, or nothing that a problem of
// this size can show. They look like those of the other tables; the reasons say
// why they are not among them.
func harmlessVariants() []variant {
	var list []variant
	add := func(of *subject, name string, text ...mutation) {
		list = append(list, variant{name: name, of: of, text: text})
	}

	// A key block that does not exist lies at k_len, and the mask of the end takes
	// all of its tokens; the presence bit says it a second time.
	add(gathered, "a key block that is missing is said to exist",
		at(sub(`setp\.lt\.s32 (%p\d+), (%r\d+), %r\d+;`, "setp.le.s32 ${1}, ${2}, 2147483647;"), loop, commit, `setp\.lt\.s32`, `setp\.lt\.s32`))
	// A causal row ends before k_len anyway.
	add(twoStages, "the mask of the end is left out of a causal model",
		at(sub(`min\.s32 (%r\d+), (%r\d+), %r\d+;`, "mov.b32 ${1}, ${2};"), "masks: only a tile", `min\.s32`))
	// A wait for all groups is only slower.
	add(twoStages, "a wait for the keys waits for everything", at(plus(`(\d+);`, -1), loop, keys, wait))
	// The lazy softmax keeps old maxima, any finite shift gives the same weights.
	add(turns, "the maxima of the last item stay", at(drop, complete, nextCopy, `mov\.f32 %f\d+, %f\d+;`))

	// The first tile of an item rescales by 2^(lowest - maximum) = 0, so that what is
	// left of the last item's sums and output goes anyway.
	add(turns, "the sums of the last item stay", at(drop, complete, nextCopy, `mov\.f32 %f\d+, 0f00000000`))
	add(turns, "an item starts from the last one's output", at(sub(`xor`, "or"), complete, `xor\.pred`))

	// A copy may complete before its bytes are expected: the phase stays open until
	// the arrival (PTX ISA 9.0 §9.7.13.15.5).
	add(turns, "the bytes of the keys are expected behind the copy", at(move(expect, load, `_loaded:`), load, expect))
	// The fence before the scores covers the accumulators and weights of the values'
	// products too: nothing touches them in between.
	add(turns, "no fence before the values' products", at(drop, loop, wgFence, wgFence))
	// The producer refills a slot of keys only after the slot of values that went
	// before it, and the warps give that one back behind these products and reads.
	add(turns, "no warp barrier before keys are given back in the loop", at(drop, loop, `_full_tile:`, `bar\.warp`))
	add(turns, "keys are given back before the products are done in the loop", at(move(`_arrived:`, loop, sameQuery, wgWait), loop, `_full_tile:`, slot))
	// An item of three tiles or more keeps the producer behind the warpgroup that
	// writes the outputs of the item before the last.
	add(turns, "the producer does not wait for queries between long items", at(sub(`@%p\d+ `, ""), item, passed))
	// The last arrival is for nobody; the block ends with it.
	add(turns, "the turns are not closed", at(drop, `_turns_closed;`, `bar\.sync`))
	// It is the same in all lanes anyway; the assembler is told so.
	add(turns, "the warp number does not go through a shuffle",
		at(sub(`shfl\.sync\.idx\.b32 (%r\d+), (%r\d+), .*`, "mov.b32 ${1}, ${2};"), `shfl\.sync\.idx`))
	// Prefetching a tensor map saves time.
	add(turns, "no tensor map is prefetched", at(drop, `prefetch`))

	redoHarmless(add, sm80Redo)
	redoHarmless(add, sm90aRedo)
	// The warp barrier before the last query buffer is given back lies behind the stores.
	add(sm90aRedo.both, "redo: no warp barrier before the outputs are read", at(drop, redoStart, `bar\.warp`))
	return list
}
