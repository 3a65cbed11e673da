package probe

import "github.com/s2attention/s2c/codegen/ptx"

// mbarriers probes the object's phases. Every poll's result is a word a thread.
func mbarriers() []Probe {
	return []Probe{phases(), counts(), noCompletion(), manyThreads(), expectAfter()}
}

// phases follows a barrier for one arrival through four phases: the parity of the
// phase before passes at once, that of the current one does not.
func phases() Probe {
	k := start("mbarrier/parity", 32, 1024)
	k.initBarriers(0, 1)
	for phase := range 4 {
		current := phase & 1
		k.put(k.poll(0, current^1, patient))
		k.put(k.poll(0, current, brief))
		k.once(func() { k.MbarrierArriveSharedB64(k.smem.At(0)) })
		k.put(k.poll(0, current, patient))
		k.put(k.poll(0, current^1, brief))
	}
	return k.finish()
}

// counts arrives one by one at a barrier for three.
func counts() Probe {
	k := start("mbarrier/pending-count", 32, 1024)
	k.initBarriers(0, 3)
	for n := range 6 {
		k.once(func() { k.MbarrierArriveSharedB64(k.smem.At(0)) })
		tries := brief
		if n%3 == 2 {
			tries = patient
		}
		k.put(k.poll(0, n/3, tries))
	}
	return k.finish()
}

// noCompletion expects bytes that never come.
func noCompletion() Probe {
	k := start("mbarrier/expected-bytes-missing", 32, 1024)
	k.initBarriers(0, 1)
	k.once(func() { k.MbarrierArriveExpectTxSharedB64(k.smem.At(0), ptx.Imm(16)) })
	k.put(k.poll(0, 0, brief))
	k.put(k.poll(0, 1, patient))
	return k.finish()
}

// manyThreads arrives with all 64 threads at a barrier for 64, four times.
func manyThreads() Probe {
	k := start("mbarrier/all-threads", 64, 1024)
	k.initBarriers(0, 64)
	for n := range 4 {
		k.MbarrierArriveSharedB64(k.smem.At(0))
		k.put(k.poll(0, n&1, patient))
		k.BarSync(ptx.Imm(0))
	}
	return k.finish()
}

// line is a map over one row of elements, a box of so many.
func line(elements, box int) Map {
	return Map{Dims: []uint64{uint64(elements), 1}, Strides: []uint64{uint64(2 * elements)}, Box: []uint32{uint32(box), 1}}
}

// ids are 16-bit elements that count up from 1.
func ids(n int) []byte { return halves(n, func(i int) uint16 { return uint16(i + 1) }) }

// copyBox loads the box at some coordinates with thread 0.
func (k *kernel) copyBox(dst, m, bar int, at ...int) {
	form := [...]func(ptx.SAddr, ptx.Addr, []ptx.Src32, ptx.SAddr){
		2: k.CpAsyncBulkTensor2dSharedClusterGlobalMbarrierCompleteTxBytes,
		3: k.CpAsyncBulkTensor3dSharedClusterGlobalMbarrierCompleteTxBytes,
		4: k.CpAsyncBulkTensor4dSharedClusterGlobalMbarrierCompleteTxBytes,
		5: k.CpAsyncBulkTensor5dSharedClusterGlobalMbarrierCompleteTxBytes,
	}[len(at)]
	form(k.AddS32(k.smem, ptx.Imm(dst)).At(0), k.maps[m].At(0), k.constants(at), k.AddS32(k.smem, ptx.Imm(bar)).At(0))
}

func (k *kernel) constants(v []int) []ptx.Src32 {
	var s []ptx.Src32
	for _, x := range v {
		s = append(s, k.Const32(int64(x)))
	}
	return s
}

// expectAfter starts a copy of 256 bytes before anybody expects it, then arrives
// with the bytes: the phase ends, for pending arrivals kept it open meanwhile.
func expectAfter() Probe {
	k := start("mbarrier/expect-after-copy", 32, 2048, line(128, 128))
	k.add(ids(128))
	k.fill(0, 256, 0xcccccccc)
	k.initBarriers(1024, 1, 1)
	k.once(func() { k.copyBox(0, 0, 1024, 0, 0) })
	k.put(k.poll(1024, 0, brief))
	k.once(func() { k.MbarrierArriveExpectTxSharedB64(k.smem.At(1024), ptx.Imm(256)) })
	k.put(k.poll(1024, 0, patient))
	k.dump(0, 256)
	return k.finish()
}
