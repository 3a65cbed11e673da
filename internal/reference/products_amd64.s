#include "textflag.h"

// Products in float64 with AVX2 and FMA; products.go says what they compute.

// Four partial sums each of Y(a), Y(b), Y(c), Y(d) to the four sums, times Y15, at out.
#define REDUCE(a, b, c, d, out) \
	VHADDPD b, a, a \
	VHADDPD d, c, c \
	VPERM2F128 $0x21, c, a, b \
	VBLENDPD $12, c, a, a \
	VADDPD b, a, a \
	VMULPD Y15, a, a \
	VMOVUPD a, out

// func dotsAVX2(scores *float64, stride int, q, k *float64, dim, keys int, scale float64)
TEXT ·dotsAVX2(SB), NOSPLIT, $0-56
	MOVQ scores+0(FP), DI
	MOVQ stride+8(FP), SI
	MOVQ q+16(FP), R8
	MOVQ k+24(FP), R10
	MOVQ dim+32(FP), DX
	MOVQ keys+40(FP), CX
	VBROADCASTSD scale+48(FP), Y15
	SHLQ $3, SI
	SHLQ $3, DX             // bytes of a row
	LEAQ (R8)(DX*1), R9     // the second query
	LEAQ (DX)(DX*2), R11    // three rows
keys:
	VXORPD Y0, Y0, Y0
	VXORPD Y1, Y1, Y1
	VXORPD Y2, Y2, Y2
	VXORPD Y3, Y3, Y3
	VXORPD Y4, Y4, Y4
	VXORPD Y5, Y5, Y5
	VXORPD Y6, Y6, Y6
	VXORPD Y7, Y7, Y7
	XORQ AX, AX
	MOVQ R10, R12
dim:
	VMOVUPD (R8)(AX*1), Y8
	VMOVUPD (R9)(AX*1), Y9
	VMOVUPD (R12), Y10
	VMOVUPD (R12)(DX*1), Y11
	VMOVUPD (R12)(DX*2), Y12
	VMOVUPD (R12)(R11*1), Y13
	VFMADD231PD Y10, Y8, Y0
	VFMADD231PD Y11, Y8, Y1
	VFMADD231PD Y12, Y8, Y2
	VFMADD231PD Y13, Y8, Y3
	VFMADD231PD Y10, Y9, Y4
	VFMADD231PD Y11, Y9, Y5
	VFMADD231PD Y12, Y9, Y6
	VFMADD231PD Y13, Y9, Y7
	ADDQ $32, R12
	ADDQ $32, AX
	CMPQ AX, DX
	JLT  dim
	REDUCE(Y0, Y1, Y2, Y3, (DI))
	REDUCE(Y4, Y5, Y6, Y7, (DI)(SI*1))
	ADDQ $32, DI
	LEAQ (R10)(DX*4), R10
	SUBQ $4, CX
	JGT  keys
	VZEROUPPER
	RET

// func sumsAVX2(out, weights *float64, stride int, v *float64, dim, keys int)
TEXT ·sumsAVX2(SB), NOSPLIT, $0-48
	MOVQ out+0(FP), DI
	MOVQ weights+8(FP), R8
	MOVQ stride+16(FP), SI
	MOVQ v+24(FP), R10
	MOVQ dim+32(FP), DX
	MOVQ keys+40(FP), CX
	SHLQ $3, SI
	SHLQ $3, DX             // bytes of a row
	LEAQ (DX)(DX*2), R11    // three rows
	LEAQ (SI)(SI*2), R13    // three rows of weights
	MOVQ DX, BX             // what is left of the columns
columns:
	VMOVUPD (DI), Y0
	VMOVUPD 32(DI), Y1
	VMOVUPD (DI)(DX*1), Y2
	VMOVUPD 32(DI)(DX*1), Y3
	VMOVUPD (DI)(DX*2), Y4
	VMOVUPD 32(DI)(DX*2), Y5
	VMOVUPD (DI)(R11*1), Y6
	VMOVUPD 32(DI)(R11*1), Y7
	MOVQ R8, R9
	MOVQ R10, R12
	MOVQ CX, AX
keys:
	VMOVUPD (R12), Y8
	VMOVUPD 32(R12), Y9
	VBROADCASTSD (R9), Y10
	VBROADCASTSD (R9)(SI*1), Y11
	VBROADCASTSD (R9)(SI*2), Y12
	VBROADCASTSD (R9)(R13*1), Y13
	VFMADD231PD Y8, Y10, Y0
	VFMADD231PD Y9, Y10, Y1
	VFMADD231PD Y8, Y11, Y2
	VFMADD231PD Y9, Y11, Y3
	VFMADD231PD Y8, Y12, Y4
	VFMADD231PD Y9, Y12, Y5
	VFMADD231PD Y8, Y13, Y6
	VFMADD231PD Y9, Y13, Y7
	ADDQ $8, R9
	ADDQ DX, R12
	DECQ AX
	JNZ  keys
	VMOVUPD Y0, (DI)
	VMOVUPD Y1, 32(DI)
	VMOVUPD Y2, (DI)(DX*1)
	VMOVUPD Y3, 32(DI)(DX*1)
	VMOVUPD Y4, (DI)(DX*2)
	VMOVUPD Y5, 32(DI)(DX*2)
	VMOVUPD Y6, (DI)(R11*1)
	VMOVUPD Y7, 32(DI)(R11*1)
	ADDQ $64, DI
	ADDQ $64, R10
	SUBQ $64, BX
	JGT  columns
	VZEROUPPER
	RET
