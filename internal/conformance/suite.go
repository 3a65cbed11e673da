package conformance

import (
	"context"
	"errors"
	"fmt"
	goruntime "runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/s2attention/s2c/runtime"
	"github.com/s2attention/s2c/target"
)

// Suite runs many cases on one device. While the device works on a case, the CPU
// has the next ones: their inputs, their kernels, their references.
//
//	admit    in order, while there is memory          one goroutine
//	prepare  inputs, kernels for each target, loaded  one goroutine a core
//	launch   in order, every target of a case         one goroutine
//	expect   the reference, once for all targets      two cases at a time, all cores
//	judge    output against reference                 the case's goroutine
type Suite struct {
	Device  runtime.Device
	Cases   []Case
	Targets []target.Target
	// Launches is how often a kernel is launched; each must give the same bytes. 0: once.
	Launches int
	// Memory bounds the bytes on the host of the cases under way; one that takes
	// more runs alone. 0: 8 GiB.
	Memory int64
	// Workers is how many cases are prepared at a time. 0: one a core.
	Workers int
	// Grace is how long a launch may go on when the context is done. 0: 5 s.
	Grace time.Duration
}

// referees is how many references are computed at a time. Each takes all cores,
// but not at its beginning and its end.
const referees = 2

// Run runs every case on every target that it is for, and reports each row from
// the calling goroutine as soon as it is known. A row that fails stops no other,
// unless the device no longer answers after it. When ctx is done the rest is not
// run, for the reason that its cause gives.
func (s *Suite) Run(ctx context.Context, report func(Row)) *Summary {
	stop, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	e := s.engine(cancel)
	go e.start(ctx, stop)
	e.collect(ctx, report)
	sum := &Summary{Stuck: e.stuck(), Times: e.clock.String(), Peak: e.memory.most()}
	if sum.Stuck == "" {
		sum.Err = e.kernels.unload()
	}
	for _, j := range e.jobs {
		for _, r := range j.runs {
			if r.reported == nil {
				row := r.plan
				row.Result, row.Note = NotRun, e.reason(stop, row)
				r.reported = &row
				report(row)
			}
			sum.Rows = append(sum.Rows, *r.reported)
		}
	}
	return sum
}

// engine is a suite under way.
type engine struct {
	Suite
	jobs    []*job
	kernels *kernels
	memory  *memory
	clock   clock

	slots    chan struct{} // a token for each case in preparation
	referees chan struct{} // a token for each reference in work
	queue    chan *job     // admitted, in order
	rows     chan *run     // judged
	launched chan struct{} // closed when nothing more is launched
	ended    chan struct{} // closed when nothing is under way
	abandon  context.CancelCauseFunc
	current  atomic.Pointer[string] // the row on the device
}

func (s *Suite) engine(abandon context.CancelCauseFunc) *engine {
	e := &engine{Suite: *s, abandon: abandon}
	e.Launches = max(e.Launches, 1)
	if e.Workers == 0 {
		e.Workers = goruntime.GOMAXPROCS(0)
	}
	if e.Memory == 0 {
		e.Memory = 8 << 30
	}
	if e.Grace == 0 {
		e.Grace = 5 * time.Second
	}
	total := 0
	for n := range e.Cases {
		j := newJob(&e.Cases[n], e.Targets)
		total += len(j.runs)
		e.jobs = append(e.jobs, j)
	}
	e.kernels = &kernels{dev: e.Device, byID: map[string]*loaded{}}
	e.memory = newMemory(e.Memory)
	e.slots, e.referees = make(chan struct{}, e.Workers), make(chan struct{}, referees)
	e.queue, e.rows = make(chan *job, len(e.jobs)), make(chan *run, total) // nobody waits to send
	e.launched, e.ended = make(chan struct{}), make(chan struct{})
	return e
}

// start runs all stages. What has been launched is judged until ctx is done;
// nothing new begins after stop.
func (e *engine) start(ctx, stop context.Context) {
	defer close(e.ended)
	var work sync.WaitGroup
	work.Go(func() { e.launch(stop) })
	work.Go(func() { e.admit(ctx, stop, &work) })
	work.Wait()
}

// admit starts the cases in order, as memory and workers come free.
func (e *engine) admit(ctx, stop context.Context, work *sync.WaitGroup) {
	defer close(e.queue)
	for _, j := range e.jobs {
		j.load()
		if e.memory.take(stop, j.bytes) != nil || enter(stop, e.slots) != nil {
			return
		}
		e.queue <- j
		work.Go(func() {
			defer e.memory.give(j.bytes)
			e.follow(ctx, stop, j)
		})
	}
}

// enter takes a place among those that a channel has room for.
func enter(ctx context.Context, places chan struct{}) error {
	select {
	case places <- struct{}{}:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// follow takes a case through all stages but the launch.
func (e *engine) follow(ctx, stop context.Context, j *job) {
	defer j.drop()
	e.prepare(stop, j)
	<-e.slots
	if j.launchable() {
		e.expect(ctx, j)
	}
	select {
	case <-j.launched:
	case <-e.launched:
	}
	e.judge(ctx, j)
}

// launch works off the cases in order. It is the only one that launches.
func (e *engine) launch(stop context.Context) {
	defer close(e.launched)
	for j := range e.queue {
		since := time.Now()
		select {
		case <-j.ready:
		case <-stop.Done():
			return
		}
		e.clock.add(waiting, since)
		for _, r := range j.runs {
			if stop.Err() != nil {
				return
			}
			e.run(j, r)
		}
		close(j.launched)
	}
}

// run launches one kernel, and finds out whether the device survived a failure.
func (e *engine) run(j *job, r *run) {
	defer e.clock.add(onDevice, time.Now())
	if r.err != nil || j.err != nil {
		r.done = true
		return
	}
	name := r.row.Name()
	e.current.Store(&name)
	r.out, r.err = e.output(j.problem, r.loaded)
	e.current.Store(nil)
	r.done = true
	if r.err == nil {
		return
	}
	if err := answers(e.Device); err != nil {
		e.abandon(fmt.Errorf("the device no longer answers after %s: %w", name, err))
	}
}

// output launches as often as is asked for, and compares the bytes.
func (e *engine) output(p *Problem, a *runtime.Attention) (*Output, error) {
	first, err := p.LaunchLoaded(e.Device, a)
	for n := 1; n < e.Launches && err == nil; n++ {
		var o *Output
		if o, err = p.LaunchLoaded(e.Device, a); err == nil && o.Hash() != first.Hash() {
			err = fmt.Errorf("launch %d gives other bytes than the first", n)
		}
	}
	return first, err
}

// answers is the error of a device that cannot even copy.
func answers(dev runtime.Device) error {
	var data [256]byte
	p, err := dev.Alloc(int64(len(data)))
	if errors.Is(err, runtime.ErrOutOfMemory) {
		return nil // an answer
	}
	if err != nil {
		return err
	}
	return errors.Join(dev.Upload(p, data[:]), dev.Free(p))
}

// collect reports rows until all are there, nothing is under way any more, or a
// launch outlasts the context by more than the grace.
func (e *engine) collect(ctx context.Context, report func(Row)) {
	take := func(r *run) {
		row := r.row
		r.reported = &row
		report(row)
	}
	done, over := ctx.Done(), (<-chan time.Time)(nil)
	for {
		select {
		case r := <-e.rows:
			take(r)
		case <-done:
			done, over = nil, time.After(e.Grace)
		case <-over:
			return
		case <-e.ended:
			for len(e.rows) > 0 {
				take(<-e.rows)
			}
			return
		}
	}
}

// stuck names the row on the device where the suite has given up waiting.
func (e *engine) stuck() string {
	select {
	case <-e.ended:
		return ""
	default:
	}
	if name := e.current.Load(); name != nil {
		return *name
	}
	return "loading a kernel"
}

// reason is why a row was not run.
func (e *engine) reason(stop context.Context, row Row) string {
	if name := e.current.Load(); name != nil && *name == row.Name() {
		return "its launch has not come back: " + context.Cause(stop).Error()
	}
	return context.Cause(stop).Error()
}
