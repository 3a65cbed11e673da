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
