package broken

import (
	"slices"

	"github.com/s2attention/s2c/internal/conformance"
	"github.com/s2attention/s2c/ir/layout"
	"github.com/s2attention/s2c/launch"
	"github.com/s2attention/s2c/runtime/emu"
	"github.com/s2attention/s2c/target"
)

const (
	stripesByHead = "model broken { heads 4  kv_heads 2  head_dim 64  block 64  causal  layers 1 }\n" +
		"layer * -> window(2) | stride(3, phase: -h)\n"
	stripesByGroup = "model broken { heads 4  kv_heads 2  head_dim 64  block 64  causal  layers 1 }\n" +
		"layer * -> window(2) | stride(3, phase: -g)\n"
	bothWays = "model broken { heads 2  kv_heads 1  head_dim 40  block 32  bidirectional  layers 1 }\n" +
		"layer * -> window(2) | stride(3, phase: -h)\n"
	blockTable = "model broken { heads 2  kv_heads 2  head_dim 64  block 32  causal  layers 1 }\n" +
		"layer * -> window(1) | blocks { (3..9, 1), (5..7, 2) }\n"
)

// The good kernels for sm_80. A scale of 1 makes rows so steep that their maxima
// outgrow the lazy softmax from tile to tile.
var (
	twoStages = &subject{target: target.SM80, Case: conformance.Case{
		Name: "two stages", Source: stripesByHead, Batch: 2, QLen: 71, KLen: 345, Scale: 1, Seed: 1, Only: tile(1, 1, 64, 2),
	}}
	oneStage = &subject{target: target.SM80, Case: conformance.Case{
		Name: "one stage", Source: stripesByHead, QLen: 71, KLen: 345, Seed: 2, Only: tile(1, 1, 64, 1),
	}}
	gathered = &subject{target: target.SM80, Case: conformance.Case{
		Name: "packed and gathered", Source: stripesByGroup, QLen: 71, KLen: 345, Seed: 3, Only: tile(2, 1, 128, 2),
	}}
	padded = &subject{target: target.SM80, Case: conformance.Case{
		Name: "bidirectional, padded", Source: bothWays, QLen: 51, KLen: 205, Seed: 4, Only: tile(1, 2, 32, 2),
	}}
	tabled = &subject{target: target.SM80, Case: conformance.Case{
		Name: "table", Source: blockTable, QLen: 173, KLen: 269, Seed: 5, Only: tile(1, 1, 32, 2),
	}}
)

// tile restricts the cost model to one geometry.
func tile(pack, merge, kvTile, stages int) func(layout.Candidate) bool {
	return func(c layout.Candidate) bool {
		return c.Pack == pack && c.Merge == merge && c.Split == 1 && c.KVTile == kvTile && c.Stages == stages
	}
}

// unordered are the reports of a lost order between threads, or between a copy and
// its use: which of them comes first depends on whether the copy is done.
const unordered = emu.CheckRace | emu.CheckAsync

// Anchors in the kernels for sm_80.
const (
	shares    = "this thread's share of a KV tile"
	loop      = `_kv_loop:`
	keys      = "this tile's keys have landed"
	values    = "this tile's values have landed"
	copyK     = "copy the k tile"
	copyV     = "copy the v tile"
	scores    = `S = Q K\^T`
	adds      = `O \+= P V`
	nextTile  = "the next KV tile's key blocks"
	softmaxes = "online softmax"
	rowSums   = "row sums across"
	logSums   = "log-sum-exp, by the first lane"
	rowsOut   = "output rows through shared memory"
	cpAsync   = `cp\.async\.cg`
	wait      = `cp\.async\.wait_group`
	commit    = `cp\.async\.commit_group`
	barrier   = `bar\.sync`
	ldmatrix  = `ldmatrix`
	mma       = `mma\.sync`
	storeO    = `st\.global\.v4`
)

func sm80Variants() []variant {
	var t table
	for _, group := range []func(*table){
		sm80Pipeline, sm80Divergence, sm80Stages, sm80Copies, sm80Products, sm80Masks, sm80Softmax, sm80Pattern,
		sm80Outputs,
	} {
		group(&t)
	}
	redoVariants(&t, sm80Redo)
	sm80RedoOrder(&t)
	return t.list
}

// sm80Pipeline: waits, groups and barriers of the cp.async pipeline.
func sm80Pipeline(t *table) {
	t.add(twoStages, unordered, "no barrier before the query is read", at(drop, "query tile has landed", barrier))
	t.add(twoStages, emu.CheckAsync, "no wait for the query", at(drop, "query tile has landed", wait))
	t.add(twoStages, emu.CheckAsync, "the wait for the query leaves one group too many", at(plus(`(\d+);`, 1), "query tile has landed", wait))
	t.add(twoStages, emu.CheckAsync, "the query's copies are not committed", at(drop, "query tile: row r", commit))
	t.add(twoStages, emu.CheckAsync, "no wait for the keys", at(drop, keys, wait))
	t.add(twoStages, emu.CheckAsync, "the wait for the keys leaves one group too many", at(plus(`(\d+);`, 1), keys, wait))
	t.add(twoStages, unordered, "no barrier for the keys", at(drop, keys, barrier))
	t.add(twoStages, emu.CheckAsync, "no wait for the values", at(drop, values, wait))
	t.add(twoStages, emu.CheckAsync, "the wait for the values leaves one group too many", at(plus(`(\d+);`, 1), values, wait))
	t.add(twoStages, unordered, "no barrier for the values", at(drop, values, barrier))
	t.add(twoStages, emu.CheckAsync, "the first values are not committed", at(drop, copyV, commit))
	t.add(twoStages, emu.CheckAsync, "the keys of the loop are not committed", at(drop, loop, copyK, commit))
	t.add(twoStages, emu.CheckAsync, "the values of the loop are not committed", at(drop, loop, copyV, commit))
	t.add(twoStages, unordered, "the barrier for the keys comes before the wait", at(move(barrier, keys), loop, keys, barrier))
	t.add(oneStage, emu.CheckAsync, "one stage: the wait for the keys leaves one group", at(plus(`(\d+);`, 1), keys, wait))
	t.add(oneStage, emu.CheckAsync, "one stage: the wait for the values leaves one group", at(plus(`(\d+);`, 1), values, wait))
	t.add(oneStage, unordered, "one stage: no barrier before the values are overwritten", at(drop, keys, barrier))
	t.add(oneStage, unordered, "one stage: no barrier before the keys are overwritten", at(drop, values, barrier))
}

// sm80Divergence: divergence at barriers, and threads that never come.
func sm80Divergence(t *table) {
	t.add(twoStages, emu.CheckDivergence, "half of a warp at the barrier", at(only("setp.lt.u32 %s, %s, 16"), keys, barrier))
	t.add(twoStages, emu.CheckDivergence, "half of a warp multiplies", at(only("setp.ne.u32 %s, %s, 5"), scores, mma))
	t.add(twoStages, emu.CheckDivergence, "half of a warp loads matrices", at(only("setp.ne.u32 %s, %s, 77"), adds, ldmatrix))
	t.add(twoStages, emu.CheckDivergence|emu.CheckDeadlock, "a lane stays away from the shuffle",
		at(only("setp.ne.u32 %s, %s, 9"), softmaxes, `shfl`))
	t.add(twoStages, emu.CheckDeadlock|unordered, "one warp stays away from the barrier", at(only("setp.ge.u32 %s, %s, 32"), values, barrier))
	t.add(twoStages, emu.CheckDeadlock, "a barrier that only one warp reaches",
		at(insertAfter("\tbar.sync 3;").then(onlyNext("setp.lt.u32 %s, %s, 32")), rowSums))
	t.add(twoStages, emu.CheckBudget, "the loop never ends", at(drop, loop, nextTile, `and\.pred`))
}

// sm80Stages: the stages of the ring.
func sm80Stages(t *table) {
	t.add(twoStages, mismatch, "the stage of the keys does not change", at(drop, adds, `mov\.b32`))
	t.add(twoStages, mismatch, "the stage of the values does not change", at(drop, adds, `mov\.b32`, `mov\.b32`))
	t.add(twoStages, emu.CheckAsync, "the next keys go where this tile's are",
		at(sub(`%r\d+, (%r\d+);`, "${1}, 0;"), loop, nextTile, `_next:`, `shl\.b32`, `sub\.s32`))
}

// sm80Copies: addresses of the copies.
func sm80Copies(t *table) {
	t.add(twoStages, unordered, "the swizzle of the copies is an or", at(sub(`xor\.b32`, "or.b32"), shares, `xor\.b32`))
	t.add(twoStages, mismatch, "the swizzle of the copies forgets a bit", at(sub(`7;`, "3;"), shares, `shr\.u32`, `and\.b32`))
	t.add(twoStages, mismatch, "the swizzle of the keys forgets a bit",
		at(sub(`7;`, "3;"), shares, `v_head`, `mad\.lo\.s32`, `shr\.u32`, `shr\.u32`, `and\.b32`))
	t.add(twoStages, emu.CheckUninit, "a copy of keys is missing", at(drop, copyK, cpAsync, cpAsync))
	t.add(twoStages, emu.CheckUninit, "a copy of queries is missing", at(drop, "query tile: row r", cpAsync, cpAsync))
	t.add(twoStages, emu.CheckAsync, "two copies of values to one place", at(shift(-2048), copyV, cpAsync, cpAsync))
	t.add(twoStages, emu.CheckAlign, "a copy to an address that is no multiple of 16", at(shift(8), loop, copyK, cpAsync))
	t.add(twoStages, emu.CheckBounds, "a copy to beyond shared memory", at(shift(1<<16), loop, copyV, cpAsync))
	t.add(twoStages, emu.CheckAlign, "a copy from an address that is no multiple of 16", at(sub(`\[(%rd\d+)\]`, "[${1}+8]"), copyK, cpAsync))
	t.add(twoStages, emu.CheckBounds, "no zero fill behind the last key",
		at(sub(`16, 0, %p\d+`, "16, 16, %p1"), loop, copyK, `selp`, `selp`, `selp`))
	t.add(twoStages, emu.CheckBounds, "the zero fill begins one token late", at(sub(`setp\.lt`, "setp.le"), loop, copyK, `setp`, `setp`))
	t.add(padded, emu.CheckBounds, "no zero fill in padded columns",
		at(sub(`(%r\d+), \d+;`, "${1}, 64;"), shares, `setp\.lt\.s32`, `setp\.lt\.s32`))
	t.add(twoStages, emu.CheckBounds, "rows before the first query are loaded",
		at(sub(`setp\.ge\.s32 (%p\d+), (%r\d+), 0;`, "setp.ge.s32 ${1}, ${2}, -64;"), "query tile: row r", `setp\.ge`))
	t.add(twoStages, mismatch, "the distance of the keys is in elements", at(sub(`, 1;`, ", 0;"), shares, `k_seq`, `shl\.b64`))
	t.add(twoStages, mismatch, "the batch entry of the values is left out",
		at(sub(`mad\.lo\.s64 (%rd\d+), %rd\d+, %rd\d+, (%rd\d+)`, "add.s64 ${1}, ${2}, 0"), shares, `v_batch`, `mad\.lo\.s64`))
	t.add(twoStages, emu.CheckBounds, "the head stride of the keys is doubled", at(sub(`, 1;`, ", 2;"), shares, `k_head`, `shl\.b64`))
}

// sm80Products: fragments and products.
func sm80Products(t *table) {
	t.add(twoStages, emu.CheckAlign, "a matrix row that is no multiple of 16", at(shift(8), scores, ldmatrix))
	t.add(twoStages, mismatch|unordered, "a matrix of keys one row further", at(shift(128), scores, ldmatrix))
	t.add(twoStages, emu.CheckBounds, "matrices beyond shared memory", at(shift(1<<15), adds, ldmatrix, ldmatrix))
	t.add(twoStages, mismatch, "values are not transposed", at(sub(`\.trans`, ""), adds, ldmatrix))
	t.add(twoStages, mismatch, "the halves of a fragment of B are swapped", at(sub(`\{(%r\d+), (%r\d+)\}`, "{${2}, ${1}}"), scores, mma))
	t.add(twoStages, mismatch, "rows of a fragment of A are swapped",
		at(sub(`\{(%r\d+), (%r\d+), (%r\d+), (%r\d+)\}`, "{${2}, ${1}, ${3}, ${4}}"), adds, mma))
	t.add(twoStages, emu.CheckRegister, "an accumulator is not initialised",
		at(drop, "softmax in base 2", `mov\.f32`, `mov\.f32`, `mov\.f32`, `mov\.f32`, `mov\.f32`, `mov\.f32`, `mov\.f32`, `mov\.f32`, `mov\.f32`))
	t.add(twoStages, emu.CheckRegister, "a weight is not packed", at(drop, `_not_rescaled:`, `cvt\.rn`))
	t.add(twoStages, mismatch, "two weights are packed in the wrong order",
		at(sub(`(%f\d+), (%f\d+);`, "${2}, ${1};"), `_not_rescaled:`, `cvt\.rn`))
}

// sm80Masks: masks.
func sm80Masks(t *table) {
	t.add(twoStages, mismatch, "no mask", at(sub(`@!%p\d+ `, ""), `_full_tile;`))
	t.add(twoStages, mismatch, "the diagonal needs no mask", at(sub(`or\.pred`, "and.pred"), "masks: only a tile", `or\.pred`))
	t.add(twoStages, mismatch, "a row does not see itself",
		at(sub(`, 1;`, ", 0;"), "masks: only a tile", `_full_tile;`, `shr\.u32`, `add\.s32`))
	t.add(twoStages, mismatch, "a row sees the token behind it",
		at(sub(`, 9;`, ", 10;"), "masks: only a tile", `_full_tile;`, `shr\.u32`, `shr\.u32`, `add\.s32`))
	t.add(twoStages, mismatch, "one score is not masked", at(drop, `_full_tile;`, `selp\.f32`))
	t.add(padded, mismatch, "keys behind the last one count",
		at(sub(`setp\.ge\.s32 (%p\d+), (%r\d+), (%r\d+);`, "setp.gt.s32 ${1}, ${2}, 2147483646;"), "masks: only a tile", `setp\.ge`))
	t.add(gathered, mismatch, "a key block that exists does not count",
		at(sub(`2, 0, (%p\d+);`, "0, 0, ${1};"), loop, commit, `selp\.b32 %r\d+, 2, 0`))
	t.add(gathered, mismatch, "the second key block of a tile is left out",
		at(sub(`, %r\d+, (%r\d+), (%p\d+);`, ", ${1}, ${1}, ${2};"), loop, nextTile, `selp\.b32`, `selp\.b32`))
	t.add(padded, mismatch, "a query block reads what its neighbour attends",
		at(sub(`setp\.ne\.s32 (%p\d+), (%r\d+), 0;`, "setp.ge.s32 ${1}, ${2}, 0;"), loop, commit, `setp\.ne\.s32`))
}

// sm80Softmax: softmax.
func sm80Softmax(t *table) {
	t.add(twoStages, mismatch, "maxima of the wrong lanes", at(sub(`, 2, 31`, ", 4, 31"), softmaxes, `shfl`, `shfl`))
	t.add(twoStages, emu.CheckRegister, "no maxima of other lanes", at(drop, softmaxes, `shfl`))
	t.add(twoStages, mismatch, "the old sum is not rescaled", at(drop, softmaxes, `ex2`, `mul\.ftz\.f32 %f\d+, %f\d+, %f\d+`, `mul\.ftz\.f32`))
	t.add(twoStages, mismatch, "the output is not rescaled", at(sub(`@!%p\d+ `, ""), `_not_rescaled;`))
	t.add(twoStages, mismatch, "one column is not rescaled", at(drop, `_not_rescaled;`, `mul\.ftz`))
	t.add(twoStages, mismatch, "a weight is missing in the sum", at(drop, softmaxes, `add\.ftz\.f32`))
	t.add(twoStages, mismatch, "sums of the wrong lanes", at(sub(`, 2, 31`, ", 1, 31"), rowSums, `shfl`, `shfl`))
	t.add(twoStages, mismatch, "no normalisation of the second row", at(sub(`%f\d+, %p\d+;`, "0f3F800000, %p1;"), rowSums, `selp`, `selp`))
	t.add(twoStages, mismatch, "the log-sum-exp is in base 2", at(sub(`0f[0-9A-F]{8}`, "0f3F800000"), logSums, `lg2`, `mul\.ftz`))
}

// sm80Pattern: the pattern.
func sm80Pattern(t *table) {
	t.add(twoStages, mismatch, "the cursor steps by one block",
		at(sub(`, (%r\d+), %r\d+;`, ", ${1}, 1;"), loop, nextTile, `_have:`, `add\.s32`))
	t.add(twoStages, mismatch, "a block of each progression is missing",
		at(sub(`, 1;`, ", 0;"), loop, nextTile, `_step_one:`, `div\.u32`, `add\.s32`))
	t.add(twoStages, mismatch, "the first block of a progression is skipped",
		at(sub(`%r\d+;`, "0;"), nextTile, `_step_one:`, `sub\.s32`, `sub\.s32`))
	t.add(twoStages, emu.CheckBounds, "the pattern is read beyond its end", at(sub(`, 48;`, ", 4800;"), nextTile, `add\.s64`))
	t.add(twoStages, emu.CheckAlign, "the pattern is read between its words", at(sub(`, 48;`, ", 44;"), nextTile, `add\.s64`))
	t.add(tabled, mismatch, "a row of the table ends early",
		at(sub(`sub\.s32 (%r\d+).*`, "${0}\n\tsub.s32 ${1}, ${1}, 1;"), "rows below the table's end", `sub\.s32`))
	t.add(tabled, emu.CheckBounds, "the table is read at the wrong row",
		at(sub(`, 4, `, ", 4096, "), "rows below the table's end", `mad\.wide\.u32`, `mad\.wide\.u32`))
}

// sm80Outputs: outputs.
func sm80Outputs(t *table) {
	t.add(twoStages, emu.CheckRace, "no warp barrier before the output is read back", at(drop, rowsOut, `bar\.warp\.sync`))
	t.add(twoStages, emu.CheckRace, "the output rows of two warps overlap", at(sub(`, 4;`, ", 3;"), `_no_lse:`, `shl\.b32`))
	t.add(twoStages, emu.CheckUninit|emu.CheckRace|mismatch, "output rows go to the wrong line", at(shift(512), rowsOut, `st\.shared`))
	t.add(twoStages, emu.CheckBounds|emu.CheckRace, "outputs are stored without a guard",
		at(sub(`@%p\d+ `, ""), rowsOut, storeO),
		at(sub(`@%p\d+ `, ""), rowsOut, `@%p\d+ `+storeO))
	t.add(twoStages, emu.CheckBounds|emu.CheckRace, "one row too many is stored",
		slices.Repeat([]mutation{at(sub(`setp\.lt`, "setp.le"), rowsOut, `bar\.warp`, `setp\.lt`)}, 4)...)
	t.add(twoStages, emu.CheckOutput, "one row too few is stored",
		slices.Repeat([]mutation{at(plus(`, (\d+);`, 1), rowsOut, `bar\.warp`, `setp\.ge\.s32 %p\d+, %r\d+, 0`)}, 4)...)
	t.add(twoStages, emu.CheckOutput, "a store is missing", at(drop, rowsOut, storeO, storeO))
	t.add(twoStages, emu.CheckAlign, "a store to an address that is no multiple of 16", at(shift(8), rowsOut, storeO))
	t.add(twoStages, emu.CheckRace, "query heads share their outputs", at(sub(`, 1;`, ", 63;"), rowsOut, `o_head`, `shl\.b64`))
	t.add(twoStages, emu.CheckRace, "every lane stores the log-sum-exp", at(drop, logSums, `_no_lse;`, `_no_lse;`))
	t.add(twoStages, emu.CheckRace|emu.CheckOutput|emu.CheckBounds, "the log-sum-exp of the wrong head",
		at(sub(`, 4, `, ", 1, "), logSums, `mad\.wide\.u32`))
	t.add(twoStages, emu.CheckBounds|emu.CheckRace, "the log-sum-exp is stored without a guard", at(sub(`@%p\d+ `, ""), logSums, `st\.global`))
	t.add(twoStages, emu.CheckOutput, "a log-sum-exp is not stored", at(drop, logSums, `st\.global`, `st\.global`))
	t.add(twoStages, emu.CheckRace|emu.CheckOutput, "two thread blocks take one tile",
		at(sub(`, (%r\d+), %r\d+;`, ", ${1}, 0;"), "work item", `div\.u32`, `div\.u32`, `div\.u32`, `div\.u32`, `sub\.s32`, `sub\.s32`, `sub\.s32`))

	t.list = append(t.list, variant{
		name: "the launch grants too little shared memory", of: twoStages, want: emu.CheckBounds,
		kernel: func(k *launch.Kernel) { k.SharedBytes -= 1024 },
	})
}

// sm80RedoOrder: what a warp reads is what its lanes have written.
func sm80RedoOrder(t *table) {
	t.add(sm80Redo.merged, emu.CheckRace, "redo: no warp barrier before the outputs are read", at(drop, redoStart, `bar\.warp`))
}

// onlyNext is only for the line behind.
func onlyNext(condition string) edit {
	return func(lines []string, at int) ([]string, error) { return only(condition)(lines, at+1) }
}
