#include "textflag.h"

// Matrix tiles with AVX2, FMA and F16C. The layouts are those of mma.go; the
// order of additions is that of the portable versions in tile.go, so results agree.

// Eight 16-bit floats at src to eight float32 in dst.
#define CVT_BF16(src, dst) \
	VPMOVZXWD src, dst \
	VPSLLD $16, dst, dst

#define CVT_F16(src, dst) \
	VCVTPH2PS src, dst

// A: register r holds, 16 bytes a row, columns 0-7 (8-15 for r ≥ 2) of rows 0-7 (8-15 for odd r).
#define FRAG_A(CVT) \
	MOVQ dst+0(FP), DI \
	MOVQ r0+8(FP), R8 \
	MOVQ r1+16(FP), R9 \
	MOVQ r2+24(FP), R10 \
	MOVQ r3+32(FP), R11 \
	XORQ AX, AX \
loop: \
	CVT((R8)(AX*1), Y0) \
	CVT((R10)(AX*1), Y1) \
	CVT((R9)(AX*1), Y2) \
	CVT((R11)(AX*1), Y3) \
	VMOVUPS Y0, (DI)(AX*4) \
	VMOVUPS Y1, 32(DI)(AX*4) \
	VMOVUPS Y2, 512(DI)(AX*4) \
	VMOVUPS Y3, 544(DI)(AX*4) \
	ADDQ $16, AX \
	CMPQ AX, $128 \
	JNE  loop \
	VZEROUPPER \
	RET

// func fragAbf16(dst *tileA, r0, r1, r2, r3 *reg32)
TEXT ·fragAbf16(SB), NOSPLIT, $0-40
	FRAG_A(CVT_BF16)

// func fragAf16(dst *tileA, r0, r1, r2, r3 *reg32)
TEXT ·fragAf16(SB), NOSPLIT, $0-40
	FRAG_A(CVT_F16)

// Y0…Y7 as rows are transposed and stored 32 bytes apart at out.
#define TRANSPOSE(out) \
	VUNPCKLPS Y1, Y0, Y8 \
	VUNPCKHPS Y1, Y0, Y9 \
	VUNPCKLPS Y3, Y2, Y10 \
	VUNPCKHPS Y3, Y2, Y11 \
	VUNPCKLPS Y5, Y4, Y12 \
	VUNPCKHPS Y5, Y4, Y13 \
	VUNPCKLPS Y7, Y6, Y14 \
	VUNPCKHPS Y7, Y6, Y15 \
	VUNPCKLPD Y10, Y8, Y0 \
	VUNPCKHPD Y10, Y8, Y1 \
	VUNPCKLPD Y11, Y9, Y2 \
	VUNPCKHPD Y11, Y9, Y3 \
	VUNPCKLPD Y14, Y12, Y4 \
	VUNPCKHPD Y14, Y12, Y5 \
	VUNPCKLPD Y15, Y13, Y6 \
	VUNPCKHPD Y15, Y13, Y7 \
	VPERM2F128 $0x20, Y4, Y0, Y8 \
	VPERM2F128 $0x20, Y5, Y1, Y9 \
	VPERM2F128 $0x20, Y6, Y2, Y10 \
	VPERM2F128 $0x20, Y7, Y3, Y11 \
	VPERM2F128 $0x31, Y4, Y0, Y12 \
	VPERM2F128 $0x31, Y5, Y1, Y13 \
	VPERM2F128 $0x31, Y6, Y2, Y14 \
	VPERM2F128 $0x31, Y7, Y3, Y15 \
	VMOVUPS Y8, 0(out) \
	VMOVUPS Y9, 32(out) \
	VMOVUPS Y10, 64(out) \
	VMOVUPS Y11, 96(out) \
	VMOVUPS Y12, 128(out) \
	VMOVUPS Y13, 160(out) \
	VMOVUPS Y14, 192(out) \
	VMOVUPS Y15, 224(out)

#define LOAD8(CVT, reg) \
	CVT((reg), Y0) \
	CVT(16(reg), Y1) \
	CVT(32(reg), Y2) \
	CVT(48(reg), Y3) \
	CVT(64(reg), Y4) \
	CVT(80(reg), Y5) \
	CVT(96(reg), Y6) \
	CVT(112(reg), Y7)

// B: register r holds, 16 bytes a column, rows 8r to 8r+7.
#define FRAG_B(CVT) \
	MOVQ dst+0(FP), DI \
	MOVQ r0+8(FP), R8 \
	MOVQ r1+16(FP), R9 \
	LOAD8(CVT, R8) \
	TRANSPOSE(DI) \
	ADDQ $256, DI \
	LOAD8(CVT, R9) \
	TRANSPOSE(DI) \
	VZEROUPPER \
	RET

// func fragBbf16(dst *tileB, r0, r1 *reg32)
TEXT ·fragBbf16(SB), NOSPLIT, $0-24
	FRAG_B(CVT_BF16)

// func fragBf16(dst *tileB, r0, r1 *reg32)
TEXT ·fragBf16(SB), NOSPLIT, $0-24
	FRAG_B(CVT_F16)

// One row of the accumulators: columns 2t from even, 2t+1 from odd, interleaved.
#define LOAD_ROW(even, odd, off, X1, Y1) \
	VMOVUPS off(even), X12 \
	VMOVUPS off(odd), X13 \
	VUNPCKLPS X13, X12, X1 \
	VUNPCKHPS X13, X12, X14 \
	VINSERTF128 $1, X14, Y1, Y1

// The same back; NaNs become the canonical one, in Y15.
#define STORE_ROW(even, odd, off, X1, Y1) \
	VCMPPS $3, Y1, Y1, Y12 \
	VBLENDVPS Y12, Y15, Y1, Y1 \
	VEXTRACTF128 $1, Y1, X12 \
	VSHUFPS $0x88, X12, X1, X13 \
	VSHUFPS $0xdd, X12, X1, X14 \
	VMOVUPS X13, off(even) \
	VMOVUPS X14, off(odd)

#define STEP(row, Y) \
	VBROADCASTSS row*64(SI)(AX*4), Y13 \
	VFMADD231PS Y12, Y13, Y

// Eight rows of A at SI times B at DX, added to Y0…Y7.
#define EIGHT_ROWS(label) \
	XORQ AX, AX \
	MOVQ DX, BX \
label: \
	VMOVUPS (BX), Y12 \
	STEP(0, Y0) \
	STEP(1, Y1) \
	STEP(2, Y2) \
	STEP(3, Y3) \
	STEP(4, Y4) \
	STEP(5, Y5) \
	STEP(6, Y6) \
	STEP(7, Y7) \
	ADDQ $32, BX \
	INCQ AX \
	CMPQ AX, $16 \
	JNE  label

#define LOAD_EIGHT(even, odd) \
	LOAD_ROW(even, odd, 0, X0, Y0) \
	LOAD_ROW(even, odd, 16, X1, Y1) \
	LOAD_ROW(even, odd, 32, X2, Y2) \
	LOAD_ROW(even, odd, 48, X3, Y3) \
	LOAD_ROW(even, odd, 64, X4, Y4) \
	LOAD_ROW(even, odd, 80, X5, Y5) \
	LOAD_ROW(even, odd, 96, X6, Y6) \
	LOAD_ROW(even, odd, 112, X7, Y7)

#define STORE_EIGHT(even, odd) \
	STORE_ROW(even, odd, 0, X0, Y0) \
	STORE_ROW(even, odd, 16, X1, Y1) \
	STORE_ROW(even, odd, 32, X2, Y2) \
	STORE_ROW(even, odd, 48, X3, Y3) \
	STORE_ROW(even, odd, 64, X4, Y4) \
	STORE_ROW(even, odd, 80, X5, Y5) \
	STORE_ROW(even, odd, 96, X6, Y6) \
	STORE_ROW(even, odd, 112, X7, Y7)

// func multiplyAVX2(a *tileA, b *tileB, c, d *[4]*reg32)
TEXT ·multiplyAVX2(SB), NOSPLIT, $0-32
	MOVQ a+0(FP), SI
	MOVQ b+8(FP), DX
	MOVQ c+16(FP), CX
	MOVQ d+24(FP), DI
	VPCMPEQD Y15, Y15, Y15
	VPSRLD $1, Y15, Y15 // the canonical NaN
	MOVQ 0(CX), R8
	MOVQ 8(CX), R9
	LOAD_EIGHT(R8, R9)
	EIGHT_ROWS(top)
	MOVQ 0(DI), R8
	MOVQ 8(DI), R9
	STORE_EIGHT(R8, R9)
	ADDQ $512, SI
	MOVQ 16(CX), R8
	MOVQ 24(CX), R9
	LOAD_EIGHT(R8, R9)
	EIGHT_ROWS(bottom)
	MOVQ 16(DI), R8
	MOVQ 24(DI), R9
	STORE_EIGHT(R8, R9)
	VZEROUPPER
	RET

// func fmaAVX2(d, a, b, c *reg32)
TEXT ·fmaAVX2(SB), NOSPLIT, $0-32
	MOVQ d+0(FP), DI
	MOVQ a+8(FP), SI
	MOVQ b+16(FP), DX
	MOVQ c+24(FP), CX
	VPCMPEQD Y15, Y15, Y15
	VPSRLD $1, Y15, Y15 // the canonical NaN
	XORQ AX, AX
loop:
	VMOVUPS (SI)(AX*1), Y0
	VMOVUPS (DX)(AX*1), Y1
	VMOVUPS (CX)(AX*1), Y2
	VFMADD231PS Y1, Y0, Y2
	VCMPPS $3, Y2, Y2, Y3 // unordered with itself
	VBLENDVPS Y3, Y15, Y2, Y2
	VMOVUPS Y2, (DI)(AX*1)
	ADDQ $32, AX
	CMPQ AX, $128
	JNE  loop
	VZEROUPPER
	RET

// func flushAVX2(d, a *reg32) (least bool)
TEXT ·flushAVX2(SB), NOSPLIT, $0-17
	MOVQ d+0(FP), DI
	MOVQ a+8(FP), SI
	VPCMPEQD Y15, Y15, Y15
	VPSLLD $31, Y15, Y14 // the sign
	VPSRLD $24, Y15, Y13
	VPSLLD $23, Y13, Y13 // the exponent
	VPSRLD $31, Y15, Y12
	VPSLLD $23, Y12, Y12 // the least normal number
	VPXOR Y11, Y11, Y11
	VPXOR Y10, Y10, Y10 // lanes that are it
	XORQ AX, AX
loop:
	VMOVDQU (SI)(AX*1), Y0
	VPAND Y13, Y0, Y1
	VPCMPEQD Y11, Y1, Y1
	VPAND Y14, Y0, Y2
	VPXOR Y2, Y0, Y3
	VPCMPEQD Y12, Y3, Y3
	VPOR Y3, Y10, Y10
	VBLENDVPS Y1, Y2, Y0, Y0
	VMOVDQU Y0, (DI)(AX*1)
	ADDQ $32, AX
	CMPQ AX, $128
	JNE  loop
	VPTEST Y10, Y10
	SETNE least+16(FP)
	VZEROUPPER
	RET

// Floats in X to ordinals of the same order, and back, by way of T.
#define ORDINAL(X, T) \
	VPSRAD $31, X, T \
	VPSRLD $1, T, T \
	VPXOR T, X, X

// func extremeAVX2(d, a, b *reg32, flip uint32)
TEXT ·extremeAVX2(SB), NOSPLIT, $0-28
	MOVQ d+0(FP), DI
	MOVQ a+8(FP), SI
	MOVQ b+16(FP), DX
	VBROADCASTSS flip+24(FP), Y14
	VPCMPEQD Y15, Y15, Y15
	VPSRLD $1, Y15, Y15 // the canonical NaN
	XORQ AX, AX
loop:
	VMOVDQU (SI)(AX*1), Y0
	VMOVDQU (DX)(AX*1), Y1
	VCMPPS $3, Y0, Y0, Y2 // a is a NaN
	VCMPPS $3, Y1, Y1, Y3
	VBLENDVPS Y2, Y1, Y0, Y4 // a, or b where a is a NaN
	VBLENDVPS Y3, Y4, Y1, Y5 // b, or a where b is one
	VPAND Y2, Y3, Y6
	VBLENDVPS Y6, Y15, Y4, Y4
	VBLENDVPS Y6, Y15, Y5, Y5
	ORDINAL(Y4, Y7)
	ORDINAL(Y5, Y8)
	VPXOR Y14, Y4, Y4
	VPXOR Y14, Y5, Y5
	VPMINSD Y5, Y4, Y4
	VPXOR Y14, Y4, Y4
	ORDINAL(Y4, Y7)
	VMOVDQU Y4, (DI)(AX*1)
	ADDQ $32, AX
	CMPQ AX, $128
	JNE  loop
	VZEROUPPER
	RET

// One step of the series of exp2: constant i, plus r times what there is.
#define SERIES(i) \
	VMULPD Y2, Y3, Y3 \
	VBROADCASTSD i*8(R8), Y4 \
	VADDPD Y4, Y3, Y3

// func exp2Lanes(d, a *reg32, steps *[32]float64, constants *[11]float64)
TEXT ·exp2Lanes(SB), NOSPLIT, $0-32
	MOVQ d+0(FP), DI
	MOVQ a+8(FP), SI
	MOVQ steps+16(FP), DX
	MOVQ constants+24(FP), R8
	VPCMPEQD X15, X15, X15
	VPSRLD $1, X15, X14 // the canonical NaN
	VPSRLD $27, X15, X13 // 31
	XORQ AX, AX
loop:
	VCVTPS2PD (SI)(AX*1), Y0
	VBROADCASTSD 56(R8), Y1
	VMAXPD Y0, Y1, Y0 // a NaN stays
	VBROADCASTSD 64(R8), Y1
	VMINPD Y0, Y1, Y0
	VBROADCASTSD 72(R8), Y1
	VMULPD Y1, Y0, Y1
	VBROADCASTSD 16(R8), Y2
	VADDPD Y2, Y1, Y1
	VROUNDPD $9, Y1, Y1 // k
	VBROADCASTSD 80(R8), Y2
	VMULPD Y2, Y1, Y2
	VSUBPD Y2, Y0, Y2
	VBROADCASTSD 48(R8), Y3
	VMULPD Y3, Y2, Y2 // r
	VBROADCASTSD 40(R8), Y3
	SERIES(4)
	SERIES(3)
	SERIES(2)
	SERIES(1)
	SERIES(0)
	VCVTTPD2DQY Y1, X5
	VPAND X13, X5, X6
	VPCMPEQD Y8, Y8, Y8
	VGATHERDPD Y8, (DX)(X6*8), Y7
	VMULPD Y7, Y3, Y3
	VPSRAD $5, X5, X5
	VPMOVSXDQ X5, Y5
	VPSLLQ $52, Y5, Y5
	VBROADCASTSD 0(R8), Y6
	VPADDQ Y6, Y5, Y5 // 1 with the exponent raised
	VMULPD Y5, Y3, Y3
	VCVTPD2PSY Y3, X3
	VCMPPS $3, X3, X3, X4
	VBLENDVPS X4, X14, X3, X3
	VMOVUPS X3, (DI)(AX*1)
	ADDQ $16, AX
	CMPQ AX, $128
	JNE  loop
	VZEROUPPER
	RET
