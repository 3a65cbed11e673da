package cuda

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestParamLayout places a block of eight and four-byte parameters and two
// tensor maps where an sm_90 driver wants them: its constant bank starts at
// 0x210, so that the maps move by 48 bytes.
func TestParamLayout(t *testing.T) {
	var p ParamLayout
	for _, m := range []paramMove{{0, 0, 8}, {8, 8, 4}, {12, 12, 4}, {64, 48, 128}, {192, 176, 128}} {
		p.add(m)
		p.size = m.to + m.bytes
	}
	if diff := cmp.Diff([]paramMove{{0, 0, 16}, {64, 48, 256}}, p.moves, cmp.AllowUnexported(paramMove{})); diff != "" {
		t.Errorf("moves (-want +got):\n%s", diff)
	}
	declared := make([]byte, 320)
	for i := range declared {
		declared[i] = byte(i)
	}
	got := make([]byte, maxParamBytes)
	if n := p.place(got, declared); n != 304 {
		t.Errorf("%d bytes, want 304", n)
	}
	for i := range 256 {
		if got[48+i] != declared[64+i] {
			t.Fatalf("byte %d of the maps is %d, want %d", i, got[48+i], declared[64+i])
		}
	}
	if n := (*ParamLayout)(nil).place(got, declared); n != len(declared) {
		t.Errorf("the declared block came to %d bytes", n)
	}
}

func TestDeclaredParams(t *testing.T) {
	const ptx = ".visible .entry a(\n\t.param .u64 q, // .param of note\n\t.param .align 64 .b8 m[128]\n)\n{ ld.param.u64 %d, [q]; ret; }\n" +
		".entry ab ()\n{ ret; }\n.entry b(.param .u32 x, .param\t.s64 y,.param .f32 z) { ret; }\n"
	for entry, want := range map[string]Declared{"a": {2, 192}, "ab": {}, "b": {3, 20}, "c": {}, "": {}} {
		if got := DeclaredParams(ptx, entry); got != want {
			t.Errorf("%q has %+v, want %+v", entry, got, want)
		}
	}
}
