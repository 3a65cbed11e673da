package conformance

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"
)

// stage is what a suite's time is spent on.
type stage int

const (
	inputs stage = iota
	compiling
	loading
	references
	comparing
	onDevice
	waiting
	stages
)

var stageNames = [stages]string{
	inputs: "inputs", compiling: "compiling", loading: "loading kernels", references: "references",
	comparing: "comparing", onDevice: "copies and launches", waiting: "the device waiting",
}

// clock adds up the time of each stage over all goroutines.
type clock [stages]atomic.Int64

func (c *clock) add(s stage, since time.Time) { c[s].Add(int64(time.Since(since))) }

// String is the seconds of each stage. Stages overlap.
func (c *clock) String() string {
	var parts []string
	for s, name := range stageNames {
		parts = append(parts, fmt.Sprintf("%s %.1f s", name, time.Duration(c[s].Load()).Seconds()))
	}
	return strings.Join(parts, ", ")
}
