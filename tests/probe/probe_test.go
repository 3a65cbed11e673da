package probe

import (
	"fmt"
	"strings"
	"testing"

	"github.com/s2attention/s2c/internal/ptxas"
)

// TestAssemble feeds every probe to the assembler, so that none fails to compile on
// a GPU.
func TestAssemble(t *testing.T) {
	list := All()
	// One module holds many entries: a process for each would take minutes.
	const batch = 64
	for first := 0; first < len(list); first += batch {
		var text strings.Builder
		for i := range list[first:min(first+batch, len(list))] {
			body := list[first+i].PTX()
			if i > 0 {
				_, body, _ = strings.Cut(body, ".address_size 64\n")
			} else {
				body = strings.Replace(body, ".version 7.0", ".version 8.0", 1)
			}
			body = strings.ReplaceAll(body, "smem", fmt.Sprintf("smem%d", i))
			text.WriteString(strings.Replace(body, ".entry probe(", fmt.Sprintf(".entry probe%d(", i), 1))
		}
		report := ptxas.Assemble(t, text.String(), Target.String())
		if n := min(batch, len(list)-first); len(report.Entries) != n {
			t.Errorf("%d entries from %s on, want %d", len(report.Entries), list[first].Name, n)
		}
		if report.Spills() || len(report.Performance) > 0 {
			t.Errorf("probes from %s on: spills %v, performance messages %q", list[first].Name, report.Spills(), report.Performance)
		}
	}
}
