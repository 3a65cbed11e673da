package measure

import (
	"math"
	"testing"
)

func TestSummarise(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   Summary
	}{
		{[]float64{5}, Summary{1, 5, 5, 5, 5, 5}},
		{[]float64{4, 1, 3, 2}, Summary{4, 1, 1.3, 2.5, 3.7, 4}},
		{[]float64{0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100}, Summary{11, 0, 10, 50, 90, 100}},
	} {
		got := Summarise(c.values)
		for _, v := range [][2]float64{
			{got.Min, c.want.Min}, {got.P10, c.want.P10}, {got.Median, c.want.Median},
			{got.P90, c.want.P90}, {got.Max, c.want.Max}, {float64(got.Runs), float64(c.want.Runs)},
		} {
			if math.Abs(v[0]-v[1]) > 1e-12 {
				t.Errorf("%v: %+v, want %+v", c.values, got, c.want)
				break
			}
		}
	}
	if s := Summarise(nil); !math.IsNaN(s.Median) || s.Runs != 0 {
		t.Errorf("of nothing: %+v", s)
	}
}
