package ir

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s2attention/s2c/dtype"
)

func TestModuleText(t *testing.T) {
	b := NewBuilder(true)
	stripes := localStride(b, 4, 8, 3)
	odd := Pattern{
		Cells: []Cell{
			{Rows: Rows{9, Inf, 4, 1}, Lo: Line{0, 2}, Hi: Line{2, 1}, Step: 6, Phase: Line{3, 5}, Members: 3},
			{Rows: Rows{9, 10, 1, 0}, Lo: Line{0, 5}, Hi: Line{0, 5}, Step: 1, Members: 1},
			{Rows: Rows{2, 5, 1, 0}, Lo: Line{1, -1}, Hi: Line{0, Inf}, Step: 3, Phase: Line{1, 2}, Members: 1},
		},
		Table: &Table{Rows: 2, Crow: []int64{0, 0, 4}, Col: []int32{0, 3, 4, 5}, Members: []uint32{1, 1, 1, 2}, Limited: true},
	}
	m := &Module{
		Name:  "text",
		Shape: Shape{Heads: 4, KVHeads: 2, HeadDim: 64, Block: 32, DType: dtype.F16, Causal: true, Scale: 0.125},
		Layers: []Layer{
			{Numbers: []int{0, 2, 4, 6, 7}, Heads: []Pattern{stripes, odd, stripes, {}}},
		},
	}
	want := `module text: heads 4, kv_heads 2, head_dim 64, block 32, f16, causal, scale 0.125

layers 0, 2, …, 6, 7
  heads 0, 2
    i = 4…:                  j = 0…i-4, j ≡ 3 mod 8
    i = 0…:                  j = i-3…i
  head 1
    i = 9…, i ≡ 1 mod 4:     j = 2…2i+1, j ≡ 5 + 3·⌊i/4⌋ mod 6, for 0b11
    i = 9:                   j = 5
    i = 2…4:                 j = i-1…, j ≡ i+2 mod 3
    table: rows 0…1, 4 entries, no rows beyond
      i = 0: none
      i = 1: 0, 3…4, 5 for 0b10
  head 3
    empty
`
	if diff := cmp.Diff(want, m.String()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
