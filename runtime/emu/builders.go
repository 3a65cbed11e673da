package emu

import (
	"fmt"

	"github.com/s2attention/s2c/codegen/ptx/inst"
)

// builder picks the executor of an instruction and prepares its operands.
type builder func(d *decoder, in *instr) error

// builders says how each kind of instruction is executed.
var builders = [...]builder{
	inst.Mov:       widths(on32(move[uint32]), on64(move[uint64]), nil, onPred(same)),
	inst.MovSReg:   buildMovSpecial,
	inst.MovSym:    buildMovSymbol,
	inst.MovPack:   simple(to64(movPack)),
	inst.MovUnpack: widths(eachLane(movUnpack32), eachLane(movUnpack64), nil, nil),
	inst.Add:       widths(on32(add[uint32]), on64(add[uint64]), onF32(addF32), nil),
	inst.Sub:       widths(on32(sub[uint32]), on64(sub[uint64]), onF32(subF32), nil),
	inst.MulLo:     widths(on32(mul[uint32]), on64(mul[uint64]), fused(mulF32), nil),
	inst.MulHi:     simple(on32(byLane(mulHi))),
	inst.MulWide:   signs(to64(mulWide[int32]), to64(mulWide[uint32]), nil, nil),
	inst.MadLo:     widths(on32(mad[uint32]), on64(mad[uint64]), nil, nil),
	inst.MadWide:   signs(to64(madWide[int32]), to64(madWide[uint32]), nil, nil),
	inst.Div:       signs(divide32(div[int32]), divide32(div[uint32]), divide64(div[int64]), divide64(div[uint64])),
	inst.Rem:       signs(divide32(rem[int32]), divide32(rem[uint32]), divide64(rem[int64]), divide64(rem[uint64])),
	inst.Min:       extremes(minF32, least[int32], least[uint32], least[int64], least[uint64]),
	inst.Max:       extremes(maxF32, most[int32], most[uint32], most[int64], most[uint64]),
	inst.Neg:       widths(on32(byLane(neg)), nil, onF32(lanesF32(negF32)), nil),
	inst.Abs:       simple(on32(byLane(abs))),
	inst.And:       widths(on32(byLane(and[uint32])), on64(byLane(and[uint64])), nil, onPred(and)),
	inst.Or:        widths(on32(byLane(or[uint32])), on64(byLane(or[uint64])), nil, onPred(or)),
	inst.Xor:       widths(on32(byLane(xor[uint32])), on64(byLane(xor[uint64])), nil, onPred(xor)),
	inst.Not:       widths(on32(byLane(not[uint32])), on64(byLane(not[uint64])), nil, onPred(not)),
	inst.Shl:       widths(shift32(shl), shift64(shl), nil, nil),
	inst.Shr:       signs(shift32(shr[int32]), shift32(shr[uint32]), shift64(shr[int64]), shift64(shr[uint64])),
	inst.Prmt:      simple(on32(prmt)),
	inst.Popc:      simple(on32(byLane(popc))),
	inst.Clz:       simple(on32(byLane(clz))),
	inst.Setp:      buildSetp,
	inst.Selp:      widths(to32(selp32), to64(selp64), to32(selp32), nil),
	inst.Fma:       perType(map[inst.Type]execFn{inst.F32: fused(fmaF32), inst.F16x2: on32(fmaF16x2), inst.BF16x2: on32(fmaBF16x2)}),
	inst.Ex2:       simple(onF32(exp2F32)),
	inst.Lg2:       simple(onF32(lanesF32(lg2F32))),
	inst.Rcp:       simple(onF32(lanesF32(rcpF32))),
	inst.Cvt:       buildCvt,
	inst.CvtPack:   perType(map[inst.Type]execFn{inst.BF16x2: on32(packBF16), inst.F16x2: on32(packF16)}),
	inst.CvtaTo:    simple(on64(move[uint64])),
	inst.Cvta:      simple(to64(cvtaParam)),

	inst.Ld:             buildLd,
	inst.St:             buildSt,
	inst.AtomAdd:        simple(eachLane(atomAdd)),
	inst.LdMatrix:       simple(execLdMatrix),
	inst.StMatrix:       simple(execStMatrix),
	inst.Mma:            buildMma,
	inst.CpAsync:        buildCpAsync,
	inst.CpAsyncCommit:  simple(execCpAsyncCommit),
	inst.CpAsyncWait:    simple(execCpAsyncWait),
	inst.CpAsyncWaitAll: simple(execCpAsyncWaitAll),
	inst.BarSync:        simple(execBarSync),
	inst.BarArrive:      simple(execBarArrive),
	inst.BarWarpSync:    simple(execBarWarpSync),
	inst.Shfl:           buildShfl,
	inst.VoteAny:        simple(execVoteAny),
	inst.VoteAll:        simple(execVoteAll),
	inst.VoteBallot:     simple(execVoteBallot),
	inst.Bra:            simple(execBra),
	inst.Ret:            simple(execExit),
	inst.Exit:           simple(execExit),
	inst.Trap:           simple(eachLane(trap)),

	inst.ElectSync:          simple(execElect),
	inst.SetMaxNRegInc:      buildSetMaxNReg,
	inst.SetMaxNRegDec:      buildSetMaxNReg,
	inst.MbarInit:           simple(eachLane(mbarInit)),
	inst.MbarInval:          simple(eachLane(mbarInval)),
	inst.MbarArrive:         simple(arrivals(noBytes)),
	inst.MbarArriveExpectTx: simple(arrivals(theBytes)),
	inst.MbarTryWait:        simple(execMbarTryWait),
	inst.FenceMbarInit:      simple(execFenceMbarInit),
	inst.FenceProxyAsync:    simple(execFenceProxyAsync),
	inst.TmaLoad:            buildTma,
	inst.TmaStore:           buildTma,
	inst.TmaPrefetchMap:     simple(eachLane(prefetchMap)),
	inst.BulkCommit:         simple(execBulkCommit),
	inst.BulkWait:           simple(execBulkWait),
	inst.BulkWaitRead:       simple(execBulkWait),
	inst.WgmmaFence:         simple(execWgmmaFence),
	inst.WgmmaCommit:        simple(execWgmmaCommit),
	inst.WgmmaWait:          simple(execWgmmaWait),
	inst.Wgmma:              buildWgmma,
	inst.ClusterArrive:      simple(execClusterArrive),
	inst.ClusterWait:        simple(execClusterWait),
	inst.MapA:               simple(eachLane(mapA)),
}

// eachLane makes the executor of what lanes do one after the other.
//
//go:noinline
func eachLane(f func(w *warp, in *instr, l int)) execFn {
	return func(w *warp, in *instr, mask uint32) status {
		for l := range lanesOf(mask) {
			f(w, in, l)
		}
		return stNext
	}
}

// simple is the builder of an instruction with one executor.
func simple(f execFn) builder {
	return func(_ *decoder, in *instr) error {
		in.exec = f
		return nil
	}
}

// perType picks the executor by the operation's type.
func perType(m map[inst.Type]execFn) builder {
	return func(_ *decoder, in *instr) error {
		if in.exec = m[in.form.Type]; in.exec == nil {
			return fmt.Errorf("this type is not executed")
		}
		return nil
	}
}

// widths picks it by the width of bits and integers, or for floats and predicates.
func widths(e32, e64, f32, pred execFn) builder {
	if f32 == nil {
		f32 = e32 // moves
	}
	return perType(map[inst.Type]execFn{inst.B32: e32, inst.U32: e32, inst.S32: e32, inst.B64: e64, inst.U64: e64, inst.S64: e64,
		inst.F32: f32, inst.TPred: pred})
}

// signs picks it for signed and unsigned integers.
func signs(s32, u32, s64, u64 execFn) builder {
	return perType(map[inst.Type]execFn{inst.S32: s32, inst.U32: u32, inst.B32: u32, inst.S64: s64, inst.U64: u64, inst.B64: u64})
}

func extremes(f32 loop[uint32], s32, u32 func(a, b uint32) uint32, s64, u64 func(a, b uint64) uint64) builder {
	return perType(map[inst.Type]execFn{inst.S32: on32(byLane(s32)), inst.U32: on32(byLane(u32)), inst.S64: on64(byLane(s64)),
		inst.U64: on64(byLane(u64)), inst.F32: onF32(f32)})
}
