package inst

// Kind is the semantic family of an instruction.
type Kind uint8

const (
	NoKind Kind = iota
	Mov
	MovSReg   // read a special register
	MovSym    // address of a module, shared or parameter variable
	MovPack   // two 32-bit registers into one of 64 bits
	MovUnpack // a register into two of half its width
	Add
	Sub
	MulLo
	MulHi
	MulWide
	MadLo
	MadWide
	Div
	Rem
	Min
	Max
	Neg
	Abs
	And
	Or
	Xor
	Not
	Shl
	Shr
	Prmt
	Popc
	Clz
	Setp
	Selp
	Fma
	Ex2
	Lg2
	Rcp
	Cvt
	CvtPack // two f32 into a 16-bit pair; the first source is the upper half
	CvtaTo  // generic to a state space
	Cvta    // a state space to generic
	Ld
	St
	AtomAdd
	LdMatrix
	StMatrix
	Mma
	CpAsync
	CpAsyncCommit
	CpAsyncWait
	CpAsyncWaitAll
	BarSync
	BarArrive
	BarWarpSync
	Shfl
	VoteAny
	VoteAll
	VoteBallot
	Bra
	Ret
	Exit
	Trap
	// sm_90
	ElectSync
	SetMaxNRegInc
	SetMaxNRegDec
	MbarInit
	MbarInval
	MbarArrive
	MbarArriveExpectTx
	MbarExpectTx
	MbarTryWait
	FenceMbarInit
	FenceProxyAsync
	TmaLoad
	TmaStore
	TmaPrefetchMap
	BulkCommit
	BulkWait
	BulkWaitRead
	WgmmaFence
	WgmmaCommit
	WgmmaWait
	Wgmma
	ClusterArrive
	ClusterWait
	MapA
)
