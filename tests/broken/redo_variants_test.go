package broken

import (
	"slices"

	"github.com/s2attention/s2c/runtime/emu"
)

// Anchors in Redo.
const (
	redoStart  = "rows that are not finite, computed again"
	redoRow    = `_redo_row:`
	redoVote   = `vote\.sync\.all`
	redoUnset  = `rcp\.approx`
	redoBlock  = `_redo_block:`
	redoFound  = `L\d+_next:` // a key block
	redoKey    = `_redo_key:`
	redoKeys   = `_redo_keys:`
	redoBlocks = `_redo_blocks:`
	redoAgain  = `bra L\d+_redo_block;`
	redoNext   = `_redo_next:`
	toNext     = `_redo_next;`
	keyEnd     = `min\.s32`
	diagonal   = `add\.s32 %r\d+, %r\d+, 1;`
	fzero      = `mov\.f32 %f\d+, 0f00000000;`
	scaledSum  = `0f1F800000`
	factor     = `mul\.ftz\.f32 (%f\d+), (%f\d+), %f\d+;`
	noFactor   = "mov.f32 ${1}, ${2};"
	batchOf    = `mad\.lo\.s64 (%rd\d+), %rd\d+, %rd\d+, (%rd\d+);`
	noBatch    = "mov.b64 ${1}, ${2};"
	guard      = `@!?%p\d+ `
)

// Paths to the parts of Redo: a row's keys are walked up to three times.
var (
	redoOwn    = []string{redoStart, redoRow, redoVote} // do its own values explain the row
	redoSum    = []string{redoStart, redoBlocks}        // its maximum and the sum of its weights
	redoOutput = []string{redoStart, redoBlocks, redoBlocks}
	redoStored = []string{redoStart, redoBlocks, redoBlocks, redoBlocks}
)

// in makes a mutation in a part of Redo.
func in(part []string, e edit, path ...string) mutation { return at(e, slices.Concat(part, path)...) }

// unbounded and unmasked make an operation a move of its first operand, noVote has
// each lane decide for itself.
var (
	unbounded = sub(`min\.s32 (%r\d+), (%r\d+), %r\d+;`, "mov.b32 ${1}, ${2};")
	unmasked  = sub(`and\.b32 (%r\d+), (%r\d+), %r\d+;`, "mov.b32 ${1}, ${2};")
	noVote    = sub(`vote\.sync\.\w+\.pred (%p\d+), (%p\d+), \d+;`, "and.pred ${1}, ${2}, ${2};")
)

// stray are the reports of a row that is read or written where it is not.
const stray = mismatch | emu.CheckBounds | emu.CheckRace | emu.CheckUninit

// diverged are the reports of lanes that part where the warp must stay together.
const diverged = emu.CheckDivergence | emu.CheckDeadlock

// redoVariants breaks what looks for rows that are not finite, and what computes
// them again.
func redoVariants(t *table, r *redoSubjects) {
	for _, group := range []func(*table, *redoSubjects){
		redoLooks, redoRows, redoExplains, redoExplainsKeys, redoKeysSeen, redoSums, redoOutputs, redoStores,
	} {
		group(t, r)
	}
}

// redoLooks: which warps and rows are looked at.
func redoLooks(t *table, r *redoSubjects) {
	t.add(r.both, mismatch, "redo: no warp looks at its rows", at(skip, append(slices.Clone(r.enter), `_done;`)...))
	t.add(r.greatest, mismatch, "redo: a warp looks only where all lanes ask", at(sub(`any`, "all"), r.enter...))
	t.add(r.greatest, diverged, "redo: lanes look without a vote", at(noVote, r.enter...))
	t.add(r.greatest, mismatch, "redo: rows eight to fifteen ask for nothing", silentRows(r)...)
	t.add(r.huge, mismatch, "redo: huge rows are not marked",
		slices.Repeat([]mutation{at(sub(`selp\.f32 (%f\d+), 0f7FC00000, (%f\d+), %p\d+;`, noFactor), rowSums, `7FC00000`)}, 2*r.sites)...)
	t.add(r.huge, mismatch, "redo: huge exponents below zero are not marked",
		slices.Repeat([]mutation{at(sub(`max\.ftz\.f32 (%f\d+), (%f\d+), %f\d+;`, noFactor), rowSums, `max\.ftz`)}, 2*r.sites)...)
	t.add(r.both, mismatch, "redo: rows eight to fifteen are skipped", at(sub(`, 16;`, ", 8;"), redoNext, `setp\.lt`))
	t.add(r.merged, mismatch, "redo: a row is looked at where all lanes ask", at(sub(`all`, "any"), redoRow, redoVote))
	t.add(r.both, diverged, "redo: lanes look at a row without a vote", at(noVote, redoRow, redoVote))
	t.add(r.merged, mismatch, "redo: odd columns are not looked at", at(drop, redoRow, `fma\.rn\.ftz`, `fma\.rn\.ftz`))
	t.add(r.merged, stray, "redo: rows that do not exist", at(drop, redoRow, toNext))
	t.add(r.merged, stray, "redo: rows before the first query", at(sub(`, 0;`, ", -64;"), redoRow, `setp\.ge`))
	t.add(r.overflow, emu.CheckBounds|emu.CheckRace, "redo: lanes without columns load outputs", at(sub(guard, ""), redoRow, `ld\.global`))
}

// silentRows drops the products of every second row of a lane with 0, at each end
// of an item of the kernel for the greatest values.
func silentRows(r *redoSubjects) []mutation {
	const product, pairs = `fma\.rn\.f16x2`, 128 / 8
	var list []mutation
	for site := range r.sites {
		path := slices.Repeat([]string{rowsOut}, site+1)
		for n := range pairs {
			list = append(list, at(drop, append(path, slices.Repeat([]string{product}, n+2)...)...))
		}
	}
	return list
}

// redoRows: where a row lies, and the keys that it sees.
func redoRows(t *table, r *redoSubjects) {
	t.add(r.merged, stray, "redo: the output of another batch entry is looked at", at(sub(batchOf, noBatch), redoRow, `o_batch`, `mad\.lo\.s64`))
	t.add(r.merged, mismatch, "redo: the query of another batch entry", at(sub(batchOf, noBatch), redoRow, `q_batch`, `mad\.lo\.s64`))
	t.add(r.merged, mismatch, "redo: a row sees the token behind it", at(sub(`, 1;`, ", 2;"), redoRow, diagonal))
	t.add(r.merged, mismatch, "redo: a row does not see itself", at(sub(`, 1;`, ", 0;"), redoRow, diagonal))
	t.add(r.merged, mismatch, "redo: the diagonal is left out", at(drop, redoRow, keyEnd))
}

// redoExplains: whether a row's values are what makes its output not finite.
func redoExplains(t *table, r *redoSubjects) {
	t.add(r.both, mismatch, "redo: every row is explained", in(redoOwn, sub(`and\.pred (%p\d+), %p\d+, 1;`, "mov.pred ${1}, 1;"), redoKeys, redoVote, `and\.pred`))
	t.add(r.both, mismatch, "redo: a row is explained where one lane's columns are", in(redoOwn, sub(`all`, "any"), redoKeys, redoVote))
	t.add(r.both, diverged, "redo: lanes explain a row without a vote", in(redoOwn, noVote, redoKeys, redoVote))
	t.add(r.both, mismatch, "redo: the second column of a lane needs no explanation", in(redoOwn, drop, redoKeys, `and\.pred`, `and\.pred`))
	t.add(r.both, mismatch, "redo: a NaN explains itself",
		in(redoOwn, sub(`or\.pred`, "and.pred"), redoKeys, `or\.pred`),
		in(redoOwn, sub(`or\.pred`, "and.pred"), redoKeys, `or\.pred`, `or\.pred`, `or\.pred`))
	t.add(r.overflow, mismatch, "redo: an infinity needs no explanation", slices.Repeat([]mutation{
		in(redoOwn, sub(`(%f\d+), 0f00000000;`, "${1}, ${1};"), redoKeys, `mul\.f32`, `setp\.eq`),
		in(redoOwn, sub(`mul\.f32 (%f\d+), (%f\d+), 0f00000000;`, noFactor), redoKeys, `mul\.f32`),
	}, 2)...)
	t.add(r.overflow, mismatch, "redo: the sums of the values overflow",
		slices.Repeat([]mutation{in(redoOwn, sub(scaledSum, "0f3F800000"), redoKey, scaledSum)}, 2)...)
	t.add(r.merged, mismatch, "redo: the values' sums start from the last row's query",
		slices.Repeat([]mutation{in(redoOwn, move(fzero, redoStart), fzero)}, 2)...)
}

// redoExplainsKeys: what a row does not attend explains nothing.
func redoExplainsKeys(t *table, r *redoSubjects) {
	t.add(r.merged, mismatch, "redo: later tokens explain a row", at(move(keyEnd, redoStart, redoBlocks, `cvt\.s64`), redoRow, keyEnd))
	t.add(r.overflow, emu.CheckBounds, "redo: what lies behind the last key explains a row", in(redoOwn, unbounded, redoBlock, redoFound, keyEnd))
	t.add(r.both, mismatch, "redo: what the other query blocks attend explains a row", in(redoOwn, unmasked, redoBlock, `and\.b32`))
	t.add(r.merged, mismatch, "redo: values of another KV head explain a row", in(redoOwn, sub(`, 2;`, ", 4;"), redoKey, `div\.u32`))
	t.add(r.merged, mismatch, "redo: values of another batch entry explain a row",
		in(redoOwn, sub(batchOf, noBatch), redoKey, `v_batch`, `mad\.lo\.s64`))
	t.add(r.overflow, emu.CheckBounds, "redo: lanes without columns load values to explain a row", in(redoOwn, sub(guard, ""), redoKey, `ld\.global`))
	t.add(r.both, emu.CheckBudget, "redo: a row is explained by its first key again and again", in(redoOwn, drop, redoKey, diagonal))
}

// redoKeysSeen: the keys of a row, in both walks that compute it.
func redoKeysSeen(t *table, r *redoSubjects) {
	for _, walk := range []struct {
		name string
		part []string
	}{{"sum", redoSum}, {"output", redoOutput}} {
		add := func(of *subject, want emu.Check, name string, e edit, path ...string) {
			t.add(of, want, "redo, "+walk.name+": "+name, in(walk.part, e, path...))
		}
		add(r.both, mismatch, "the row sees no key", skip, redoFound, `_redo_blocks;`)
		add(r.both, mismatch, "the row sees one key block", drop, redoKeys, redoAgain)
		add(r.both, emu.CheckBudget, "the keys never end", drop, redoKey, diagonal)
		add(r.overflow, emu.CheckBounds, "keys behind the last one", unbounded, redoBlock, redoFound, keyEnd)
		add(r.both, mismatch, "the row sees what the other query blocks attend", unmasked, redoBlock, `and\.b32`)
		add(r.both, mismatch, "the row sees what the next query block attends", sub(`, 1;`, ", 2;"), `mov\.b32 %r\d+, 1;`)
		add(r.merged, mismatch, "query blocks are counted from position 0",
			sub(`sub\.s32 (%r\d+), (%r\d+), %r\d+;`, "mov.b32 ${1}, ${2};"), `sub\.s32`)
		add(r.both, mismatch, "the first key of a block is skipped",
			sub(`mov\.b32 (%r\d+), (%r\d+);`, "add.s32 ${1}, ${2}, 1;"), redoBlock, redoFound, move32)
		add(r.both, mismatch, "the last key of a block is skipped", sub(`, 16;`, ", 15;"), redoBlock, redoFound, `add\.s32`)
		add(r.merged, mismatch, "keys of another KV head", sub(`, 2;`, ", 4;"), redoKey, `div\.u32`)
		add(r.merged, mismatch, "keys of another batch entry", sub(batchOf, noBatch), redoKey, `k_batch`, `mad\.lo\.s64`)
		add(r.overflow, emu.CheckBounds, "lanes without columns load keys", sub(guard, ""), redoKey, `ld\.global`)
		add(r.huge, mismatch|emu.CheckDivergence, "the products of half of the lanes are left out", drop, redoKey, `shfl.*, 16, 31`, `add\.f32`)
		add(r.both, mismatch, "a product is left out", drop, redoKey, `fma\.rn`)
	}
}

// redoSums: the maximum, and the sum of the weights.
func redoSums(t *table, r *redoSubjects) {
	t.add(r.huge, mismatch, "redo: the maximum of the last row stays", in(redoSum, move(`mov\.f32`, redoStart), redoUnset))
	t.add(r.huge, mismatch, "redo: the maximum starts at zero",
		in(redoSum, sub(`(mov\.f32 %f\d+), %f\d+;`, "${1}, 0f00000000;"), redoUnset, `mov\.f32`))
	t.add(r.merged, mismatch, "redo: the sum of the last row stays", in(redoSum, move(fzero, redoStart), redoUnset, fzero))
	t.add(r.both, mismatch, "redo: the sum without scale", in(redoSum, sub(factor, noFactor), redoKey, `sub\.ftz`, `sub\.ftz`, `mul\.ftz`))
	t.add(r.both, mismatch, "redo: the sum is not rescaled", in(redoSum, drop, redoKey, `ex2`, `mul\.ftz`))
	t.add(r.both, mismatch, "redo: the maximum does not rise", in(redoSum, drop, redoKey, `add\.ftz`, `mov\.f32`))
}

// redoOutputs: weights, and the output as the sum of the values by them.
func redoOutputs(t *table, r *redoSubjects) {
	t.add(r.both, mismatch, "redo: the row starts from its output", in(redoOutput, drop, fzero), in(redoOutput, drop, fzero))
	t.add(r.both, mismatch, "redo: the inverse of the sum stays", in(redoOutput, drop, `selp\.f32`, `mov\.f32`))
	t.add(r.both, mismatch, "redo: weights without scale", in(redoOutput, sub(factor, noFactor), redoKey, `mul\.ftz`))
	t.add(r.overflow, mismatch, "redo: weights are not normalised", in(redoOutput, sub(factor, noFactor), redoKey, `ex2`, `mul\.ftz`))
	t.add(r.both, mismatch, "redo: a column is not weighed", in(redoOutput, drop, redoKey, `v_batch`, `fma\.rn`))
	t.add(r.merged, mismatch, "redo: values of another batch entry", in(redoOutput, sub(batchOf, noBatch), redoKey, `v_batch`, `mad\.lo\.s64`))
	t.add(r.overflow, emu.CheckBounds, "redo: lanes without columns load values", in(redoOutput, sub(guard, ""), redoKey, `v_batch`, `ld\.global`))
	t.add(r.merged, mismatch, "redo: a row is done where one lane's columns are", in(redoOutput, sub(`all`, "any"), redoKeys, redoVote))
	t.add(r.merged, mismatch, "redo: a row is done where one column of each lane is", in(redoOutput, sub(`max\.f32`, "add.f32"), redoKeys, `max\.f32`))
	t.add(r.both, diverged, "redo: lanes are done with a row without a vote", in(redoOutput, noVote, redoKeys, redoVote))
}

// redoStores: what is written.
func redoStores(t *table, r *redoSubjects) {
	const store, storeLSE = `st\.global`, `st\.global\.f32`
	t.add(r.both, mismatch, "redo: the row is not stored", in(redoStored, drop, store))
	t.add(r.merged, stray, "redo: the row is stored to its neighbour", in(redoStored, shift(32), store))
	t.add(r.merged, stray, "redo: the row is stored to another batch entry", in(redoStored, sub(batchOf, noBatch), `o_batch`, `mad\.lo\.s64`))
	t.add(r.both, mismatch, "redo: columns are packed in the wrong order", in(redoStored, sub(`(%f\d+), (%f\d+);`, "${2}, ${1};"), `cvt\.rn`))
	t.add(r.merged, stray, "redo: lanes without columns store", in(redoStored, sub(guard, ""), store))
	t.add(r.huge, mismatch, "redo: the log-sum-exp is not stored", in(redoStored, drop, storeLSE))
	t.add(r.merged, stray, "redo: the log-sum-exp of the next row", in(redoStored, shift(4), storeLSE))
	t.add(r.both, emu.CheckRace, "redo: every lane stores the log-sum-exp", in(redoStored, sub(guard, ""), storeLSE))
	t.add(r.both, mismatch, "redo: the log-sum-exp is in base 2", in(redoStored, sub(`0f[0-9A-F]{8}`, "0f3F800000"), `lg2`, `mul\.ftz`))
}

// redoHarmless are changes to Redo that break nothing.
func redoHarmless(add func(of *subject, name string, text ...mutation), r *redoSubjects) {
	// The vote only saves time.
	add(r.both, "redo: every warp looks at its rows", at(drop, append(slices.Clone(r.enter), `_done;`)...))
	// A query that exists lies before k_len.
	add(r.huge, "redo: the limit of a causal row is not bounded by k_len", at(unbounded, redoRow, keyEnd))

	// A row that is explained comes out the same when it is computed again, later.
	add(r.merged, "redo: no row is explained", in(redoSum, drop, toNext))
	add(r.both, "redo: finite columns need an explanation",
		in(redoOwn, sub(`or\.pred (%p\d+), %p\d+, (%p\d+);`, "mov.pred ${1}, ${2};"), redoKeys, `or\.pred`, `or\.pred`, `or\.pred`))
	add(r.both, "redo: a block's first value explains nothing",
		in(redoOwn, sub(`mov\.b32 (%r\d+), (%r\d+);`, "add.s32 ${1}, ${2}, 1;"), redoBlock, redoFound, move32))
	add(r.both, "redo: what explains a row must lie in its first key block", in(redoOwn, drop, redoKeys, redoAgain))
	// Sums that are not finite stay so.
	add(r.both, "redo: the look at a row's values goes on", in(redoOwn, skip, redoKeys, redoAgain))
	// Where an output must be not finite, which NaN or infinity it is does not matter.
	infinite := sub(`setp\.eq\.f32 (%p\d+), %f\d+, (%f\d+);`, "setp.gt.f32 ${1}, ${2}, 0f7F7FFFFF;")
	add(r.both, "redo: an infinity explains a NaN",
		in(redoOwn, infinite, redoKeys, `not\.pred`, `setp\.eq`), in(redoOwn, infinite, redoKeys, `not\.pred`, `not\.pred`, `setp\.eq`))
	// They have zeros for outputs, which need no explanation.
	add(r.both, "redo: lanes without columns are asked for an explanation",
		in(redoOwn, askAll, redoKeys, `not\.pred`, `not\.pred`, `not\.pred`, `or\.pred`))

	// The end of a walk that can change nothing saves time.
	add(r.both, "redo: lanes without columns are never done", in(redoOutput, askAll, redoKeys, `or\.pred`))
	add(r.both, "redo: the sum goes on when it is NaN", in(redoSum, skip, redoKeys, redoAgain))
	// The greatest score has the weight 1. A sum is 0 only where there is no key to
	// weigh, or all scores are -Inf, of which nothing is promised.
	add(r.both, "redo: the inverse of an empty sum is infinite",
		in(redoOutput, sub(`selp\.f32 (%f\d+), 0f00000000, (%f\d+), %p\d+;`, "mov.f32 ${1}, ${2};"), `selp`))
}

// askAll lets lanes without columns vote as the others do.
var askAll = sub(`or\.pred (%p\d+), (%p\d+), %p\d+;`, "and.pred ${1}, ${2}, ${2};")
