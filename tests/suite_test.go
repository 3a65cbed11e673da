package tests

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/internal/conformance"
	"github.com/s2attention/s2c/internal/gpu"
	"github.com/s2attention/s2c/runtime"
	_ "github.com/s2attention/s2c/runtime/cuda" // registers "cuda"
)

// margin is what a suite leaves of the test's own time limit, for the launch under
// way and for the summary: what that limit cuts off is lost.
const margin = 15 * time.Second

var (
	started   = time.Now()
	summaries []string // printed at the very end
	stuck     string   // the launch that never came back
)

// openGPU opens the first GPU, or skips the test.
func openGPU(t *testing.T) runtime.Device {
	t.Helper()
	if stuck != "" {
		t.Fatalf("the GPU never came back from %s", stuck)
	}
	dev, err := runtime.OpenDevice("cuda")
	gpu.Need(t, err)
	t.Log(dev.Describe())
	return dev
}

// onDevice runs the selected cases on a device that it opens and closes, and
// launches each so often. Every row is a subtest and a line of the table.
func onDevice(t *testing.T, open func(*testing.T) runtime.Device, cases []conformance.Case, launches int) {
	t.Helper()
	cases = selected(t, cases)
	ctx, cancel := limited(t)
	defer cancel()
	dev := open(t)
	tab := openTable(t)
	s := conformance.Suite{Device: dev, Cases: cases, Targets: compiler.Targets, Launches: launches}
	since := time.Now()
	sum := s.Run(ctx, func(r conformance.Row) {
		tab.add(t, r)
		t.Run(r.Name(), func(t *testing.T) { judge(t, r) })
	})
	text := fmt.Sprintf("%s on %s, %d launches each: %.1f s, %s", t.Name(), dev.Describe(), launches, time.Since(since).Seconds(), sum)
	summaries = append(summaries, text)
	tab.write(t, "\n"+text)
	if stuck = sum.Stuck; stuck == "" { // else Close would wait for it
		sum.Err = errors.Join(sum.Err, dev.Close())
	}
	if sum.Err != nil {
		t.Error(sum.Err)
	}
	if failed, left := sum.Count(conformance.Failed), sum.Count(conformance.NotRun); failed+left > 0 {
		t.Errorf("of %d rows %d failed and %d were not run", len(sum.Rows), failed, left)
	}
	if sum.Count(conformance.Passed) == 0 && !t.Failed() {
		t.Errorf("no kernel ran:\n%s", sum)
	}
}

// judge is a row's subtest.
func judge(t *testing.T, r conformance.Row) {
	switch r.Result {
	case conformance.Passed:
	case conformance.Skipped:
		t.Skipf("SKIPPED: %s", r.Note)
	default:
		t.Errorf("%s: %s\n%s", r.Result, r.Note, r.Layout)
	}
}

// limited is a context that ends with the time that S2C_DEVICE_BUDGET allows since
// the program's start, or shortly before the test's own limit.
func limited(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	end, ok := t.Deadline()
	end = end.Add(-margin)
	why := errors.New("the time limit of the tests is near (go test -timeout)")
	if text := os.Getenv("S2C_DEVICE_BUDGET"); text != "" {
		seconds, err := strconv.ParseFloat(text, 64)
		if err != nil || !(seconds > 0 && seconds < 1e6) {
			t.Fatalf("S2C_DEVICE_BUDGET=%s: want the seconds that the tests on the GPU may take, such as 300", text)
		}
		if budget := started.Add(time.Duration(seconds * float64(time.Second))); !ok || budget.Before(end) {
			end, ok, why = budget, true, fmt.Errorf("the %s s of S2C_DEVICE_BUDGET are over", text)
		}
	}
	if !ok {
		return context.WithCancel(t.Context())
	}
	return context.WithDeadlineCause(t.Context(), end, why)
}

// selected is the cases whose name contains one of the parts that S2C_CASES lists;
// all of them where it is not set.
func selected(t *testing.T, cases []conformance.Case) []conformance.Case {
	t.Helper()
	list := os.Getenv("S2C_CASES")
	if list == "" {
		return cases
	}
	kept := named(cases, list)
	switch {
	case len(named(conformance.Cases(), list)) == 0:
		t.Fatalf("S2C_CASES=%s: no case has a name with that in it; names are such as %s", list, cases[0].Name)
	case len(kept) == 0:
		t.Skipf("SKIPPED, S2C_CASES=%s: none of the %d cases of %s", list, len(cases), t.Name())
	}
	t.Logf("S2C_CASES=%s: %d of %d cases", list, len(kept), len(cases))
	return kept
}

// named is the cases whose name contains a part of a list.
func named(cases []conformance.Case, list string) []conformance.Case {
	parts := strings.Split(list, ",")
	return slices.DeleteFunc(slices.Clone(cases), func(c conformance.Case) bool {
		return !slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(c.Name, strings.TrimSpace(p)) })
	})
}

// sheet is the table of rows, written as they come.
type sheet struct{ file *os.File }

// tables are the files that this process has begun: tests write one below the other.
var tables = map[string]bool{}

// openTable opens the file that S2C_TABLE names; without it the table is in the log alone.
func openTable(t *testing.T) *sheet {
	t.Helper()
	path := os.Getenv("S2C_TABLE")
	if path == "" {
		return &sheet{}
	}
	flags := os.O_CREATE | os.O_WRONLY | os.O_TRUNC
	if tables[path] {
		flags = os.O_APPEND | os.O_WRONLY
	}
	file, err := os.OpenFile(path, flags, 0o644)
	if err != nil {
		t.Fatalf("S2C_TABLE: %v", err)
	}
	t.Cleanup(func() {
		if err := file.Close(); err != nil {
			t.Errorf("S2C_TABLE: %v", err)
		}
	})
	tables[path] = true
	tab := &sheet{file}
	tab.write(t, "\n"+t.Name()+"\n\n"+strings.TrimSuffix(conformance.TableHead, "\n"))
	return tab
}

// add writes a row at once, so that it outlives a crash.
func (s *sheet) add(t *testing.T, r conformance.Row) {
	t.Log(r)
	s.write(t, r.String())
}

func (s *sheet) write(t *testing.T, line string) {
	if s.file == nil {
		return
	}
	if _, err := fmt.Fprintln(s.file, line); err != nil {
		t.Errorf("S2C_TABLE: %v", err)
	}
}

// TestOnDevice runs some cases as TestDevice does, on an emulator: each row is a
// line of the table, and a second test's rows come below.
func TestOnDevice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "table.md")
	t.Setenv("S2C_TABLE", path)
	t.Setenv("S2C_CASES", "geometry/pack 2,scale/0.5")
	t.Setenv("S2C_DEVICE_BUDGET", "")
	open := func(*testing.T) runtime.Device { return device() }
	onDevice(t, open, conformance.Cases(), 1)
	onDevice(t, open, conformance.Cases(), 2)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, on := range compiler.Targets {
		for _, name := range []string{"geometry/pack 2", "geometry/pack 2 split 2", "geometry/pack 2 merge 2", "scale/0.5"} {
			row := fmt.Sprintf("\n| ok      | %-6s | %-42s | ", on, name)
			if n := strings.Count(string(text), row); n != 2 {
				t.Errorf("%d rows for %s on %s, want 2:\n%s", n, name, on, text)
			}
		}
	}
	last := summaries[len(summaries)-1]
	if !strings.Contains(last, "8 rows: 8 ok, 0 skipped, 0 FAILED, 0 NOT RUN") || !strings.HasSuffix(string(text), last+"\n") {
		t.Errorf("the summary is %q, at the end of\n%s", last, text)
	}
}

// TestDeviceBudget: the earlier of the two limits decides.
func TestDeviceBudget(t *testing.T) {
	t.Setenv("S2C_DEVICE_BUDGET", "0.001")
	ctx, cancel := limited(t)
	defer cancel()
	<-ctx.Done()
	if err := context.Cause(ctx); !strings.Contains(err.Error(), "0.001 s of S2C_DEVICE_BUDGET") {
		t.Errorf("the time is over because of %v", err)
	}
	t.Setenv("S2C_DEVICE_BUDGET", "900000")
	ctx, cancel = limited(t)
	defer cancel()
	end, ok := ctx.Deadline()
	if whole, set := t.Deadline(); set && (!ok || end.After(whole.Add(-margin))) {
		t.Errorf("the suite may go on until %v, %v, the test until %v", end, ok, whole)
	}
}
