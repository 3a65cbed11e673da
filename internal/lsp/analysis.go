package lsp

import (
	"context"
	"path/filepath"
	"sync"
	"time"

	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/diag"
	"github.com/s2attention/s2c/dsl"
)

// analysis is all that is wrong with a text, and its closed form where that
// exists.
type analysis struct {
	file  *file
	unit  *compiler.Unit // nil where there is none
	list  diag.List
	late  bool             // the time was up before everything was looked at
	files map[string]*file // what was read, by the name of its source
}

// analyse reads a text and what it imports, until the context ends.
func analyse(ctx context.Context, s *files, f *file) *analysis {
	a := &analysis{file: f, files: map[string]*file{f.src.Name: f}}
	opt := dsl.Options{Context: ctx, ReadFile: func(path string) ([]byte, error) {
		if path == f.path {
			return []byte(f.src.Text), nil
		}
		g, err := s.at(path)
		if err != nil {
			return nil, err
		}
		a.files[filepath.ToSlash(path)] = g
		return []byte(g.src.Text), nil
	}}
	a.unit, a.list = compiler.Lower(f.path, opt)
	if a.unit != nil {
		a.list = append(a.list, a.unit.Require(opt.Cancelled)...)
		a.list.Sort()
	}
	a.late = opt.Cancelled()
	return a
}

// Times of the work on a text.
const (
	delay     = 150 * time.Millisecond // without a change before a text is checked
	timeLimit = 10 * time.Second       // of checking one text
)

// job is the analysis of one state of a text.
type job struct {
	file   *file
	cancel context.CancelFunc
	hurry  func()        // ends the delay
	done   chan struct{} // closed at the end
	result *analysis     // nil where newer text has arrived
}

// jobs is the work in progress: one job for each open text, one at a time.
type jobs struct {
	files   *files
	publish func(*analysis)
	limit   time.Duration

	mu   sync.Mutex
	last map[string]*job // by URI
	busy chan struct{}   // holds one token
}

func newJobs(s *files, publish func(*analysis)) *jobs {
	return &jobs{files: s, publish: publish, limit: timeLimit, last: map[string]*job{}, busy: make(chan struct{}, 1)}
}

// start analyses a text after a delay; the analysis of what it was before ends.
func (j *jobs) start(f *file) {
	ctx, cancel := context.WithCancel(context.Background())
	soon := make(chan struct{})
	n := &job{file: f, cancel: cancel, hurry: sync.OnceFunc(func() { close(soon) }), done: make(chan struct{})}
	j.mu.Lock()
	if old := j.last[f.uri]; old != nil {
		old.cancel()
	}
	j.last[f.uri] = n
	j.mu.Unlock()
	go func() {
		defer close(n.done)
		defer cancel()
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-soon:
		case <-ctx.Done():
			return
		}
		j.run(ctx, n)
	}()
}

func (j *jobs) run(ctx context.Context, n *job) {
	select {
	case j.busy <- struct{}{}:
		defer func() { <-j.busy }()
	case <-ctx.Done():
		return
	}
	limited, cancel := context.WithTimeout(ctx, j.limit)
	defer cancel()
	a := analyse(limited, j.files, n.file)
	j.mu.Lock()
	defer j.mu.Unlock()
	if ctx.Err() == nil && j.last[n.file.uri] == n {
		n.result = a
		j.publish(a)
	}
}

// stop ends the work on a text that was closed.
func (j *jobs) stop(uri string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if old := j.last[uri]; old != nil {
		old.cancel()
		delete(j.last, uri)
	}
}

// close ends all work.
func (j *jobs) close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, n := range j.last {
		n.cancel()
	}
}

// wait is the analysis of a text as it is now, nil where the context ends first.
func (j *jobs) wait(ctx context.Context, uri string) *analysis {
	for {
		j.mu.Lock()
		n := j.last[uri]
		j.mu.Unlock()
		if n == nil {
			return nil
		}
		n.hurry()
		select {
		case <-n.done:
		case <-ctx.Done():
			return nil
		}
		if n.result != nil {
			return n.result
		}
		j.mu.Lock()
		same := j.last[uri] == n
		j.mu.Unlock()
		if same {
			return nil
		}
	}
}
