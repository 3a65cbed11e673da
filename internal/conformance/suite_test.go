package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/ir/layout"
	"github.com/s2attention/s2c/runtime"
	"github.com/s2attention/s2c/runtime/emu"
	"github.com/s2attention/s2c/target"
)

// spy is an emulator that calls a function at each launch.
type spy struct {
	*emu.Device
	launches atomic.Int64
	launch   func(n int64) error            // n counts from 1
	upload   func(src []byte)               // nil: nothing
	download func(launch int64, dst []byte) // nil: nothing
	dead     atomic.Bool
}

var errDead = errors.New("the context is gone")

func newSpy(t *testing.T) *spy {
	s := &spy{Device: emu.New(emu.Options{Workers: 1})}
	t.Cleanup(func() {
		if err := s.Device.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *spy) NewStream() (runtime.Stream, error) {
	n := s.launches.Add(1)
	if s.launch != nil {
		if err := s.launch(n); err != nil {
			return nil, err
		}
	}
	return s.Device.NewStream()
}

func (s *spy) Alloc(n int64) (runtime.Ptr, error) {
	if s.dead.Load() {
		return 0, errDead
	}
	return s.Device.Alloc(n)
}

func (s *spy) Upload(dst runtime.Ptr, src []byte) error {
	if s.upload != nil {
		s.upload(src)
	}
	return s.Device.Upload(dst, src)
}

func (s *spy) Download(dst []byte, src runtime.Ptr) error {
	err := s.Device.Download(dst, src)
	if s.download != nil {
		s.download(s.launches.Load(), dst)
	}
	return err
}

// someCases are quick ones of different lengths: all odd, so that no key tensor
// has the size of a query tensor.
func someCases(n int) []Case {
	var list []Case
	for i := range n {
		list = append(list, Case{Name: fmt.Sprintf("some/%d", i), Source: smallModel, KLen: 33 + 2*i, Seed: uint64(i)})
	}
	return list
}

// queryBytesOf is the size of a case's query tensor.
func queryBytesOf(c *Case) int { return 4 * c.KLen * 64 * dtype.BF16.Bytes() }

// runSuite runs a suite and checks what always holds: every row is reported once,
// and the summary has all of them in the order of the cases.
func runSuite(t *testing.T, ctx context.Context, s *Suite) *Summary {
	t.Helper()
	if s.Targets == nil {
		s.Targets = compiler.Targets
	}
	seen := map[string]Row{}
	sum := s.Run(ctx, func(r Row) {
		if _, again := seen[r.Name()]; again {
			t.Errorf("%s is reported twice", r.Name())
		}
		seen[r.Name()] = r
	})
	var want, got []string
	for _, c := range s.Cases {
		for _, on := range s.Targets {
			if c.For(on) {
				want = append(want, on.String()+"/"+c.Name)
			}
		}
	}
	for _, r := range sum.Rows {
		got = append(got, r.Name())
		if reported := seen[r.Name()]; fmt.Sprintf("%+v", r) != fmt.Sprintf("%+v", reported) { // an error may be NaN
			t.Errorf("%s: the summary has %+v, reported was %+v", r.Name(), r, seen[r.Name()])
		}
	}
	if !slices.Equal(got, want) || len(seen) != len(want) {
		t.Fatalf("rows %q, want %q; %d were reported", got, want, len(seen))
	}
	if sum.Err != nil {
		t.Error(sum.Err)
	}
	return sum
}

// results are those of the rows on a target.
func results(s *Summary, on target.Target) []Result {
	var list []Result
	for _, r := range s.Rows {
		if r.Target == on {
			list = append(list, r.Result)
		}
	}
	return list
}

// TestSuite: cases run on each of their targets, launched in order, and pass.
func TestSuite(t *testing.T) {
	dev := newSpy(t)
	s := &Suite{Device: dev, Cases: someCases(6)}
	s.Cases[2].Targets = sm90aOnly
	var order []int
	dev.upload = func(src []byte) {
		n := slices.IndexFunc(s.Cases, func(c Case) bool { return queryBytesOf(&c) == len(src) })
		if n >= 0 && (len(order) == 0 || order[len(order)-1] != n) {
			order = append(order, n)
		}
	}
	sum := runSuite(t, t.Context(), s)
	if n := sum.Count(Passed); n != 11 {
		t.Errorf("%d rows passed of 11:\n%s", n, sum)
	}
	if !slices.Equal(order, []int{0, 1, 2, 3, 4, 5}) {
		t.Errorf("launched in the order %v", order)
	}
	for _, r := range sum.Rows {
		if r.Errors.OutRel <= 0 || r.Errors.OutRow < r.Errors.OutRel || r.Errors.LSE <= 0 || r.Millis <= 0 || r.Layout == "" {
			t.Errorf("figures are missing: %+v", r)
		}
	}
}

// TestSuiteMemory: the cases under way stay within the limit, and one that
// exceeds it runs alone.
func TestSuiteMemory(t *testing.T) {
	cases := someCases(6)
	var most, all int64
	for n := range cases {
		sub, err := cases[n].Load(true)
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, cases[n].bytes(sub, 2))
		all += cases[n].bytes(sub, 2)
	}
	for _, limit := range []int64{1, 2 * most} {
		sum := runSuite(t, t.Context(), &Suite{Device: newSpy(t), Cases: cases, Memory: limit})
		if sum.Count(Passed) != len(sum.Rows) || sum.Peak > max(limit, most) || sum.Peak < min(limit, most) {
			t.Errorf("limit %d of %d: held %d\n%s", limit, all, sum.Peak, sum)
		}
	}
}

// TestCaseBytes: what a case is said to hold covers its tensors.
func TestCaseBytes(t *testing.T) {
	for _, c := range []Case{
		{Source: smallModel, KLen: 333}, {Source: smallModel, Batch: 3, QLen: 20, KLen: 333},
		{Source: oddModel, KLen: 77, LastRows: 9}, {Source: oddModel, KLen: 77, Heads: []int{1, 4}},
	} {
		s, err := c.Load(true)
		if err != nil {
			t.Fatal(err)
		}
		p, err := c.Problem(s)
		if err != nil {
			t.Fatal(err)
		}
		want, err := p.Expect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		out := len(p.Q.Data) + 4*len(p.Q.Data)/2/s.Model.HeadDim
		tensors := int64(len(p.Q.Data) + len(p.K.Data) + len(p.V.Data) + 2*out + 8*len(want.Out) + 8*len(want.LSE))
		if got := c.bytes(s, 2); got != tensors+int64(2*c.KLen*s.Model.HeadDim*8) {
			t.Errorf("%+v: %d bytes, its tensors have %d", c, got, tensors)
		}
	}
}

// TestSuiteFailures: what fails is reported with its reason, and nothing else stops.
func TestSuiteFailures(t *testing.T) {
	dev := newSpy(t)
	s := &Suite{Device: dev, Cases: someCases(6), Targets: []target.Target{target.SM80}}
	s.Cases[1].Source = "model"
	s.Cases[2].Only = func(layout.Candidate) bool { return false }
	lie := emptyRowCases()[0]
	wrong := *lie.Custom
	wrong.Attends = func(int, int64, int64) bool { return false }
	lie.Custom = &wrong
	s.Cases[3] = lie
	fails := errors.New("the launch fails")
	dev.launch = func(n int64) error {
		if n == 3 { // of cases 0, 3 and 4
			return fails
		}
		return nil
	}
	sum := runSuite(t, t.Context(), s)
	if got, want := results(sum, target.SM80), []Result{Passed, Failed, Failed, Failed, Failed, Passed}; !slices.Equal(got, want) {
		t.Fatalf("%q, want %q\n%s", got, want, sum)
	}
	for n, part := range map[int]string{1: "model", 2: "no tile fits", 3: "output off by", 4: fails.Error()} {
		if !strings.Contains(sum.Rows[n].Note, part) {
			t.Errorf("row %d is said to fail by %q, want %q in it", n, sum.Rows[n].Note, part)
		}
		if text := sum.String(); !strings.Contains(text, "FAILED "+sum.Rows[n].Name()) {
			t.Errorf("row %d is not among the failures of\n%s", n, text)
		}
	}
}

// TestSuiteSkips: what the device cannot do is skipped for a reason.
func TestSuiteSkips(t *testing.T) {
	dev := newSpy(t)
	dev.launch = func(n int64) error {
		if n == 1 {
			return runtime.Errorf(runtime.ErrOutOfMemory, "no memory")
		}
		return nil
	}
	sum := runSuite(t, t.Context(), &Suite{Device: dev, Cases: someCases(2), Targets: []target.Target{target.SM90a}})
	if got, want := results(sum, target.SM90a), []Result{Skipped, Passed}; !slices.Equal(got, want) {
		t.Fatalf("%q, want %q\n%s", got, want, sum)
	}
	if !strings.Contains(sum.Rows[0].Note, "no memory") {
		t.Errorf("skipped for %q", sum.Rows[0].Note)
	}
}

// TestSuiteTimeLimit: what the time does not reach is not run, for that reason.
func TestSuiteTimeLimit(t *testing.T) {
	over := errors.New("three launches are enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	dev := newSpy(t)
	dev.launch = func(n int64) error {
		if n == 3 {
			cancel(over)
		}
		return nil
	}
	sum := runSuite(t, ctx, &Suite{Device: dev, Cases: someCases(6), Targets: []target.Target{target.SM80}})
	if n := dev.launches.Load(); n != 3 {
		t.Errorf("%d launches", n)
	}
	if sum.Stuck != "" || sum.Count(Failed) != 0 || sum.Count(Passed) > 3 {
		t.Errorf("unexpected results:\n%s", sum)
	}
	for _, r := range sum.Rows[3:] {
		if r.Result != NotRun || r.Note != over.Error() {
			t.Errorf("%s is %q for %q", r.Name(), r.Result, r.Note)
		}
	}
}

// TestSuiteHangs: a launch that does not come back does not keep the suite.
func TestSuiteHangs(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	dev, release := newSpy(t), make(chan struct{})
	t.Cleanup(func() { close(release) }) // before the device closes
	dev.launch = func(n int64) error {
		if n == 2 {
			cancel(errors.New("time is over"))
			<-release
		}
		return nil
	}
	sum := runSuite(t, ctx, &Suite{Device: dev, Cases: someCases(3), Targets: []target.Target{target.SM80}, Grace: 100 * time.Millisecond})
	if sum.Stuck != "sm_80/some/1" || !strings.Contains(sum.String(), "never came back from sm_80/some/1") {
		t.Errorf("stuck at %q\n%s", sum.Stuck, sum)
	}
	if r := sum.Rows[1]; r.Result != NotRun || !strings.Contains(r.Note, "has not come back: time is over") {
		t.Errorf("the launch that hangs is %q for %q", r.Result, r.Note)
	}
	if r := sum.Rows[2]; r.Result != NotRun {
		t.Errorf("the case behind it is %q", r.Result)
	}
}

// TestSuiteDeadDevice: what comes after a device's death is not blamed for it.
func TestSuiteDeadDevice(t *testing.T) {
	dev := newSpy(t)
	dev.launch = func(n int64) error {
		if n == 3 {
			dev.dead.Store(true)
			return errDead
		}
		return nil
	}
	sum := runSuite(t, t.Context(), &Suite{Device: dev, Cases: someCases(5), Targets: []target.Target{target.SM80}})
	if got, want := results(sum, target.SM80), []Result{Passed, Passed, Failed, NotRun, NotRun}; !slices.Equal(got, want) {
		t.Fatalf("%q, want %q\n%s", got, want, sum)
	}
	if note := sum.Rows[4].Note; !strings.Contains(note, "no longer answers after sm_80/some/2") {
		t.Errorf("not run for %q", note)
	}
}

// TestSuiteRepeats: of several launches each must give the same bytes.
func TestSuiteRepeats(t *testing.T) {
	dev := newSpy(t)
	s := &Suite{Device: dev, Cases: someCases(2), Targets: []target.Target{target.SM80}, Launches: 3}
	dev.download = func(launch int64, dst []byte) {
		if launch == 5 && len(dst) == queryBytesOf(&s.Cases[1]) {
			dst[7] ^= 1
		}
	}
	sum := runSuite(t, t.Context(), s)
	if n := dev.launches.Load(); n != 5 {
		t.Errorf("%d launches, want 3 of the first case and 2 of the second", n)
	}
	if got, want := results(sum, target.SM80), []Result{Passed, Failed}; !slices.Equal(got, want) {
		t.Fatalf("%q, want %q\n%s", got, want, sum)
	}
	if note := sum.Rows[1].Note; !strings.Contains(note, "launch 1 gives other bytes") {
		t.Errorf("it fails by %q", note)
	}
}

// TestSuiteSharesKernels: cases that differ in lengths alone are loaded once.
func TestSuiteSharesKernels(t *testing.T) {
	k := &kernels{dev: newSpy(t), byID: map[string]*loaded{}}
	cases := append(someCases(3), geometryCases()[0])
	for n := range cases {
		sub, err := cases[n].Load(true)
		if err != nil {
			t.Fatal(err)
		}
		compiled, err := sub.Compile(target.SM80, cases[n].Only)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k.load(compiled.Plan); err != nil {
			t.Fatal(err)
		}
	}
	if len(k.byID) != 2 {
		t.Errorf("%d kernels are loaded, want 2", len(k.byID))
	}
	if err := k.unload(); err != nil {
		t.Error(err)
	}
}

// TestRowText: a row is one line of the table's columns, whatever the note holds.
func TestRowText(t *testing.T) {
	columns := func(line string) int { return strings.Count(line, "|") }
	head, _, _ := strings.Cut(TableHead, "\n")
	for _, r := range []Row{
		{Case: "a", Target: target.SM80, Result: Passed},
		{Case: "a", Target: target.SM90a, Result: Failed, Note: "a|b\nc"},
	} {
		if text := r.String(); strings.Contains(text, "\n") || columns(text) != columns(head) {
			t.Errorf("%q does not fit below %q", text, head)
		}
	}
}
