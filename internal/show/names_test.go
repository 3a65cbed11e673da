package show

import "testing"

// upTo is the numbers from lo up to hi, step apart, without those that skip.
func upTo(lo, hi, step int, skip func(int) bool) []int {
	var out []int
	for n := lo; n <= hi; n += step {
		if skip == nil || !skip(n) {
			out = append(out, n)
		}
	}
	return out
}

func TestHeadNames(t *testing.T) {
	for _, c := range []struct {
		heads []int
		want  string
	}{
		{[]int{3}, "head 3"},
		{[]int{0, 1}, "heads 0, 1"},
		{[]int{0, 8, 16, 24}, "heads 0, 8, 16, 24"},
		{[]int{0, 1, 2, 3, 9, 10}, "heads 0 to 3, 9, 10"},
		{[]int{0, 2, 4, 6, 8, 10, 12}, "heads 0, 2, 4, …, 12"},
		{[]int{0, 4, 5, 6}, "heads 0, 4 to 6"},
		{[]int{0, 3, 5, 9, 10, 11, 17, 18}, "heads 0, 3, 5, 9 to 11, 17, 18"},
		{[]int{0, 3, 5, 9, 11, 17, 18, 40}, "heads 0, 3, 5, 9, 11 and 3 more"},
	} {
		if got := HeadNames(c.heads); got != c.want {
			t.Errorf("%v is %q, want %q", c.heads, got, c.want)
		}
	}
}

func TestLayerNames(t *testing.T) {
	everySixth := func(n int) bool { return n%6 == 5 }
	for _, c := range []struct {
		layers []int
		total  int
		want   string
	}{
		{[]int{4}, 8, "layer 4 of 8"},
		{upTo(1, 6, 1, nil), 8, "layers 1 to 6 (6 of 8)"},
		{upTo(0, 30, 2, nil), 32, "layers 0, 2, 4, …, 30 (16 of 32)"},
		{upTo(1, 31, 2, nil), 32, "layers 1, 3, 5, …, 31 (16 of 32)"},
		{[]int{0, 7}, 8, "layers 0, 7 (2 of 8)"},
		{upTo(0, 61, 1, everySixth), 62, "all layers but 5, 11, 17, …, 59 (52 of 62)"},
		{upTo(0, 31, 1, nil), 32, "layers 0 to 31 (32 of 32)"},
	} {
		if got := LayerNames(c.layers, c.total); got != c.want {
			t.Errorf("%v is %q, want %q", c.layers, got, c.want)
		}
	}
}
