package emu

import (
	"math/bits"
	"strings"
)

// shuffle computes the source lane and whether it is in range (PTX ISA 9.0 §9.7.9.6).
type shuffle func(lane, b, lo, hi, seg uint32) (src uint32, ok bool)

var shuffles = map[string]shuffle{
	"up":   func(lane, b, _, hi, _ uint32) (uint32, bool) { return lane - b, int32(lane-b) >= int32(hi) },
	"down": func(lane, b, _, hi, _ uint32) (uint32, bool) { return lane + b, lane+b <= hi },
	"bfly": func(lane, b, _, hi, _ uint32) (uint32, bool) { return lane ^ b, lane^b <= hi },
	"idx":  func(_, b, lo, hi, seg uint32) (uint32, bool) { return lo | b&^seg&31, lo|b&^seg&31 <= hi },
}

func buildShfl(d *decoder, in *instr) error {
	mode := shuffles[strings.Split(in.form.Opcode, ".")[2]]
	members := d.arg("mask").slots[0]
	in.exec = func(w *warp, in *instr, mask uint32) status {
		mask, st := w.syncWarp(in, mask, &w.r[members])
		if mask == 0 {
			return st
		}
		a, b, c := w.r[in.a], &w.r[in.b], &w.r[in.c]
		d := &w.r[in.d]
		for l := range lanesOf(mask) {
			seg := c[l] >> 8 & 31
			lo, hi := uint32(l)&seg, uint32(l)&seg|c[l]&31&^seg
			src, ok := mode(uint32(l), b[l]&31, lo, hi, seg)
			if !ok {
				src = uint32(l)
			}
			if mask>>(src&31)&1 == 0 {
				w.fail(in, l, CheckDivergence, 0, "lane %d is read, which does not take part", src)
			}
			d[l] = a[src&31]
		}
		return stNext
	}
	return nil
}

func (w *warp) vote(in *instr, mask uint32, f func(votes, mask uint32)) status {
	mask, st := w.syncWarp(in, mask, &w.r[in.b])
	if mask != 0 {
		f(w.pr[in.a]&mask, mask)
	}
	return st
}

func execVoteAny(w *warp, in *instr, mask uint32) status {
	return w.vote(in, mask, func(votes, mask uint32) { w.putPred(in, mask, -bit(votes != 0)) })
}

func execVoteAll(w *warp, in *instr, mask uint32) status {
	return w.vote(in, mask, func(votes, mask uint32) { w.putPred(in, mask, -bit(votes == mask)) })
}

func execVoteBallot(w *warp, in *instr, mask uint32) status {
	return w.vote(in, mask, func(votes, mask uint32) {
		d := &w.r[in.d]
		for l := range lanesOf(mask) {
			d[l] = votes
		}
	})
}

func execBra(w *warp, in *instr, mask uint32) status {
	if mask == w.cur.mask {
		w.cur.pc = in.target
		return stJump
	}
	if strings.HasSuffix(in.form.Opcode, ".uni") {
		w.fail(in, trailing(w.cur.mask&^mask), CheckDivergence, 0,
			"%d of %d threads take a branch that is said to be uniform", bits.OnesCount32(mask), bits.OnesCount32(w.cur.mask))
	}
	w.diverge(in, mask)
	return stJump
}

func execExit(w *warp, in *instr, mask uint32) status { return w.exit(mask) }

func trap(w *warp, in *instr, l int) {
	w.fail(in, l, CheckInstruction, 0, "the kernel stopped itself with trap")
}

// specials are the special registers that the emulator knows (PTX ISA 9.0 §10).
var specials = map[string]func(w *warp, l int) uint64{
	"%laneid":              func(_ *warp, l int) uint64 { return uint64(l) },
	"%warpid":              func(w *warp, _ int) uint64 { return uint64(w.id) },
	"%nwarpid":             func(w *warp, _ int) uint64 { return uint64(len(w.b.warps)) },
	"%smid":                func(w *warp, _ int) uint64 { return uint64(w.b.index) % uint64(w.b.launch.dev.opts.SM) },
	"%nsmid":               func(w *warp, _ int) uint64 { return uint64(w.b.launch.dev.opts.SM) },
	"%gridid":              func(w *warp, _ int) uint64 { return uint64(w.b.launch.id) },
	"%lanemask_eq":         func(_ *warp, l int) uint64 { return 1 << l },
	"%lanemask_lt":         func(_ *warp, l int) uint64 { return 1<<l - 1 },
	"%lanemask_le":         func(_ *warp, l int) uint64 { return 2<<l - 1 },
	"%lanemask_gt":         func(_ *warp, l int) uint64 { return fullMask &^ (2<<l - 1) },
	"%lanemask_ge":         func(_ *warp, l int) uint64 { return fullMask &^ (1<<l - 1) },
	"%dynamic_smem_size":   func(w *warp, _ int) uint64 { return uint64(w.b.launch.dyn) },
	"%total_smem_size":     func(w *warp, _ int) uint64 { return uint64(len(w.b.shared.data)) },
	"%cluster_ctarank":     func(*warp, int) uint64 { return 0 },
	"%cluster_nctarank":    func(*warp, int) uint64 { return 1 },
	"%cluster_ctaid.x":     func(*warp, int) uint64 { return 0 },
	"%cluster_nctaid.x":    func(*warp, int) uint64 { return 1 },
	"%is_explicit_cluster": func(*warp, int) uint64 { return 0 },
}

// dimensions are those with a suffix .x, .y or .z.
var dimensions = map[string]func(w *warp, l int) [3]int{
	"%tid":        func(w *warp, l int) [3]int { return w.thread(l) },
	"%ntid":       func(w *warp, _ int) [3]int { return w.b.launch.block },
	"%ctaid":      func(w *warp, _ int) [3]int { return w.b.id },
	"%nctaid":     func(w *warp, _ int) [3]int { return w.b.launch.grid },
	"%clusterid":  func(w *warp, _ int) [3]int { return w.b.id },
	"%nclusterid": func(w *warp, _ int) [3]int { return w.b.launch.grid },
}

// special is the value of a special register in a lane, nil for a name that is none.
func special(name string) func(w *warp, l int) uint64 {
	base, suffix, _ := strings.Cut(name, ".")
	axis := strings.Index("xyz", suffix)
	if of := dimensions[base]; of != nil && len(suffix) == 1 && axis >= 0 {
		return func(w *warp, l int) uint64 { return uint64(of(w, l)[axis]) }
	}
	return specials[name]
}
