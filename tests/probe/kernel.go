package probe

import (
	"fmt"

	"github.com/s2attention/s2c/codegen/ptx"
)

const allLanes = 0xffffffff

// kernel is a probe's kernel under construction.
type kernel struct {
	*ptx.Builder
	p *Probe

	tid     ptx.R32
	in, out ptx.R64
	smem    ptx.R32 // shared memory, at a multiple of 1024
	maps    []ptx.R64
}

// start opens a kernel; the maps are those that it takes.
func start(name string, threads, shared int, maps ...Map) *kernel {
	var params []ptx.Param
	for i := range maps {
		params = append(params, ptx.Param{Name: mapName(i), Type: "b8", Bytes: 128, Align: 64})
	}
	params = append(params, ptx.Param{Name: "out", Type: "u64", Bytes: 8}, ptx.Param{Name: "in", Type: "u64", Bytes: 8})
	e := &ptx.Entry{Name: Entry, Params: params, Threads: threads}
	if shared > 0 {
		e.Shared = "smem"
	}
	k := &kernel{Builder: ptx.NewBuilder(e), p: &Probe{Name: name, Threads: threads, Shared: shared, Maps: maps}}
	k.out = k.CvtaToGlobalU64(k.LdParamB64(ptx.ParamAddr{Name: "out"}))
	k.in = k.CvtaToGlobalU64(k.LdParamB64(ptx.ParamAddr{Name: "in"}))
	k.tid = k.MovU32Sreg(ptx.TidX)
	if shared > 0 {
		k.smem = k.MovU32Sym("smem")
	}
	for i := range maps {
		k.maps = append(k.maps, k.CvtaParamU64(k.MovU64Sym(ptx.Sym(mapName(i)))))
	}
	return k
}

func mapName(i int) string { return fmt.Sprintf("map%d", i) }

// finish ends the kernel. A probe that does not verify is a mistake in this package.
func (k *kernel) finish() Probe {
	k.Ret()
	err := k.Builder.Finish()
	k.p.Module = &ptx.Module{Target: Target, Entries: []*ptx.Entry{k.Entry()}}
	if err == nil {
		err = ptx.VerifyModule(k.p.Module)
	}
	if err == nil && (k.p.Out == 0 || k.p.Out%4 != 0) {
		err = fmt.Errorf("an output of %d bytes is not whole words", k.p.Out)
	}
	if err != nil {
		panic(fmt.Sprintf("probe %s: %v", k.p.Name, err))
	}
	return *k.p
}

// add appends input data and returns its offset, a multiple of 256.
func (k *kernel) add(data []byte) int {
	for len(k.p.In)%256 != 0 {
		k.p.In = append(k.p.In, 0)
	}
	at := len(k.p.In)
	k.p.In = append(k.p.In, data...)
	return at
}

// reserve makes room for output and returns its offset.
func (k *kernel) reserve(bytes int) int {
	at := k.p.Out
	k.p.Out += bytes
	return at
}

// word is the address of this thread's 32-bit word in an array.
func (k *kernel) word(base ptx.R64, off int) ptx.Addr {
	return k.AddS64(base, k.scaled(4)).At(off)
}

// scaled is tid times a constant, as an address offset.
func (k *kernel) scaled(by int) ptx.R64 { return k.MulWideU32(k.tid, ptx.Imm(by)) }

// input loads this thread's words of n arrays, one after the other.
func (k *kernel) input(data []byte) ptx.R32 { return k.LdGlobalB32(k.word(k.in, k.add(data))) }

// put stores one word a thread.
func (k *kernel) put(v ptx.R32) { k.StGlobalB32(k.word(k.out, k.reserve(4*k.p.Threads)), v) }

// putF stores one fp32 a thread.
func (k *kernel) putF(v ptx.F32) { k.StGlobalF32(k.word(k.out, k.reserve(4*k.p.Threads)), v) }

// flag is 1 where p holds, else 0.
func (k *kernel) flag(p ptx.Pred) ptx.R32 { return k.SelpB32(ptx.Imm(1), ptx.Imm(0), p) }

// chunks walks over 16-byte chunks of shared memory, a chunk a thread and round.
func (k *kernel) chunks(bytes int, body func(b *kernel, offset int, global ptx.R64, shared ptx.R32)) {
	if bytes%16 != 0 {
		panic("probe: a region of shared memory is no multiple of 16 bytes")
	}
	n := bytes / 16
	global, shared := k.scaled(16), k.MadLoS32(k.tid, ptx.Imm(16), k.smem)
	for first := 0; first < n; first += k.p.Threads {
		rest := n - first
		if rest >= k.p.Threads {
			body(k, 16*first, global, shared)
			continue
		}
		skip := k.NewLabel("rest")
		k.If(k.SetpGeU32(k.tid, ptx.Imm(rest))).Bra(skip)
		body(k, 16*first, global, shared)
		k.Place(skip)
	}
}

// load fills shared memory from at on, through ordinary stores that the copy
// engine and the tensor cores may rely on after it.
func (k *kernel) load(at int, data []byte) {
	from := k.add(data)
	k.chunks(len(data), func(k *kernel, off int, global ptx.R64, shared ptx.R32) {
		r := k.R32s(4)
		k.LdGlobalV4B32(r, k.AddS64(k.in, global).At(from+off))
		k.StSharedV4B32(shared.At(at+off), r)
	})
	k.publish()
}

// fill sets shared memory to one word.
func (k *kernel) fill(at, bytes int, word uint32) {
	v := k.Const32(int64(int32(word)))
	k.chunks(bytes, func(k *kernel, off int, _ ptx.R64, shared ptx.R32) {
		k.StSharedV4B32(shared.At(at+off), []ptx.R32{v, v, v, v})
	})
	k.publish()
}

// publish makes stores visible to the async proxy and to all threads.
func (k *kernel) publish() {
	k.FenceProxyAsyncSharedCta()
	k.BarSync(ptx.Imm(0))
}

// dump stores shared memory in the output.
func (k *kernel) dump(at, bytes int) {
	to := k.reserve(bytes)
	k.chunks(bytes, func(k *kernel, off int, global ptx.R64, shared ptx.R32) {
		r := k.R32s(4)
		k.LdSharedV4B32(r, shared.At(at+off))
		k.StGlobalV4B32(k.AddS64(k.out, global).At(to+off), r)
	})
	k.BarSync(ptx.Imm(0))
}

// once runs body in thread 0 only.
func (k *kernel) once(body func()) {
	skip := k.NewLabel("others")
	k.If(k.SetpNeU32(k.tid, ptx.Imm(0))).Bra(skip)
	body()
	k.Place(skip)
	k.BarSync(ptx.Imm(0))
}

// initBarriers prepares mbarriers at multiples of 8 from at on.
func (k *kernel) initBarriers(at int, counts ...int) {
	k.once(func() {
		for i, n := range counts {
			k.MbarrierInitSharedB64(k.smem.At(at+8*i), ptx.Imm(n))
		}
		k.FenceMbarrierInitReleaseCluster()
	})
}

// Tries of a poll. patient outlasts any copy on a GPU, and ends all the same;
// brief is for a phase that must not end.
const (
	patient = 1 << 14
	brief   = 32
)

// poll tests a phase's parity up to so many times and is 1 once it is over.
func (k *kernel) poll(bar, parity, tries int) ptx.R32 {
	done, left := k.Const32(0), k.Const32(int64(tries))
	loop, out := k.NewLabel("poll"), k.NewLabel("polled")
	k.NoUnroll()
	k.Place(loop)
	over := k.MbarrierTryWaitParitySharedB64(k.smem.At(bar), ptx.Imm(parity))
	k.If(over).MovB32To(done, ptx.Imm(1))
	k.If(over).Bra(out)
	k.SubS32To(left, left, ptx.Imm(1))
	k.If(k.SetpGtS32(left, ptx.Imm(0))).Bra(loop)
	k.Place(out)
	k.BarWarpSync(ptx.Imm(allLanes))
	return done
}
