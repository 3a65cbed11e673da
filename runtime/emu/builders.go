package emu

import (
	"fmt"

	"github.com/s2attention/s2c/codegen/ptx/inst"
)

// builder picks the executor of an instruction and prepares its operands.
type builder func(d *decoder, in *instr) error

// builders says how each kind of instruction is executed.
var builders = [...]builder{
	inst.Mov:       perType(map[inst.Type]execFn{inst.B32: execMov32, inst.F32: execMov32, inst.B64: execMov64, inst.TPred: execMovPred}),
	inst.MovSReg:   buildMovSpecial,
	inst.MovSym:    buildMovSymbol,
	inst.MovPack:   simple(execMovPack),
	inst.MovUnpack: perType(map[inst.Type]execFn{inst.B64: execMovUnpack64, inst.B32: execMovUnpack32}),
	inst.Add: perType(map[inst.Type]execFn{inst.S32: execAdd32, inst.U32: execAdd32, inst.S64: execAdd64, inst.U64: execAdd64,
		inst.F32: execAddF32}),
	inst.Sub: perType(map[inst.Type]execFn{inst.S32: execSub32, inst.U32: execSub32, inst.S64: execSub64, inst.U64: execSub64,
		inst.F32: execSubF32}),
	inst.MulLo: perType(map[inst.Type]execFn{inst.S32: execMul32, inst.U32: execMul32, inst.S64: execMul64, inst.U64: execMul64,
		inst.F32: execMulF32}),
	inst.MulHi:   perType(map[inst.Type]execFn{inst.U32: two32(mulHiU32), inst.S32: two32(mulHiS32)}),
	inst.MulWide: perType(map[inst.Type]execFn{inst.U32: execMulWide[uint32], inst.S32: execMulWide[int32]}),
	inst.MadLo: perType(map[inst.Type]execFn{inst.S32: execMad32, inst.U32: execMad32, inst.S64: execMad64,
		inst.U64: execMad64}),
	inst.MadWide: perType(map[inst.Type]execFn{inst.U32: execMadWide[uint32], inst.S32: execMadWide[int32]}),
	inst.Div: perType(map[inst.Type]execFn{inst.S32: divide32(divS32), inst.U32: divide32(divU32),
		inst.S64: divide64(divS64), inst.U64: divide64(divU64)}),
	inst.Rem: perType(map[inst.Type]execFn{inst.S32: divide32(remS32), inst.U32: divide32(remU32),
		inst.S64: divide64(remS64), inst.U64: divide64(remU64)}),
	inst.Min: perType(map[inst.Type]execFn{inst.S32: two32(minS32), inst.U32: two32(minU32), inst.S64: two64(minS64), inst.U64: two64(minU64),
		inst.F32: extreme(0)}),
	inst.Max: perType(map[inst.Type]execFn{inst.S32: two32(maxS32), inst.U32: two32(maxU32), inst.S64: two64(maxS64), inst.U64: two64(maxU64),
		inst.F32: extreme(-1)}),
	inst.Neg:     perType(map[inst.Type]execFn{inst.S32: one32(neg32), inst.F32: oneF32(negF32)}),
	inst.Abs:     perType(map[inst.Type]execFn{inst.S32: one32(abs32)}),
	inst.And:     perType(map[inst.Type]execFn{inst.B32: execAnd32, inst.B64: two64(and64), inst.TPred: execAndPred}),
	inst.Or:      perType(map[inst.Type]execFn{inst.B32: execOr32, inst.B64: two64(or64), inst.TPred: execOrPred}),
	inst.Xor:     perType(map[inst.Type]execFn{inst.B32: execXor32, inst.B64: two64(xor64), inst.TPred: execXorPred}),
	inst.Not:     perType(map[inst.Type]execFn{inst.B32: one32(not32), inst.B64: execNot64, inst.TPred: execNotPred}),
	inst.Shl:     perType(map[inst.Type]execFn{inst.B32: execShl32, inst.B64: execShl64}),
	inst.Shr:     perType(map[inst.Type]execFn{inst.U32: execShr32[uint32], inst.B32: execShr32[uint32], inst.S32: execShr32[int32], inst.U64: execShr64[uint64], inst.B64: execShr64[uint64], inst.S64: execShr64[int64]}),
	inst.Prmt:    simple(execPrmt),
	inst.Popc:    perType(map[inst.Type]execFn{inst.B32: one32(popc32)}),
	inst.Clz:     perType(map[inst.Type]execFn{inst.B32: one32(clz32)}),
	inst.Setp:    buildSetp,
	inst.Selp:    perType(map[inst.Type]execFn{inst.B32: execSelp32, inst.F32: execSelp32, inst.B64: execSelp64}),
	inst.Fma:     perType(map[inst.Type]execFn{inst.F32: execFmaF32, inst.F16x2: execFmaF16x2, inst.BF16x2: execFmaBF16x2}),
	inst.Ex2:     simple(oneF32(exp2)),
	inst.Lg2:     simple(oneF32(lg2F32)),
	inst.Rcp:     simple(oneF32(rcpF32)),
	inst.Cvt:     buildCvt,
	inst.CvtPack: perType(map[inst.Type]execFn{inst.BF16x2: execPackBF16, inst.F16x2: execPackF16}),
	inst.CvtaTo:  simple(execMov64),
	inst.Cvta:    simple(execCvtaParam),

	inst.Ld:             buildLd,
	inst.St:             buildSt,
	inst.AtomAdd:        simple(execAtomAdd),
	inst.LdMatrix:       buildLdMatrix,
	inst.StMatrix:       buildStMatrix,
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
	inst.Trap:           simple(execTrap),

	inst.ElectSync:          simple(execElect),
	inst.SetMaxNRegInc:      buildSetMaxNReg,
	inst.SetMaxNRegDec:      buildSetMaxNReg,
	inst.MbarInit:           simple(execMbarInit),
	inst.MbarInval:          simple(execMbarInval),
	inst.MbarArrive:         simple(execMbarArrive),
	inst.MbarArriveExpectTx: simple(execMbarArriveExpectTx),
	inst.MbarTryWait:        simple(execMbarTryWait),
	inst.FenceMbarInit:      simple(execFenceMbarInit),
	inst.FenceProxyAsync:    simple(execFenceProxyAsync),
	inst.TmaLoad:            buildTma,
	inst.TmaStore:           buildTma,
	inst.TmaPrefetchMap:     simple(execPrefetchMap),
	inst.BulkCommit:         simple(execBulkCommit),
	inst.BulkWait:           simple(execBulkWait),
	inst.BulkWaitRead:       simple(execBulkWait),
	inst.WgmmaFence:         simple(execWgmmaFence),
	inst.WgmmaCommit:        simple(execWgmmaCommit),
	inst.WgmmaWait:          simple(execWgmmaWait),
	inst.Wgmma:              buildWgmma,
	inst.ClusterArrive:      simple(execClusterArrive),
	inst.ClusterWait:        simple(execClusterWait),
	inst.MapA:               simple(execMapA),
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
