package normal_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s2attention/s2c/internal/normal"
)

const module = `.version 8.0
.target sm_80

.visible .entry k(
	.param .u32 n
)
.reqntid 32
{
	.reg .pred %p<3>;
	.reg .b32 %r<9>;

	// who this thread is
	mov.u32 %r7, %tid.x;
L4_loop:
L9_nobody:
	ld.param.b32 %r2, [n];
	setp.lt.s32 %p2, %r7, %r2;
	@!%p2 bra L1_done;
	add.s32 %r7, %r7, 1;
	bra L4_loop;
L2_end:
L1_done:
	@%p2 bra L2_end;
	ret;
}
`

const want = `.version 8.0
.target sm_80
.visible .entry k(
.param .u32 n
)
.reqntid 32
{
mov.u32 %r1, %tid.x;
L1:
ld.param.b32 %r2, [n];
setp.lt.s32 %p1, %r1, %r2;
@!%p1 bra L2;
add.s32 %r1, %r1, 1;
bra L1;
L2:
@%p1 bra L2;
ret;
}
`

func TestForm(t *testing.T) {
	if diff := cmp.Diff(want, normal.Form(module)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want, normal.Form(want)); diff != "" {
		t.Errorf("a normal form has another one:\n%s", diff)
	}
}

// TestFormKeeps holds that what an assembler would take for another kernel has
// another normal form.
func TestFormKeeps(t *testing.T) {
	for _, c := range []struct{ what, from, to string }{
		{"an instruction", "add.s32 %r7, %r7, 1;\n", ""},
		{"a constant", "%r7, 1;", "%r7, 2;"},
		{"an operand", "setp.lt.s32 %p2, %r7, %r2;", "setp.lt.s32 %p2, %r2, %r7;"},
		{"a guard", "@!%p2", "@%p2"},
		{"a target", "bra L4_loop", "bra L1_done"},
		{"a place", "L1_done:\n\t@%p2 bra L2_end;\n", "@%p2 bra L2_end;\nL1_done:\n"},
		{"a register twice", "add.s32 %r7, %r7, 1;", "add.s32 %r2, %r7, 1;"},
		{"a parameter", "[n]", "[m]"},
		{"a directive", ".reqntid 32", ".maxntid 32"},
	} {
		other := strings.Replace(module, c.from, c.to, 1)
		if other == module {
			t.Errorf("%s: the module does not have %q", c.what, c.from)
		}
		if normal.Form(other) == want {
			t.Errorf("%s: another kernel, the same normal form", c.what)
		}
	}
}
