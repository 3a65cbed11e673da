package broken

import (
	"github.com/s2attention/s2c/internal/conformance"
	"github.com/s2attention/s2c/ir/layout"
	"github.com/s2attention/s2c/launch"
	"github.com/s2attention/s2c/runtime/emu"
	"github.com/s2attention/s2c/target"
)

// The good kernels for sm_90a. One multiprocessor, so that a thread block works on
// item after item and every ring wraps around.
var (
	turns = &subject{target: target.SM90a, sm: 1, Case: conformance.Case{
		Name: "turns", Batch: 2, QLen: 71, KLen: 345, Scale: 1, Seed: 1, Only: warpgroups(2, 2, 1, 64),
		Source: "model broken { heads 2  kv_heads 1  head_dim 64  block 64  causal  layers 1 }\n" +
			"layer * -> window(2) | stride(3, phase: -g)\n",
	}}
	merged = &subject{target: target.SM90a, sm: 1, Case: conformance.Case{
		Name: "merged and gathered", QLen: 91, KLen: 205, Seed: 2, Only: warpgroups(1, 1, 2, 64),
		Source: "model broken { heads 2  kv_heads 1  head_dim 64  block 32  causal  layers 1 }\n" +
			"layer * -> window(2) | stride(3, phase: -h)\n",
	}}
	slabs = &subject{target: target.SM90a, sm: 1, Case: conformance.Case{
		Name: "two slabs", QLen: 51, KLen: 205, Seed: 3, Only: warpgroups(1, 2, 1, 64),
		Source: "model broken { heads 2  kv_heads 1  head_dim 128  block 32  causal  layers 1 }\n" +
			"layer * -> window(2) | stride(3, phase: -g)\n",
	}}
)

// wide has memory for one query buffer only: an item is written before the queries
// of the next can load.
var wide = &subject{target: target.SM90a, sm: 1, Case: conformance.Case{
	Name: "one query buffer", QLen: 37, KLen: 77, Seed: 5, Only: warpgroups(2, 2, 4, 64),
	Source: "model broken { heads 2  kv_heads 1  head_dim 256  block 16  causal  layers 1 }\n" +
		"layer * -> window(3) | sink(1)\n",
}}

// rows is a subject of items of one tile each, so short that the producer runs far
// ahead of the warpgroup that writes the outputs.
var rows = &subject{target: target.SM90a, sm: 1, Case: conformance.Case{
	Name: "short items", QLen: 300, KLen: 345, Seed: 4, Only: warpgroups(2, 2, 1, 64),
	Source: "model broken { heads 2  kv_heads 1  head_dim 64  block 64  causal  layers 1 }\n" +
		"layer * -> window(1)\n",
}}

// warpgroups restricts the cost model to one geometry with two stages.
func warpgroups(groups, pack, merge, kvTile int) func(layout.Candidate) bool {
	return func(c layout.Candidate) bool {
		return c.Rows == 64*groups && c.Pack == pack && c.Merge == merge && c.Split == 1 && c.KVTile == kvTile &&
			c.Stages == 2 && c.Resident <= 1
	}
}

// Anchors in the kernels for sm_90a.
const (
	inits     = "barriers: full by the copies"
	ready     = `_barriers_ready:`
	item      = `L\d+_item:`
	load      = `L\d+_load:`
	consumer  = `_consumer:`
	firstTile = "first tile: nothing to overlap"
	sameQuery = `_same_query:`
	complete  = "the item is complete"
	sameItem  = `_same_item:`
	lastTile  = "the last tile's P V"
	nextCopy  = "the copy engine writes these rows next"
	initBar   = `mbarrier\.init\.`
	expect    = `mbarrier\.arrive\.expect_tx`
	arrive    = `mbarrier\.arrive\.shared`
	try       = `mbarrier\.try_wait`
	passed    = `@%p\d+ bra L\d+_ready;`
	tma       = `cp\.async\.bulk\.tensor`
	mapOf     = `mov\.u64 %rd\d+, \w_map;`
	info      = `@%p\d+ st\.shared\.b32`
	wgmma     = `wgmma\.mma_async`
	wgFence   = `wgmma\.fence`
	wgCommit  = `wgmma\.commit_group`
	wgWait    = `wgmma\.wait_group`
	move32    = `mov\.b32 %r\d+, %r\d+;`
	slot      = `mad\.lo\.s32`
	inc       = `setmaxnreg\.inc`
	dec       = `setmaxnreg\.dec`
)

// early are the reports of a slot that is used before it is ready, or given back
// before its readers are done: a race, or one with an unfinished copy or product.
const early = emu.CheckRace | emu.CheckAsync | emu.CheckProxy | emu.CheckUninit

// skip takes a conditional branch always.
var skip = sub(`@!?%p\d+ `, "")

func sm90aVariants() []variant {
	var t table
	for _, group := range []func(*table){
		sm90aBarriers, sm90aProducer, sm90aTransactions, sm90aCopies, sm90aWords, sm90aConsumers, sm90aReleases,
		sm90aProxies, sm90aGroups, sm90aOperands, sm90aTurns, sm90aRegisters, sm90aNumbers, sm90aOutputs,
	} {
		group(&t)
	}
	redoVariants(&t, sm90aRedo)
	sm90aRedoItems(&t)
	return t.list
}

// sm90aBarriers: barriers: initialisation and counts.
func sm90aBarriers(t *table) {
	t.add(turns, emu.CheckBarrier, "a barrier is not initialised", at(drop, inits, initBar, initBar, initBar))
	t.add(turns, emu.CheckRace, "no barrier behind the initialisation", at(drop, ready, barrier))
	t.add(turns, emu.CheckRace|emu.CheckBarrier, "every thread initialises", at(drop, inits, `_barriers_ready;`))
	t.add(turns, emu.CheckDeadlock, "a full barrier waits for two arrivals", at(plus(`, (\d+);`, 1), inits, initBar))
	t.add(turns, emu.CheckDeadlock, "an empty barrier waits for one warp too many", at(sub(`, 8;`, ", 9;"), inits, `, 8;`))
	t.add(turns, early|emu.CheckBarrier|emu.CheckDeadlock, "an empty barrier waits for one warpgroup only",
		at(sub(`, 8;`, ", 4;"), inits, `, 8;`))
	t.add(turns, emu.CheckAlign, "a barrier that is no multiple of 8", at(shift(4), inits, initBar))
	t.add(rows, early, "the producer waits for the queries of the other warpgroup", at(shift(8), item, `try_wait`))

	t.add(turns, emu.CheckProxy, "the initialisation is not fenced", at(drop, inits, `fence\.mbarrier_init`))
}

// sm90aProducer: the producer's waits and phases.
func sm90aProducer(t *table) {
	t.add(turns, early|emu.CheckBarrier, "the producer does not wait for an empty slot of keys", at(skip, load, passed))
	t.add(turns, early|emu.CheckBarrier, "the producer does not wait for an empty slot of values", at(skip, load, passed, passed))
	t.add(rows, early|emu.CheckBarrier, "the producer does not wait for an empty query buffer", at(skip, item, passed))
	t.add(turns, emu.CheckDeadlock, "the producer waits for the wrong parity of the keys", at(sub(`, 1;`, ", 0;"), load, `_next:`, `xor\.b32`))
	t.add(turns, emu.CheckDeadlock, "the producer waits for the wrong parity of the values", at(sub(`, 1;`, ", 0;"), load, tma, `xor\.b32`))
	t.add(turns, early|emu.CheckDeadlock|emu.CheckBarrier, "the producer's phase does not turn", at(drop, load, tma, tma, `@%p\d+ xor\.b32`))
	t.add(turns, early|emu.CheckDeadlock|emu.CheckBarrier, "the producer's ring is one slot too long",
		at(sub(`, 2;`, ", 3;"), load, tma, tma, `setp\.eq\.s32`))
	t.add(turns, early|emu.CheckDeadlock|emu.CheckBarrier, "the producer stays in one slot of values",
		at(drop, load, tma, tma, `setp\.eq\.s32`, `add\.s32 %r\d+, %r\d+, 1`))
	t.add(turns, emu.CheckDeadlock, "the producer leaves after one item", at(drop, load, `bra L\d+_item;`))
	t.add(turns, emu.CheckBudget|emu.CheckDeadlock|emu.CheckBounds|mismatch, "the producer goes on behind the last item",
		at(sub(`setp\.ge\.u32 (%p\d+), (%r\d+), (%r\d+);`, "setp.gt.u32 ${1}, ${2}, ${3};"), item, `setp\.ge\.u32`))
}

// sm90aTransactions: transactions.
func sm90aTransactions(t *table) {
	t.add(turns, emu.CheckDeadlock, "too many bytes are expected of the keys", at(plus(`, (\d+);`, 16), load, expect))
	t.add(turns, early|emu.CheckBarrier|emu.CheckDeadlock, "too few bytes are expected of the values",
		at(plus(`, (\d+);`, -4096), load, expect, expect))
	t.add(turns, early|emu.CheckBarrier|emu.CheckDeadlock, "no bytes are expected of the keys",
		at(sub(`arrive\.expect_tx\.shared\.b64 (%rd\d+), (\[[^]]*\]), \d+`, "arrive.shared.b64 ${1}, ${2}"), load, expect))
	t.add(turns, emu.CheckDeadlock, "nobody arrives for the queries", at(drop, item, expect))
	t.add(turns, emu.CheckBarrier|early|emu.CheckDeadlock, "every lane arrives and copies", at(drop, load, `bra L\d+_loaded;`))
	t.add(turns, emu.CheckDeadlock, "a copy is missing", at(drop, load, tma, tma))
	t.add(turns, emu.CheckDeadlock|emu.CheckBarrier|early, "the values signal the keys' barrier",
		at(plus(`, (\d+);`, -32), load, expect, expect, `add\.s32 %r\d+, %r\d+, \d{5}`, `add\.s32 %r\d+, %r\d+, \d{5}`))
	t.add(slabs, emu.CheckDeadlock, "the second slab is not copied", at(drop, load, tma, tma))
}

// sm90aCopies: coordinates, destinations and tensor maps of the copies.
func sm90aCopies(t *table) {
	t.add(turns, mismatch, "keys from eight columns further", at(sub(`\{0, `, "{8, "), load, tma))
	t.add(turns, emu.CheckAlign, "keys from four columns further: no multiple of 16 bytes", at(sub(`\{0, `, "{4, "), load, tma))
	t.add(turns, mismatch, "token and head are swapped", at(sub(`\{0, (%r\d+), (%r\d+), `, "{0, ${2}, ${1}, "), load, tma))
	t.add(turns, mismatch, "values of the wrong batch entry", at(sub(`, %r\d+\}`, ", 0}"), load, tma, tma))
	t.add(turns, mismatch, "values from the tensor map of the keys", at(sub("v_map", "k_map"), load, `v_map`))
	t.add(turns, mismatch, "queries are not moved by the offset", at(sub(`, %r\d+;`, ", 0;"), item, expect, `sub\.s32`))
	t.add(turns, mismatch, "both warpgroups load the same head", at(sub(`, 1;`, ", 0;"), item, `_loaded:`, `add\.s32 %r\d+, %r\d+, 1;`))
	t.add(turns, emu.CheckAlign, "a box at an address that is no multiple of 128",
		at(sub(`, 0;`, ", 64;"), load, expect, tma+`|add\.s32 %r\d+, %r\d+, 0;`))
	t.add(turns, mismatch|early, "a box that starts inside the pattern of its swizzle",
		at(sub(`, 0;`, ", 128;"), load, expect, `add\.s32 %r\d+, %r\d+, 0;`))
	t.add(turns, early, "queries go where the keys are",
		at(sub(`, 8192;`, ", 32768;"), item, `_loaded:`, expect, `add\.s32 %r\d+, %r\d+, 8192;`))
	t.add(slabs, early|mismatch, "both slabs in one place", at(sub(`, \d+;`, ", 0;"), load, expect, tma, `add\.s32`))
	t.add(turns, emu.CheckTensorMap|emu.CheckBounds, "the tensor map is looked for in the wrong place",
		at(sub(`cvta\.param\.u64 (%rd\d+), (%rd\d+);`, "add.s64 ${1}, ${2}, 0;"), load, `k_map`, `cvta`))
	t.list = append(t.list,
		variant{name: "the box of the keys is half as high", of: turns, want: emu.CheckDeadlock,
			kernel: func(k *launch.Kernel) { rule(k, "k").Box[1] /= 2 }},
		variant{name: "the box of the queries is a row too high", of: turns, want: early | emu.CheckBarrier | emu.CheckDeadlock,
			kernel: func(k *launch.Kernel) { rule(k, "q").Box[1]++ }},
		variant{name: "the values arrive without a swizzle", of: turns, want: mismatch,
			kernel: func(k *launch.Kernel) { rule(k, "v").Swizzle = 0 }},
		// Most rows are no numbers then, and to compute them all again takes long.
		variant{name: "the keys arrive with another swizzle", of: turns, want: mismatch | emu.CheckBudget,
			kernel: func(k *launch.Kernel) { rule(k, "k").Swizzle, rule(k, "k").Box[0] = 64, 32; rule(k, "k").Box[1] *= 2 }},
		variant{name: "the launch grants too little shared memory", of: turns, want: emu.CheckBounds,
			kernel: func(k *launch.Kernel) { k.SharedBytes -= 8 }},
	)
}

// sm90aWords: what the producer tells of a tile.
func sm90aWords(t *table) {
	t.add(turns, emu.CheckUninit, "the flags are not written", at(drop, load, info))
	t.add(turns, emu.CheckUninit, "the position is not written", at(drop, load, info, info, info))
	t.add(turns, mismatch|emu.CheckOutput|emu.CheckBounds, "head and position are swapped",
		at(shift(4), load, info, info),
		at(shift(-4), load, info, info, info))
	t.add(turns, mismatch, "no tile needs a mask", at(sub(`1, 0, (%p\d+);`, "0, 0, ${1};"), load, `selp\.b32 %r\d+, 1, 0`))
	t.add(turns, mismatch, "the diagonal needs no mask", at(sub(`or\.pred`, "and.pred"), load, `or\.pred`))
	t.add(turns, emu.CheckDeadlock|mismatch|emu.CheckAsync, "no tile ends its item",
		at(sub(`, %p\d+;`, ", %p5;"), load, `selp\.b32 %r\d+, 0, %r\d+`))
	t.add(turns, emu.CheckDeadlock|emu.CheckOutput|emu.CheckAsync, "every item is the last",
		at(sub(`, 6, 2, `, ", 6, 6, "), load, `selp\.b32 %r\d+, 6, 2`))
	t.add(turns, early, "the words of all stages in one place",
		at(sub(`, 128, `, ", 0, "), load, `, 128, `),
		at(sub(`, 128, `, ", 0, "), firstTile, `, 128, `),
		at(sub(`, 128, `, ", 0, "), firstTile, `, 128, `))
	t.add(turns, emu.CheckRace, "the words are written behind the arrival", at(move(`\+4\], %r\d+;`, load, tma), load, info))
	t.add(merged, mismatch, "every query block attends every chunk",
		at(sub(`setp\.ne`, "setp.ge"), firstTile, `_full_tile;`, `setp\.ne`, `setp\.ne`),
		at(sub(`setp\.ne`, "setp.ge"), firstTile, `_full_tile;`, `setp\.ne`),
		at(sub(`setp\.ne`, "setp.ge"), complete, `_full_tile;`, `setp\.ne`, `setp\.ne`),
		at(sub(`setp\.ne`, "setp.ge"), complete, `_full_tile;`, `setp\.ne`))
	t.add(merged, mismatch, "tiles that not all query blocks attend need no mask",
		at(sub(`setp\.ne\.s32`, "setp.gt.s32"), load, passed, `setp\.ne\.s32`))
}

// sm90aConsumers: the consumers' waits and phases.
func sm90aConsumers(t *table) {
	t.add(turns, early, "no wait for the first keys", at(skip, firstTile, passed, passed))
	t.add(turns, early, "no wait for the first queries", at(skip, firstTile, passed))
	t.add(turns, early|emu.CheckBarrier, "no wait for the keys", at(skip, loop, sameQuery, passed))
	t.add(turns, early|emu.CheckBarrier, "no wait for the values", at(skip, loop, sameQuery, passed, passed))
	t.add(turns, early, "no wait for the last values", at(skip, lastTile, passed))
	t.add(turns, early, "no wait for the next queries", at(skip, loop, passed))
	t.add(turns, early|emu.CheckDeadlock|emu.CheckBarrier, "the phase of the keys does not turn",
		at(drop, loop, `_full_tile:`, `@%p\d+ xor\.b32`))
	t.add(turns, early|emu.CheckDeadlock, "the parity of the values is wrong", at(sub(`, %r\d+;`, ", 1;"), loop, sameQuery, try, try))
	t.add(turns, early|emu.CheckDeadlock|emu.CheckBarrier|emu.CheckBounds, "the ring of the values is one slot too long",
		at(sub(`, 2;`, ", 3;"), loop, `_full_tile:`, wgWait, `setp\.eq`))
	t.add(turns, early|emu.CheckDeadlock|mismatch, "the next item's queries are not turned to", at(drop, loop, `add\.s32 %r\d+, %r\d+, 1;`))
	t.add(turns, mismatch|early, "keys of the wrong slot", at(sub(`, 8192, `, ", 0, "), loop, sameQuery, wgFence, `, 8192, `, `, 8192, `))
	t.add(turns, mismatch|early, "values of the wrong slot", at(sub(`, 8192, `, ", 0, "), loop, sameQuery, wgFence, wgFence, `, 8192, `))
	t.add(turns, mismatch|early, "queries of the other warpgroup", at(sub(`, 8192, `, ", 0, "), loop, sameQuery, wgFence, `, 8192, `))
	t.add(turns, emu.CheckUninit|emu.CheckRace|mismatch, "the words of the wrong stage",
		at(sub(`, 128, `, ", 0, "), complete, nextCopy, `_arrived:`, `_same_item:`, `, 128, `))
}

// sm90aReleases: slots given back.
func sm90aReleases(t *table) {
	t.add(turns, early, "keys are given back before the products are done",
		at(move(`_arrived:`, firstTile, wgWait), firstTile, `_full_tile:`, slot))
	t.add(turns, early, "values are given back before the products are done",
		at(move(`_arrived:`, loop, `_full_tile:`, wgWait), loop, `_full_tile:`, wgWait, slot))
	t.add(turns, emu.CheckRace, "a stage is given back before its words are read",
		at(move(`_arrived:`, firstTile, wgWait, slot), firstTile, `_full_tile:`, slot))
	t.add(turns, emu.CheckRace, "no warp barrier before keys are given back", at(drop, firstTile, `_full_tile:`, `bar\.warp`))
	t.add(rows, early, "no warp barrier before queries are given back", at(drop, nextCopy, `bar\.warp`))
	t.add(turns, emu.CheckDeadlock, "keys are not given back", at(drop, loop, `_full_tile:`, arrive))
	t.add(turns, emu.CheckDeadlock, "values are not given back", at(drop, loop, `_full_tile:`, arrive, arrive))
	t.add(turns, emu.CheckDeadlock, "queries are not given back", at(drop, nextCopy, arrive))
	t.add(turns, emu.CheckBarrier|emu.CheckDeadlock|early, "every lane gives back", at(drop, loop, `_full_tile:`, `_arrived;`))
	t.add(turns, emu.CheckBarrier|emu.CheckDeadlock|early, "keys are given back twice",
		at(sub(`mbarrier.*`, "${0}\n\t${0}"), loop, `_full_tile:`, arrive))
	t.add(turns, emu.CheckBarrier|emu.CheckDeadlock|early, "values are given back on the keys' barrier",
		at(plus(`\+(\d+)\]`, -32), loop, `_full_tile:`, arrive, arrive))
}

// sm90aProxies: proxies.
func sm90aProxies(t *table) {
	t.add(turns, emu.CheckProxy, "no proxy fence behind the outputs", at(drop, nextCopy, `fence\.proxy`))
	t.add(rows, emu.CheckProxy, "the proxy fence comes behind the arrival", at(move(`fence`, nextCopy, `_arrived:`), nextCopy, `fence\.proxy`))
	t.add(turns, emu.CheckProxy, "the proxy fence comes before the outputs", at(move(`fence`, complete, rowsOut), nextCopy, `fence\.proxy`))
	t.add(turns, emu.CheckProxy, "one warp leaves out the proxy fence", at(only("setp.ge.u32 %s, %s, 160"), nextCopy, `fence\.proxy`))
	t.add(turns, early|mismatch|emu.CheckBarrier, "outputs are staged in the next item's queries",
		at(sub(`, 0;`, ", 16384;"), complete, `_no_lse:`, slot, `add\.s32`))
	t.add(turns, emu.CheckDeadlock|early|mismatch, "the next item's queries are given back",
		at(move(`mov\.b32`, complete), complete, nextCopy, `_arrived:`, move32, move32, move32))

	t.add(wide, early|emu.CheckBarrier, "one buffer: the producer does not wait until it is empty", at(skip, item, passed))
	t.add(wide, emu.CheckProxy, "one buffer: no proxy fence behind the outputs", at(drop, nextCopy, `fence\.proxy`))
	t.add(wide, early, "one buffer: no warp barrier before it is given back", at(drop, nextCopy, `bar\.warp`))
	t.add(wide, early, "one buffer: no wait for the next queries", at(skip, nextCopy, passed), at(skip, nextCopy, passed))
	t.add(wide, emu.CheckAsync, "one buffer: the item's last products are not waited for", at(drop, loop, wgWait))
}

// sm90aGroups: fences, groups and waits of wgmma.
func sm90aGroups(t *table) {
	t.add(turns, emu.CheckAsync, "no fence before the first product", at(drop, firstTile, wgFence))
	t.add(turns, emu.CheckAsync, "no fence before the scores", at(drop, loop, wgFence))
	t.add(turns, emu.CheckAsync, "the scores are not committed", at(drop, loop, wgCommit))
	t.add(turns, emu.CheckAsync, "the values' products are not committed", at(drop, loop, wgCommit, wgCommit))
	t.add(turns, emu.CheckAsync, "the first scores are not waited for", at(drop, firstTile, wgWait))
	t.add(turns, emu.CheckAsync, "the scores are not waited for", at(drop, loop, wgWait))
	t.add(turns, emu.CheckAsync, "the wait for the scores leaves one group too many", at(sub(` 1;`, " 2;"), loop, wgWait))
	t.add(turns, emu.CheckAsync, "the output is not waited for", at(drop, complete, sameItem, wgWait))
	t.add(turns, emu.CheckAsync, "the wait for the output leaves one group", at(sub(` 0;`, " 1;"), complete, sameItem, wgWait))
	t.add(turns, emu.CheckAsync, "a complete item is not waited for", at(drop, complete, wgWait))
	t.add(turns, emu.CheckAsync, "the last values' products are not waited for", at(drop, lastTile, wgWait))
	t.add(turns, emu.CheckAsync, "an accumulator is read in flight",
		at(sub(`wgmma.*\{(%f\d+).*`, "${0}\n\tmov.f32 %f1, ${1};"), loop, wgmma, wgmma))
	t.add(turns, emu.CheckAsync, "an accumulator is written in flight",
		at(sub(`wgmma.*\{(%f\d+).*`, "${0}\n\tmov.f32 ${1}, %f1;"), loop, wgmma, wgmma))
	t.add(turns, emu.CheckAsync, "weights are packed into registers in flight",
		at(move(`cvt\.rn`, complete, sameItem, wgWait), complete, sameItem, `_not_rescaled:`, `cvt\.rn`))
	t.add(turns, emu.CheckAsync, "the output is rescaled in flight",
		at(move(`_not_rescaled:`, complete, sameItem, wgWait), complete, sameItem, `_not_rescaled;`))
	t.add(turns, emu.CheckDivergence, "one warp leaves out a product", at(only("setp.ge.u32 %s, %s, 160"), loop, wgmma, wgmma))
	t.add(turns, emu.CheckDivergence, "half of a warp multiplies", at(only("setp.ne.u32 %s, %s, 130"), loop, wgmma))
	t.add(turns, emu.CheckDivergence, "one warp leaves out a commit", at(only("setp.ge.u32 %s, %s, 160"), loop, wgCommit))
}

// sm90aOperands: descriptors and operands of wgmma.
func sm90aOperands(t *table) {
	const desc = `or\.b64` // queries, keys, values
	t.add(turns, mismatch, "the descriptor of the keys names another swizzle", at(plus(`, (\d{19});`, 1<<62), loop, sameQuery, desc, desc))
	t.add(turns, mismatch, "the descriptor of the keys has the stride of half a group",
		at(plus(`, (\d{19});`, -32<<32), loop, sameQuery, desc, desc))
	t.add(turns, emu.CheckBounds|mismatch|early, "the descriptor of the values has twice the stride",
		at(plus(`, (\d{19});`, 64<<32), loop, sameQuery, desc, desc, desc))
	t.add(turns, mismatch, "the base offset of the queries is not 0", at(plus(`, (\d{19});`, 1<<49), loop, sameQuery, desc))
	t.add(slabs, mismatch|early, "the slabs of the values are too close", at(plus(`, (\d{19});`, -256<<16), loop, sameQuery, desc, desc, desc))
	t.add(turns, mismatch, "a step of the keys is 16 bytes", at(sub(`, 2;`, ", 1;"), loop, wgmma, `add\.s64`, `add\.s64`))
	t.add(turns, emu.CheckBounds, "a step of the values goes beyond shared memory",
		at(sub(`, 128;`, ", 12800;"), loop, wgmma, `add\.s64 %rd\d+, %rd\d+, 128;`))
	t.add(turns, mismatch, "values are not transposed", at(sub(`1, 1, 1;`, "1, 1, 0;"), loop, wgCommit, wgmma))
	t.add(turns, mismatch, "scores are subtracted", at(sub(`1, 1, 0, 0;`, "1, -1, 0, 0;"), loop, wgmma))
	t.add(turns, mismatch, "scores start from the last tile's", at(sub(`, 0;`, ", 1;"), loop, wgFence, `mov\.b32 %r\d+, 0;`))
	t.add(turns, mismatch, "every tile starts a new output", at(drop, complete, `xor\.pred`))
}

// sm90aTurns: turns.
func sm90aTurns(t *table) {
	t.add(turns, emu.CheckDeadlock, "nobody opens the turns", at(drop, `_turns_open;`, `bar\.arrive`))
	t.add(turns, emu.CheckDeadlock, "a turn is not passed on", at(drop, loop, `bar\.arrive`))
	t.add(turns, emu.CheckDeadlock|emu.CheckBarrier, "a turn is not taken", at(drop, loop, `bar\.sync`))
	t.add(turns, emu.CheckBarrier|emu.CheckDeadlock, "a turn is taken by 128 threads", at(sub(`256`, "128"), loop, `bar\.sync`))
	t.add(turns, emu.CheckBarrier|emu.CheckDeadlock, "a turn is passed on to 384 threads", at(sub(`256`, "384"), loop, `bar\.arrive`))
	t.add(turns, emu.CheckBarrier|emu.CheckDeadlock, "a turn is passed on to oneself",
		at(sub(`, 2;`, ", 1;"), loop, wgCommit, wgCommit, `add\.s32 %r\d+, %r\d+, 2;`))
	t.add(turns, emu.CheckBarrier|emu.CheckDeadlock, "the last warpgroup passes on to nobody",
		at(sub(`, 1, (%r\d+), `, ", 5, ${1}, "), loop, wgCommit, wgCommit, `selp\.b32`))
}

// sm90aRegisters: registers.
func sm90aRegisters(t *table) {
	t.add(turns, emu.CheckDeadlock, "the producer keeps its registers", at(drop, dec))
	t.add(turns, emu.CheckDeadlock, "the consumers ask for too many registers", at(plus(` (\d+);`, 16), inc))
	t.add(turns, emu.CheckInstruction, "the consumers ask for fewer registers than they have", at(sub(` \d+;`, " 160;"), inc))
	t.add(turns, emu.CheckInstruction, "the producer asks for more registers than it has", at(sub(` \d+;`, " 176;"), dec))
	t.add(turns, emu.CheckDeadlock|emu.CheckDivergence, "only one warp gives up its registers", at(only("setp.lt.u32 %s, %s, 32"), dec))
	t.add(turns, emu.CheckInstruction, "the number of registers at entry is open", at(drop, `\.minnctapersm`))
}

// sm90aNumbers: numbers.
func sm90aNumbers(t *table) {
	t.add(turns, mismatch, "no mask in the first tile of an item", at(skip, complete, `_full_tile;`))
	t.add(turns, mismatch, "a row does not see itself", at(sub(`, 1;`, ", 0;"), complete, `_full_tile;`, `shr\.u32`, `add\.s32`))
	t.add(turns, mismatch, "the output is not rescaled", at(skip, `_not_rescaled;`))
	t.add(turns, mismatch, "maxima of the wrong lanes", at(sub(`, 2, 31`, ", 4, 31"), complete, softmaxes, `shfl`, `shfl`))
	t.add(turns, mismatch, "maxima and sums of the last item stay",
		at(dropTo(`^(L\d+|\tmad)`), complete, nextCopy, `mov\.f32 %f\d+, %f\d+;`))
	t.add(turns, mismatch, "two weights are packed in the wrong order",
		at(sub(`(%f\d+), (%f\d+);`, "${2}, ${1};"), `_not_rescaled:`, `cvt\.rn`))
}

// sm90aOutputs: outputs.
func sm90aOutputs(t *table) {
	t.add(turns, emu.CheckRace, "no warp barrier before the output is read back", at(drop, complete, rowsOut, `bar\.warp\.sync`))
	t.add(turns, emu.CheckRace|emu.CheckBounds, "outputs are stored without a guard", at(sub(`@%p\d+ `, ""), complete, storeO))
	t.add(turns, emu.CheckOutput, "a store is missing", at(drop, complete, storeO))
	t.add(turns, emu.CheckRace|emu.CheckOutput, "both warpgroups write the same head",
		at(sub(`, %r\d+;`, ", 0;"), firstTile, wgWait, `ld\.shared`, `add\.s32`))
	t.add(turns, emu.CheckOutput|emu.CheckRace|emu.CheckBounds, "the log-sum-exp of the wrong head",
		at(sub(`, 2, `, ", 1, "), complete, `mad\.wide\.u32`))
}

// sm90aRedoItems: the items of a thread block are walked again.
func sm90aRedoItems(t *table) {
	r := sm90aRedo
	keepLast := sub(`or\.pred (%p\d+), %p\d+, (%p\d+);`, "and.pred ${1}, ${2}, ${2};")
	t.add(r.merged, mismatch, "redo: only the last item asks",
		at(keepLast, complete, rowsOut, `setp\.ne`, `or\.pred`), at(keepLast, lastTile, rowsOut, `setp\.ne`, `or\.pred`))
	t.add(r.merged, mismatch, "redo: only the first item is looked at", at(drop, redoNext, `_item;`))
}
