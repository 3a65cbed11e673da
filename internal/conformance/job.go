package conformance

import (
	"context"
	"errors"
	"time"

	"github.com/s2attention/s2c/internal/reference"
	"github.com/s2attention/s2c/runtime"
	"github.com/s2attention/s2c/target"
)

// job is a case on its way through a suite. Each field belongs to the stage that
// sets it, and to the next ones after it.
type job struct {
	c       *Case
	subject *Subject
	bytes   int64
	problem *Problem
	want    *reference.Result
	wantErr error
	err     error // of the case, on all targets
	runs    []*run

	ready    chan struct{} // closed when it is prepared
	launched chan struct{} // closed when all its kernels were launched
}

// run is a case on a target.
type run struct {
	plan   Row // its names, which no stage changes
	row    Row
	loaded *runtime.Attention
	out    *Output
	err    error
	done   bool // launched, or never to be

	reported *Row // the collector's copy
}

func newJob(c *Case, targets []target.Target) *job {
	j := &job{c: c, ready: make(chan struct{}), launched: make(chan struct{})}
	for _, on := range targets {
		if c.For(on) {
			plan := Row{Case: c.Name, Target: on}
			j.runs = append(j.runs, &run{plan: plan, row: plan})
		}
	}
	return j
}

// load reads the pattern, which says how much memory the case takes.
func (j *job) load() {
	if j.subject, j.err = j.c.Load(true); j.err == nil {
		j.bytes = j.c.bytes(j.subject, len(j.runs))
	}
}

// prepare makes what a launch needs.
func (e *engine) prepare(stop context.Context, j *job) {
	defer close(j.ready)
	if j.err != nil || stop.Err() != nil {
		return
	}
	since := time.Now()
	j.problem, j.err = j.c.Problem(j.subject)
	e.clock.add(inputs, since)
	if j.err != nil {
		return
	}
	for _, r := range j.runs {
		if r.err = e.compile(j, r); stop.Err() != nil {
			return
		}
	}
}

func (e *engine) compile(j *job, r *run) error {
	since := time.Now()
	compiled, err := j.subject.Compile(r.row.Target, j.c.Only)
	e.clock.add(compiling, since)
	if err != nil {
		return err
	}
	r.row.Layout = compiled.Layout.String()
	defer e.clock.add(loading, time.Now())
	r.loaded, err = e.kernels.load(compiled.Plan)
	return err
}

// launchable is whether the case can run on any target.
func (j *job) launchable() bool {
	for _, r := range j.runs {
		if r.loaded != nil {
			return true
		}
	}
	return false
}

// expect computes the reference.
func (e *engine) expect(ctx context.Context, j *job) {
	if j.wantErr = enter(ctx, e.referees); j.wantErr != nil {
		return
	}
	defer func() { <-e.referees }()
	defer e.clock.add(references, time.Now())
	j.want, j.wantErr = j.problem.Expect(ctx)
}

// judge sends a row for every target that was launched or failed. What the end of
// the time has kept from being compared gets none.
func (e *engine) judge(ctx context.Context, j *job) {
	defer e.clock.add(comparing, time.Now())
	for _, r := range j.runs {
		if !r.done {
			continue
		}
		err := errors.Join(j.err, r.err)
		if err == nil {
			if err = j.wantErr; err == nil {
				r.row.Millis = r.out.Millis
				r.row.Errors, err = j.problem.Compare(r.out, j.want)
			} else if ctx.Err() != nil {
				continue
			}
		}
		r.row.Result, r.row.Note = verdict(err)
		e.rows <- r
	}
}

// verdict tells what this device cannot do from what is wrong.
func verdict(err error) (Result, string) {
	switch {
	case err == nil:
		return Passed, ""
	case errors.Is(err, runtime.ErrArchitecture):
		return Skipped, err.Error()
	case errors.Is(err, runtime.ErrOutOfMemory):
		return Skipped, "too large for this device: " + err.Error()
	}
	return Failed, err.Error()
}

// drop lets go of what takes memory.
func (j *job) drop() {
	j.problem, j.want, j.subject = nil, nil, nil
	for _, r := range j.runs {
		r.out = nil
	}
}
