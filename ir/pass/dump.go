package pass

import (
	"fmt"
	"io"
	"strings"

	"github.com/s2attention/s2c/ir/layout"
)

// dumpPoints lists what Options.Dump accepts.
func dumpPoints(pipeline []Pass) string {
	var points []string
	for _, p := range pipeline {
		points = append(points, "after:"+p.Name)
	}
	return strings.Join(points, ", ")
}

// dump writes the state after a pass as text.
func (s *State) dump(w io.Writer, p Pass) error {
	var b strings.Builder
	fmt.Fprintf(&b, "after %s\n", p.Name)
	for h, pattern := range s.Layer.Heads {
		class := ""
		if s.Classes != nil {
			class = fmt.Sprintf(", class %d", s.Classes[h])
			if s.firstOf(h) != h {
				fmt.Fprintf(&b, "head %d%s\n", h, class)
				continue
			}
		}
		fmt.Fprintf(&b, "head %d%s\n", h, class)
		for _, line := range layout.PatternLines(pattern) {
			fmt.Fprintf(&b, "    %s\n", line)
		}
	}
	if s.Kernel.Rows > 0 {
		b.WriteString(s.Kernel.String())
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// firstOf is the first head of a head's class.
func (s *State) firstOf(head int) int {
	for h, class := range s.Classes {
		if class == s.Classes[head] {
			return h
		}
	}
	return head
}
