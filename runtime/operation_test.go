package runtime_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/s2attention/s2c/launch"
	"github.com/s2attention/s2c/runtime"
	"github.com/s2attention/s2c/runtime/emu"
)

// scaled is an operation that this package has never heard of: it divides each
// row of q by its sum, and writes o. Two kernels do it, with the sums between
// them in a workspace.
const scaled launch.Op = "scaled"

// One thread a row, 32 rows a thread block; the rows of a head are tiles of 32.
const scaledPTX = `.version 7.0
.target sm_80
.address_size 64
.visible .entry sums(.param .u64 q, .param .s64 q_batch, .param .s64 q_head, .param .s64 q_seq, .param .u32 q_len, .param .u32 heads, .param .u64 sums)
{
	.reg .pred %p; .reg .b16 %h; .reg .b32 %r<12>; .reg .f32 %f<3>; .reg .b64 %d<6>;
	` + rowOf + `
	` + addressOf + `
	mov.f32 %f0, 0f00000000;
	mov.u32 %r8, 0;
next:
	ld.global.b16 %h, [%d0];
	cvt.u32.u16 %r9, %h;
	shl.b32 %r9, %r9, 16;
	mov.b32 %f1, %r9;
	add.f32 %f0, %f0, %f1;
	add.s64 %d0, %d0, 2;
	add.s32 %r8, %r8, 1;
	setp.lt.s32 %p, %r8, 8;
	@%p bra next;
	ld.param.u64 %d1, [sums];
	cvta.to.global.u64 %d1, %d1;
	mad.wide.u32 %d1, %r7, 4, %d1;
	st.global.f32 [%d1], %f0;
done:
	ret;
}
.visible .entry divide(.param .u64 q, .param .s64 q_batch, .param .s64 q_head, .param .s64 q_seq, .param .u32 q_len, .param .u32 heads, .param .u64 sums, .param .u64 o)
{
	.reg .pred %p; .reg .b16 %h; .reg .b32 %r<12>; .reg .f32 %f<3>; .reg .b64 %d<6>;
	` + rowOf + `
	` + addressOf + `
	ld.param.u64 %d1, [sums];
	cvta.to.global.u64 %d1, %d1;
	mad.wide.u32 %d1, %r7, 4, %d1;
	ld.global.f32 %f0, [%d1];
	ld.param.u64 %d2, [o];
	cvta.to.global.u64 %d2, %d2;
	mad.wide.u32 %d2, %r7, 16, %d2;
	mov.u32 %r8, 0;
next:
	ld.global.b16 %h, [%d0];
	cvt.u32.u16 %r9, %h;
	shl.b32 %r9, %r9, 16;
	mov.b32 %f1, %r9;
	div.rn.f32 %f1, %f1, %f0;
	mov.b32 %r9, %f1;
	shr.u32 %r9, %r9, 16;
	cvt.u16.u32 %h, %r9;
	st.global.b16 [%d2], %h;
	add.s64 %d0, %d0, 2;
	add.s64 %d2, %d2, 2;
	add.s32 %r8, %r8, 1;
	setp.lt.s32 %p, %r8, 8;
	@%p bra next;
done:
	ret;
}
`
