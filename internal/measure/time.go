package measure

import (
	"errors"
	"time"

	"github.com/s2attention/s2c/runtime"
)

// Timing says how long to measure. The zero value is what suits the device.
type Timing struct {
	// Runs is the number of timed runs; 0 takes as many as fit Budget.
	Runs int
	// WarmUp and Budget are the device time of the runs before and of those that
	// count; 0 is 30 and 150 milliseconds, as the peers are measured.
	WarmUp, Budget time.Duration
}

const (
	leastRuns = 10 // fewer say little of the spread
	mostRuns  = 1000
	// pending bounds the runs that are queued at once, each three launches and two
	// events.
	pending = 64
)

// Time runs a kernel over and over and returns the milliseconds of each timed
// run, in their order. On a GPU the L2 cache is cold at each start, as Triton's
// do_bench has it, and the write that makes it so hides the launch. An emulator
// is not warmed up, and times one run where Timing does not say.
func (p *Problem) Time(a *runtime.Attention, t Timing) (ms []float64, err error) {
	stream, err := p.dev.NewStream()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stream.Close()) }()
	if p.dev.Kind() != "cuda" {
		return p.series(stream, a, max(t.Runs, 1))
	}
	if t.WarmUp == 0 {
		t.WarmUp = 30 * time.Millisecond
	}
	if t.Budget == 0 {
		t.Budget = 150 * time.Millisecond
	}
	first, err := p.series(stream, a, 3)
	if err != nil {
		return nil, err
	}
	estimate := max(Summarise(first).Min, 1e-3)
	fits := func(d time.Duration) int { return int(float64(d) / float64(time.Millisecond) / estimate) }
	if _, err := p.series(stream, a, min(max(fits(t.WarmUp), 1), mostRuns)); err != nil {
		return nil, err
	}
	runs := t.Runs
	if runs == 0 {
		runs = min(max(fits(t.Budget), leastRuns), mostRuns)
	}
	return p.series(stream, a, runs)
}

// series times runs one after the other without waiting in between.
func (p *Problem) series(stream runtime.Stream, a *runtime.Attention, runs int) (ms []float64, err error) {
	for len(ms) < runs {
		some, err := p.burst(stream, a, min(runs-len(ms), pending))
		if err != nil {
			return nil, err
		}
		ms = append(ms, some...)
	}
	return ms, nil
}

// burst queues runs, each between two events, and waits for the last.
func (p *Problem) burst(stream runtime.Stream, a *runtime.Attention, runs int) (ms []float64, err error) {
	var events []runtime.Event
	defer func() {
		for _, e := range events {
			err = errors.Join(err, e.Close())
		}
	}()
	record := func() error {
		e, err := stream.Record()
		if err == nil {
			events = append(events, e)
		}
		return err
	}
	for range runs {
		if p.flush != 0 {
			if err := p.filler.fill(stream, p.flush, flushBytes, 0); err != nil {
				return nil, err
			}
		}
		if err := record(); err != nil {
			return nil, err
		}
		if err := p.mem.Launch(a, stream); err != nil {
			return nil, err
		}
		if err := record(); err != nil {
			return nil, err
		}
	}
	if err := stream.Wait(); err != nil {
		return nil, err
	}
	for n := range runs {
		v, err := events[2*n+1].Since(events[2*n])
		if err != nil {
			return nil, err
		}
		ms = append(ms, v)
	}
	return ms, nil
}

const (
	// launchSeq is the length that launches are timed with: so short that the
	// kernels keep up with the host and no call waits for room in the queue.
	launchSeq = 64
	// launchBurst is the launches between two waits, which are not timed.
	launchBurst = 256
)

// LaunchCost is the microseconds that the host spends in each of count calls of
// Launch. The work of the kernels is not in it, nor are the waits for them.
func LaunchCost(dev runtime.Device, a *runtime.Attention, count int) (us []float64, err error) {
	p, err := NewProblem(dev, a.Plan().Shape, 1, launchSeq, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	stream, err := dev.NewStream()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stream.Close()) }()
	us = make([]float64, 0, count)
	warm := min(count, launchBurst)
	for n := range warm + count {
		if n%launchBurst == 0 {
			if err := stream.Wait(); err != nil {
				return nil, err
			}
		}
		start := time.Now()
		err := a.Launch(stream, p.mem.Args)
		took := time.Since(start)
		if err != nil {
			return nil, err
		}
		if n >= warm {
			us = append(us, float64(took)/float64(time.Microsecond))
		}
	}
	return us, stream.Wait()
}
