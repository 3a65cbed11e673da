package main

import (
	"fmt"
	"slices"
	"time"
)

// passTime is how long a layout pass took, over all layers and targets of one
// compilation. A command runs them one after the other, so nothing is locked.
type passTime struct {
	Pass string  `json:"pass"`
	Runs int     `json:"runs"`
	MS   float64 `json:"ms"`
}

// passTimes collects, in the order of the pipeline.
type passTimes []passTime

// add is what the pipeline calls after a pass.
func (t *passTimes) add(pass string, took time.Duration) {
	n := slices.IndexFunc(*t, func(p passTime) bool { return p.Pass == pass })
	if n < 0 {
		n = len(*t)
		*t = append(*t, passTime{Pass: pass})
	}
	(*t)[n].Runs++
	(*t)[n].MS += float64(took.Nanoseconds()) / 1e6
}

// print writes a table to standard error, where it is in no result's way.
func (t passTimes) print(s *streams) error {
	total := 0.0
	for _, p := range t {
		total += p.MS
	}
	rows := [][]string{{"pass", "runs", "time", "share"}}
	for _, p := range t {
		rows = append(rows, []string{p.Pass, grouped(p.Runs), duration(p.MS), fmt.Sprintf("%.1f%%", 100*p.MS/max(total, 1e-9))})
	}
	rows = append(rows, []string{"all", "", duration(total), "100.0%"})
	r := newReport(&streams{out: s.err, outColor: s.errColor})
	r.table(rows)
	return r.end()
}
