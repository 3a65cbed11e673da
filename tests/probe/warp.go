package probe

import (
	"fmt"

	"github.com/s2attention/s2c/codegen/ptx"
)

func warps() []Probe {
	probes := []Probe{vote(), voteSome(), elect(), electSame(), named(), arriveAndSync(), sharedBase(), mapA()}
	for _, mode := range []string{"bfly", "idx", "down", "up"} {
		probes = append(probes, shuffle(mode))
	}
	return probes
}

// shuffle runs a mode with many lane operands and clamps; segments of 8 and 16 lanes too.
func shuffle(mode string) Probe {
	k := start("warp/shfl."+mode, 32, 0)
	v := k.OrB32(k.ShlB32(k.tid, ptx.Imm(8)), ptx.Imm(0x55))
	form := "shfl.sync." + mode + ".b32"
	for _, clamp := range []int{0, 7, 15, 31, 0x1800 | 0x1f, 0x1807, 0x1800, 0x1000 | 0x1f, 0x1c1f} {
		for _, by := range []int{0, 1, 2, 5, 16, 31, 32, 33} {
			d := k.NewR32()
			k.Emit(form, d.Reg, v.Reg, ptx.Imm(by), ptx.Imm(clamp), ptx.Imm(allLanes))
			k.put(d)
		}
	}
	lanes := make([]uint32, 32)
	for l := range lanes {
		lanes[l] = uint32(l*7+3) % 37
	}
	d := k.NewR32()
	k.Emit(form, d.Reg, v.Reg, k.input(words(lanes...)).Reg, ptx.Imm(31), ptx.Imm(allLanes))
	k.put(d)
	return k.finish()
}

func vote() Probe {
	k := start("warp/vote", 32, 0)
	for _, mask := range []uint32{0, allLanes, 1, 1 << 31, 0x0f0f1234} {
		bit := k.AndB32(k.ShrU32(k.Const32(int64(int32(mask))), k.tid), ptx.Imm(1))
		p := k.SetpNeU32(bit, ptx.Imm(0))
		k.put(k.VoteSyncBallotB32(p, ptx.Imm(allLanes)))
		k.put(k.flag(k.VoteSyncAnyPred(p, ptx.Imm(allLanes))))
		k.put(k.flag(k.VoteSyncAllPred(p, ptx.Imm(allLanes))))
	}
	return k.finish()
}

// voteSome votes among the lanes of a branch.
func voteSome() Probe {
	k := start("warp/vote-some", 32, 0)
	ballot, all := k.Const32(0), k.Const32(0)
	skip := k.NewLabel("skip")
	k.If(k.SetpGeU32(k.tid, ptx.Imm(20))).Bra(skip)
	p := k.SetpNeU32(k.AndB32(k.tid, ptx.Imm(3)), ptx.Imm(1))
	k.MovB32To(ballot, k.VoteSyncBallotB32(p, ptx.Imm(1<<20-1)))
	k.MovB32To(all, k.flag(k.VoteSyncAllPred(k.SetpLtU32(k.tid, ptx.Imm(20)), ptx.Imm(1<<20-1))))
	k.Place(skip)
	k.put(ballot)
	k.put(all)
	return k.finish()
}

// elect says which lane is elected, which is the device's choice.
func elect() Probe {
	k := start("warp/elect-lane", 32, 0)
	k.p.Choice = true
	k.put(k.VoteSyncBallotB32(k.ElectSync(ptx.Imm(allLanes)), ptx.Imm(allLanes)))
	return k.finish()
}

// electSame says how many lanes are elected, and whether twice the same.
func electSame() Probe {
	k := start("warp/elect", 64, 0)
	first := k.VoteSyncBallotB32(k.ElectSync(ptx.Imm(allLanes)), ptx.Imm(allLanes))
	second := k.VoteSyncBallotB32(k.ElectSync(ptx.Imm(allLanes)), ptx.Imm(allLanes))
	k.put(k.PopcB32(first))
	k.put(k.flag(k.SetpEqU32(first, second)))
	return k.finish()
}

// named lets two pairs of warps exchange through barriers 1 and 2, three of the
// four through barrier 15, and all through barrier 0.
func named() Probe {
	k := start("barrier/counts", 128, 1024)
	warp := k.ShrU32(k.tid, ptx.Imm(5))
	mine := k.MadLoS32(k.tid, ptx.Imm(4), k.smem)
	other := func(mask int) ptx.SAddr {
		return k.MadLoS32(k.XorB32(k.tid, ptx.Imm(mask)), ptx.Imm(4), k.smem).At(0)
	}
	k.StSharedB32(mine.At(0), k.AddS32(k.tid, ptx.Imm(1000)))
	k.BarSyncCount(k.AddS32(k.ShrU32(warp, ptx.Imm(1)), ptx.Imm(1)), ptx.Imm(64))
	k.put(k.LdSharedB32(other(32)))
	k.BarSync(ptx.Imm(0))
	third := k.Const32(0)
	skip := k.NewLabel("fourth")
	k.If(k.SetpEqU32(warp, ptx.Imm(3))).Bra(skip)
	k.StSharedB32(mine.At(0), k.AddS32(k.tid, ptx.Imm(2000)))
	k.BarSyncCount(ptx.Imm(15), ptx.Imm(96))
	next := k.RemU32(k.AddS32(k.tid, ptx.Imm(32)), ptx.Imm(96))
	k.MovB32To(third, k.LdSharedB32(k.MadLoS32(next, ptx.Imm(4), k.smem).At(0)))
	k.Place(skip)
	k.put(third)
	k.BarSync(ptx.Imm(0))
	k.put(k.LdSharedB32(other(96)))
	return k.finish()
}

// arriveAndSync passes a value from three warps that do not wait to one that does, twice.
func arriveAndSync() Probe {
	k := start("barrier/arrive", 128, 1024)
	warp := k.ShrU32(k.tid, ptx.Imm(5))
	first := k.SetpEqU32(warp, ptx.Imm(0))
	sum := k.Const32(0)
	for round := range 2 {
		wait, done := k.NewLabel("wait"), k.NewLabel("done")
		k.If(first).Bra(wait)
		k.StSharedB32(k.MadLoS32(k.tid, ptx.Imm(4), k.smem).At(0), k.AddS32(k.tid, ptx.Imm(100*(round+1))))
		k.BarArrive(ptx.Imm(3), ptx.Imm(128))
		k.Bra(done)
		k.Place(wait)
		k.BarSyncCount(ptx.Imm(3), ptx.Imm(128))
		for w := 1; w < 4; w++ {
			k.AddS32To(sum, sum, k.LdSharedB32(k.MadLoS32(k.tid, ptx.Imm(4), k.smem).At(128*w)))
		}
		k.Place(done)
		k.BarSync(ptx.Imm(0))
	}
	k.put(sum)
	return k.finish()
}

// sharedBase says how the dynamic shared memory is aligned, declared .align 1024.
func sharedBase() Probe {
	k := start("shared/base", 32, 64)
	k.put(k.AndB32(k.smem, ptx.Imm(1023)))
	return k.finish()
}

// mapA says by how much an address changes when it is mapped to the block's own rank.
func mapA() Probe {
	k := start("cluster/mapa-own", 32, 1024)
	k.put(k.SubS32(k.MapaSharedClusterU32(k.smem, ptx.Imm(0)), k.smem))
	k.BarrierClusterArriveAligned()
	k.BarrierClusterWaitAligned()
	return k.finish()
}

func copies() []Probe {
	// Each lane copies 16 bytes of which as many are valid as its lane number
	// says; lanes past 16 wrap around.
	k := start("cp.async/valid-bytes", 32, 1024)
	data := make([]byte, 512)
	for i := range data {
		data[i] = byte(i*7 + 1)
	}
	k.fill(0, 512+64, 0xcccccccc)
	from := k.add(data)
	valid := k.RemU32(k.tid, ptx.Imm(17))
	k.CpAsyncCgSharedGlobal(k.MadLoS32(k.tid, ptx.Imm(16), k.smem).At(0), k.AddS64(k.in, k.scaled(16)).At(from), 16, valid)
	k.CpAsyncCommitGroup()
	k.CpAsyncWaitGroup(0)
	k.BarSync(ptx.Imm(0))
	k.dump(0, 512+64)
	return []Probe{k.finish(), copyGroups()}
}

// copyGroups waits for the older of two groups, then for both.
func copyGroups() Probe {
	k := start("cp.async/groups", 32, 1024)
	data := make([]byte, 1024)
	for i := range data {
		data[i] = byte(i * 5)
	}
	from := k.add(data)
	for g := range 2 {
		k.CpAsyncCgSharedGlobal(k.MadLoS32(k.tid, ptx.Imm(16), k.smem).At(512*g), k.AddS64(k.in, k.scaled(16)).At(from+512*g), 16, ptx.Imm(16))
		k.CpAsyncCommitGroup()
	}
	for g := range 2 {
		k.CpAsyncWaitGroup(ptx.Imm(1 - g))
		k.BarSync(ptx.Imm(0))
		k.dump(512*g, 512)
	}
	return k.finish()
}

func dtypes() []string { return []string{"bf16", "f16"} }

func swizzles() []int { return []int{0, 32, 64, 128} }

func swizzleName(s int) string {
	if s == 0 {
		return "none"
	}
	return fmt.Sprintf("%dB", s)
}
