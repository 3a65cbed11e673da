package ptxas

import (
	"regexp"
	"strconv"
	"strings"
)

// Report is what `ptxas -v` says about a module. With several entries each
// number is the greatest, spills and the stack frame included: a limit on the
// report is a limit on every entry.
type Report struct {
	Entries     []string // in order of compilation
	Registers   int      // a thread
	SpillStores int      // bytes
	SpillLoads  int      // bytes
	Stack       int      // bytes of stack frame
	Barriers    int
	Shared      int // bytes of static shared memory; dynamic is the launch's
	// Messages are the log's lines, trimmed.
	Messages []string
	// Performance are the messages with a C75xx code: the assembler gave up
	// something it still calls a success, such as overlapping wgmma (C7510) or
	// honouring setmaxnreg (C7508). A kernel with any of them is not done.
	Performance []string
}

// Spills is whether any entry keeps registers in local memory.
func (r Report) Spills() bool { return r.SpillStores > 0 || r.SpillLoads > 0 }

var (
	entryLine     = regexp.MustCompile(`Compiling entry function '([^']+)'`)
	spillLine     = regexp.MustCompile(`(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads`)
	registersLine = regexp.MustCompile(`Used (\d+) registers`)
	barriersLine  = regexp.MustCompile(`used (\d+) barriers`)
	sharedLine    = regexp.MustCompile(`(\d+) bytes smem`)
	performance   = regexp.MustCompile(`\bC75\d\d\b`)
)

// Parse reads the log of `ptxas -v`, or the driver's, which has the same form.
func Parse(log string) Report {
	var r Report
	for line := range strings.Lines(log) {
		line = strings.TrimSpace(strings.Trim(line, "\x00"))
		if line == "" {
			continue
		}
		r.Messages = append(r.Messages, line)
		if performance.MatchString(line) {
			r.Performance = append(r.Performance, line)
		}
		if m := entryLine.FindStringSubmatch(line); m != nil {
			r.Entries = append(r.Entries, m[1])
		}
		if m := spillLine.FindStringSubmatch(line); m != nil {
			raise(&r.Stack, m[1])
			raise(&r.SpillStores, m[2])
			raise(&r.SpillLoads, m[3])
		}
		for re, field := range map[*regexp.Regexp]*int{
			registersLine: &r.Registers, barriersLine: &r.Barriers, sharedLine: &r.Shared,
		} {
			if m := re.FindStringSubmatch(line); m != nil {
				raise(field, m[1])
			}
		}
	}
	return r
}

// raise lifts a maximum to the number in text.
func raise(field *int, text string) {
	if n, err := strconv.Atoi(text); err == nil {
		*field = max(*field, n)
	}
}
