package conformance

import (
	"fmt"
	"strings"

	"github.com/s2attention/s2c/internal/reference"
	"github.com/s2attention/s2c/target"
)

// Result is what became of a case on a target.
type Result string

const (
	Passed  Result = "ok"
	Skipped Result = "skipped"
	Failed  Result = "FAILED"
	NotRun  Result = "NOT RUN"
)

// Results lists every result, in the order of summaries.
var Results = []Result{Passed, Skipped, Failed, NotRun}

// Row is a case on a target: what was measured and what came of it.
type Row struct {
	Case   string
	Target target.Target
	Result Result
	Errors reference.Errors
	Millis float64 // of the first launch
	Note   string  // why it was skipped, failed or not run
	Layout string  // the kernel's, where there is one
}

// Name is what tests call the row.
func (r Row) Name() string { return r.Target.String() + "/" + r.Case }

// TableHead is the head of a table of rows, in Markdown.
const TableHead = "| result  | target | case                                       | out rel  | worst row | lse      | launch ms | note |\n" +
	"| ------- | ------ | ------------------------------------------ | -------- | --------- | -------- | --------- | ---- |\n"

// String is the row of the table. Only a row that was compared has figures.
func (r Row) String() string {
	figures := [4]string{"-", "-", "-", "-"}
	if r.compared() {
		for n, x := range []float64{r.Errors.OutRel, r.Errors.OutRow, r.Errors.LSE} {
			figures[n] = fmt.Sprintf("%.2e", x)
		}
		figures[3] = fmt.Sprintf("%.3f", r.Millis)
	}
	note := strings.NewReplacer("\n", " ", "|", "¦").Replace(r.Note)
	return fmt.Sprintf("| %-7s | %-6s | %-42s | %8s | %9s | %8s | %9s | %s |",
		r.Result, r.Target, r.Case, figures[0], figures[1], figures[2], figures[3], note)
}

func (r Row) compared() bool { return r.Result == Passed || r.Errors != reference.Errors{} }

// Summary is what became of a suite.
type Summary struct {
	Rows []Row // in the order of the cases
	// Stuck names the row whose launch had not come back when the suite gave up;
	// its device must not be used any more, nor closed.
	Stuck string
	Err   error  // of giving back what the kernels held
	Times string // seconds of each stage; stages overlap
	Peak  int64  // bytes that the cases under way held on the host
}

// Count is how many rows have a result.
func (s *Summary) Count(r Result) int {
	n := 0
	for i := range s.Rows {
		if s.Rows[i].Result == r {
			n++
		}
	}
	return n
}

// String counts the results, and says why what was not compared was not.
func (s *Summary) String() string {
	var b strings.Builder
	var counts []string
	for _, r := range Results {
		counts = append(counts, fmt.Sprintf("%d %s", s.Count(r), r))
	}
	fmt.Fprintf(&b, "%d rows: %s\n%s, at most %.1f GiB on the host", len(s.Rows), strings.Join(counts, ", "), s.Times, float64(s.Peak)/(1<<30))
	if s.Err != nil {
		fmt.Fprintf(&b, "\nunloading the kernels: %v", s.Err)
	}
	if s.Stuck != "" {
		fmt.Fprintf(&b, "\nthe device never came back from %s", s.Stuck)
	}
	for _, r := range s.Rows {
		if r.Result != Passed {
			fmt.Fprintf(&b, "\n%s %s: %s", r.Result, r.Name(), r.Note)
		}
	}
	return b.String()
}
